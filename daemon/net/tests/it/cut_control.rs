//! Control messages that do not fit.
#![expect(unsafe_code, reason = "sets options that the crate does not know")]

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use polyport_net::{Pktinfo, SendBatch, SendMessage, SocketOptions, UdpSocket};

use crate::support::{Receiver, V4, V6, address, bind, bind_with, plain};

/// What of it did fit is not believed either: an answer from a wrong address would be worse than one whose address the
/// kernel chooses.
#[test]
fn what_did_not_fit_makes_the_rest_unknown_and_costs_no_datagram() {
    /// Far more than pass before the kernel stamps, each a turn through it.
    const ATTEMPTS: usize = 100_000;
    let options = SocketOptions {
        recv_tos: true,
        recv_hop_limit: true,
        pktinfo: Pktinfo::Always,
        ..SocketOptions::default()
    };
    let destination = [
        (V4, libc::IPPROTO_IP, libc::IP_RECVORIGDSTADDR),
        (V6, libc::IPPROTO_IPV6, libc::IPV6_RECVORIGDSTADDR),
    ];
    for (addr, level, option) in destination {
        let (server, client) = (bind_with(addr, &options), bind(addr));
        // The time comes first and the destination last; there is no room for both.
        let stamps = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        set(&server, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, stamps.cast_signed());
        set(&server, level, option, 1);
        let parts = [IoSlice::new(b"x")];
        let message = SendMessage { tos: 1, ..plain(address(&server), &parts) };
        // The kernel begins to stamp a moment after the first socket of the host has asked; until then all fits.
        let mut attempts = (0..ATTEMPTS).map(|_| {
            assert_eq!(SendBatch::new(1).send(&client, &[message]).unwrap(), 1);
            Receiver::default().one(&server)
        });
        let cut = attempts.find(|(meta, _)| meta.control_truncated);
        let (meta, payload) = cut.expect("control data that do not fit");
        assert_eq!((meta.local, meta.hop_limit, meta.tos, meta.segment), (None, None, None, None));
        assert_eq!((meta.peer, &payload[..]), (address(&client), &b"x"[..]));
    }
}

#[track_caller]
fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let size: libc::socklen_t = 4;
    // SAFETY: the value is an int of four bytes that lives through the call.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}
