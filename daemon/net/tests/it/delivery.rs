//! Datagrams arrive whole, in order, all of them.

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use polyport_net::{Pktinfo, SendBatch, SlotLayout, SocketOptions, UdpSocket, wait_readable, wait_writable};

use crate::support::{Receiver, V4, V6, address, bind, bind_with, plain};

/// Bytes that tell their place, so that a shifted or mixed payload is seen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

fn send_one(batch: &mut SendBatch, from: &UdpSocket, to: &UdpSocket, payload: &[u8]) {
    let parts = [IoSlice::new(payload)];
    assert_eq!(batch.send(from, &[plain(address(to), &parts)]).unwrap(), 1);
}

#[test]
fn every_size_passes_unbroken() {
    for (addr, largest) in [(V4, 65_507), (V6, 65_527)] {
        let (server, client) = (bind(addr), bind(addr));
        let (mut send, mut receiver) = (SendBatch::new(1), Receiver::default());
        for len in [0, 1, 1471, 1472, 1473, 8191, largest - 1, largest] {
            let payload = pattern(len);
            send_one(&mut send, &client, &server, &payload);
            let (meta, received) = receiver.one(&server);
            assert_eq!((meta.len, meta.peer), (len, address(&client)));
            assert!(!meta.truncated && !meta.control_truncated && meta.segment.is_none());
            assert!(received == payload, "{len} bytes differ");
        }
        let payload = pattern(largest + 1);
        let parts = [IoSlice::new(&payload)];
        let error = send.send(&client, &[plain(address(&server), &parts)]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}

#[test]
fn parts_are_gathered_into_one_datagram() {
    let (server, client) = (bind(V4), bind(V4));
    let parts = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"+body")];
    let mut send = SendBatch::new(2);
    assert_eq!(send.send(&client, &[plain(address(&server), &parts)]).unwrap(), 1);
    assert_eq!(send.send(&client, &[plain(address(&server), &[]); 2]).unwrap(), 2);
    let mut receiver = Receiver::default();
    assert_eq!(receiver.one(&server).1, b"head+body");
    assert_eq!(receiver.exactly(&server, 2).iter().map(|(meta, _)| meta.len).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn batches_around_the_slot_count_are_drained() {
    for single_calls in [false, true] {
        let (mut receiver, mut send) = (Receiver::default(), SendBatch::new(32));
        if single_calls {
            receiver.batch.use_single_calls();
            send.use_single_calls();
        }
        for count in [1, 31, 32, 33, 63, 64, 65] {
            let (server, client) = (bind(V4), bind(V4));
            let payloads: Vec<Vec<u8>> = (0..count).map(pattern).collect();
            let parts: Vec<_> = payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
            let messages: Vec<_> = parts.iter().map(|parts| plain(address(&server), parts)).collect();
            let mut left = &messages[..];
            while !left.is_empty() {
                let sent = send.send(&client, left).unwrap();
                assert_eq!(sent, left.len().min(32));
                left = &left[sent..];
            }
            let received = receiver.exactly(&server, count);
            let received: Vec<Vec<u8>> = received.into_iter().map(|(_, payload)| payload).collect();
            assert!(received == payloads, "{count} datagrams, single calls: {single_calls}");
        }
    }
}

/// The lengths that the kernel writes into used headers, of addresses, of control data, of payloads, must not bound the
/// next datagram in the same slot.
#[test]
fn slots_are_reset_between_calls() {
    let telling = SocketOptions { pktinfo: Pktinfo::Always, ..SocketOptions::default() };
    let (v4, v6) = ((bind(V4), bind(V4)), (bind_with(V6, &telling), bind(V6)));
    let (mut send, mut receiver) = (SendBatch::new(1), Receiver::new(4, SlotLayout::WHOLE));
    for _ in 0..3 {
        for (server, client) in [&v4, &v6] {
            send_one(&mut send, client, server, b"x");
            send_one(&mut send, client, server, &pattern(3000));
            let received = receiver.exactly(server, 2);
            assert_eq!(received.iter().map(|(meta, _)| meta.len).collect::<Vec<_>>(), [1, 3000]);
            for (meta, _) in received {
                assert_eq!(meta.peer, address(client));
                assert_eq!((meta.local.is_some(), meta.control_truncated), (server.is_ipv6(), false));
            }
        }
    }
}

#[test]
fn a_datagram_longer_than_its_slot_is_marked_and_its_neighbours_survive() {
    let (server, client) = (bind(V4), bind(V4));
    let mut send = SendBatch::new(1);
    for len in [16, 100, 101, 16] {
        send_one(&mut send, &client, &server, &pattern(len));
    }
    let received = Receiver::new(32, SlotLayout::new(100, 28)).exactly(&server, 4);
    let seen: Vec<_> = received.iter().map(|(meta, _)| (meta.len, meta.truncated)).collect();
    assert_eq!(seen, [(16, false), (100, false), (100, true), (16, false)]);
    assert!(received.iter().all(|(meta, payload)| *payload == pattern(meta.len)));
}

#[test]
fn one_call_takes_all_that_waits() {
    for single_calls in [false, true] {
        let (server, client) = (bind(V4), bind(V4));
        let (mut receiver, mut send) = (Receiver::default(), SendBatch::new(8));
        if single_calls {
            receiver.batch.use_single_calls();
        }
        let parts = [IoSlice::new(b"x")];
        // The kernel may put a delivery off, so that not all wait yet when the first wakes us. Not every time.
        let whole = (0..100).any(|_| {
            assert_eq!(send.send(&client, &[plain(address(&server), &parts); 8]).unwrap(), 8);
            let first = receiver.batch(&server, 32).len();
            receiver.exactly(&server, 8 - first);
            first == 8
        });
        assert!(whole, "single calls: {single_calls}");
    }
}

#[test]
fn memory_bounds_the_batch() {
    let (server, client) = (bind(V4), bind(V4));
    let layout = SlotLayout::new(10, 6);
    let mut batch = polyport_net::RecvBatch::new(8);
    let mut memory = vec![0; layout.memory(2)];
    let mut send = SendBatch::new(1);
    for _ in 0..3 {
        send_one(&mut send, &client, &server, b"x");
    }
    let mut left = 3;
    while left > 0 {
        assert!(wait_readable(&server, Duration::from_secs(10)).unwrap());
        let count = batch.recv(&server, &mut memory, layout, 8).unwrap();
        assert!(count <= 2, "memory for two");
        assert_eq!(batch.metas().len(), count);
        left -= count;
    }
    send_one(&mut send, &client, &server, b"x");
    assert_eq!(batch.recv(&server, &mut memory[..9], layout, 8).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(batch.recv(&server, &mut memory, layout, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(batch.metas().len(), 0, "nothing of an earlier call shows after an error");
    assert!(wait_readable(&server, Duration::from_secs(10)).unwrap());
    assert_eq!(batch.recv(&server, &mut memory, layout, 8).unwrap(), 1);
    assert_eq!(batch.recv(&server, &mut memory, layout, 8).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_same_memory_may_be_cut_anew() {
    let (server, client) = (bind(V4), bind(V4));
    let (mut batch, mut memory) = (polyport_net::RecvBatch::new(4), vec![0; 16]);
    let mut send = SendBatch::new(1);
    for len in [4, 1, 8] {
        let layout = SlotLayout::new(len, 1);
        send_one(&mut send, &client, &server, b"abcdef");
        assert!(wait_readable(&server, Duration::from_secs(10)).unwrap());
        assert_eq!(batch.recv(&server, &mut memory, layout, 1).unwrap(), 1);
        let meta = batch.meta(0);
        assert_eq!((meta.len, meta.truncated), (len.min(6), len < 6));
        assert_eq!(layout.datagram(&memory, 0, meta.len), &b"abcdef"[..meta.len]);
    }
}

#[test]
fn waiting_ends_with_a_datagram_or_with_the_time() {
    let (server, client) = (bind(V4), bind(V4));
    assert!(!wait_readable(&server, Duration::from_nanos(1)).unwrap());
    assert!(wait_writable(&client, Duration::ZERO).unwrap());
    send_one(&mut SendBatch::new(1), &client, &server, b"x");
    assert!(wait_readable(&server, Duration::MAX).unwrap());
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    for addr in [V4, V6] {
        let (server, client, stranger) = (bind(addr), bind(addr), bind(addr));
        client.connect(address(&server)).unwrap();
        let (mut send, mut receiver) = (SendBatch::new(1), Receiver::default());
        send_one(&mut send, &stranger, &client, b"stranger");
        send_one(&mut send, &server, &client, b"peer");
        assert_eq!(receiver.one(&client).1, b"peer");
        assert_eq!(client.send(b"hello").unwrap(), 5);
        assert_eq!(receiver.one(&server).0.peer, address(&client));
        client.disconnect().unwrap();
        assert_eq!(client.send(b"hello").unwrap_err().raw_os_error(), Some(libc::EDESTADDRREQ));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn drops_are_counted_exactly() {
    let small = SocketOptions { recv_buffer: Some(1), ..SocketOptions::default() };
    let (server, client) = (bind_with(V4, &small), bind(V4));
    assert_eq!(server.drops().unwrap(), Some(0));
    let mut send = SendBatch::new(1);
    for _ in 0..100 {
        send_one(&mut send, &client, &server, &pattern(1000));
    }
    let mut receiver = Receiver::default();
    let mut received = 0;
    let mut drops = 0;
    // Both are final at once unless the kernel put the delivery off.
    for _ in 0..100 {
        received += receiver.now(&server, 32).map_or(0, |batch| batch.len());
        drops = usize::try_from(server.drops().unwrap().unwrap()).unwrap();
        if received + drops >= 100 {
            break;
        }
        wait_readable(&server, Duration::from_millis(100)).unwrap();
    }
    assert!(drops > 0);
    assert_eq!(received + drops, 100);
}
