//! The books against a naive model, and the cases that other testers got wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TIMEOUT: Nanos = 100;

fn stream() -> Stream {
    Stream::new(8, TIMEOUT)
}

fn reply(seq: u64, sent: Nanos) -> Reply {
    Reply::plain(seq, sent)
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what there may be none of")]
const fn apart(trip: Nanos) -> Option<Ipdv> {
    Some(Ipdv { trip, ways: None })
}

/// Sends the next datagram, planned one tick before.
fn send(stream: &mut Stream, seq: u64, now: Nanos) {
    assert_eq!(stream.send(now.saturating_sub(1), now, |seq| seq + 1), Ok((seq, seq + 1)));
}

fn with_rstat(seq: u64, sent: Nanos, rseq: u64, window: u64) -> Reply {
    Reply { rstat: Some(Rstat { rseq, window: Some(window) }), ..reply(seq, sent) }
}

#[test]
fn an_answer_within_the_timeout_is_ok_and_tells_plan_and_departure() {
    let mut stream = stream();
    send(&mut stream, 0, 10);
    assert_eq!(
        stream.receive(&reply(0, 10), 10 + TIMEOUT),
        Classified { class: Class::Ok, first: Some((9, 10)), ipdv: None }
    );
    assert_eq!(
        stream.receive(&reply(0, 10), 20),
        Classified { class: Class::DupDown, first: None, ipdv: None }
    );
    let tally = stream.tally();
    assert_eq!((tally.sent, tally.ok, tally.dup_down, tally.open), (1, 1, 1, 0));
}

#[test]
fn an_answer_after_the_timeout_is_late_whether_or_not_the_sweep_came_by() {
    for sweep in [false, true] {
        let mut stream = stream();
        send(&mut stream, 0, 10);
        if sweep {
            stream.expire(11 + TIMEOUT);
            assert_eq!(stream.tally().expired, 1);
        }
        assert_eq!(stream.receive(&reply(0, 10), 11 + TIMEOUT).class, Class::Late);
        stream.finish(1000, false);
        let tally = stream.tally();
        assert_eq!((tally.late, tally.lost(), tally.accounted()), (1, 0, 1));
    }
}

#[test]
fn an_error_is_an_answer_and_a_late_error_is_late() {
    let mut stream = stream();
    send(&mut stream, 0, 0);
    send(&mut stream, 1, 0);
    let error = |seq| Reply { error: Some(Code::BUSY), ..reply(seq, 0) };
    assert_eq!(stream.receive(&error(0), 1).class, Class::Error(Code::BUSY));
    assert_eq!(stream.receive(&error(1), TIMEOUT + 1).class, Class::Late);
    assert_eq!(stream.receive(&reply(0, 0), 2).class, Class::DupDown);
}

#[test]
fn every_echo_must_fit() {
    let mut stream = stream();
    send(&mut stream, 0, 10);
    let good = reply(0, 10);
    // Each is wrong from one test on: the first decides.
    let kind = Reply { answers: false, ..good };
    let timestamp = Reply { sent: 11, ..kind };
    let attempt = Reply { attempt: 1, ..timestamp };
    let seq = Reply { seq: 1, ..attempt };
    for (wrong, class) in [
        (Reply { owner: 1, ..seq }, Class::UnknownId),
        (Reply { owner: 8, ..seq }, Class::UnknownId),
        (seq, Class::WrongSeq),
        (Reply { seq: 8, ..good }, Class::WrongSeq),
        (attempt, Class::WrongAttempt),
        (timestamp, Class::WrongTimestamp),
        (kind, Class::WrongKind),
    ] {
        assert_eq!(stream.receive(&wrong, 12), Classified { class, first: None, ipdv: None }, "{wrong:?}");
    }
    assert!(stream.remembers(0) && !stream.remembers(1) && !stream.remembers(8));
    assert_eq!(stream.receive(&reply(0, 10), 12).class, Class::Ok);
}

#[test]
fn duplicates_are_told_apart_by_the_responders_number() {
    let mut stream = stream();
    send(&mut stream, 0, 0);
    let classes: Vec<Class> =
        [5, 5, 6, 6, 5].into_iter().map(|rseq| stream.receive(&with_rstat(0, 0, rseq, 1), 1).class).collect();
    assert_eq!(classes, [Class::Ok, Class::DupDown, Class::DupUp, Class::DupDown, Class::DupDown]);
}

#[test]
fn windows_tell_the_direction_of_loss() {
    let mut stream = stream();
    (0..6).for_each(|seq| send(&mut stream, seq, 0));
    // 4 is answered: 3 and 1 were seen by the responder, 2 and 0 were not; 5 is behind the window.
    stream.receive(&with_rstat(4, 0, 0, 0b1_0011 | 1 << 3), 1);
    stream.finish(2, false);
    let tally = stream.tally();
    assert_eq!((tally.lost_up, tally.lost_down, tally.lost_unknown), (1, 3, 1));
    let mut stream = self::stream();
    (0..3).for_each(|seq| send(&mut stream, seq, 0));
    stream.receive(&with_rstat(1, 0, 0, 0b01), 1);
    stream.receive(&with_rstat(2, 0, 1, 0b111), 1);
    stream.finish(2, false);
    assert_eq!(stream.tally().lost_down, 1, "it came up later than its successor and was lost after that");
}

#[test]
fn a_full_ring_refuses_until_the_oldest_has_timed_out() {
    let mut stream = stream();
    (0..8).for_each(|seq| send(&mut stream, seq, 0));
    assert_eq!(stream.send(0, TIMEOUT, |seq| seq), Err(Full));
    assert_eq!(stream.tally().sent, 8);
    send(&mut stream, 8, TIMEOUT + 1);
    assert_eq!(stream.tally().lost_unknown, 1, "what is displaced can no longer be late");
    assert_eq!(stream.receive(&reply(0, 0), TIMEOUT + 2).class, Class::UnknownId);
    assert_eq!(stream.receive(&reply(1, 0), TIMEOUT + 2).class, Class::Late);
}

#[test]
fn what_did_not_leave_is_not_sent_and_its_number_is_free_again() {
    let mut stream = stream();
    (0..4).for_each(|seq| send(&mut stream, seq, 0));
    stream.cancel(1);
    send(&mut stream, 4, 0);
    (2..5).for_each(|seq| stream.cancel(seq));
    stream.cancel(4);
    assert_eq!((stream.tally().sent, stream.tally().open), (1, 1));
    assert_eq!(stream.receive(&reply(1, 0), 1).class, Class::UnknownId);
    send(&mut stream, 1, 5);
    assert_eq!(stream.receive(&reply(0, 0), 6).class, Class::Ok);
    assert_eq!(stream.receive(&reply(1, 5), 6).class, Class::Ok);
}

#[test]
fn a_full_send_buffer_does_not_use_up_the_ring() {
    let mut stream = stream();
    send(&mut stream, 0, 0);
    for _ in 0..100 {
        send(&mut stream, 1, 1);
        stream.expire(1);
        stream.cancel(1);
    }
    assert_eq!(stream.receive(&reply(0, 0), TIMEOUT + 1).class, Class::Late);
}

#[test]
fn only_an_abort_leaves_something_pending() {
    for (aborted, pending, lost) in [(false, 0, 2), (true, 1, 1)] {
        let mut stream = stream();
        send(&mut stream, 0, 0);
        send(&mut stream, 1, 50);
        stream.finish(TIMEOUT + 1, aborted);
        let tally = stream.tally();
        assert_eq!((tally.pending, tally.lost(), tally.open, tally.expired), (pending, lost, 0, 0));
        assert_eq!(stream.receive(&reply(1, 50), TIMEOUT + 1).class, Class::UnknownId);
    }
}

#[test]
fn what_says_nothing_answers_the_oldest_that_waits() {
    let mut stream = stream();
    assert_eq!(stream.receive_any(1), Classified { class: Class::Unasked, first: None, ipdv: None });
    (0..4).for_each(|seq| send(&mut stream, seq, 10 * seq + 10));
    assert_eq!(stream.receive_any(50), Classified { class: Class::Ok, first: Some((9, 10)), ipdv: None });
    assert_eq!(
        stream.receive_any(50),
        Classified { class: Class::Ok, first: Some((19, 20)), ipdv: apart(10) }
    );
    // 2 is timed out, 3 is not.
    let now = 31 + TIMEOUT;
    assert_eq!(stream.receive_any(now), Classified { class: Class::Ok, first: Some((39, 40)), ipdv: None });
    assert_eq!(
        stream.receive_any(now),
        Classified { class: Class::Late, first: Some((29, 30)), ipdv: apart(10) }
    );
    assert_eq!(stream.receive_any(now).class, Class::Unasked);
    // What the ring has forgotten is lost, and the oldest that it has not is next.
    (4..14).for_each(|seq| send(&mut stream, seq, now + (TIMEOUT + 1) * seq));
    let end = now + (TIMEOUT + 1) * 15;
    let late = stream.receive_any(end);
    assert_eq!((late.class, late.first.map(|(_, sent)| sent)), (Class::Late, Some(now + (TIMEOUT + 1) * 6)));
    stream.finish(end, false);
    let tally = stream.tally();
    assert_eq!((tally.ok, tally.late, tally.lost(), tally.accounted()), (3, 2, 9, 14));
    assert_eq!(stream.receive_any(end).class, Class::Unasked, "the books are closed");
}

#[test]
fn a_sum_has_every_counter() {
    let tally = Tally {
        sent: 3,
        ok: 4,
        late: 5,
        error: 6,
        lost_up: 7,
        lost_down: 8,
        lost_unknown: 9,
        pending: 10,
        expired: 11,
        open: 12,
        dup_up: 13,
        dup_down: 14,
        reordered: 15,
        three_reordered: 16,
    };
    assert_eq!((tally.lost(), tally.accounted()), (7 + 8 + 9, 4 + 5 + 6 + 24 + 10 + 11 + 12));
    let mut sum = tally;
    sum.add(&tally);
    assert_eq!(
        sum,
        Tally {
            sent: 6,
            ok: 8,
            late: 10,
            error: 12,
            lost_up: 14,
            lost_down: 16,
            lost_unknown: 18,
            pending: 20,
            expired: 22,
            open: 24,
            dup_up: 26,
            dup_down: 28,
            reordered: 30,
            three_reordered: 32,
        }
    );
}

/// What may happen to a stream.
#[derive(Clone, Debug)]
enum Step {
    Send,
    SendAndCancel,
    Reply { back: u64, error: bool, rstat: Option<(u64, u64)>, forged: bool },
    Pass(Nanos),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let rstat = proptest::option::of((0_u64..4, any::<u64>()));
    prop_oneof![
        4 => Just(Step::Send),
        1 => Just(Step::SendAndCancel),
        4 => (0_u64..12, any::<bool>(), rstat, proptest::bool::weighted(0.1))
            .prop_map(|(back, error, rstat, forged)| Step::Reply { back, error, rstat, forged }),
        2 => (0..TIMEOUT).prop_map(Step::Pass),
        1 => Just(Step::Sweep),
    ]
}

/// The naive model: maps without limit, nothing incremental.
#[derive(Debug, Default)]
struct Model {
    now: Nanos,
    next: u64,
    sent: BTreeMap<u64, Nanos>,
    ended: BTreeMap<u64, Class>,
    displaced: BTreeMap<u64, ()>,
    dups: u64,
}

impl Model {
    fn send(&mut self, stream: &mut Stream, cancel: bool) {
        let seq = self.next;
        let older = seq.checked_sub(8).filter(|older| self.sent.contains_key(older));
        let blocked =
            older.is_some_and(|o| !self.ended.contains_key(&o) && self.now <= self.sent[&o] + TIMEOUT);
        let result = stream.send(self.now, self.now, |seq| seq).map(|(seq, _)| seq);
        assert_eq!(result, if blocked { Err(Full) } else { Ok(seq) });
        if blocked {
            return;
        }
        self.next += 1;
        if let Some(gone) = seq.checked_sub(8) {
            self.displaced.insert(gone, ());
        }
        if cancel {
            stream.cancel(seq);
            self.next = seq;
        } else {
            self.sent.insert(seq, self.now);
        }
    }

    fn classify(&mut self, seq: u64, reply: &Reply) -> Vec<Class> {
        let remembered = self.sent.get(&seq).filter(|_| !self.displaced.contains_key(&seq));
        let Some(sent) = remembered else { return vec![Class::UnknownId] };
        if reply.attempt != 0 {
            return vec![Class::WrongAttempt];
        }
        if self.ended.contains_key(&seq) {
            self.dups += 1;
            return vec![Class::DupUp, Class::DupDown];
        }
        let class = match reply.error {
            _ if self.now > sent + TIMEOUT => Class::Late,
            Some(code) => Class::Error(code),
            None => Class::Ok,
        };
        self.ended.insert(seq, class);
        vec![class]
    }

    fn count(&self, wanted: impl Fn(&Class) -> bool) -> u64 {
        self.ended.values().filter(|class| wanted(class)).count() as u64
    }

    fn take(&mut self, stream: &mut Stream, step: &Step) {
        match *step {
            Step::Send => self.send(stream, false),
            Step::SendAndCancel => self.send(stream, true),
            Step::Pass(time) => self.now += time,
            Step::Sweep => stream.expire(self.now),
            Step::Reply { back, error, rstat, forged } => {
                let seq = self.next.saturating_sub(back);
                let reply = Reply {
                    attempt: forged.into(),
                    error: error.then_some(Code::BUSY),
                    rstat: rstat.map(|(rseq, window)| Rstat { rseq, window: Some(window) }),
                    ..Reply::plain(seq, self.sent.get(&seq).copied().unwrap_or(self.now))
                };
                let outcome = stream.receive(&reply, self.now);
                let wanted = self.classify(seq, &reply);
                assert!(wanted.contains(&outcome.class), "{outcome:?} but {wanted:?} for {reply:?}");
                let first = matches!(outcome.class, Class::Ok | Class::Late | Class::Error(_));
                assert_eq!(outcome.first.is_some(), first);
            }
        }
        assert_eq!(stream.tally().sent, stream.tally().accounted(), "after {step:?}");
        assert_eq!(stream.tally().sent, self.sent.len() as u64);
    }
}

proptest! {
    #[test]
    fn the_books_equal_the_model_after_any_sequence(
        steps in proptest::collection::vec(step(), 0..200),
        aborted in any::<bool>(),
    ) {
        let mut stream = stream();
        let mut model = Model { now: 1, ..Model::default() };
        for step in &steps {
            model.take(&mut stream, step);
        }
        stream.finish(model.now, aborted);
        let tally = stream.tally();
        let open = |seq: &u64, sent: &Nanos| !model.ended.contains_key(seq) && model.now <= sent + TIMEOUT;
        let pending = model.sent.iter().filter(|(seq, sent)| open(seq, sent)).count() as u64;
        prop_assert_eq!(tally.ok, model.count(|class| *class == Class::Ok));
        prop_assert_eq!(tally.late, model.count(|class| *class == Class::Late));
        prop_assert_eq!(tally.error, model.count(|class| matches!(class, Class::Error(_))));
        prop_assert_eq!(tally.pending, if aborted { pending } else { 0 });
        prop_assert_eq!(tally.dup_up + tally.dup_down, model.dups);
        prop_assert_eq!(tally.lost() + tally.pending, tally.sent - model.ended.len() as u64);
        prop_assert_eq!((tally.open, tally.expired), (0, 0));
    }
}

#[test]
fn neighbours_whose_answers_come_in_a_row_are_compared() {
    let mut stream = Stream::new(8, 1000);
    for seq in 0..6 {
        stream.send(10 * seq, 10 * seq, |seq| seq).unwrap();
    }
    let mut answer = |seq: u64, trip: u64| {
        stream.receive(&reply(seq, 10 * seq), 10 * seq + trip).ipdv.map(|ipdv| ipdv.trip)
    };
    assert_eq!((answer(0, 100), answer(1, 130), answer(2, 90)), (None, Some(30), Some(40)));
    assert_eq!(answer(2, 95), None, "a duplicate");
    assert_eq!(answer(4, 100), None, "3 is between");
    assert_eq!(answer(3, 120), Some(20), "also the other way round");
}

#[test]
fn losses_in_a_row_are_counted_by_the_numbers_not_by_the_answers() {
    let mut stream = Stream::new(4, 10);
    for seq in 0..10 {
        stream.send(100 * seq, 100 * seq, |seq| seq).unwrap();
        // Lost are 1, 2, 5, 8 and 9.
        if ![1, 2, 5, 8, 9].contains(&seq) {
            stream.receive(&reply(seq, 100 * seq), 100 * seq + 1);
        }
    }
    stream.finish(2000, false);
    let lengths: Vec<(u64, u64)> = stream.loss_runs().lengths().into_iter().collect();
    assert_eq!(lengths, [(1, 1), (2, 2)]);
    assert_eq!(stream.tally().lost(), 5);
}
