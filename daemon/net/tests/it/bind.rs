//! Making sockets: exact addresses, loud failures, buffers as they are.

use std::net::{SocketAddr, TcpListener};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, OwnedFd};

#[cfg(target_os = "linux")]
use polyport_net::PathMtuDiscovery;
use polyport_net::{BindStep, Pktinfo, SocketOptions, UdpSocket};

use crate::support::{Receiver, V4, V6, address, bind, bind_with};

#[test]
fn both_wildcards_of_one_port_can_be_bound() {
    let v6 = bind("[::]:0");
    let port = address(&v6).port();
    let v4 = bind(&format!("0.0.0.0:{port}"));
    assert_eq!((address(&v4).port(), v4.is_ipv6(), v6.is_ipv6()), (port, false, true));
}

#[test]
fn a_port_that_is_taken_is_refused_with_advice() {
    for addr in [V4, V6] {
        let first = bind(addr);
        let error = UdpSocket::bind(address(&first), &SocketOptions::default()).unwrap_err();
        assert_eq!((error.step, error.source.raw_os_error()), (BindStep::Bind, Some(libc::EADDRINUSE)));
        let text = error.to_string();
        let port = address(&first).port();
        assert!(text.starts_with(&format!("cannot open UDP {}: bind: ", address(&first))), "{text}");
        assert!(text.contains(&format!("holds UDP port {port}")), "{text}");
    }
}

#[test]
fn sharing_a_port_needs_both_to_ask() {
    let shared = SocketOptions { reuse_addr: true, ..SocketOptions::default() };
    let first = bind_with("0.0.0.0:0", &shared);
    bind_with(&address(&first).to_string(), &shared);
    let error = UdpSocket::bind(address(&first), &SocketOptions::default()).unwrap_err();
    assert_eq!(error.source.raw_os_error(), Some(libc::EADDRINUSE));
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_of_nobody_needs_freebind() {
    for text in ["192.0.2.1:0", "[2001:db8::1]:0"] {
        let addr: SocketAddr = text.parse().unwrap();
        let error = UdpSocket::bind(addr, &SocketOptions::default()).unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(libc::EADDRNOTAVAIL));
        assert!(error.to_string().contains("no interface of this host"), "{error}");
        let socket = bind_with(text, &SocketOptions { freebind: true, ..SocketOptions::default() });
        assert_eq!(address(&socket).ip(), addr.ip());
        // Whoever takes the socket over without it may send from addresses of this host alone.
        let free = |socket: &UdpSocket| {
            let socket = socket2::SockRef::from(socket);
            if addr.is_ipv6() { socket.freebind_v6() } else { socket.freebind_v4() }
        };
        assert!(free(&socket).unwrap());
        let again = socket.duplicate(&SocketOptions::default()).unwrap();
        assert!(!free(&again).unwrap(), "{text}");
    }
}

#[test]
fn buffers_report_what_was_asked_and_got() {
    let modest =
        SocketOptions { recv_buffer: Some(100_000), send_buffer: Some(50_000), ..SocketOptions::default() };
    let buffers = bind_with(V4, &modest).buffers().unwrap();
    assert_eq!((buffers.recv.asked, buffers.recv.got), (Some(100_000), 100_000));
    assert_eq!((buffers.send.asked, buffers.send.got), (Some(50_000), 50_000));
    assert!(!buffers.recv.clamped() && !buffers.send.clamped());

    let default = bind(V4).buffers().unwrap().send;
    assert_eq!(default.asked, None);
    assert!(default.got > 0 && !default.clamped());

    // No privilege gets more than the kernel's int can hold.
    let absurd = SocketOptions { recv_buffer: Some(usize::MAX), ..SocketOptions::default() };
    let recv = bind_with(V4, &absurd).buffers().unwrap().recv;
    assert!(recv.got >= 4096 && recv.clamped(), "{recv:?}");
}

/// A least size raises what the system gives, goes past no limit, and lowers nothing.
#[test]
#[cfg(target_os = "linux")]
fn a_receive_buffer_is_raised_within_the_limit_and_never_lowered() {
    let limit: usize =
        std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
    let got = |at_least: usize, asked: Option<usize>| {
        let options =
            SocketOptions { recv_buffer: asked, recv_buffer_at_least: at_least, ..SocketOptions::default() };
        bind_with(V4, &options).buffers().unwrap().recv
    };
    let system = got(0, None).got;
    assert_eq!(got(1, None).got, system);
    let raised = got(limit.saturating_mul(2), None);
    assert_eq!((raised.got, raised.clamped()), (limit.max(system), false), "no privilege is used");
    assert_eq!(got(limit, Some(50_000)).got, 50_000, "who asks is not overruled");
}

