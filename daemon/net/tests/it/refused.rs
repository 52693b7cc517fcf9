//! A message that the kernel refuses ends the batch, is named by the next call, and takes no other with it.

use std::io::IoSlice;

use polyport_net::{SendBatch, SendMessage, Source};

use crate::support::{Receiver, V4, V6, address, bind, plain, provoke};

/// Sends all, leaving out what fails; the result is the indices that failed, with their errno.
fn send_all(
    send: &mut SendBatch,
    from: &polyport_net::UdpSocket,
    messages: &[SendMessage<'_>],
) -> Vec<(usize, i32)> {
    let (mut next, mut failed) = (0, Vec::new());
    while next < messages.len() {
        match send.send(from, &messages[next..]) {
            Ok(sent) => next += sent,
            Err(error) => {
                failed.push((next, error.raw_os_error().unwrap()));
                next += 1;
            }
        }
    }
    failed
}

#[test]
fn partial_sends_say_where_they_stopped() {
    let (server, client) = (bind(V4), bind(V4));
    let good = address(&server);
    let bad = "127.0.0.1:0".parse().unwrap();
    let parts = [IoSlice::new(b"x")];
    let messages = [good, good, bad, good].map(|to| plain(to, &parts));
    for single_calls in [false, true] {
        let mut send = SendBatch::new(8);
        if single_calls {
            send.use_single_calls();
        }
        assert_eq!(send.send(&client, &messages).unwrap(), 2);
        assert_eq!(send.send(&client, &messages[2..]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(send.send(&client, &messages[3..]).unwrap(), 1);
        assert_eq!(send.send(&client, &[]).unwrap(), 0);
    }
}

#[test]
fn the_failing_messages_alone_are_lost_and_order_is_kept() {
    for (addr, nobody) in [(V4, "127.0.0.1:0"), (V6, "[::1]:0")] {
        let client = bind(addr);
        let nobody = nobody.parse().unwrap();
        for bad in [vec![], vec![0], vec![31], vec![15, 16], vec![0, 1, 30, 31]] {
            for single_calls in [false, true] {
                let server = bind(addr);
                let mut send = SendBatch::new(32);
                if single_calls {
                    send.use_single_calls();
                }
                let payloads: Vec<[u8; 1]> = (0..32).map(|n| [n]).collect();
                let parts: Vec<_> = payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
                let to = |index| if bad.contains(&index) { nobody } else { address(&server) };
                let messages: Vec<_> =
                    parts.iter().enumerate().map(|(n, parts)| plain(to(n), parts)).collect();
                let failed: Vec<usize> =
                    send_all(&mut send, &client, &messages).iter().map(|f| f.0).collect();
                assert_eq!(failed, bad);
                let mut receiver = Receiver::default();
                let received: Vec<u8> =
                    receiver.exactly(&server, 32 - bad.len()).iter().map(|(_, payload)| payload[0]).collect();
                let expected: Vec<u8> = (0..32).filter(|&n| !bad.contains(&usize::from(n))).collect();
                assert_eq!(received, expected);
            }
        }
    }
}

/// A source that the crate refuses and one that the kernel refuses look the same to the caller.
#[test]
fn a_source_that_cannot_be_is_one_messages_error() {
    let (server, client) = (bind(V4), bind("0.0.0.0:0"));
    let parts = [IoSlice::new(b"x")];
    let good = plain(address(&server), &parts);
    let from = |ip: &str| SendMessage { from: Some(Source { ip: ip.parse().unwrap(), ifindex: 0 }), ..good };
    // No route leads from an address that is not ours. The crate itself refuses a family that is not the socket's.
    for (bad, errno) in [("192.0.2.77", libc::ENETUNREACH), ("::1", libc::EINVAL)] {
        let mut send = SendBatch::new(8);
        let failed = send_all(&mut send, &client, &[good, from(bad), good, from("127.0.0.9")]);
        assert_eq!(failed.iter().map(|f| f.0).collect::<Vec<_>>(), [1], "{bad}");
        assert!([errno, libc::EINVAL].contains(&failed[0].1), "{bad}: {failed:?}");
        Receiver::default().exactly(&server, 3);
        assert_eq!(send_all(&mut send, &client, &[from(bad)]).len(), 1, "{bad} alone");
    }
}

#[test]
fn an_icmp_error_reaches_a_connected_socket_once() {
    for addr in [V4, V6] {
        let (gone, client) = (bind(addr), bind(addr));
        client.connect(address(&gone)).unwrap();
        drop(gone);
        provoke(&client, || assert_eq!(client.send(b"x").unwrap(), 1));
        let mut receiver = Receiver::default();
        assert_eq!(receiver.now(&client, 32).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(receiver.now(&client, 32).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
