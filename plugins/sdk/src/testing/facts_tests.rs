//! What a handler is told about a datagram.

use super::{Harness, Incoming, START_WALL_NS};
use crate::abi;
use crate::prelude::*;

const PEER: &str = "192.0.2.1:5000";
const OTHER: &str = "[2001:db8::1]:6000";

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
    (d.ecn, d.hop_limit, d.ifindex, d.flags) = (2, 0, 4, abi::RX_MULTICAST | abi::RX_TRUNCATED);
    h.deliver(&[d]);
    let sent = h.sent();
    let facts = format!("1 2 {PEER} None Some(4) false true false true {START_WALL_NS}");
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
