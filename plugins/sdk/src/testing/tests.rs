//! The SDK against the host in miniature: what a handler may rely on, call by call.

use core::time::Duration;

use super::{Harness, Incoming, LOCAL, Memory, Outcome, SEED, START_NS};
use crate::prelude::*;
use crate::{Log, Why, config};

const PEER: &str = "192.0.2.1:5000";
const OTHER: &str = "[2001:db8::1]:6000";

config! {
    #[derive(Debug)]
    struct Options {
        limit: i64 = 10, "No more than this", max = 100;
        name: String = "x", "A name";
    }
}

/// Obeys: the payload says what to do.
#[derive(Debug)]
struct Puppet {
    options: Options,
    seen: Counter,
    level: Gauge,
    state: Vec<u8>,
    why: Why,
    drop_panics: bool,
}

impl Drop for Puppet {
    fn drop(&mut self) {
        assert!(!self.drop_panics, "drop as well");
    }
}

impl Handler for Puppet {
    type Config = Options;

    fn new(options: Options, setup: &mut Setup<'_>) -> Result<Self> {
        assert!(options.name != "panic", "new was told to");
        if options.name == "refuse" {
            return Err("not with me".into());
        }
        setup.log(Level::Info, format_args!("hello {} at {:?}", setup.listener(), setup.local()));
        assert_eq!((setup.seed(), setup.now_ns() >= START_NS), (SEED, true));
        Ok(Self {
            options,
            seen: setup.counter(c"seen_total", c"Datagrams"),
            level: setup.gauge(c"level", c"Length of the last one"),
            state: setup
                .state()
                .map(|(version, bytes)| [&[u8::try_from(version).unwrap()], bytes].concat())
                .unwrap_or_default(),
            why: setup.why(),
            drop_panics: false,
        })
    }

    fn stop(&mut self, log: &Log<'_>) {
        log.log(Level::Debug, format_args!("stopped after {}", self.seen.get()));
        assert!(self.options.name != "panic at the end", "stop was told to");
    }

    fn check(options: &Options) -> Result<()> {
        assert!(options.name != "panic in check", "check was told to");
        if options.limit == 13 { Err(Error::option("limit", "unlucky")) } else { Ok(()) }
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for mut datagram in batch.datagrams() {
            self.seen.add(1);
            self.level.set(datagram.payload().len() as u64);
            match datagram.payload() {
                b"panic" => panic!("told\nto"),
                b"panic twice" => {
                    self.drop_panics = true;
                    panic!("first");
                }
                b"discard" => datagram.discard(),
                b"timer" => {
                    batch.timer(7, Duration::from_millis(10), Duration::from_millis(5));
                }
                b"cancel" => {
                    batch.cancel_timer(7);
                }
                b"state" => {
                    datagram.reply(&self.state);
                }
                b"why" => {
                    datagram.reply(format!("{:?} {}", self.why, self.options.limit).as_bytes());
                }
                b"twice" => {
                    let datagram = datagram.freeze();
                    datagram.echo();
                    datagram.forward_at(batch.now_ns() + 5, OTHER.parse().unwrap());
                }
                b"upper" => {
                    datagram.payload_mut().make_ascii_uppercase();
                    datagram.echo();
                }
                b"nested" => {
                    // Sending while an answer is being built must not share its memory.
                    datagram.reply_with(16, |request, out| {
                        batch.send_to(OTHER.parse().unwrap(), b"inner");
                        out[..6].copy_from_slice(request);
                        6
                    });
                }
                b"later" => {
                    datagram.reply_with_at(batch.now_ns() + 7, 9, |request, out| {
                        out[..5].copy_from_slice(request);
                        5
                    });
                }
                b"big" => {
                    datagram.reply(&vec![b'b'; 70_000]);
                }
                _ => {
                    datagram.reply_with(300, |request, out| {
                        out[..request.len()].copy_from_slice(request);
                        request.len()
                    });
                }
            }
        }
        assert_eq!(batch.datagrams().count(), 0, "each datagram is handed out once");
    }

    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        assert!(batch.is_empty());
        batch.send_to(PEER.parse().unwrap(), format!("timer {token}").as_bytes());
    }

    fn reconfigure(&mut self, options: Options) -> Result<()> {
        assert!(options.name != "panic in reconfigure", "reconfigure was told to");
        if options.limit < self.options.limit {
            return Err(Error::option("limit", "may only grow"));
        }
        self.options = options;
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        assert!(self.options.name != "panic in save", "save was told to");
        out.extend_from_slice(b"kept");
        3
    }
}

