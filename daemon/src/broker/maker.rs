//! Who makes sockets.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::order::{self, Order};
use crate::reactor::{BindError, BindStep, Setup, Socket, SocketOptions};

/// A socket that is there already.
#[derive(Debug)]
pub enum Found {
    /// Somebody has made it for this process.
    Given(OwnedFd),
    /// Another daemon still reads it; with these options, and set up so.
    Shared(OwnedFd, Box<SocketOptions>, Setup),
}

/// Sockets that are there already, by the addresses that they are bound to: for each, in the order in which they are asked for, the
/// socket, or none where one is to be bound.
pub type Ready = HashMap<SocketAddr, VecDeque<Option<Found>>>;

/// Who makes the sockets of the listeners.
#[derive(Debug)]
pub enum Maker {
    /// This process.
    Here,
    /// This process, but for those that another one has bound for it.
    Ready(Ready),
    /// A process that has kept the right to do so.
    #[cfg(target_os = "linux")]
    Broker(super::Broker),
    /// Nobody can, in words.
    Nobody(String),
}

impl Maker {
    /// Most sockets of one call of [`Self::make`].
    pub const MOST: usize = order::MOST;

    /// Makes sockets, [`Self::MOST`] at once; the answers stand in the order of the orders.
    ///
    /// # Errors
    /// Nothing can be made, whatever is asked for; the text says why.
    pub fn make(&mut self, orders: &[Order]) -> io::Result<Vec<Result<Socket, BindError>>> {
        match self {
            Self::Here => Ok(orders.iter().map(|(addr, options)| Socket::bind(*addr, options)).collect()),
            Self::Ready(ready) => Ok(orders.iter().map(|order| made_ready(ready, order)).collect()),
            #[cfg(target_os = "linux")]
            Self::Broker(broker) => {
                let made = broker.make(orders);
                if let Err(error) = &made
                    && !broker.is_alive()
                {
                    *self = Self::Nobody(error.to_string());
                }
                made
            }
            Self::Nobody(why) => Err(io::Error::other(why.clone())),
        }
    }

    /// Whether it binds ports below 1024 only if they were served at the start.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !matches!(self, Self::Here | Self::Ready(_))
    }

    /// Whether another daemon still reads some of what it makes.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let Self::Ready(ready) = self else { return false };
        ready.values().flatten().any(|found| matches!(found, Some(Found::Shared(..))))
    }

    /// Whether what it makes may have been used before.
    #[must_use]
    pub fn is_used(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

fn made_ready(ready: &mut Ready, (addr, options): &Order) -> Result<Socket, BindError> {
    let taken = match ready.get_mut(addr).and_then(VecDeque::pop_front).flatten() {
        Some(Found::Given(fd)) => Socket::adopt(fd, options),
        Some(Found::Shared(fd, theirs, setup)) => Socket::share(fd, &theirs, setup),
        None => return Socket::bind(*addr, options),
    };
    taken.map_err(|source| BindError { addr: *addr, step: BindStep::TakeOver, source })
}
