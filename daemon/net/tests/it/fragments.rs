//! Fragments on loopback, whose MTU the test lowers in a network namespace of its own.

use std::io::{ErrorKind, IoSlice};

use polyport_net::{CAN_SEND_UNFRAGMENTED, SendBatch};
#[cfg(target_os = "linux")]
use polyport_net::{PathMtuDiscovery, SocketOptions};

#[cfg(target_os = "linux")]
use crate::support::{Receiver, bind_with, is_in_namespace};
use crate::support::{V4, V6, address, bind, plain};

#[test]
fn a_system_that_does_not_know_fragments_says_so() {
    assert_eq!(CAN_SEND_UNFRAGMENTED, cfg!(target_os = "linux"));
    for (server, client) in [(bind(V4), bind(V4)), (bind(V6), bind(V6))] {
        let parts = [IoSlice::new(b"small")];
        let sent = SendBatch::new(1).send_unfragmented(&client, [plain(address(&server), &parts)]);
        let kind = sent.as_ref().err().map(std::io::Error::kind);
        assert_eq!(kind, (!CAN_SEND_UNFRAGMENTED).then_some(ErrorKind::Unsupported), "{sent:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_came_in_fragments_is_told_and_what_must_not_be_cut_does_not_leave() {
    if !is_in_namespace("fragments::what_came_in_fragments_is_told_and_what_must_not_be_cut_does_not_leave") {
        return;
    }
    let ip = std::process::Command::new("ip").args(["link", "set", "lo", "mtu", "1280"]).status();
    assert!(ip.unwrap().success());
    for (at, headers, longest_fragment) in [(V4, 28, 1276), (V6, 48, 1280)] {
        for mode in [None, Some(PathMtuDiscovery::Omit), Some(PathMtuDiscovery::Probe)] {
            let options = SocketOptions { path_mtu_discovery: mode, ..SocketOptions::default() };
            let (server, client, asked) = (bind(at), bind_with(at, &options), bind(at));
            asked.set_recv_fragment_size(true).unwrap();
            let may_cut = mode != Some(PathMtuDiscovery::Probe);
            for (len, is_cut) in [(1, false), (1280 - headers, false), (1281 - headers, true), (5000, true)] {
                let payload = vec![7; len];
                let parts = [IoSlice::new(&payload)];
                let mut batch = SendBatch::new(4);
                let messages = [plain(address(&asked), &parts); 2];
                let whole = batch.send_unfragmented(&client, messages);
                let errno = whole.as_ref().err().and_then(std::io::Error::raw_os_error);
                assert_eq!(errno, is_cut.then_some(libc::EMSGSIZE), "{at} {mode:?} {len}: {whole:?}");
                // What was set for those is set no longer.
                let plainly = batch.send(&client, &messages);
                assert_eq!(plainly.is_ok(), may_cut || !is_cut, "{at} {mode:?} {len}: {plainly:?}");
                let count = whole.unwrap_or(0) + plainly.unwrap_or(0);
                let fragment = is_cut.then_some(longest_fragment);
                for (meta, _) in Receiver::default().exactly(&asked, count) {
                    assert_eq!((meta.len, meta.fragment), (len, fragment), "{at} {mode:?}");
                }
                if may_cut {
                    batch.send(&client, &[plain(address(&server), &parts)]).unwrap();
                    assert_eq!(Receiver::default().one(&server).0.fragment, None, "nobody asked");
                }
            }
            asked.set_recv_fragment_size(false).unwrap();
            if may_cut {
                let parts = [IoSlice::new(&[7; 3000][..])];
                SendBatch::new(1).send(&client, &[plain(address(&asked), &parts)]).unwrap();
                assert_eq!(Receiver::default().one(&asked).0.fragment, None, "nobody asks any more");
            }
        }
    }
}
