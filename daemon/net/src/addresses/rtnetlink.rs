//! The addresses of this host from the kernel, by `rtnetlink(7)`.
//!
//! Two dumps tell together what the kernel delivers to itself. The table `local` has every address of every interface,
//! the broadcast addresses of their networks, and the ranges that `ip route add local` adds. The list of addresses has
//! those of interfaces in a VRF as well, whose routes are in a table of their own. Routes of other tables do not count:
//! transparent proxies have `local default` there, for datagrams with a mark.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroI32;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::{Link, LocalPrefix, Reading, link};

/// Reads the addresses that the system treats as local, and hears when they change.
#[derive(Debug)]
pub struct LocalAddresses {
    /// Asked for dumps.
    queries: Socket,
    /// Told of changes.
    changes: Socket,
    /// The dump that is under way, as an index into [`DUMPS`].
    dump: usize,
    /// The request of that dump has been sent, and its end has not been read.
    asked: bool,
    /// The kernel said that a dump of this reading is not consistent.
    torn: bool,
    /// Number of the last request; answers carry it.
    sequence: u32,
    buffer: Vec<u8>,
    /// Interfaces are read as well, and their changes heard.
    watches_links: bool,
    /// Those that the reading which is under way has found.
    found: Vec<Link>,
    /// Those of the last reading that came to its end.
    links: Vec<Link>,
}

/// What a reading asks for, one after the other.
const DUMPS: [(Kind, AddressFamily); 5] = [
    (Kind::LocalTable, AddressFamily::Inet),
    (Kind::LocalTable, AddressFamily::Inet6),
    (Kind::Addresses, AddressFamily::Inet),
    (Kind::Addresses, AddressFamily::Inet6),
    (Kind::Links, AddressFamily::Unspec),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    LocalTable,
    Addresses,
    /// Last, since only who asked for it has it.
    Links,
}

/// Bytes of the buffer: the kernel makes no datagram of a dump longer than this.
const BUFFER: usize = 32 << 10;
/// Most datagrams taken in one call of [`LocalAddresses::take_changes`]; each may hold several changes.
const CHANGES: usize = 64;

impl LocalAddresses {
    /// Opens the two sockets. Changes are heard from now on.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)` and `setsockopt(2)`; EAFNOSUPPORT where a sandbox keeps `AF_NETLINK` away.
    pub fn open() -> io::Result<Self> {
        let groups = [
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV4_ROUTE,
            libc::RTNLGRP_IPV6_ROUTE,
        ];
        let mut changes = Socket::new(NETLINK_ROUTE)?;
        changes.bind_auto()?;
        changes.set_non_blocking(true)?;
        groups.into_iter().try_for_each(|group| changes.add_membership(group))?;
        let mut queries = Socket::new(NETLINK_ROUTE)?;
        queries.bind_auto()?;
        queries.set_non_blocking(true)?;
        // The kernel then dumps the table that was asked for and no other. Before Linux 4.20 it dumps all, and the rest
        // is left out here.
        queries.set_netlink_get_strict_chk(true).unwrap_or(());
        let buffer = Vec::with_capacity(BUFFER);
        let (watches_links, found, links) = (false, Vec::new(), Vec::new());
        Ok(Self {
            queries,
            changes,
            dump: 0,
            asked: false,
            torn: false,
            sequence: 0,
            buffer,
            watches_links,
            found,
            links,
        })
    }

    /// From now on the changes of interfaces are heard as well, and readings have them: see [`Self::links`]. Reads them once, with
    /// all else, so that they are known when it returns.
    ///
    /// # Errors
    /// Those of `setsockopt(2)` and of [`Self::read`].
    pub fn watch_links(&mut self) -> io::Result<()> {
        /// Readings of which one may be whole, and parts of one that may bring nothing.
        const MOST: usize = 100_000;
        if self.watches_links {
            return Ok(());
        }
        self.changes.add_membership(libc::RTNLGRP_LINK)?;
        self.watches_links = true;
        self.begin();
        let mut addresses = Vec::new();
        for _ in 0..MOST {
            match self.read(&mut addresses)? {
                Reading::Part => {}
                Reading::Whole | Reading::Torn => break,
            }
        }
        self.begin();
        Ok(())
    }

