//! The store of delayed datagrams: its order, its limits, and who gives way to whom.

use super::*;

const L: Token = Token { index: 0, generation: 0 };
const M: Token = Token { index: 1, generation: 1 };
const SECOND: u64 = 1_000_000_000;

fn output(at_ns: u64, payload: &[u8]) -> Output<'_> {
    let to = "192.0.2.1:9".parse().unwrap();
    Output {
        answers: Default::default(),
        payload,
        to,
        from: None,
        at_ns,
        segment: 0,
        tos: 0,
        session: 0,
        to_client: false,
        address: Output::HERE,
        proved: false,
        df: false,
        answers_group: false,
        ticket: 0,
        asked_with: 0,
        hop_limit: 0,
    }
}

/// How many of `n` datagrams of `bytes` the store takes at `now_ns`; they are due in a minute.
fn taken(delayed: &mut Delayed, listener: Token, n: usize, bytes: usize, now_ns: u64) -> usize {
    let payload = vec![7; bytes];
    (0..n).filter(|_| delayed.push(listener, &output(now_ns + 60 * SECOND, &payload), now_ns)).count()
}

fn held(delayed: &Delayed, listener: Token) -> usize {
    delayed.queues.get(&listener).map_or(0, |share| share.queue.len())
}

/// Takes the next datagram of a listener if it is due: its payload.
fn pop_due_of(delayed: &mut Delayed, listener: Token, now_ns: u64) -> Option<Vec<u8>> {
    let payload = delayed.due_of(listener, now_ns).next()?.payload.to_vec();
    delayed.forget(listener, 1);
    Some(payload)
}

/// Takes the datagram that is due first, whoever has it.
fn pop_due(delayed: &mut Delayed, now_ns: u64) -> Option<(Token, Vec<u8>)> {
    let listener = delayed.due(now_ns)?;
    Some((listener, pop_due_of(delayed, listener, now_ns)?))
}

fn evicted(delayed: &mut Delayed) -> Vec<(Token, u64)> {
    std::iter::from_fn(|| delayed.pop_evicted()).collect()
}

#[test]
fn datagrams_leave_in_order_of_their_moment_then_of_arrival() {
    let mut delayed = Delayed::new(9, 9);
    for (at, payload) in [(20, b"c"), (10, b"a"), (10, b"b")] {
        assert!(delayed.push(L, &output(at, payload), 1));
    }
    assert_eq!(delayed.due(9), None);
    let order: Vec<_> = std::iter::from_fn(|| pop_due_of(&mut delayed, L, 20)).collect();
    assert_eq!(order, [b"a", b"b", b"c"]);
    assert_eq!((delayed.bytes, delayed.datagrams, delayed.next()), (0, 0, None));
}

#[test]
fn the_datagrams_of_several_listeners_are_one_order() {
    let mut delayed = Delayed::new(99, 99);
    for (listener, at, payload) in [(L, 30, b"d"), (M, 10, b"a"), (M, 30, b"e"), (L, 20, b"c"), (M, 20, b"b")]
    {
        assert!(delayed.push(listener, &output(at, payload), 1));
    }
    assert_eq!(delayed.due(10), Some(M));
    let order: Vec<_> = std::iter::from_fn(|| pop_due(&mut delayed, 40)).collect();
    let expected: Vec<_> =
        [(M, b"a"), (L, b"c"), (M, b"b"), (L, b"d"), (M, b"e")].map(|(t, p)| (t, p.to_vec())).into();
    assert_eq!(order, expected);
}

#[test]
fn those_of_one_listener_can_be_taken_before_those_of_others() {
    let mut delayed = Delayed::new(99, 99);
    for (listener, at, payload) in [(L, 10, b"a"), (M, 12, b"b"), (M, 11, b"c"), (M, 20, b"d")] {
        assert!(delayed.push(listener, &output(at, payload), 1));
    }
    let taken: Vec<_> = std::iter::from_fn(|| pop_due_of(&mut delayed, M, 19)).collect();
    assert_eq!((taken, delayed.next(), held(&delayed, M)), (vec![b"c".to_vec(), b"b".to_vec()], Some(10), 1));
    assert!(pop_due_of(&mut delayed, Token { index: 9, generation: 9 }, 99).is_none());
}

