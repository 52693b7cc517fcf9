//! Multicast: on loopback for IPv4, in a namespace for IPv6.

use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};

use polyport_net::{Cast, Membership, SendBatch, SocketOptions, UdpSocket, interface_index};

#[cfg(target_os = "linux")]
use crate::support::is_in_namespace;
use crate::support::{Receiver, V4, address, bind, bind_with, plain};

const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

#[test]
fn two_groups_on_one_port_never_mix() {
    let link = Link { name: LOOPBACK, wildcard: "0.0.0.0:0", sender: V4 };
    two_groups_stay_apart(&link, ["239.255.77.1", "239.255.77.2"]);
}

#[test]
#[cfg(target_os = "linux")]
fn two_groups_of_ipv6_on_one_port_never_mix() {
    if is_in_namespace("groups::two_groups_of_ipv6_on_one_port_never_mix") {
        two_groups_stay_apart(&LINK_V6, ["ff15::77:1", "ff15::77:2"]);
    }
}

#[test]
fn a_source_specific_member_hears_that_source_alone() {
    let link = Link { name: LOOPBACK, wildcard: "0.0.0.0:0", sender: "127.0.0.5:0" };
    source_alone_is_heard(&link, ["232.1.77.1", "232.1.77.2"], "127.0.0.6");
}

#[test]
#[cfg(target_os = "linux")]
fn a_source_specific_member_of_ipv6_hears_that_source_alone() {
    if is_in_namespace("groups::a_source_specific_member_of_ipv6_hears_that_source_alone") {
        source_alone_is_heard(&LINK_V6, ["ff35::77:1", "ff35::77:2"], "2001:db8::1");
    }
}

#[test]
fn what_is_no_group_of_the_socket_is_refused() {
    let server = bind("0.0.0.0:0");
    for (group, source) in [
        ("127.0.0.1", None),
        ("ff15::77:1", None),
        ("232.1.77.1", Some("::1")),
        ("232.1.77.1", Some("0.0.0.0")),
        ("232.1.77.1", Some("239.255.77.2")),
    ] {
        let error = server.join_group(&member(LOOPBACK, group, source)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{group} from {source:?}");
    }
    let nowhere = Membership { ifindex: 999_999, ..member(LOOPBACK, "239.255.77.1", None) };
    assert_eq!(server.join_group(&nowhere).unwrap_err().raw_os_error(), Some(libc::ENODEV));
}

/// Where a test takes place.
struct Link {
    name: &'static str,
    wildcard: &'static str,
    sender: &'static str,
}

#[cfg(target_os = "linux")]
const LINK_V6: Link = Link { name: "pp0", wildcard: "[::]:0", sender: "[fd77::1]:0" };

#[track_caller]
fn two_groups_stay_apart(link: &Link, groups: [&str; 2]) {
    let shared = SocketOptions { reuse_addr: true, ..SocketOptions::default() };
    let first = bind_with(link.wildcard, &shared);
    let second = bind_with(&address(&first).to_string(), &shared);
    let members = groups.map(|group| member(link.name, group, None));
    first.join_group(&members[0]).unwrap();
    second.join_group(&members[1]).unwrap();
    let (sender, port) = (sender(link), address(&first).port());
    for round in 0..4_u8 {
        send(&sender, members[0].group, port, &[1, round]);
        send(&sender, members[1].group, port, &[2, round]);
    }
    let mut receiver = Receiver::default();
    for (socket, member, mark) in [(&first, members[0], 1), (&second, members[1], 2)] {
        let received = receiver.exactly(socket, 4);
        let payloads: Vec<_> = received.iter().map(|(_, payload)| payload.clone()).collect();
        assert_eq!(payloads, (0..4).map(|round| vec![mark, round]).collect::<Vec<_>>());
        for (meta, _) in received {
            let local = meta.local.unwrap();
            assert_eq!((local.destination, local.kind()), (member.group, Cast::Multicast));
            assert_eq!(local.ifindex, member.ifindex);
            assert!(local.source.is_none_or(|ip| !ip.is_multicast()));
        }
    }
    first.leave_group(&members[0]).unwrap();
    send(&sender, members[0].group, port, &[1, 9]);
    send(&sender, members[1].group, port, &[2, 9]);
    receiver.exactly(&second, 1);
    receiver.exactly(&first, 0);
    assert_eq!(first.leave_group(&members[0]).unwrap_err().raw_os_error(), Some(libc::EADDRNOTAVAIL));
}

/// The first group is joined for the sender, the second for `other`, who does not send.
#[track_caller]
fn source_alone_is_heard(link: &Link, groups: [&str; 2], other: &str) {
    let server = bind(link.wildcard);
    let sender = sender(link);
    let source = address(&sender).ip().to_string();
    let heard = member(link.name, groups[0], Some(&source));
    let unheard = member(link.name, groups[1], Some(other));
    server.join_group(&heard).unwrap();
    server.join_group(&unheard).unwrap();
    let port = address(&server).port();
    send(&sender, unheard.group, port, b"unheard");
    send(&sender, heard.group, port, b"heard");
    let mut receiver = Receiver::default();
    assert_eq!(receiver.exactly(&server, 1)[0].1, b"heard");
    server.leave_group(&heard).unwrap();
    server.leave_group(&unheard).unwrap();
}

fn member(link: &str, group: &str, source: Option<&str>) -> Membership {
    Membership {
        group: group.parse().unwrap(),
        source: source.map(|ip| ip.parse().unwrap()),
        ifindex: interface_index(link).unwrap(),
    }
}

fn sender(link: &Link) -> UdpSocket {
    let socket = bind(link.sender);
    socket.set_multicast_interface(interface_index(link.name).unwrap()).unwrap();
    // Not past this host.
    socket.set_multicast_hops(0).unwrap();
    socket.set_multicast_loop(true).unwrap();
    socket
}

#[track_caller]
fn send(from: &UdpSocket, group: IpAddr, port: u16, payload: &[u8]) {
    let parts = [IoSlice::new(payload)];
    SendBatch::new(1).send(from, &[plain(SocketAddr::new(group, port), &parts)]).unwrap();
}
