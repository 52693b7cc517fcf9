//! A socket that two processes have: the one that still reads it, and the one that will.

use std::io;
use std::os::fd::OwnedFd;

use crate::setup::{Later, Setup};
use crate::{Facts, SocketOptions, UdpSocket};

impl UdpSocket {
    /// A socket that another process of this program has bound with these options, has set up so, and still reads. Until [`Self::claim`]
    /// nothing is set on it, whatever is asked for, so that the other one notices nothing.
    ///
    /// # Errors
    /// Those of [`Self::made_elsewhere`].
    pub fn share(fd: OwnedFd, options: &SocketOptions, setup: Setup) -> io::Result<Self> {
        let mut socket = Self::made_elsewhere(fd, options)?;
        socket.is_set_up(setup);
        socket.later = Some(Later { wanted: Facts::NONE, apart: false });
        Ok(socket)
    }

    /// Whether another process still reads it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.later.is_some()
    }

    /// The other process does not read it any more: sets what was asked for meanwhile, and these options if they are others.
    ///
    /// # Errors
    /// Those of [`Self::set_options`]; everything else is set all the same.
    pub fn claim(&mut self, options: Option<&SocketOptions>) -> io::Result<()> {
        let Some(Later { wanted, apart }) = self.later.take() else { return Ok(()) };
        let done = options.map_or(Ok(()), |options| self.set_options(options));
        if apart || self.apart() {
            self.keep_apart(apart);
        }
        self.want(wanted);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sockopt;

    fn tells_tos(socket: &UdpSocket) -> bool {
        sockopt::get_int(socket, libc::IPPROTO_IP, libc::IP_RECVTOS).unwrap() != 0
    }

    #[test]
    fn nothing_is_set_before_it_is_claimed() {
        let options = SocketOptions::default();
        let mut first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        first.want(Facts { hop_limit: true, ..Facts::NONE });
        let fd = first.as_fd().try_clone_to_owned().unwrap();
        let mut second = UdpSocket::share(fd, &options, first.setup()).unwrap();
        assert!(second.is_shared() && second.has_control());
        let wanted = Facts { tos: true, ..Facts::NONE };
        assert_eq!(second.want(wanted), wanted);
        second.keep_apart(true);
        assert!(!tells_tos(&first), "the first one would be told what it does not want");
        second.claim(Some(&SocketOptions { tos: Some(8), ..options })).unwrap();
        assert!(!second.is_shared() && tells_tos(&second) && second.apart());
        assert_eq!(second.facts(), wanted);
        let hops = sockopt::get_int(&second, libc::IPPROTO_IP, libc::IP_RECVTTL).unwrap();
        assert_eq!(hops, 0, "what only the first one wanted is told no more");
        assert_eq!(sockopt::get_int(&second, libc::IPPROTO_IP, libc::IP_TOS).unwrap(), 8);
    }
}