#[test]
fn those_of_one_listener_go_and_give_their_bytes_back() {
    let mut delayed = Delayed::new(99, 99);
    for (listener, payload) in [(L, b"one"), (M, b"two"), (L, b"six")] {
        assert!(delayed.push(listener, &output(9, payload), 1));
    }
    assert_eq!((delayed.remove(L), delayed.remove(L), delayed.bytes), (2, 0, 3));
    assert_eq!(pop_due(&mut delayed, 9), Some((M, b"two".to_vec())));
    assert!(delayed.weights.iter().all(BTreeSet::is_empty));
}

/// Up by sessions and down by the listener are two queues of one owner.
#[test]
fn a_listener_and_its_sessions_are_no_others_to_each_other() {
    let mut delayed = Delayed::new(1000, 1 << 20);
    assert_eq!(taken(&mut delayed, L, 400, 10, 1), 400);
    assert_eq!(delayed.room(L.beside(), 1).datagrams, 600);
    assert_eq!(taken(&mut delayed, L.beside(), 2000, 10, 1), 600);
    assert_eq!(delayed.room(L, 1).datagrams, 0);
    // Together they have the share of one.
    let mut delayed = Delayed::new(1000, 1 << 20);
    assert_eq!(taken(&mut delayed, M, 1, 10, 1), 1);
    assert_eq!(taken(&mut delayed, L.beside(), 200, 10, 1), 200);
    assert_eq!(taken(&mut delayed, L, 200, 10, 1), 50);
    assert_eq!((delayed.room(L, 1).datagrams, delayed.room(L.beside(), 1).datagrams), (0, 0));
}

#[test]
fn both_limits_hold() {
    let mut delayed = Delayed::new(2, 8);
    assert!(delayed.push(L, &output(1, b"four"), 1));
    assert!(!delayed.push(L, &output(1, b"five."), 1));
    assert!(delayed.push(L, &output(1, b"four"), 1));
    assert!(!delayed.push(L, &output(1, b""), 1));
    delayed.clear();
    assert!(delayed.push(L, &output(1, b"eight---"), 1));
    assert!(!Delayed::new(0, 8).push(L, &output(1, b""), 1));
    assert!(!Delayed::new(8, 0).push(L, &output(1, b"a"), 1));
}

#[test]
fn a_listener_alone_may_fill_the_store() {
    let mut delayed = Delayed::new(1000, 1 << 20);
    assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 1000);
    assert_eq!(evicted(&mut delayed), []);
}

#[test]
fn while_others_are_active_a_quarter_is_the_most() {
    for (datagrams, bytes) in [(1000, 1 << 30), (1 << 20, 1000 * 10)] {
        let mut delayed = Delayed::new(datagrams, bytes);
        assert_eq!(taken(&mut delayed, M, 1, 10, 1), 1);
        assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 250);
        assert_eq!(taken(&mut delayed, M, 2000, 10, 1), 249);
        assert_eq!((held(&delayed, L), evicted(&mut delayed)), (250, vec![]));
    }
}

#[test]
fn a_listener_is_active_for_a_second_after_its_last_wish() {
    let mut delayed = Delayed::new(1000, 1 << 20);
    assert!(delayed.push(M, &output(2, b"soon"), 1));
    assert!(pop_due(&mut delayed, 2).is_some());
    assert_eq!(taken(&mut delayed, L, 2000, 10, SECOND), 250);
    assert_eq!(taken(&mut delayed, L, 2000, 10, SECOND + 1), 750);
}

#[test]
fn a_listener_that_is_gone_is_not_active() {
    let mut delayed = Delayed::new(1000, 1 << 20);
    taken(&mut delayed, M, 1, 10, 1);
    delayed.remove(M);
    assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 1000);
}

#[test]
fn who_filled_the_store_gives_way_and_loses_what_is_due_last() {
    for (datagrams, bytes) in [(1000, 1 << 30), (1 << 20, 1000 * 10)] {
        let mut delayed = Delayed::new(datagrams, bytes);
        assert!(delayed.push(L, &output(5, &[0; 10]), 1));
        assert_eq!(taken(&mut delayed, L, 2000, 10, 1), 999);
        assert_eq!(taken(&mut delayed, M, 2000, 10, 1), 250);
        assert_eq!(evicted(&mut delayed), [(L, 250)]);
        assert_eq!((held(&delayed, L), held(&delayed, M)), (750, 250));
        assert_eq!(delayed.next(), Some(5));
        assert!(delayed.datagrams <= datagrams && delayed.bytes <= bytes);
    }
}

