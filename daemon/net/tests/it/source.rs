//! Where a datagram arrived, and that the answer leaves from there.

use std::io::IoSlice;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::num::{NonZeroU8, NonZeroU16};
#[cfg(target_os = "linux")]
use std::time::UNIX_EPOCH;

use polyport_net::{Cast, Pktinfo, SendBatch, SendMessage, SocketOptions, Source};
#[cfg(target_os = "linux")]
use polyport_net::{Facts, UdpSocket, interface_index};

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
            assert_eq!((meta.tos, meta.hop_limit, meta.unix_ns), (None, None, None));
        }
    }
}

#[test]
fn congestion_bits_and_hop_limit_arrive() {
    let options = SocketOptions {
        recv_tos: true,
        recv_hop_limit: true,
        pktinfo: Pktinfo::Always,
        ..SocketOptions::default()
    };
    for addr in [V4, V6] {
        let (server, client) = (bind_with(addr, &options), bind(addr));
        client.set_ttl(7).unwrap();
        let parts = [IoSlice::new(b"x")];
        for tos in [1, 2, 3, 0xB8, 0xFF, 0] {
            let message = SendMessage { tos, ..plain(address(&server), &parts) };
            SendBatch::new(1).send(&client, &[message]).unwrap();
            let (meta, _) = Receiver::default().one(&server);
            assert_eq!((meta.tos, meta.hop_limit, meta.control_truncated), (Some(tos), Some(7), false));
            assert!(meta.local.is_some());
        }
    }
}

/// In one batch, among messages that leave it to the socket, in trains, and by single calls.
#[test]
#[cfg(target_os = "linux")]
fn each_message_of_a_batch_has_its_own_hop_limit() {
    const SYSTEM: u8 = 33;
    let options = SocketOptions { recv_hop_limit: true, ..SocketOptions::default() };
    for addr in [V4, V6] {
        let (server, client) = (bind_with(addr, &options), bind(addr));
        client.set_ttl(SYSTEM).unwrap();
        let parts = [IoSlice::new(b"four")];
        let hops = |hops| SendMessage { hop_limit: NonZeroU8::new(hops), ..plain(address(&server), &parts) };
        let train = SendMessage { segment: NonZeroU16::new(2), tos: 1, ..hops(5) };
        let messages = [hops(1), hops(0), hops(255), train, hops(64)];
        for single_calls in [false, true] {
            let mut send = SendBatch::new(8);
            if single_calls {
                send.use_single_calls();
            }
            assert_eq!(send.send(&client, &messages).unwrap(), messages.len());
            let received = Receiver::default().exactly(&server, messages.len() + 1);
            let seen: Vec<_> = received.iter().map(|(meta, _)| meta.hop_limit.unwrap()).collect();
            assert_eq!(seen, [1, SYSTEM, 255, 5, 5, 64], "{addr} single calls: {single_calls}");
        }
        for message in messages {
            assert_eq!(SendBatch::new(1).send(&client, &[message]).unwrap(), 1);
            let (meta, _) = Receiver::default().batch(&server, 8).remove(0);
            let expected = message.hop_limit.map_or(SYSTEM, NonZeroU8::get);
            assert_eq!(meta.hop_limit, Some(expected), "{addr} alone");
        }
    }
}

/// A train comes in one slot with one control message: what the kernel joins has one hop limit.
#[test]
#[cfg(target_os = "linux")]
fn a_joined_train_tells_the_hop_limit_of_all_its_datagrams() {
    let options = SocketOptions { recv_hop_limit: true, recv_tos: true, ..SocketOptions::default() };
    for addr in [V4, V6] {
        let (server, client) = (bind_with(addr, &options), bind(addr));
        server.set_gro(true).unwrap();
        let payload = [7; 3500];
        let parts = [IoSlice::new(&payload)];
        let (hop_limit, segment) = (NonZeroU8::new(9), NonZeroU16::new(1000));
        let train = SendMessage { hop_limit, segment, tos: 2, ..plain(address(&server), &parts) };
        assert_eq!(SendBatch::new(1).send(&client, &[train]).unwrap(), 1);
        let (meta, _) = Receiver::default().one(&server);
        assert_eq!((meta.len, meta.segment, meta.hop_limit, meta.tos), (3500, Some(1000), Some(9), Some(2)));
    }
}

/// A socket that goes on under other options stops telling what nobody asks for any more.
#[test]
fn the_hop_limit_is_asked_for_by_the_last_options() {
    let asking = SocketOptions { recv_hop_limit: true, ..SocketOptions::default() };
    for addr in [V4, V6] {
        let (server, client) = (bind(addr), bind(addr));
        client.set_ttl(7).unwrap();
        client.connect(address(&server)).unwrap();
        for (options, told) in [(&asking, Some(7)), (&SocketOptions::default(), None), (&asking, Some(7))] {
            let again = server.duplicate(options).unwrap();
            assert!(again.has_control() || told.is_none());
            client.send(b"x").unwrap();
            assert_eq!(Receiver::default().one(&again).0.hop_limit, told, "{addr}");
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

/// What is wanted is told from then on, of datagrams that wait already as well as it can be, and when it is not wanted any
/// more, the cheapest way to receive is enough again.
#[cfg(target_os = "linux")]
#[test]
fn facts_are_told_while_they_are_wanted() {
    const ALL: Facts = Facts { tos: true, hop_limit: true, local: true, time: true };
    let now = || u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap();
    for addr in [V4, V6] {
        let (mut server, client) = (bind(addr), bind(addr));
        let parts = [IoSlice::new(b"x")];
        let message = SendMessage { tos: 2, ..plain(address(&server), &parts) };
        let receive = |server: &UdpSocket| {
            let before = now();
            SendBatch::new(1).send(&client, &[message]).unwrap();
            let meta = Receiver::default().one(server).0;
            (meta, before..=now())
        };
        assert!(!server.has_control() && server.facts() == Facts::NONE);
        for _ in 0..2 {
            assert_eq!((server.want(ALL), server.facts(), server.has_control()), (ALL, ALL, true));
            let (meta, between) = receive(&server);
            assert!(between.contains(&meta.unix_ns.unwrap()), "{addr}: {meta:?}");
            assert_eq!((meta.tos, meta.hop_limit), (Some(2), Some(64)), "{addr}");
            assert_eq!(meta.local.unwrap().destination, address(&server).ip());
        }
        // Somebody else has the socket now and wants nothing; what the first wants is set again when he gives it back.
        let mut other = server.duplicate(&SocketOptions::default()).unwrap();
        assert_eq!((other.facts(), other.want(Facts::NONE), other.has_control()), (ALL, Facts::NONE, false));
        let (meta, _) = receive(&server);
        assert_eq!((meta.unix_ns, meta.local, meta.hop_limit, meta.tos), (None, None, None, None), "{addr}");
        drop(server.duplicate(&SocketOptions::default()).unwrap());
        assert!(receive(&server).0.unix_ns.is_some_and(|ns| ns > 0));
        // Options of the socket stay.
        let asking = SocketOptions { recv_hop_limit: true, ..SocketOptions::default() };
        let mut server = bind_with(addr, &asking);
        let hops = Facts { hop_limit: true, ..Facts::NONE };
        for wanted in [ALL, Facts::NONE] {
            assert_eq!(server.want(wanted), wanted.or(hops));
        }
    }
}