fn puppet() -> Harness<Puppet> {
    Harness::new(&[])
}

#[track_caller]
fn answers(h: &mut Harness<Puppet>) -> Vec<String> {
    h.sent().into_iter().map(|s| String::from_utf8_lossy(&s.payload).into_owned()).collect()
}

#[test]
fn an_answer_goes_back_from_the_address_that_was_asked() {
    let mut h = puppet();
    assert_eq!(h.lines(), ["hello test at Some(198.51.100.1:7)"]);
    let mut asked = Incoming::new(OTHER.parse().unwrap(), b"upper");
    asked.local = "[2001:db8::2]:7".parse().unwrap();
    assert_eq!(h.deliver(&[asked.clone()]), Outcome::Done);
    let sent = h.sent();
    assert_eq!((sent[0].to, sent[0].from, sent[0].rx), (asked.peer, asked.local, Some(0)));
    assert_eq!((sent[0].payload.as_slice(), sent[0].at_ns), (&b"UPPER"[..], START_NS));
    assert_eq!((h.counter("seen_total"), h.gauge("level"), h.bad()), (1, 5, 0));
}

#[test]
fn a_frozen_datagram_is_sent_as_often_as_wanted() {
    let mut h = puppet();
    h.send(PEER, b"twice");
    assert_eq!((h.sent().len(), h.waiting()), (1, 1));
    h.advance(Duration::from_nanos(4));
    assert_eq!(h.sent(), []);
    h.advance(Duration::from_nanos(1));
    let late = h.sent();
    assert_eq!((late[0].to, late[0].at_ns), (OTHER.parse().unwrap(), START_NS + 5));
    assert_eq!(late[0].from, LOCAL);
}

#[test]
fn an_answer_built_in_place_can_wait() {
    let mut h = puppet();
    h.send(PEER, b"later");
    assert_eq!((h.sent().len(), h.waiting()), (0, 1));
    h.advance(Duration::from_nanos(7));
    let sent = h.sent();
    assert_eq!(
        (sent[0].payload.as_slice(), sent[0].at_ns, sent[0].rx),
        (&b"later"[..], START_NS + 7, Some(0))
    );
}

#[test]
fn a_full_ring_or_arena_is_flushed_and_loses_nothing() {
    for memory in [
        Memory { tx_cap: 1, arena_cap: 4096, flushes: 100 },
        Memory { tx_cap: 64, arena_cap: 304, flushes: 100 },
        Memory { tx_cap: 3, arena_cap: 310, flushes: 100 },
    ] {
        let mut h = puppet();
        h.set_memory(memory);
        let texts: Vec<String> = (0..64).map(|i| format!("datagram {i}")).collect();
        let batch: Vec<(&str, &[u8])> = texts.iter().map(|t| (PEER, t.as_bytes())).collect();
        assert_eq!(h.send_batch(&batch), Outcome::Done);
        assert_eq!(answers(&mut h), texts, "{memory:?}");
        assert_eq!((h.refused(), h.bad()), (0, 0));
    }
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut h = puppet();
    h.set_memory(Memory { tx_cap: 2, arena_cap: 4096, flushes: 1 });
    h.send_batch(&[(PEER, b"a"), (PEER, b"b"), (PEER, b"c"), (PEER, b"d"), (PEER, b"e")]);
    assert_eq!(answers(&mut h), ["a", "b", "c", "d"]);
    assert_eq!(h.refused(), 1);
    h.send(PEER, b"big");
    assert_eq!((h.sent().len(), h.refused()), (0, 2));
}