    /// The interfaces as the last reading found them, none before [`Self::watch_links`].
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The descriptor that becomes readable when addresses may have changed. Then call [`Self::take_changes`].
    #[must_use]
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        Some(self.changes.as_fd())
    }

    /// Takes what waits at [`Self::changes`], a bounded part of it: the descriptor stays readable if there is more.
    /// Returns whether addresses may have changed.
    pub fn take_changes(&mut self) -> bool {
        let mut changed = false;
        for _ in 0..CHANGES {
            match receive(&self.changes, &mut self.buffer) {
                Ok(from_kernel) => changed |= from_kernel && concerns_addresses(&self.buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // ENOBUFS: something was lost. Whatever else it is, to read again is right.
                Err(_) => return true,
            }
        }
        changed
    }

    /// Begins a reading; one that is under way is given up.
    pub fn begin(&mut self) {
        (self.dump, self.asked, self.torn) = (0, false, false);
        self.found.clear();
    }

    /// Reads a part, some hundred addresses, and appends them to `into`. An address may come more than once.
    ///
    /// # Errors
    /// Those of `sendto(2)`, `recvfrom(2)` and of the kernel's answer; the next call begins again.
    pub fn read(&mut self, into: &mut Vec<LocalPrefix>) -> io::Result<Reading> {
        let result = self.read_part(into);
        if result.is_err() {
            self.begin();
        }
        result
    }

    fn read_part(&mut self, into: &mut Vec<LocalPrefix>) -> io::Result<Reading> {
        let Some((kind, family)) = self.dumps().get(self.dump).copied() else {
            if self.watches_links {
                self.links.clone_from(&self.found);
            }
            return Ok(if self.torn { Reading::Torn } else { Reading::Whole });
        };
        if !self.asked {
            self.ask(kind, family)?;
        }
        if !receive_whole(&self.queries, &mut self.buffer)? {
            return Ok(Reading::Part);
        }
        self.take_answers(into)?;
        if self.dump == self.dumps().len() { self.read_part(into) } else { Ok(Reading::Part) }
    }

    fn dumps(&self) -> &'static [(Kind, AddressFamily)] {
        if self.watches_links { &DUMPS } else { DUMPS.split_last().map_or(&[], |(_, others)| others) }
    }

    /// Takes what the datagram in the buffer answers.
    fn take_answers(&mut self, into: &mut Vec<LocalPrefix>) -> io::Result<()> {
        let mut bytes = &self.buffer[..];
        while let Some((message, rest)) = split(bytes) {
            bytes = rest;
            let header = NetlinkBuffer::new(&message);
            if header.message_type() == libc::RTM_NEWLINK {
                if header.sequence_number() == self.sequence {
                    self.torn |= header.flags() & NLM_F_DUMP_INTR != 0;
                    self.found.extend(link::read(message));
                }
                continue;
            }
            let message = NetlinkMessage::deserialize(message)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // The rest of a dump that was given up.
            if message.header.sequence_number != self.sequence {
                continue;
            }
            self.torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
            let code = if let NetlinkPayload::InnerMessage(message) = message.payload {
                note(&message, into);
                continue;
            } else if let NetlinkPayload::Done(done) = message.payload {
                done.code
            } else if let NetlinkPayload::Error(error) = message.payload {
                error.code.map_or(0, NonZeroI32::get)
            } else {
                continue;
            };
            // ENOENT: a table that nobody has made is empty.
            if code != 0 && code != -libc::ENOENT {
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            (self.dump, self.asked) = (self.dump + 1, false);
        }
        // What cannot be split was cut off, and may have told of anything.
        self.torn |= !bytes.is_empty();
        Ok(())
    }

    /// Sends the request of a dump.
    fn ask(&mut self, kind: Kind, family: AddressFamily) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let request = match kind {
            Kind::LocalTable => {
                let mut request = RouteMessage::default();
                request.header.address_family = family;
                request.header.table = libc::RT_TABLE_LOCAL;
                RouteNetlinkMessage::GetRoute(request)
            }
            Kind::Addresses => {
                let mut request = AddressMessage::default();
                request.header.family = family;
                RouteNetlinkMessage::GetAddress(request)
            }
            Kind::Links => {
                let mut request = LinkMessage::default();
                // Their counters are most of what is told, and nobody looks at them.
                request.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
                RouteNetlinkMessage::GetLink(request)
            }
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.queries.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        self.asked = true;
        Ok(())
    }
}

