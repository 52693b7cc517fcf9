//! TOS, TTL and the interface of a socket: set when it is made, and again when it is taken over.

use std::num::NonZeroU8;

use polyport_net::{SocketOptions, UdpSocket};

use crate::support::{V4, V6, bind, bind_with};

/// TOS, TTL of unicast and TTL of groups.
fn header(socket: &UdpSocket) -> (u32, u32, u32) {
    let raw = socket2::SockRef::from(socket);
    let groups = if socket.is_ipv6() { raw.multicast_hops_v6() } else { raw.multicast_ttl_v4() };
    let description = socket.describe().unwrap();
    (description.tos, description.ttl, groups.unwrap())
}

#[test]
fn what_leaves_is_marked_as_asked_and_a_successor_takes_it_back() {
    for addr in [V4, V6] {
        let system = header(&bind(addr));
        let ttl = |ttl| NonZeroU8::new(ttl);
        let marked = SocketOptions { tos: Some(0xB8), ttl: ttl(9), ..SocketOptions::default() };
        let socket = bind_with(addr, &marked);
        assert_eq!(header(&socket), (0xB8, 9, 9), "{addr}");
        let other = SocketOptions { tos: Some(0x28), ttl: ttl(200), ..SocketOptions::default() };
        assert_eq!(header(&socket.duplicate(&other).unwrap()), (0x28, 200, 200), "{addr}");
        assert_eq!(header(&socket.duplicate(&SocketOptions::default()).unwrap()), system, "{addr}");
    }
}

#[cfg(target_os = "linux")]
mod device {
    use std::net::SocketAddr;
    use std::process::Command;

    use polyport_net::{BindStep, interface_index};
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;
    use crate::support::{Receiver, address, is_in_namespace};

    fn tied(name: &str) -> SocketOptions {
        SocketOptions { device: Some(name.to_owned()), ..SocketOptions::default() }
    }

    fn ip(args: &str) {
        assert!(Command::new("ip").args(args.split(' ')).status().unwrap().success(), "ip {args}");
    }

    /// From now on this thread has no rights, as a daemon that has given them up.
    fn give_up() {
        let mut sets = capabilities(None).unwrap();
        (sets.effective, sets.permitted) = (CapabilitySet::empty(), CapabilitySet::empty());
        sets.inheritable = CapabilitySet::empty();
        set_capabilities(None, sets).unwrap();
    }

    #[test]
    fn an_interface_that_is_not_there_is_refused() {
        let error = UdpSocket::bind(V4.parse().unwrap(), &tied("no-such-if")).unwrap_err();
        assert_eq!(error.step, BindStep::Option("SO_BINDTODEVICE"));
        assert!(error.to_string().contains("no such interface"), "{error}");
    }

    /// Bound at once, and silent until then.
    #[test]
    fn an_interface_may_come_later() {
        if !is_in_namespace("header::device::an_interface_may_come_later") {
            return;
        }
        for (any, own, client) in [("0.0.0.0:0", "127.0.0.1:0", V4), ("[::]:0", "[::1]:0", V6)] {
            for bound in [any, own] {
                let options = SocketOptions { device_later: true, ..tied("later") };
                let socket = UdpSocket::bind(bound.parse().unwrap(), &options).unwrap();
                let port = address(&socket).port();
                assert_ne!(port, 0);
                assert_eq!(interface_index("later").ok(), None);
                assert!(socket.device().unwrap().is_some(), "{bound}: tied to one that is not there");
                let client = bind(client);
                let to = SocketAddr::new(address(&client).ip(), port);
                client.connect(to).unwrap();
                client.send(b"too early").unwrap();
                client.take_error().unwrap();
                socket.set_device(Some("later")).unwrap_err();
                client.send(b"too early").ok();
                client.take_error().unwrap();
                socket.set_device(Some("lo")).unwrap();
                client.send(b"now").unwrap();
                let (_, payload) = Receiver::default().one(&socket);
                assert_eq!(payload, b"now", "{bound}");
                assert_eq!(address(&socket).port(), port);
            }
        }
    }

    /// Also the port that the system had chosen stays, and nothing is lost but what came by another interface.
    #[test]
    fn a_socket_is_tied_again_without_rights() {
        if !is_in_namespace("header::device::a_socket_is_tied_again_without_rights") {
            return;
        }
        ip("address add 10.9.0.1/24 dev pp0");
        let index = interface_index("pp0").unwrap();
        let at = |text: &str, port: u16| SocketAddr::new(text.parse().unwrap(), port);
        for (wildcard, local, client) in [("0.0.0.0:0", "10.9.0.1", V4), ("[::]:0", "fd77::1", V6)] {
            let fixed = address(&bind(wildcard)).port();
            for port in [0, fixed] {
                let wildcard = SocketAddr::new(wildcard.parse::<SocketAddr>().unwrap().ip(), port);
                let socket = UdpSocket::bind(wildcard, &tied("pp0")).unwrap();
                let port = address(&socket).port();
                let sender = bind(client);
                let ask = |expected: bool| {
                    sender
                        .connect(at(client.rsplit_once(':').unwrap().0.trim_matches(['[', ']']), port))
                        .unwrap();
                    let sent = sender.send(b"by loopback");
                    assert_eq!(sent.is_ok(), sent.is_ok());
                    let came = Receiver::default().now(&socket, 1).is_ok_and(|came| !came.is_empty());
                    // A refusal of the port is told to the next call.
                    sender.take_error().unwrap();
                    assert_eq!(came, expected, "{wildcard} {local}");
                };
                assert_eq!(socket.device().unwrap(), Some(index));
                ask(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        give_up();
                        socket.set_device(Some("lo")).unwrap();
                        assert_eq!(address(&socket).port(), port);
                        assert_eq!(socket.device().unwrap(), Some(interface_index("lo").unwrap()));
                        ask(true);
                        // A failure leaves it deaf, and the next success ends that.
                        let error = socket.set_device(Some("no-such-if")).unwrap_err();
                        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
                        socket.set_device(Some("pp0")).unwrap();
                        ask(false);
                        socket.set_device(None).unwrap();
                        assert_eq!((socket.device().unwrap(), address(&socket).port()), (None, port));
                        ask(true);
                        let again = socket.duplicate(&tied("pp0")).unwrap();
                        assert_eq!(again.device().unwrap(), Some(index));
                        ask(false);
                        let again = again.duplicate(&SocketOptions::default()).unwrap();
                        assert_eq!(again.device().unwrap(), None);
                        ask(true);
                    });
                });
            }
        }
    }
}
