//! Where a datagram arrived, and that the answer leaves from there.

use std::io::IoSlice;
use std::net::SocketAddr;

use polyport_net::{Cast, Pktinfo, SendBatch, SendMessage, SocketOptions, Source, interface_index};

use crate::support::{Receiver, V4, V6, address, bind, bind_with, plain};

/// A connected client takes an answer only from the address it asked.
#[test]
fn a_wildcard_socket_answers_from_the_address_asked() {
    for (wildcard, asked, from) in
        [("0.0.0.0:0", "127.0.0.2", "127.0.0.3:0"), ("0.0.0.0:0", "127.0.0.1", V4), ("[::]:0", "::1", V6)]
    {
        let (server, client) = (bind(wildcard), bind(from));
        let asked = SocketAddr::new(asked.parse().unwrap(), address(&server).port());
        client.connect(asked).unwrap();
        client.send(b"who?").unwrap();
        let mut receiver = Receiver::default();
        let (meta, _) = receiver.one(&server);
        let local = meta.local.unwrap();
        assert_eq!((local.destination, local.source), (asked.ip(), Some(asked.ip())));
        assert_eq!(local.kind(), Cast::Unicast);
        assert_ne!(local.ifindex, 0);

        let parts = [IoSlice::new(b"me")];
        let answer = SendMessage { from: local.reply_source(), ..plain(meta.peer, &parts) };
        let mut send = SendBatch::new(4);
        assert_eq!(send.send(&server, &[answer]).unwrap(), 1, "sendmsg");
        assert_eq!(send.send(&server, &[answer; 2]).unwrap(), 2, "sendmmsg");
        for _ in 0..3 {
            let (meta, payload) = receiver.one(&client);
            assert_eq!((meta.peer, &payload[..]), (asked, &b"me"[..]));
        }
    }
}

#[test]
fn each_message_of_a_batch_has_its_own_source() {
    let (server, client) = (bind("0.0.0.0:0"), bind(V4));
    let parts = [IoSlice::new(b"x")];
    let from = |ip: &str| Some(Source { ip: ip.parse().unwrap(), ifindex: 0 });
    let to = address(&client);
    let messages = ["127.0.0.5", "127.0.0.6"].map(|ip| SendMessage { from: from(ip), ..plain(to, &parts) });
    let messages = [messages[0], plain(to, &parts), messages[1], messages[0]];
    assert_eq!(SendBatch::new(4).send(&server, &messages).unwrap(), 4);
    let mut receiver = Receiver::default();
    let peers: Vec<_> = (0..4).map(|_| receiver.one(&client).0.peer.ip().to_string()).collect();
    assert_eq!(peers, ["127.0.0.5", "127.0.0.1", "127.0.0.6", "127.0.0.5"]);
}

#[test]
fn the_kernel_is_asked_only_where_the_options_say() {
    let options = |pktinfo| SocketOptions { pktinfo, ..SocketOptions::default() };
    for (addr, wildcard) in [(V4, "0.0.0.0:0"), (V6, "[::]:0")] {
        for (bound, pktinfo, known) in [
            (addr, Pktinfo::WildcardOnly, false),
            (addr, Pktinfo::Always, true),
            (addr, Pktinfo::Never, false),
            (wildcard, Pktinfo::WildcardOnly, true),
            (wildcard, Pktinfo::Never, false),
        ] {
            let (server, client) = (bind_with(bound, &options(pktinfo)), bind(addr));
            let to = SocketAddr::new(address(&client).ip(), address(&server).port());
            client.connect(to).unwrap();
            client.send(b"x").unwrap();
            let (meta, _) = Receiver::default().one(&server);
            assert_eq!(meta.local.is_some(), known, "{bound} {pktinfo:?}");
            assert_eq!((meta.ecn, meta.hop_limit), (0, None));
        }
    }
}

#[test]
fn congestion_bits_and_hop_limit_arrive() {
    let options = SocketOptions {
        recv_ecn: true,
        recv_hop_limit: true,
        pktinfo: Pktinfo::Always,
        ..SocketOptions::default()
    };
    for addr in [V4, V6] {
        let (server, client) = (bind_with(addr, &options), bind(addr));
        client.set_ttl(7).unwrap();
        let parts = [IoSlice::new(b"x")];
        for ecn in [1, 2, 3, 0] {
            let message = SendMessage { ecn, ..plain(address(&server), &parts) };
            SendBatch::new(1).send(&client, &[message]).unwrap();
            let (meta, _) = Receiver::default().one(&server);
            assert_eq!((meta.ecn, meta.hop_limit, meta.control_truncated), (ecn, Some(7), false));
            assert!(meta.local.is_some());
        }
    }
}

/// 127.255.255.255 is the broadcast address of loopback's network.
#[test]
#[cfg(target_os = "linux")]
fn a_broadcast_is_told_apart_and_has_an_answering_address() {
    let server = bind("0.0.0.0:0");
    let options = SocketOptions { broadcast: true, ..SocketOptions::default() };
    let to = SocketAddr::new("127.255.255.255".parse().unwrap(), address(&server).port());
    let parts = [IoSlice::new(b"all")];
    let refused = SendBatch::new(1).send(&bind(V4), &[plain(to, &parts)]).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "broadcast must be asked for");

    SendBatch::new(1).send(&bind_with(V4, &options), &[plain(to, &parts)]).unwrap();
    let (meta, _) = Receiver::default().one(&server);
    let local = meta.local.unwrap();
    assert_eq!((local.destination, local.kind()), (to.ip(), Cast::Broadcast));
    assert_eq!(local.source, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(local.ifindex, interface_index("lo").unwrap());
}
