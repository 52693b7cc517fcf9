//! A batch of the socket crate allocates when it is made, and never again.

use std::io::IoSlice;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use polyport_net::{
    Pktinfo, RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable,
};

fn allocations(action: impl FnOnce()) -> usize {
    let before = polyport_counting_alloc::allocations();
    action();
    polyport_counting_alloc::allocations() - before
}

#[test]
fn calls_do_not_allocate() {
    assert!(allocations(|| drop(RecvBatch::new(4))) > 0, "the counter counts");
    let options =
        SocketOptions { pktinfo: Pktinfo::Always, recv_hop_limit: true, ..SocketOptions::default() };
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let to = socket.local_addr().unwrap();
    let layout = SlotLayout::new(2048, 64);
    let (mut send, mut recv) = (SendBatch::new(8), RecvBatch::new(8));
    let mut memory = vec![0; layout.memory(8)];
    let parts = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    for single_calls in [false, true] {
        if single_calls {
            send.use_single_calls();
            recv.use_single_calls();
        }
        let count = allocations(|| {
            let mut from = None;
            for _ in 0..3 {
                let segment = NonZeroU16::new(100);
                let hop_limit = if cfg!(target_os = "linux") { NonZeroU8::new(9) } else { None };
                let message = SendMessage { to, from, parts: &parts, segment, tos: 1, hop_limit };
                let plain = SendMessage {
                    from: None,
                    parts: &parts[..1],
                    segment: None,
                    tos: 0,
                    hop_limit: None,
                    ..message
                };
                assert_eq!(send.send(&socket, &[message, plain]).unwrap(), 2);
                assert_eq!(send.send(&socket, &[plain]).unwrap(), 1);
                let mut left = 3;
                while left > 0 {
                    assert!(wait_readable(&socket, Duration::from_secs(10)).unwrap());
                    left -= recv.recv(&socket, &mut memory, layout, 8).unwrap();
                    for meta in recv.metas() {
                        from = meta.local.and_then(|local| local.reply_source());
                        assert!(from.is_some());
                    }
                }
                assert!(
                    recv.recv(&socket, &mut memory, layout, 8).is_err_and(|e| e.raw_os_error().is_some())
                );
            }
        });
        assert_eq!(count, 0, "single calls: {single_calls}");
    }
}
