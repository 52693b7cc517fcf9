//! Handlers that threads wake, and that answer later.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Harness, Incoming, LOCAL, Outcome};
use crate::prelude::*;
use crate::{Logger, Unanswered};

const PEER: &str = "192.0.2.1:5000";
/// Longest wait for a thread: much longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Has a thread turn what it gets upside down. Byte 0 says what else: `p` panics, `f` fails, `l` lasts 3 s, `t` answers twice.
struct Slow {
    work: Option<Sender<(Ticket, Vec<u8>)>>,
    done: Receiver<(Ticket, Vec<u8>)>,
    thread: Option<JoinHandle<(Waker, Logger)>>,
    last: Option<Ticket>,
    full: Counter,
}

impl Handler for Slow {
    type Config = ();

    const WAKES: bool = true;

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let (waker, logger) = (setup.waker(), setup.logger());
        let (work, todo) = channel::<(Ticket, Vec<u8>)>();
        let (finished, done) = channel();
        let thread = thread::spawn(move || {
            for (ticket, mut bytes) in todo {
                bytes.reverse();
                logger.log(Level::Info, format_args!("turned {} bytes", bytes.len()));
                if finished.send((ticket, bytes)).is_err() || !waker.wake() {
                    break;
                }
            }
            (waker, logger)
        });
        let full = setup.counter(c"full_total", c"Datagrams without a ticket");
        Ok(Self { work: Some(work), done, thread: Some(thread), last: None, full })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch {
            let age = if datagram.payload().first() == Some(&b'l') { 3 } else { 60 };
            let Some(ticket) = datagram.ticket(Duration::from_secs(age)) else {
                self.full.add(1);
                continue;
            };
            self.last = Some(ticket);
            if let Some(work) = &self.work {
                work.send((ticket, datagram.payload().to_vec())).unwrap();
            }
        }
    }

    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        for (ticket, bytes) in self.done.try_iter() {
            match bytes.last() {
                Some(b'p') => panic!("told to"),
                Some(b'f') => batch.fail("told to fail"),
                Some(b't') => assert_eq!(batch.answer(ticket, b"first"), Ok(())),
                _ => {}
            }
            if let Err(why) = batch.answer(ticket, &bytes) {
                batch.log(Level::Warn, why);
            }
        }
    }

    fn stop(&mut self, log: &crate::Log<'_>) {
        // The thread ends, and its waker and logger outlive the instance.
        self.work = None;
        let kept = self.thread.take().map(|thread| thread.join().unwrap());
        log.log(Level::Info, kept.is_some());
    }
}

fn asked(payload: &[u8]) -> Incoming {
    Incoming { local: "203.0.113.9:7".parse().unwrap(), ..Incoming::new(PEER.parse().unwrap(), payload) }
}

/// Calls `on_wake` until so many answers have left.
fn answers(h: &mut Harness<Slow>, n: usize) -> Vec<super::Sent> {
    let mut sent = Vec::new();
    while sent.len() < n {
        assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
        sent.extend(h.sent());
    }
    sent
}

#[test]
fn a_thread_finds_the_answer_and_it_leaves_from_the_address_that_was_asked() {
    let mut h = Harness::<Slow>::new(&[]);
    h.deliver(&[asked(b"abc"), asked(b"")]);
    assert_eq!((h.sent().len(), h.tickets()), (0, 2));
    let sent = answers(&mut h, 2);
    let seen: Vec<_> = sent.iter().map(|s| (s.payload.as_slice(), s.to.to_string(), s.by_ticket)).collect();
    assert_eq!(seen, [(&b"cba"[..], PEER.to_owned(), true), (b"", PEER.to_owned(), true)]);
    assert!(sent.iter().all(|s| s.from == asked(b"").local && s.rx.is_none()), "{sent:?}");
    assert_eq!(
        (h.tickets(), h.bad(), h.lines()),
        (0, 0, vec!["turned 3 bytes", "turned 0 bytes"].into_iter().map(str::to_owned).collect())
    );
}

