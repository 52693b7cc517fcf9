//! What is left of an instance that panicked: which datagram did it, and its state. And what a thread may do that outlives it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Harness, Outcome};
use crate::prelude::*;
use crate::{Counter, Gauge, Level};

const PEER: &str = "192.0.2.1:1000";

/// Counts what it has seen, and panics when it is told to.
#[derive(Debug)]
struct Fragile {
    seen: u8,
    tells: Counter,
}

impl Handler for Fragile {
    type Config = ();

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let seen = setup.state().map_or(0, |(version, bytes)| {
            assert_eq!(version, 2);
            bytes[0]
        });
        Ok(Self { seen, tells: setup.counter(c"told_total", c"Told to") })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let mut datagrams = batch.datagrams();
        let Some(first) = datagrams.next() else { return };
        if first.payload() == b"after all" {
            assert!(datagrams.count() < 2, "told to, behind the last one");
            return;
        }
        for datagram in [first].into_iter().chain(datagrams) {
            assert!(datagram.payload() != b"panic", "told to");
            self.seen += 1;
            if datagram.payload() == b"seen" {
                datagram.reply(&[self.seen]);
            }
        }
    }

    fn on_timer(&mut self, _: u64, _: &mut Batch<'_>) {
        self.tells.add(1);
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        out.push(self.seen);
        2
    }
}

/// Leaves nothing, or panics once more while it should.
#[derive(Debug)]
struct Careful {
    had_state: bool,
    panics: bool,
}

impl Handler for Careful {
    type Config = ();

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        Ok(Self { had_state: setup.state().is_some(), panics: false })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            self.panics = datagram.payload() == b"panic twice";
            assert!(!datagram.payload().starts_with(b"panic"), "told to");
            datagram.reply(if self.had_state { b"state" } else { b"none" });
        }
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        out.push(1);
        1
    }

    fn rescue(&self, _: &mut Vec<u8>) -> u32 {
        assert!(!self.panics, "in rescue as well");
        0
    }
}

#[test]
fn the_datagram_that_was_taken_last_is_blamed() {
    let mut h = Harness::<Fragile>::new(&[]);
    let batch = [(PEER, &b"one"[..]), (PEER, b"two"), (PEER, b"panic"), (PEER, b"four")];
    assert_eq!((h.send_batch(&batch), h.blamed()), (Outcome::Fatal, Some(2)));
    h.restart().unwrap();
    assert_eq!((h.send_batch(&batch[..2]), h.blamed()), (Outcome::Done, None), "it is behind the last one");
    let all = [(PEER, &b"after all"[..]), (PEER, b"two"), (PEER, b"three")];
    assert_eq!((h.send_batch(&all), h.blamed()), (Outcome::Fatal, None));
    // An older host has no place for the number, and the memory behind its batch is its own.
    let mut old = Harness::<Fragile>::new(&[]);
    old.set_host_minor(2);
    assert_eq!((old.send_batch(&batch), old.blamed()), (Outcome::Fatal, None));
}

#[test]
fn the_state_of_before_a_panic_goes_to_the_next_instance() {
    let mut h = Harness::<Fragile>::new(&[]);
    assert_eq!(h.send_batch(&[(PEER, b"one"), (PEER, b"two"), (PEER, b"panic")]), Outcome::Fatal);
    h.restart().unwrap();
    h.send(PEER, b"seen");
    assert_eq!(h.sent()[0].payload, [3]);
    h.restart().unwrap();
    h.send(PEER, b"seen");
    assert_eq!(h.sent()[0].payload, [1], "of one that did not break nothing is rescued");
}

#[test]
fn what_cannot_be_rescued_is_lost_and_that_is_all() {
    let mut h = Harness::<Careful>::new(&[]);
    for (told, second) in [(&b"panic"[..], false), (b"panic twice", true)] {
        h.set_log_level(Level::Error);
        h.lines();
        assert_eq!(h.send(PEER, told), Outcome::Fatal);
        h.restart().unwrap();
        let lines = h.lines();
        assert_eq!(lines.iter().any(|line| line.starts_with("panic in rescue: ")), second, "{lines:?}");
        h.send(PEER, b"state?");
        assert_eq!(h.sent()[0].payload, b"none");
    }
}

/// Gives its cells to a thread that goes on when it is gone.
#[derive(Debug)]
struct Restless;

/// The thread, and what it waits for before it counts once more.
static THREAD: Mutex<Option<(JoinHandle<u64>, Sender<()>)>> = Mutex::new(None);

impl Handler for Restless {
    type Config = ();

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let counter = setup.counter(c"seen_total", c"Seen");
        let gauge: Gauge = setup.gauge(c"level", c"Level");
        let (go_on, told): (_, Receiver<()>) = channel();
        let thread = thread::spawn(move || {
            counter.add(1);
            while told.recv().is_ok() {
                counter.add(1);
                gauge.set(counter.get());
            }
            counter.get()
        });
        *THREAD.lock().unwrap_or_else(PoisonError::into_inner) = Some((thread, go_on));
        Ok(Self)
    }

    fn on_batch(&mut self, _: &mut Batch<'_>) {}
}

/// B2: nothing of it is `unsafe`, so nothing of it may be a use of memory that is gone. Miri and valgrind see it.
#[test]
fn a_thread_may_count_when_the_handler_and_its_host_are_gone() {
    let harness = Harness::<Restless>::new(&[]);
    drop(harness);
    let (thread, go_on) = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
    (0..3).for_each(|_| go_on.send(()).unwrap());
    drop(go_on);
    assert_eq!(thread.join().unwrap(), 4);
}