/// Beyond `rmem_max`, the size is either granted in full, by privilege, or cut to the limit: never something else.
#[test]
#[cfg(target_os = "linux")]
fn a_size_above_the_limit_is_granted_whole_or_clamped() {
    let limit: usize =
        std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
    let asked = limit + 4096;
    let options = SocketOptions { recv_buffer: Some(asked), ..SocketOptions::default() };
    let recv = bind_with(V4, &options).buffers().unwrap().recv;
    assert_eq!(recv.asked, Some(asked));
    assert_eq!(recv.got, if recv.clamped() { limit } else { asked });
    if is_network_admin() {
        assert!(!recv.clamped(), "the privilege is used");
    }
}

/// Whether this process has `CAP_NET_ADMIN` (bit 12) where it counts for the whole host: outside user namespaces.
#[cfg(target_os = "linux")]
fn is_network_admin() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    let effective = u64::from_str_radix(effective, 16).unwrap();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    effective & (1 << 12) != 0 && map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[test]
#[cfg(target_os = "linux")]
fn sockets_close_on_exec() {
    let socket = bind(V4);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", socket.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let flags = i32::from_str_radix(flags, 8).unwrap();
    assert_eq!(flags & (libc::O_CLOEXEC | libc::O_NONBLOCK), libc::O_CLOEXEC | libc::O_NONBLOCK);
}

#[test]
fn a_bound_socket_of_another_maker_is_adopted() {
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let copy =
            bind_with(wildcard, &SocketOptions { pktinfo: Pktinfo::Never, ..SocketOptions::default() });
        let inherited = copy.as_fd().try_clone_to_owned().unwrap();
        let socket = UdpSocket::adopt(inherited, &SocketOptions::default()).unwrap();
        assert_eq!((address(&socket), socket.is_ipv6()), (address(&copy), copy.is_ipv6()));
        let client = bind(if copy.is_ipv6() { V6 } else { V4 });
        client.connect(SocketAddr::new(address(&client).ip(), address(&socket).port())).unwrap();
        client.send(b"x").unwrap();
        assert!(Receiver::default().one(&socket).0.local.is_some(), "options are set on the adopted socket");
    }
    let stream = TcpListener::bind(V4).unwrap();
    let unbound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let dual = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
    dual.set_only_v6(false).unwrap();
    dual.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    for (fd, fault) in
        [(OwnedFd::from(stream), "UDP"), (unbound.into(), "bound"), (dual.into(), "IPV6_V6ONLY")]
    {
        let error = UdpSocket::adopt(fd, &SocketOptions::default()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(fault), "{error}");
    }
}

#[test]
fn sockets_never_block_and_never_share() {
    for addr in [V4, V6] {
        let socket = bind(addr);
        let borrowed = socket2::SockRef::from(&socket);
        assert!(borrowed.nonblocking().unwrap());
        assert!(!borrowed.reuse_address().unwrap(), "sharing is never silent");
        assert_eq!(socket.take_error().unwrap().map(|error| error.to_string()), None);
        if socket.is_ipv6() {
            assert!(borrowed.only_v6().unwrap());
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn every_discovery_mode_is_taken_at_bind_and_later() {
    use PathMtuDiscovery::{Do, Dont, Omit, Probe, Want};
    for addr in [V4, V6] {
        for mode in [Omit, Dont, Want, Do, Probe] {
            let options = SocketOptions { path_mtu_discovery: Some(mode), ..SocketOptions::default() };
            let socket = bind_with(addr, &options);
            socket.set_path_mtu_discovery(mode).unwrap();
            assert_eq!(socket.path_mtu().unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
            socket.connect(address(&socket)).unwrap();
            let lo: usize = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap().trim().parse().unwrap();
            // An IPv4 packet has 16 bits for its length.
            let longest = if socket.is_ipv6() { lo } else { lo.min(65_535) };
            assert_eq!(socket.path_mtu().unwrap(), longest);
        }
    }
}