#[test]
fn sending_while_building_an_answer_shares_no_memory() {
    for arena_cap in [4096, 16] {
        let mut h = puppet();
        h.set_memory(Memory { tx_cap: 8, arena_cap, flushes: 9 });
        h.send(PEER, b"nested");
        assert_eq!(answers(&mut h), ["inner", "nested"]);
    }
}

#[test]
fn discarding_is_told_to_the_host() {
    let mut h = puppet();
    h.send_batch(&[(PEER, b"discard"), (PEER, b"x"), (OTHER, b"discard")]);
    assert_eq!((h.discarded(), answers(&mut h)), (2, vec!["x".to_owned()]));
}

#[test]
fn timers_fire_in_virtual_time_until_cancelled() {
    let mut h = puppet();
    h.send(PEER, b"timer");
    h.advance(Duration::from_millis(21));
    let at: Vec<u64> = h.sent().iter().map(|s| (s.at_ns - START_NS) / 1_000_000).collect();
    assert_eq!(at, [10, 15, 20]);
    h.send(PEER, b"cancel");
    h.advance(Duration::from_secs(1));
    assert_eq!(h.sent(), []);
}

#[test]
fn a_panic_costs_the_instance_and_what_it_queued_and_nothing_else() {
    let mut h = puppet();
    h.lines();
    assert_eq!(h.send_batch(&[(PEER, b"queued"), (PEER, b"panic")]), Outcome::Fatal);
    assert_eq!(h.sent(), []);
    h.restart().unwrap();
    h.lines();
    // Not even what a flush has taken leaves.
    h.set_memory(Memory { tx_cap: 1, arena_cap: 4096, flushes: 9 });
    assert_eq!(h.send_batch(&[(PEER, b"a"), (PEER, b"b"), (PEER, b"panic")]), Outcome::Fatal);
    assert_eq!((h.sent(), h.waiting()), (vec![], 0));
    let lines = h.lines();
    assert!(lines[0].starts_with("panic in on_batch: panicked at "), "{lines:?}");
    assert!(lines[0].contains("tests.rs:") && lines[0].ends_with(": told to"), "{lines:?}");
    // Poisoned: the handler is never called again.
    assert_eq!((h.send(PEER, b"x"), h.counter("seen_total")), (Outcome::Fatal, 5));
    h.restart().unwrap();
    h.send(PEER, b"why");
    assert_eq!(answers(&mut h), ["Restart 10"]);
    assert_eq!(h.counter("seen_total"), 6, "counters survive");
}

#[test]
fn a_panic_in_drop_after_a_panic_is_survived() {
    let mut h = puppet();
    h.lines();
    assert_eq!(h.send(PEER, b"panic twice"), Outcome::Fatal);
    h.restart().unwrap();
    let lines = h.lines();
    assert!(lines[0].ends_with(": first"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("panic in drop: ")), "{lines:?}");
}

#[test]
fn panics_in_new_check_reconfigure_and_save_are_refusals() {
    let refused = |name| Harness::<Puppet>::try_new(&[("name", name)], SEED).unwrap_err().to_string();
    assert!(refused("panic").starts_with("panic in new: panicked at "), "{}", refused("panic"));
    assert!(refused("panic in check").starts_with("panic in check: "));
    assert_eq!(refused("refuse"), "not with me");

    let mut h = puppet();
    let broken = h.reconfigure(&[("name", "panic in reconfigure")]).unwrap_err();
    assert_eq!(broken.message, "the instance panicked");
    assert_eq!(h.send(PEER, b"x"), Outcome::Fatal);

    let mut h = Harness::<Puppet>::new(&[("name", "panic in save")]);
    assert_eq!(h.reload(&[]).unwrap_err().message, "save failed with -2");
}

#[test]
fn refusals_name_the_option() {
    let refused = |limit| Harness::<Puppet>::try_new(&[("limit", limit)], SEED).unwrap_err();
    assert_eq!(refused("13").to_string(), "option limit: unlucky");
    assert_eq!(refused("101").option.as_deref(), Some("limit"));
}