/// Receives a datagram of a dump. False if none is there yet, or if it is not the kernel's.
fn receive_whole(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<bool> {
    match receive(socket, buffer) {
        Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => {
            Ok(false)
        }
        result => result,
    }
}

/// Receives a datagram into `buffer`. Returns whether it is the kernel's: another process may have sent it.
fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let (_, from) = socket.recv_from(buffer, 0)?;
    Ok(from.port_number() == 0)
}

/// The first message of a datagram, and what is behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    /// Messages begin at multiples of so many bytes (`NLMSG_ALIGNTO`).
    const ALIGNMENT: usize = 4;
    let length = NetlinkBuffer::new_checked(bytes).ok()?.length() as usize;
    let message = bytes.get(..length)?;
    Some((message, bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default()))
}

/// Whether a datagram tells of something that [`LocalAddresses::read`] reads. Routes to elsewhere come and go by the
/// thousand on a router, so only their headers are looked at.
fn concerns_addresses(mut bytes: &[u8]) -> bool {
    /// Where `rtm_type` lies in `struct rtmsg`.
    const ROUTE_TYPE: usize = 7;
    const LOCAL: [u8; 3] = [libc::RTN_LOCAL, libc::RTN_BROADCAST, libc::RTN_ANYCAST];
    while let Some((message, rest)) = split(bytes) {
        let buffer = NetlinkBuffer::new(&message);
        let is_route = [libc::RTM_NEWROUTE, libc::RTM_DELROUTE].contains(&buffer.message_type());
        if !is_route || buffer.payload().get(ROUTE_TYPE).is_none_or(|kind| LOCAL.contains(kind)) {
            return true;
        }
        bytes = rest;
    }
    // What cannot be split was cut off, and may have told of anything.
    !bytes.is_empty()
}

/// Adds what an answer tells.
fn note(message: &RouteNetlinkMessage, into: &mut Vec<LocalPrefix>) {
    if let RouteNetlinkMessage::NewRoute(route) = message {
        into.extend(local_route(route));
    } else if let RouteNetlinkMessage::NewAddress(address) = message {
        into.extend(own(address));
    }
}