#[test]
fn a_ticket_serves_one_call_and_no_longer_than_it_is_good() {
    let mut h = Harness::<Slow>::new(&[]);
    h.deliver(&[asked(b"t")]);
    let twice = answers(&mut h, 2);
    assert_eq!((&twice[0].payload[..], &twice[1].payload[..]), (&b"first"[..], &b"t"[..]));
    h.deliver(&[asked(b"l")]);
    h.advance(Duration::from_secs(3));
    assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Done));
    assert_eq!(
        (h.sent().len(), h.lines().last().map(String::as_str)),
        (0, Some("too late: the ticket is no longer good"))
    );
    assert_eq!(Unanswered::TooLong.to_string(), "longer than a datagram can be");
    h.set_most_tickets(0);
    h.deliver(&[asked(b"x")]);
    assert_eq!(h.counter("full_total"), 1);
}

#[test]
fn a_call_may_fail_and_a_panic_in_it_is_one() {
    let mut h = Harness::<Slow>::new(&[]);
    h.deliver(&[asked(b"f")]);
    assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Failed));
    assert_eq!((h.sent().len(), h.lines().pop()), (1, Some("told to fail".to_owned())));
    h.deliver(&[asked(b"p")]);
    assert_eq!(h.await_wake(PATIENCE), Some(Outcome::Fatal));
    assert_eq!((h.sent().len(), h.tickets()), (0, 0));
    h.restart().unwrap();
    h.deliver(&[asked(b"on")]);
    assert_eq!(answers(&mut h, 1)[0].payload, b"no");
}

/// Keeps a waker and a logger beyond the instance, and tells them to nobody but the test.
struct Leaver;

static LEFT: std::sync::Mutex<Vec<(Waker, Logger)>> = std::sync::Mutex::new(Vec::new());

impl Handler for Leaver {
    type Config = ();

    const WAKES: bool = true;

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        LEFT.lock().unwrap().push((setup.waker(), setup.logger()));
        if setup.why() == crate::Why::Restart { Err("no".into()) } else { Ok(Self) }
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let left = LEFT.lock().unwrap();
        for datagram in batch.datagrams() {
            left.iter().for_each(|(waker, _)| _ = waker.wake());
            datagram.set_tos(0xB8);
            datagram.reply(b"");
        }
        batch.set_tos(0x08);
        batch.send_to(LOCAL, b"");
        batch.join("239.1.2.3".parse().unwrap(), None, 4);
        batch.leave("239.1.2.4".parse().unwrap(), None, 4);
        batch.join(LOCAL.ip(), None, 0);
    }

    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        batch.send_to(LOCAL, b"woken");
    }
}

#[test]
fn wakes_are_joined_and_late_threads_do_nothing() {
    let mut h = Harness::<Leaver>::new(&[]);
    assert_eq!((h.is_woken(), h.deliver_wake()), (false, None));
    h.send_batch(&[(PEER, b"".as_slice()), (PEER, b"")]);
    assert_eq!(h.sent().iter().map(|sent| sent.tos).collect::<Vec<_>>(), [0xB8, 0xB8, 0x08]);
    assert_eq!(h.groups(), [("239.1.2.3".parse().unwrap(), None, 4)]);
    assert_eq!((h.deliver_wake(), h.deliver_wake(), h.sent().len()), (Some(Outcome::Done), None, 1));
    // Who refuses to be made has given away what does nothing.
    h.restart().unwrap_err();
    let left: Vec<_> = LEFT.lock().unwrap().drain(..).collect();
    assert_eq!(left.iter().map(|(waker, _)| waker.wake()).collect::<Vec<_>>(), [true, false]);
    assert!(h.is_woken());
    assert_eq!(h.stop(), Vec::<String>::new());
    let threads = left
        .into_iter()
        .map(|(waker, logger)| thread::spawn(move || (waker.wake(), logger.log(Level::Error, "late"))));
    assert!(threads.map(|thread| thread.join().unwrap()).all(|done| done == (false, false)));
}

#[test]
fn an_older_host_can_do_none_of_it() {
    let mut h = Harness::<Slow>::new(&[]);
    h.set_host_minor(2);
    h.send(PEER, b"x");
    assert_eq!((h.counter("full_total"), h.tickets(), h.is_woken()), (1, 0, false));
}