/// Who has many small datagrams does not lose them where bytes are short.
#[test]
fn who_holds_most_of_what_is_short_gives_way() {
    const N: Token = Token { index: 2, generation: 2 };
    const O: Token = Token { index: 3, generation: 3 };
    let mut delayed = Delayed::new(100, 25_000);
    assert_eq!((taken(&mut delayed, M, 75, 1, 1), taken(&mut delayed, L, 6, 1000, 1)), (75, 6));
    assert_eq!(taken(&mut delayed, N, 1, 16_000, 1), 1);
    assert_eq!((taken(&mut delayed, O, 1, 4000, 1), evicted(&mut delayed)), (1, vec![(N, 1)]));
    // Nor does who has large ones lose them where places are short.
    assert_eq!(taken(&mut delayed, N, 1, 12_000, 1), 1);
    assert_eq!(taken(&mut delayed, O, 20, 1, 1), 20);
    assert_eq!(evicted(&mut delayed), [(M, 3)]);
    assert_eq!((held(&delayed, M), held(&delayed, L), held(&delayed, N)), (72, 6, 1));
}

/// What cannot find room drops nothing of others.
#[test]
fn nobody_gives_way_in_vain() {
    let mut delayed = Delayed::new(1 << 20, 10_000);
    assert_eq!(taken(&mut delayed, L, 10_000, 1, 1), 10_000);
    // 64 of the small ones would not be enough.
    assert_eq!(taken(&mut delayed, M, 1, MOST_EVICTED + 1, 1), 0);
    assert_eq!((held(&delayed, L), evicted(&mut delayed)), (10_000, vec![]));
    assert_eq!(taken(&mut delayed, M, 1, MOST_EVICTED, 1), 1);
    assert_eq!(evicted(&mut delayed), [(L, MOST_EVICTED as u64)]);
}

/// What a listener is told beforehand is what it gets.
#[test]
fn the_room_is_told_as_it_is() {
    for (datagrams, bytes) in [(1000, 1 << 30), (1 << 20, 10_000), (100, 1000)] {
        let mut delayed = Delayed::new(datagrams, bytes);
        let least = |delayed: &Delayed, listener| {
            let room = delayed.room(listener, 1);
            room.datagrams.min(room.bytes / 10)
        };
        let whole = datagrams.min(bytes / 10);
        assert_eq!((least(&delayed, L), delayed.first_room()), (whole, DelayRoom { datagrams, bytes }));
        assert_eq!(taken(&mut delayed, L, whole / 2, 10, 1), whole / 2);
        let told = least(&delayed, L);
        assert_eq!((told, taken(&mut delayed, L, 2 * whole, 10, 1)), (whole - whole / 2, told));
        assert_eq!(least(&delayed, L), 0);
        // Others would give way.
        let told = least(&delayed, M);
        assert!(told >= whole / 5, "{told} of {whole}");
        assert!(taken(&mut delayed, M, 2 * whole, 10, 1) >= told);
    }
    assert_eq!(Delayed::new(0, 8).room(L, 1), DelayRoom { datagrams: 0, bytes: 8 });
}

/// More listeners than there are quarters: each finds room for half of an equal part at least.
#[test]
fn twenty_floods_one_after_the_other_leave_room_for_each() {
    let mut delayed = Delayed::new(10_000, 1 << 30);
    let all = (0..20).map(|index| Token { index, generation: 1 });
    for listener in all.clone() {
        taken(&mut delayed, listener, 20_000, 10, 1);
    }
    for listener in all {
        assert!(held(&delayed, listener) >= 10_000 / 20 / 2, "{listener:?}: {}", held(&delayed, listener));
    }
    assert_eq!(delayed.datagrams, 10_000);
}

/// A datagram as large as the share of its listener is not refused for ever.
#[test]
fn one_datagram_is_within_any_share() {
    let mut delayed = Delayed::new(100, 100);
    taken(&mut delayed, M, 1, 10, 1);
    assert_eq!(taken(&mut delayed, L, 2, 60, 1), 1);
}
