//! Multicast groups on every interface: joined on those that appear, and left where one goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use slab::Slab;

use crate::plugin::GroupRequest;
use crate::reactor::io::{Io, Token};
use crate::reactor::listener::Listener;

/// The groups of all listeners that are in one on every interface.
#[derive(Debug, Default)]
pub(crate) struct Everywhere(Vec<Member>);

#[derive(Debug)]
struct Member {
    token: Token,
    group: IpAddr,
    source: Option<IpAddr>,
    /// Where it is joined: the names of the interfaces by their indices.
    joined: BTreeMap<u32, String>,
    /// Where it cannot be, which was counted; the first was told.
    refused: BTreeSet<u32>,
}

impl Everywhere {
    /// Notes the groups of a listener, and joins them.
    pub(crate) fn add<I: Io>(
        &mut self,
        io: &mut I,
        listener: &mut Listener<I::Socket>,
        groups: Vec<(IpAddr, Option<IpAddr>)>,
    ) {
        for (group, source) in groups {
            let (joined, refused) = (BTreeMap::new(), BTreeSet::new());
            let mut member = Member { token: listener.token, group, source, joined, refused };
            let (came, _) = member.look(io, listener);
            log::debug!("{listener}: joined {group} on {}", listed(&came));
            self.0.push(member);
        }
    }

    /// Leaves the groups of a listener that are not among `wanted`. Returns those that are to be joined yet.
    pub(crate) fn leave<I: Io>(
        &mut self,
        io: &mut I,
        listener: &mut Listener<I::Socket>,
        mut wanted: Vec<(IpAddr, Option<IpAddr>)>,
    ) -> Vec<(IpAddr, Option<IpAddr>)> {
        self.0.retain(|member| {
            if member.token != listener.token {
                return true;
            }
            if let Some(at) = wanted.iter().position(|group| *group == (member.group, member.source)) {
                wanted.remove(at);
                return true;
            }
            member.joined.keys().for_each(|index| member.leave(io, listener, *index));
            false
        });
        wanted
    }

    /// Forgets the groups of a listener.
    pub(crate) fn remove(&mut self, token: Token) {
        self.0.retain(|member| member.token != token);
    }

    /// Joins where an interface has come, and leaves where one has gone.
    pub(crate) fn look<I: Io>(&mut self, io: &mut I, listeners: &mut Slab<Listener<I::Socket>>) {
        for member in &mut self.0 {
            let Some(listener) = listeners.get_mut(member.token.index as usize) else { continue };
            let (came, went) = member.look(io, listener);
            if !came.is_empty() {
                log::info!("{listener}: joined {} on {} as well", member.group, listed(&came));
            }
            if !went.is_empty() {
                log::info!("{listener}: {} is gone, and {} with it there", listed(&went), member.group);
            }
        }
    }
}

impl Member {
    fn request(&self, joins: bool, ifindex: u32) -> GroupRequest {
        GroupRequest { joins, group: self.group, source: self.source, ifindex }
    }

    fn leave<I: Io>(&self, io: &mut I, listener: &mut Listener<I::Socket>, index: u32) {
        if let Err(error) = io.change_group(&mut listener.socket, &self.request(false, index)) {
            log::debug!("{listener}: {} on interface {index} was left already: {error}", self.group);
        }
    }

    /// Returns the interfaces on which it was joined and left.
    fn look<I: Io>(&mut self, io: &mut I, listener: &mut Listener<I::Socket>) -> (Vec<String>, Vec<String>) {
        let links: BTreeMap<u32, String> = io
            .links()
            .iter()
            .filter(|link| link.multicast)
            .map(|link| (link.index, link.name.clone()))
            .collect();
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for index in
            self.joined.keys().filter(|index| !links.contains_key(index)).copied().collect::<Vec<_>>()
        {
            // The kernel keeps a membership on an interface that is gone, and counts it.
            self.leave(io, listener, index);
            went.extend(self.joined.remove(&index));
        }
        self.refused.retain(|index| links.contains_key(index));
        for (index, name) in links {
            if self.joined.contains_key(&index) {
                continue;
            }
            match io.change_group(&mut listener.socket, &self.request(true, index)) {
                Ok(()) => {}
                // The listener is in it by another line of its configuration, or its handler has joined it.
                Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
                Err(error) if full(error.raw_os_error()) => {
                    let first = self.refused.is_empty();
                    listener.counters.groups_refused += u64::from(self.refused.insert(index));
                    if first {
                        log::warn!(
                            "{listener}: cannot join {} on {name}: {error}; its socket is in as many groups as it may \
                             (net.ipv4.igmp_max_memberships, or net.core.optmem_max for IPv6), and others are counted",
                            self.group
                        );
                    }
                    continue;
                }
                // An interface that is going, or without this family: another look follows its next change.
                Err(error) => {
                    log::debug!("{listener}: cannot join {} on {name}: {error}", self.group);
                    continue;
                }
            }
            came.push(name.clone());
            self.joined.insert(index, name);
        }
        (came, went)
    }
}

/// Whether the socket is in as many groups as it may be.
fn full(errno: Option<i32>) -> bool {
    [Some(libc::ENOBUFS), Some(libc::ENOMEM)].contains(&errno)
}

/// The names of interfaces, a bounded number of them.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let mut text = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = names.len().checked_sub(MOST) {
        text.push_str(&format!(" and {more} more interfaces"));
    }
    if text.is_empty() { "no interface".to_owned() } else { text }
}