/// What a route of the table `local` delivers to this host or broadcasts.
fn local_route(route: &RouteMessage) -> Option<LocalPrefix> {
    let header = &route.header;
    let broadcast = header.kind == RouteType::Broadcast;
    if !broadcast && ![RouteType::Local, RouteType::Anycast].contains(&header.kind) {
        return None;
    }
    // A route to everything has no destination.
    let mut ip = if header.address_family == AddressFamily::Inet {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let mut table = u32::from(header.table);
    for attribute in &route.attributes {
        if let RouteAttribute::Table(number) = attribute {
            table = *number;
        } else if let RouteAttribute::Destination(RouteAddress::Inet(destination)) = attribute {
            ip = (*destination).into();
        } else if let RouteAttribute::Destination(RouteAddress::Inet6(destination)) = attribute {
            ip = (*destination).into();
        }
    }
    let is_local = table == u32::from(libc::RT_TABLE_LOCAL);
    is_local.then_some(LocalPrefix { ip, bits: header.destination_prefix_length, broadcast })
}

/// What an address of an interface tells. At a point-to-point interface `IFA_LOCAL` is this end and `IFA_ADDRESS` the
/// other; elsewhere both are the same, or only `IFA_ADDRESS` is there.
fn own(address: &AddressMessage) -> impl Iterator<Item = LocalPrefix> {
    let (mut local, mut remote, mut broadcast) = (None, None, None);
    for attribute in &address.attributes {
        if let AddressAttribute::Local(ip) = attribute {
            local = Some(*ip);
        } else if let AddressAttribute::Address(ip) = attribute {
            remote = Some(*ip);
        } else if let AddressAttribute::Broadcast(ip) = attribute {
            broadcast = Some(LocalPrefix::single((*ip).into(), true));
        }
    }
    local.or(remote).map(|ip| LocalPrefix::single(ip, false)).into_iter().chain(broadcast)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DoneMessage;

    use super::*;

    fn route(kind: RouteType, table: u8, attributes: Vec<RouteAttribute>) -> Option<LocalPrefix> {
        let mut route = RouteMessage::default();
        route.header.address_family = AddressFamily::Inet;
        route.header.kind = kind;
        route.header.table = table;
        route.header.destination_prefix_length = 24;
        route.attributes = attributes;
        local_route(&route)
    }

    /// Kernels before Linux 4.20 dump every table, whatever was asked for.
    #[test]
    fn only_the_local_table_counts() {
        const MAIN: u8 = 254;
        let ip = Ipv4Addr::new(192, 0, 2, 0);
        let to = || RouteAttribute::Destination(RouteAddress::Inet(ip));
        let prefix = |broadcast| Some(LocalPrefix { ip: ip.into(), bits: 24, broadcast });
        let local = libc::RT_TABLE_LOCAL;
        assert_eq!(route(RouteType::Local, local, vec![to()]), prefix(false));
        assert_eq!(route(RouteType::Anycast, local, vec![to()]), prefix(false));
        assert_eq!(route(RouteType::Broadcast, local, vec![to()]), prefix(true));
        assert_eq!(route(RouteType::Multicast, local, vec![to()]), None);
        assert_eq!(route(RouteType::Local, MAIN, vec![to()]), None);
        // The number of a table beyond 255 stands in an attribute.
        let table = |number| vec![RouteAttribute::Table(number), to()];
        assert_eq!(route(RouteType::Local, 0, table(local.into())), prefix(false));
        assert_eq!(route(RouteType::Local, local, table(1000)), None);
    }

    /// An answer of a dump, as the kernel writes it: an address, or the end.
    fn answer(sequence: u32, flags: u16, ip: Option<Ipv4Addr>) -> Vec<u8> {
        let payload = ip.map_or_else(
            || NetlinkPayload::Done(DoneMessage::default()),
            |ip| {
                let mut address = AddressMessage::default();
                address.header.family = AddressFamily::Inet;
                address.attributes = vec![AddressAttribute::Local(ip.into())];
                NetlinkPayload::from(RouteNetlinkMessage::NewAddress(address))
            },
        );
        let mut header = NetlinkHeader::default();
        (header.sequence_number, header.flags) = (sequence, flags);
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    /// Reads all dumps from datagrams that are made here; the last of the first dump is `spoilt`.
    fn read_from(spoilt: impl Fn(u32, Vec<u8>) -> Vec<u8>) -> (Vec<LocalPrefix>, Reading) {
        let mut addresses = LocalAddresses::open().unwrap();
        let mut found = Vec::new();
        for number in 1..=4 {
            addresses.sequence = u32::from(number);
            let ip = Ipv4Addr::new(192, 0, 2, number);
            let whole = [answer(number.into(), 0, Some(ip)), answer(number.into(), 0, None)].concat();
            addresses.buffer = if number == 1 { spoilt(1, whole) } else { whole };
            addresses.take_answers(&mut found).unwrap();
        }
        assert_eq!(addresses.dump, addresses.dumps().len(), "each dump has ended");
        let reading = addresses.read(&mut found).unwrap();
        addresses.begin();
        assert!(!addresses.torn, "the next reading is another");
        (found, reading)
    }

    #[test]
    fn a_dump_that_was_interrupted_or_cut_is_torn() {
        let (found, reading) = read_from(|_, whole| whole);
        assert_eq!((found.len(), reading), (4, Reading::Whole));
        let interrupted = NLM_F_DUMP_INTR;
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        // The kernel marks what it writes after the change, at least the end.
        let (found, reading) =
            read_from(|n, _| [answer(n, 0, Some(ip)), answer(n, interrupted, None)].concat());
        assert_eq!((found.len(), reading), (4, Reading::Torn));
        let (_, reading) = read_from(|n, _| [answer(n, interrupted, Some(ip)), answer(n, 0, None)].concat());
        assert_eq!(reading, Reading::Torn);
        // Of another dump, which was given up.
        let (_, reading) = read_from(|n, whole| [answer(n + 9, interrupted, Some(ip)), whole].concat());
        assert_eq!(reading, Reading::Whole);
        // A piece of a message behind the end.
        for left in [1, 15, 19] {
            let (found, reading) = read_from(|n, whole| [&whole, &answer(n, 0, Some(ip))[..left]].concat());
            assert_eq!((found.len(), reading), (4, Reading::Torn), "{left} bytes");
        }
    }

    #[test]
    fn what_cannot_be_read_may_have_told_of_anything() {
        assert!(!concerns_addresses(&[]));
        assert!(concerns_addresses(&[1, 2, 3]));
        let mut header = NetlinkHeader::default();
        header.length = 4096;
        let mut bytes = [0; 16];
        netlink_packet_core::Emitable::emit(&header, &mut bytes);
        assert!(concerns_addresses(&bytes), "it was cut off");
    }
}
