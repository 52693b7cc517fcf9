//! Handlers that serve several addresses, in the kit.

use core::time::Duration;

use super::*;
use crate::prelude::*;

const ADDRESSES: [&str; 3] = ["198.51.100.1:7000", "198.51.100.1:7001", "[2001:db8::1]:7000"];
const PEER: &str = "192.0.2.1:5000";

/// Answers with how many came to any address; from its timer by each address.
struct Gathers {
    seen: u64,
    addresses: usize,
}

impl Handler for Gathers {
    type Config = ();
    const PER_LISTENER: bool = true;

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let first = setup.addresses().first().copied();
        assert_eq!(first, setup.local());
        Ok(Self { seen: 0, addresses: setup.addresses().len() })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            self.seen += 1;
            if datagram.payload() == b"elsewhere" {
                let peer = datagram.peer();
                batch.send_by(self.addresses, peer, b"no such address");
                batch.proved().send_by(self.addresses - 1, peer, b"by the last");
                continue;
            }
            batch.timer(1, Duration::from_secs(1), Duration::ZERO);
            datagram.reply(format!("{} at {}", self.seen, batch.address()).as_bytes());
        }
    }

    fn on_timer(&mut self, _: u64, batch: &mut Batch<'_>) {
        for address in 0..self.addresses {
            batch.send_by(address, PEER.address(), b"tick");
        }
    }
}

#[test]
fn one_instance_is_told_which_of_its_addresses_a_call_is_about() {
    let mut harness = Harness::<Gathers>::with_addresses(&[], &ADDRESSES);
    (0..3).for_each(|address| _ = harness.send_at(address, PEER, b"x"));
    let sent = harness.sent();
    let told: Vec<_> = sent.iter().map(|s| (s.by, s.from, String::from_utf8_lossy(&s.payload))).collect();
    let expected = |at: usize, text: &'static str| (at, ADDRESSES[at].address(), text.into());
    assert_eq!(told, [expected(0, "1 at 0"), expected(1, "2 at 1"), expected(2, "3 at 2")]);
}

#[test]
fn a_send_leaves_by_the_address_that_it_names() {
    let mut harness = Harness::<Gathers>::with_addresses(&[], &ADDRESSES);
    harness.send_at(1, PEER, b"elsewhere");
    let sent = harness.sent();
    assert_eq!((sent.len(), harness.bad()), (1, 1), "there are no more addresses than it was told");
    assert_eq!((sent[0].by, sent[0].from, sent[0].proved), (2, ADDRESSES[2].address(), true));
    harness.send(PEER, b"x");
    harness.sent();
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.sent().iter().map(|sent| sent.by).collect::<Vec<_>>(), [0, 1, 2]);
}

/// It made one for each address, and knew no other.
#[test]
fn an_older_host_has_one_address() {
    let mut harness = Harness::<Gathers>::new(&[]);
    harness.set_host_minor(2);
    harness.restart().unwrap();
    harness.send(PEER, b"elsewhere");
    let sent = harness.sent();
    assert_eq!((sent.len(), harness.bad()), (2, 0));
    assert!(sent.iter().all(|sent| (sent.by, sent.from) == (0, LOCAL)));
}

#[test]
#[should_panic(expected = "PER_LISTENER is false")]
fn a_handler_of_one_address_is_given_no_more() {
    struct One;
    impl Handler for One {
        type Config = ();
        fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
            Ok(Self)
        }
        fn on_batch(&mut self, _: &mut Batch<'_>) {}
    }
    drop(Harness::<One>::with_addresses(&[], &ADDRESSES));
}
