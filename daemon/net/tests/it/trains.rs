//! `UDP_SEGMENT` and `UDP_GRO`. Linux alone has them; there they must work.

use std::io::{ErrorKind, IoSlice};
use std::num::NonZeroU16;

#[cfg(target_os = "linux")]
use polyport_net::MAX_SEGMENTS;
use polyport_net::{SendBatch, SendMessage, UdpSocket};

#[cfg(target_os = "linux")]
use crate::support::V6;
use crate::support::{Receiver, V4, address, bind, plain};

const SEGMENT: NonZeroU16 = NonZeroU16::new(1000).unwrap();

fn send_train(from: &UdpSocket, to: &UdpSocket, payload: &[u8]) -> std::io::Result<usize> {
    let (head, tail) = payload.split_at(payload.len() / 3);
    let parts = [IoSlice::new(head), IoSlice::new(tail)];
    let message = SendMessage { segment: Some(SEGMENT), ..plain(address(to), &parts) };
    SendBatch::new(4).send(from, &[message])
}

#[cfg(target_os = "linux")]
#[track_caller]
fn assert_lengths(socket: &UdpSocket, expected: &[usize]) {
    let received = Receiver::default().exactly(socket, expected.len());
    assert_eq!(received.iter().map(|(meta, _)| meta.len).collect::<Vec<_>>(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_train_is_cut_for_a_plain_receiver() {
    for addr in [V4, V6] {
        let (server, client) = (bind(addr), bind(addr));
        assert!(client.can_segment());
        assert_eq!(send_train(&client, &server, &[7; 3500]).unwrap(), 1);
        assert_lengths(&server, &[1000, 1000, 1000, 500]);
        assert_eq!(send_train(&client, &server, &[7; 2000]).unwrap(), 1);
        assert_lengths(&server, &[1000, 1000]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_train_arrives_in_one_slot_where_gro_is_on() {
    for addr in [V4, V6] {
        let (server, client) = (bind(addr), bind(addr));
        server.set_gro(true).unwrap();
        let payload: Vec<u8> = (0..3500_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        assert_eq!(send_train(&client, &server, &payload).unwrap(), 1);
        let (meta, received) = Receiver::default().one(&server);
        assert_eq!((meta.len, meta.segment), (3500, Some(1000)));
        assert!(!meta.truncated && received == payload);
        // A single datagram is no train.
        assert_eq!(send_train(&client, &server, &payload[..1000]).unwrap(), 1);
        assert_eq!(Receiver::default().one(&server).0.segment, None);
        server.set_gro(false).unwrap();
        assert_eq!(send_train(&client, &server, &payload).unwrap(), 1);
        assert_lengths(&server, &[1000, 1000, 1000, 500]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_longest_train_passes_and_mixes_with_plain_messages() {
    let (server, client) = (bind(V4), bind(V4));
    let train = vec![1; 1000 * MAX_SEGMENTS];
    let (train, single) = ([IoSlice::new(&train)], [IoSlice::new(b"lone")]);
    let to = address(&server);
    let train = SendMessage { segment: Some(SEGMENT), ..plain(to, &train) };
    assert_eq!(SendBatch::new(4).send(&client, &[plain(to, &single), train, plain(to, &single)]).unwrap(), 3);
    let mut expected = vec![1000; MAX_SEGMENTS];
    expected.insert(0, 4);
    expected.push(4);
    assert_lengths(&server, &expected);
}

/// Whatever the system: one datagram is sent plainly, whatever its segment size says.
#[test]
fn a_single_datagram_is_never_segmented() {
    let (server, client) = (bind(V4), bind(V4));
    for payload in [&[7; 1000][..], &[7; 1], &[]] {
        assert_eq!(send_train(&client, &server, payload).unwrap(), 1);
        assert_eq!(Receiver::default().one(&server).0.len, payload.len());
    }
}

#[test]
fn a_system_without_trains_says_so() {
    let socket = bind(V4);
    let supported = cfg!(target_os = "linux");
    assert_eq!(socket.can_segment(), supported);
    let kind = socket.set_gro(true).err().map(|error| error.kind());
    assert_eq!(kind, (!supported).then_some(ErrorKind::Unsupported));
}
