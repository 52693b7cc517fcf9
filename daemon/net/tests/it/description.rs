//! What the kernel says of a socket.

#[cfg(target_os = "linux")]
use polyport_net::PathMtuDiscovery;
use polyport_net::SocketOptions;

use crate::support::{V4, V6, address, bind, bind_with};

#[test]
fn a_socket_is_described_as_it_was_made() {
    for any in [V4, V6] {
        let options = SocketOptions { broadcast: true, recv_buffer: Some(8192), ..SocketOptions::default() };
        let socket = bind_with(any, &options);
        let told = socket.describe().unwrap();
        assert!(told.datagrams && told.broadcast && !told.dont_route, "{told:?}");
        assert_eq!((told.ipv6, told.local, told.peer), (any == V6, address(&socket), None));
        assert_eq!((told.buffers.recv.asked, told.buffers.recv.got), (Some(8192), 8192));
        assert_eq!((told.buffers.send.asked, told.tos, told.path_mtu), (None, 0, None));
        assert!((1..=255).contains(&told.ttl), "{told:?}");
    }
}

#[test]
fn what_is_set_is_told() {
    for any in [V4, V6] {
        let (socket, peer) = (bind(any), bind(any));
        socket.set_dont_route(true).unwrap();
        socket.set_ttl(7).unwrap();
        socket.connect(address(&peer)).unwrap();
        let told = socket.describe().unwrap();
        assert_eq!((told.dont_route, told.ttl, told.peer), (true, 7, Some(address(&peer))));
        socket.set_dont_route(false).unwrap();
        socket.disconnect().unwrap();
        let told = socket.describe().unwrap();
        assert_eq!((told.dont_route, told.peer, told.path_mtu), (false, None, None));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_path_has_an_mtu_once_there_is_a_peer() {
    use PathMtuDiscovery::{Do, Dont, Omit, Probe, Want};
    for any in [V4, V6] {
        let (socket, peer) = (bind(any), bind(any));
        socket.connect(address(&peer)).unwrap();
        assert_eq!(socket.describe().unwrap().path_mtu, Some(socket.path_mtu().unwrap()));
        for mode in [Dont, Want, Do, Probe, Omit] {
            socket.set_path_mtu_discovery(mode).unwrap();
            assert_eq!(socket.describe().unwrap().path_mtu_discovery, Some(mode));
        }
    }
}
