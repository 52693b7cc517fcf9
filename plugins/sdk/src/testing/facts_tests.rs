//! What a handler is told about a datagram.

use super::{Harness, Incoming, START_NS, START_WALL_NS};
use crate::abi;
use crate::facts::Facts;
use crate::prelude::*;

const PEER: &str = "192.0.2.1:5000";
const OTHER: &str = "[2001:db8::1]:7";

/// Uses nothing but what the trait gives.
struct Plain;

impl Handler for Plain {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let (len, wall) = (batch.len(), batch.wall_ns());
        for d in &mut *batch {
            let facts = format!(
                "{len} {} {} {:?} {:?} {} {} {} {} {}",
                d.ecn(),
                d.peer(),
                d.hop_limit(),
                d.ifindex(),
                d.has_local(),
                d.is_multicast(),
                d.is_broadcast(),
                d.is_truncated(),
                wall,
            );
            d.reply(facts.as_bytes());
        }
        if batch.log_enabled(Level::Debug) {
            batch.log(Level::Debug, "kept");
        }
        batch.log(Level::Trace, "lost");
        batch.log(Level::Error, format_args!("any\0bytes {}", b"\xFF\n".escape_ascii()));
        batch.send_to_from(PEER.parse().unwrap(), OTHER.parse().unwrap(), b"");
    }
}

#[test]
fn everything_known_about_a_datagram_reaches_the_handler() {
    let mut h = Harness::<Plain>::new(&[]);
    h.set_log_level(Level::Debug);
    let mut d = Incoming::new(PEER.parse().unwrap(), b"");
    (d.tos, d.hop_limit, d.ifindex, d.flags) = (2, 9, 4, abi::RX_MULTICAST | abi::RX_TRUNCATED);
    h.deliver(&[d]);
    let sent = h.sent();
    let facts = format!("1 0 {PEER} None Some(4) false true false true {START_WALL_NS}");
    assert_eq!(String::from_utf8_lossy(&sent[0].payload), facts);
    assert_eq!((sent[1].from, sent[1].rx, sent[1].payload.len()), (OTHER.parse().unwrap(), None, 0));
    assert_eq!(h.lines(), ["kept", "any\0bytes \\xff\\n"]);
    assert_eq!(h.reconfigure(&[]).unwrap_err().message, "not supported by this plugin");
    h.reload(&[]).unwrap();
}

#[test]
fn groups_and_broadcast_are_marked() {
    let mut h = Harness::<Plain>::new(&[]);
    let (peer, group) = (PEER.parse().unwrap(), "239.1.2.3:7".parse().unwrap());
    h.deliver(&[Incoming::multicast(peer, group, b"")]);
    h.deliver(&[Incoming::broadcast(peer, "192.0.2.255:7".parse().unwrap(), b"")]);
    let facts: Vec<_> = h.sent().iter().filter(|s| s.rx.is_some()).map(|s| s.payload.clone()).collect();
    let facts: Vec<_> = facts.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert!(facts[0].contains(" true true false false "), "{facts:?}");
    assert!(facts[1].contains(" true false true false "), "{facts:?}");
}

/// Wants what its option says.
struct Curious;

crate::config! {
    struct Wishes {
        hops: bool = "true", "Whether it asks for the hop limit";
    }
}

impl Handler for Curious {
    type Config = Wishes;

    fn new(config: Wishes, setup: &mut Setup<'_>) -> Result<Self> {
        let hops = if config.hops { Facts::HOPS } else { Facts::default() };
        let granted = setup.want(hops | Facts::TOS);
        let time = setup.want(Facts::TIME).contains(Facts::TIME);
        setup.log(Level::Info, time);
        setup.log(Level::Info, granted.contains(hops));
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for d in batch.datagrams() {
            let (time, wall) = (d.has_kernel_time(), d.rx_wall_ns());
            let (age, hops) = (d.age().as_nanos(), d.hop_limit());
            let known = d.has_tos();
            d.reply(format!("{} {} {known} {hops:?} {time} {age} {wall}", d.tos(), d.ecn()).as_bytes());
        }
    }
}

#[test]
fn a_handler_is_told_what_it_asked_for_and_the_host_can_tell() {
    let mut h = Harness::<Curious>::new(&[]);
    assert_eq!((h.lines(), h.told()), (vec!["true".to_owned(); 2], Facts::TOS | Facts::HOPS | Facts::TIME));
    let mut d = Incoming::new(PEER.parse().unwrap(), b"");
    (d.tos, d.hop_limit, d.kernel_ns) = (0xB9, 7, START_NS - 50);
    let ask = |h: &mut Harness<Curious>| {
        h.deliver(std::slice::from_ref(&d));
        String::from_utf8(h.sent().remove(0).payload).unwrap()
    };
    assert_eq!(ask(&mut h), format!("185 1 true Some(7) true 50 {}", START_WALL_NS - 50));
    h.reload(&[("hops", "false")]).unwrap();
    assert_eq!(ask(&mut h), format!("185 1 true None true 50 {}", START_WALL_NS - 50));
    h.offer(Facts::HOPS);
    h.reload(&[]).unwrap();
    assert_eq!(h.lines()[2..], ["false", "true"]);
    assert_eq!(ask(&mut h), format!("0 0 false Some(7) false 0 {START_WALL_NS}"));
}
