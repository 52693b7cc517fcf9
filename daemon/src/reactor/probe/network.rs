//! What listeners need of the network besides their socket, and what becomes of it as interfaces and addresses come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use polyport_terminal::counted;
use slab::Slab;

use super::everywhere::Everywhere;
use super::groups::Groups;
use crate::guard::LocalAddress;
use crate::reactor::io::{Device, Io, Needs, Token};
use crate::reactor::listener::Listener;

/// The needs of all listeners. Most have none.
#[derive(Debug, Default)]
pub(crate) struct Network {
    groups: Groups,
    everywhere: Everywhere,
    tied: BTreeMap<Token, Tied>,
    awaited: BTreeMap<Token, Awaited>,
}

/// A socket that is tied to an interface.
#[derive(Debug)]
struct Tied {
    device: Device,
    /// The interface was there at the last look; none: there was no look yet.
    here: Option<bool>,
}

/// A socket whose address may come later.
#[derive(Debug)]
struct Awaited {
    ip: IpAddr,
    /// As in [`Tied`].
    here: Option<bool>,
}

/// Most lines that one look writes of addresses or of interfaces; of more it says how many there are.
const LINES: usize = 8;

impl Network {
    /// Notes what a listener needs, and has its socket join the groups that it is in everywhere. Returns whether it needs anything:
    /// then a look is due.
    pub(crate) fn add<I: Io>(
        &mut self,
        io: &mut I,
        listener: &mut Listener<I::Socket>,
        needs: Needs,
    ) -> bool {
        if needs.is_empty() {
            return false;
        }
        let (token, Needs { groups, everywhere, device, address }) = (listener.token, needs);
        if let Err(error) = io.watch_links() {
            log::warn!(
                "{listener}: the interfaces of this host cannot be read, so none that comes later is noticed: {error}"
            );
        }
        self.groups.add(token, groups);
        self.everywhere.add(io, listener, everywhere);
        self.tied.extend(device.map(|device| (token, Tied { device, here: None })));
        self.awaited.extend(address.map(|ip| (token, Awaited { ip, here: None })));
        true
    }

    /// Has a listener that serves need this, and nothing of before. Returns as [`Self::add`] does.
    pub(crate) fn replace<I: Io>(
        &mut self,
        io: &mut I,
        listener: &mut Listener<I::Socket>,
        mut needs: Needs,
    ) -> bool {
        let token = listener.token;
        needs.everywhere = self.everywhere.leave(io, listener, needs.everywhere);
        self.groups.remove(token);
        self.tied.remove(&token);
        self.awaited.remove(&token);
        self.add(io, listener, needs)
    }

    /// Forgets a listener.
    pub(crate) fn remove(&mut self, token: Token) {
        self.groups.remove(token);
        self.everywhere.remove(token);
        self.tied.remove(&token);
        self.awaited.remove(&token);
    }

    /// Looks what has become of it all. `known` are the addresses of the host, in ascending order.
    pub(crate) fn look<I: Io>(
        &mut self,
        io: &mut I,
        listeners: &mut Slab<Listener<I::Socket>>,
        known: &[LocalAddress],
    ) {
        let there: BTreeSet<u32> = io.links().iter().map(|link| link.index).collect();
        self.groups.look(io, listeners, &there);
        self.everywhere.look(io, listeners);
        self.tie(io, listeners, &there);
        self.await_addresses(known);
    }

    /// Of an address that waits for the network, what it waits for.
    pub(crate) fn missing(&self, token: Token) -> Vec<String> {
        let tied = self.tied.get(&token).filter(|tied| tied.here == Some(false));
        let awaited = self.awaited.get(&token).filter(|awaited| awaited.here == Some(false));
        let tied = tied.map(|tied| format!("interface {}", tied.device.name));
        tied.into_iter().chain(awaited.map(|awaited| format!("address {}", awaited.ip))).collect()
    }

    /// Ties sockets again whose interface is another one now. One that has only another name keeps its sockets.
    fn tie<I: Io>(&mut self, io: &mut I, listeners: &mut Slab<Listener<I::Socket>>, there: &BTreeSet<u32>) {
        let mut indices: BTreeMap<String, Option<u32>> = BTreeMap::new();
        let mut changes: BTreeMap<(String, bool), usize> = BTreeMap::new();
        for (token, Tied { device, here }) in &mut self.tied {
            let index = match indices.get(&device.name) {
                Some(index) => *index,
                None => {
                    let index = io.interface_index(&device.name);
                    indices.insert(device.name.clone(), index);
                    index
                }
            };
            let Some(listener) = listeners.get_mut(token.index as usize) else { continue };
            let mut is_here = index.is_some() || there.contains(&device.ifindex);
            if let Some(index) = index.filter(|index| *index != device.ifindex) {
                match io.tie(&mut listener.socket, &device.name) {
                    Ok(()) => device.ifindex = index,
                    // It has gone once more, or comes up: another look follows.
                    Err(error) => {
                        log::debug!("{listener}: cannot be tied to the interface {}: {error}", device.name);
                        is_here = false;
                    }
                }
            }
            // What is there at the start is nothing to tell.
            if here.replace(is_here).unwrap_or(true) != is_here {
                *changes.entry((device.name.clone(), is_here)).or_default() += 1;
            }
        }
        tell(changes, |name, is_here, addresses| {
            if is_here {
                log::info!("the interface {name} is there: {addresses} served by it");
            } else {
                log::warn!("there is no interface {name}: {addresses} not served until it is there");
            }
        });
    }

    /// Notes which addresses are there.
    fn await_addresses(&mut self, known: &[LocalAddress]) {
        let mut changes: BTreeMap<(String, bool), usize> = BTreeMap::new();
        let mut seen: BTreeMap<IpAddr, bool> = BTreeMap::new();
        for Awaited { ip, here } in self.awaited.values_mut() {
            let is_here = *seen
                .entry(*ip)
                .or_insert_with(|| known.iter().any(|local| !local.broadcast && local.contains(*ip)));
            if here.replace(is_here).unwrap_or(true) != is_here {
                *changes.entry((ip.to_string(), is_here)).or_default() += 1;
            }
        }
        tell(changes, |ip, is_here, addresses| {
            if is_here {
                log::info!("{ip} is there: {addresses} served");
            } else {
                log::warn!(
                    "no interface of this host has the address {ip}: {addresses} not served until one has it"
                );
            }
        });
    }
}

/// Tells what has changed, in a bounded number of lines; with each goes how many addresses it is about.
fn tell(changes: BTreeMap<(String, bool), usize>, line: impl Fn(&str, bool, &str)) {
    let all = changes.len();
    for (number, ((name, is_here), addresses)) in changes.into_iter().enumerate() {
        if number == LINES {
            log::warn!("{} more have come or gone", all - LINES);
            return;
        }
        line(&name, is_here, &counted(addresses, "listening address is", "listening addresses are"));
    }
}