#[test]
fn a_reload_hands_the_state_over_and_a_failing_one_changes_nothing() {
    let mut h = puppet();
    assert_eq!(h.reload(&[("name", "refuse")]).unwrap_err().message, "not with me");
    h.send(PEER, b"why");
    h.reload(&[("limit", "20")]).unwrap();
    h.send_batch(&[(PEER, b"state"), (PEER, b"why")]);
    assert_eq!(answers(&mut h), ["Start 10", "\u{3}kept", "Reload 20"]);
}

#[test]
fn reconfigure_keeps_the_instance_and_an_error_keeps_the_options() {
    let mut h = puppet();
    h.reconfigure(&[("limit", "20")]).unwrap();
    let error = h.reconfigure(&[("limit", "5")]).unwrap_err();
    assert_eq!(error.to_string(), "option limit: may only grow");
    h.send(PEER, b"why");
    assert_eq!(answers(&mut h), ["Start 20"]);
}

#[test]
fn the_last_call_is_stop_and_a_panic_in_it_is_caught() {
    let mut h = Harness::<Puppet>::new(&[]);
    h.send(PEER, b"one");
    h.lines();
    assert_eq!(h.stop(), ["stopped after 1"]);
    let lines = Harness::<Puppet>::new(&[("name", "panic at the end")]).stop();
    assert!(lines.iter().any(|line| line.starts_with("panic in stop: ")), "{lines:?}");
}

/// Vouches for the sender where the payload says so, sends to it in every way there is, and on to somebody else.
#[derive(Debug)]
struct Voucher;

impl Handler for Voucher {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            if datagram.payload() == b"vouch" {
                datagram.prove_peer();
                batch.proved().send_to(datagram.peer(), b"fresh");
                batch.proved().send_to_at(0, datagram.peer(), b"at");
                batch.proved().send_to_from(datagram.peer(), LOCAL, b"from");
            }
            datagram.reply(b"reply");
            datagram.reply_with(1, |_, _| 1);
            batch.send_to(datagram.peer(), b"fresh");
            let datagram = datagram.freeze();
            datagram.echo();
            datagram.forward(OTHER.parse().unwrap());
            datagram.forward_proved(OTHER.parse().unwrap());
        }
    }
}

#[test]
fn a_proof_is_said_of_answers_to_the_sender_and_of_nothing_else() {
    let mut h = Harness::<Voucher>::new(&[]);
    let mut proved = |payloads: &[&[u8]]| {
        h.send_batch(&payloads.iter().map(|payload| (PEER, *payload)).collect::<Vec<_>>());
        let sent = h.sent();
        assert_eq!(h.bad(), 0);
        sent.iter().map(|sent| sent.proved).collect::<Vec<_>>()
    };
    let plain = [false, false, false, false, false, true];
    let vouched = [true, true, true, true, true, false, true, false, true];
    assert_eq!(proved(&[b"no"]), plain);
    assert_eq!(proved(&[b"vouch"]), vouched);
    assert_eq!(proved(&[b"no", b"vouch", b"no"]), [&plain[..], &vouched, &plain].concat());
}

/// It would refuse the entries, and has no budget to begin with.
#[test]
fn an_older_host_is_not_told_of_proofs() {
    let mut h = Harness::<Voucher>::new(&[]);
    h.set_host_minor(0);
    h.send(PEER, b"vouch");
    assert_eq!(h.sent().iter().map(|sent| sent.proved).collect::<Vec<_>>(), [false; 9]);
}

/// Echoes whose sender has proved something are not lumped together with others.
#[derive(Debug)]
struct EveryOther;

impl Handler for EveryOther {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for (number, datagram) in batch.datagrams().enumerate() {
            if number % 3 == 1 {
                datagram.prove_peer();
            }
            datagram.echo();
        }
    }
}

#[test]
fn a_run_of_echoes_ends_at_one_that_is_proved() {
    let mut h = Harness::<EveryOther>::new(&[]);
    h.send_batch(&[(PEER, &b"a"[..]); 8]);
    let proved: Vec<bool> = h.sent().iter().map(|sent| sent.proved).collect();
    assert_eq!(proved, [false, true, false, false, true, false, false, true]);
}
