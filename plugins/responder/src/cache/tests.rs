//! Every row of the lookup table, and the limits.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { entries: 4, bytes: 100, per_peer: 3, ttl_ns: 1000 };

/// A cache with a host that grants everything.
fn cache_of(limits: Limits) -> ReplyCache {
    ReplyCache::new(limits, [Reservation::default(), Reservation::default()])
}

fn key(port: u16, request_id: u64) -> RequestKey {
    RequestKey { peer: ([192, 0, 2, 1], port).into(), local_port: 7, stream_id: 1, request_id }
}

/// What `begin` said, in a word; a new request is executed at once with its id as payload length.
fn ask(cache: &mut ReplyCache, key: RequestKey, digest: u64, now: u64) -> &'static str {
    match cache.begin(key, digest, Peer::Unproved, now) {
        Lookup::New(ticket) => {
            let payload = vec![7; usize::try_from(key.request_id).unwrap() % 1000];
            cache.finish(ticket, Code::OK, &payload, now);
            "new"
        }
        Lookup::InProgress => "in progress",
        Lookup::Done(_) => "done",
        Lookup::Conflict => "conflict",
        Lookup::Full => "full",
    }
}

#[test]
fn every_row_of_the_table() {
    let mut cache = cache_of(LIMITS);
    let Lookup::New(ticket) = cache.begin(key(1, 1), 5, Peer::Unproved, 0) else {
        panic!("an empty cache knows nothing")
    };
    assert!(matches!(cache.begin(key(1, 1), 5, Peer::Unproved, 0), Lookup::InProgress));
    assert!(
        matches!(cache.begin(key(1, 1), 6, Peer::Unproved, 0), Lookup::InProgress),
        "whatever the digest"
    );
    cache.finish(ticket, Code(130), b"reply", 0);
    let Lookup::Done(stored) = cache.begin(key(1, 1), 5, Peer::Unproved, 0) else { panic!("it is done") };
    assert_eq!((stored.code, &*stored.payload), (Code(130), &b"reply"[..]));
    assert!(matches!(cache.begin(key(1, 1), 6, Peer::Unproved, 0), Lookup::Conflict));
    assert_eq!(cache.entries(), 1);
}

#[test]
fn every_part_of_the_key_counts() {
    let mut cache = cache_of(Limits { entries: 10, per_peer: 10, ..LIMITS });
    let first = key(1, 1);
    assert_eq!(ask(&mut cache, first, 0, 0), "new");
    for other in [
        key(2, 1),
        key(1, 2),
        RequestKey { stream_id: 2, ..first },
        RequestKey { local_port: 8, ..first },
        RequestKey { peer: "[::1]:1".parse().unwrap(), ..first },
    ] {
        assert_eq!(ask(&mut cache, other, 0, 0), "new", "{other:?}");
    }
    assert_eq!(ask(&mut cache, first, 0, 0), "done");
}

#[test]
fn a_full_cache_evicts_the_oldest_that_is_done_and_never_work_in_progress() {
    let mut cache = cache_of(LIMITS);
    let tickets: Vec<_> =
        (1..=3).map(|port| ticket(cache.begin(key(port, 1), 0, Peer::Unproved, 0))).collect();
    assert_eq!(ask(&mut cache, key(4, 1), 0, 0), "new");
    assert_eq!(ask(&mut cache, key(5, 1), 0, 0), "new", "in the place of the only one that is done");
    assert_eq!(cache.take_tally(), Tally { evicted_entries: 1, ..Tally::default() });
    let last = ticket(cache.begin(key(6, 1), 0, Peer::Unproved, 0));
    assert!(matches!(cache.begin(key(7, 1), 0, Peer::Unproved, 0), Lookup::Full), "all four are in progress");
    for open in tickets.into_iter().chain([last]) {
        cache.finish(open, Code::OK, b"", 0);
    }
    assert_eq!(ask(&mut cache, key(7, 1), 0, 0), "new");
    assert_eq!(ask(&mut cache, key(1, 1), 0, 0), "new", "the oldest had gone");
    assert_eq!(ask(&mut cache, key(3, 1), 0, 0), "done");
    assert_eq!(cache.entries(), 4);
}

fn ticket(lookup: Lookup<'_>) -> Ticket {
    let Lookup::New(ticket) = lookup else { panic!("{lookup:?}") };
    ticket
}

#[test]
fn a_peer_with_too_many_entries_pays_with_its_own() {
    let mut cache = cache_of(LIMITS);
    for (port, id) in [(2, 9), (1, 1), (1, 2), (1, 3), (1, 4)] {
        assert_eq!(ask(&mut cache, key(port, id), 0, 0), "new");
    }
    assert_eq!(cache.take_tally(), Tally { evicted_peer: 1, ..Tally::default() });
    assert_eq!(ask(&mut cache, key(2, 9), 0, 0), "done", "the other peer is older and stays");
    assert_eq!(ask(&mut cache, key(1, 4), 0, 0), "done");
    assert_eq!(ask(&mut cache, key(1, 1), 0, 0), "new");
    let mut one = cache_of(Limits { per_peer: 1, ..LIMITS });
    let open = ticket(one.begin(key(1, 1), 0, Peer::Unproved, 0));
    assert!(matches!(one.begin(key(1, 2), 0, Peer::Unproved, 0), Lookup::Full));
    one.finish(open, Code::OK, b"", 0);
    assert_eq!(ask(&mut one, key(1, 2), 0, 0), "new");
}

#[test]
fn payloads_are_bounded_together() {
    let mut cache = cache_of(LIMITS);
    assert_eq!(ask(&mut cache, key(1, 40), 0, 0), "new");
    assert_eq!(ask(&mut cache, key(2, 60), 0, 0), "new");
    assert_eq!((cache.bytes(), cache.take_tally()), (100, Tally::default()));
    assert_eq!(ask(&mut cache, key(3, 1), 0, 0), "new");
    assert_eq!((cache.bytes(), cache.take_tally().evicted_bytes), (61, 1));
    assert_eq!(ask(&mut cache, key(4, 101), 0, 0), "new");
    let tally = cache.take_tally();
    assert_eq!((cache.entries(), cache.bytes(), tally.evicted_bytes, tally.not_kept), (0, 0, 2, 1));
    assert!(cache.peers.is_empty());
}

#[test]
fn entries_live_for_their_time_and_no_longer() {
    let mut cache = cache_of(LIMITS);
    assert_eq!(ask(&mut cache, key(1, 1), 0, 50), "new");
    assert_eq!(ask(&mut cache, key(1, 1), 0, 1049), "done");
    assert_eq!(ask(&mut cache, key(1, 1), 0, 1050), "new");
    assert_eq!(cache.take_tally(), Tally { expired: 1, ..Tally::default() });
    assert_eq!(ask(&mut cache, key(2, 1), 0, 9999), "new");
    assert_eq!((cache.entries(), cache.take_tally().expired), (1, 1));
}

/// A longer life set later lets a younger entry expire behind an older one: it is found expired all the same.
#[test]
fn changed_limits_hold_from_the_next_request_on() {
    let mut cache = cache_of(LIMITS);
    assert_eq!(ask(&mut cache, key(1, 1), 0, 0), "new");
    cache.set_limits(Limits { ttl_ns: 10, ..LIMITS });
    assert_eq!(ask(&mut cache, key(1, 2), 0, 0), "new");
    assert_eq!(ask(&mut cache, key(1, 2), 0, 10), "new", "expired behind one that has not");
    cache.set_limits(Limits { entries: 1, ..LIMITS });
    assert_eq!(ask(&mut cache, key(1, 3), 0, 10), "new");
    assert_eq!(cache.entries(), 1);
}

#[test]
fn a_million_requests_cost_the_memory_of_the_limits() {
    let mut cache = cache_of(Limits { entries: 1000, bytes: 1 << 20, per_peer: 10, ttl_ns: 1 });
    for n in 0..1_000_000_u32 {
        let Lookup::New(ticket) =
            cache.begin(key(u16::try_from(n % 60_000).unwrap(), u64::from(n)), 0, Peer::Unproved, 0)
        else {
            panic!("{n}")
        };
        cache.finish(ticket, Code::OK, b"sixteen octets..", 0);
    }
    assert_eq!(
        (cache.entries(), cache.bytes(), cache.arena.slots(), cache.peers.len()),
        (1000, 16_000, 1000, 1000)
    );
    assert!(cache.index.capacity() < 4000 && cache.peers.capacity() < 4000);
}

/// What `begin` said to a peer of a kind.
fn ask_as(cache: &mut ReplyCache, of: Peer, key: RequestKey, now: u64) -> &'static str {
    match cache.begin(key, 0, of, now) {
        Lookup::New(ticket) => {
            cache.finish(ticket, Code::OK, b"sixteen octets..", now);
            "new"
        }
        Lookup::Done(_) => "done",
        other @ (Lookup::InProgress | Lookup::Conflict | Lookup::Full) => panic!("{other:?}"),
    }
}

#[test]
fn a_flood_of_forged_requests_evicts_its_own_kind_only() {
    for limits in [
        Limits { entries: 1000, bytes: 1 << 20, per_peer: 100, ttl_ns: 1 << 60 },
        Limits { entries: 5000, bytes: 16_000, per_peer: 100, ttl_ns: 1 << 60 },
    ] {
        let mut cache = cache_of(limits);
        for id in 0..50 {
            assert_eq!(ask_as(&mut cache, Peer::Proved, key(9, id), 0), "new");
        }
        for n in 0..76_000_u64 {
            // Now and then the flood forges the address of the honest client, too.
            let port = if n % 100 == 0 { 9 } else { u16::try_from(n % 60_000).unwrap() };
            assert_eq!(ask_as(&mut cache, Peer::Unproved, key(port, 1000 + n), 0), "new");
        }
        assert!(cache.entries() <= limits.entries && cache.bytes() <= limits.bytes);
        for id in 0..50 {
            assert_eq!(ask_as(&mut cache, Peer::Proved, key(9, id), 0), "done", "{limits:?}");
        }
    }
}

#[test]
fn a_flood_of_those_who_proved_something_leaves_the_others_half() {
    let limits = Limits { entries: 100, bytes: 1 << 20, per_peer: 1000, ttl_ns: 1 << 60 };
    let mut cache = cache_of(limits);
    for id in 0..100 {
        ask_as(&mut cache, Peer::Proved, key(1, id), 0);
    }
    assert_eq!(
        (cache.entries(), cache.take_tally().evicted_entries),
        (100, 0),
        "one kind alone may have all"
    );
    for id in 0..80 {
        ask_as(&mut cache, Peer::Unproved, key(2, id), 0);
    }
    assert_eq!((cache.unproved.done.len(), cache.proved.done.len()), (50, 50));
    for id in 100..400 {
        ask_as(&mut cache, Peer::Proved, key(1, id), 0);
    }
    assert_eq!((cache.unproved.done.len(), cache.proved.done.len()), (50, 50));
    assert_eq!(ask_as(&mut cache, Peer::Unproved, key(2, 79), 0), "done");
}

/// The first attempt proves nothing; the second brings the COOKIE that the first one got.
#[test]
fn an_entry_is_proved_by_a_later_attempt() {
    let mut cache = cache_of(Limits { entries: 4, bytes: 1000, per_peer: 3, ttl_ns: 1000 });
    assert_eq!(ask_as(&mut cache, Peer::Unproved, key(1, 1), 0), "new");
    assert_eq!(ask_as(&mut cache, Peer::Proved, key(1, 1), 10), "done");
    assert_eq!(ask_as(&mut cache, Peer::Unproved, key(1, 1), 20), "done", "once proved, proved");
    assert_eq!((cache.unproved.bytes, cache.proved.bytes, cache.peers.len()), (0, 16, 1));
    for port in 10..90 {
        assert_eq!(ask_as(&mut cache, Peer::Unproved, key(port, 1), 30), "new");
    }
    assert_eq!(ask_as(&mut cache, Peer::Proved, key(1, 1), 999), "done");
    assert_eq!(ask_as(&mut cache, Peer::Proved, key(1, 1), 1000), "new", "its time did not begin anew");
}

#[test]
fn an_entry_costs_no_more_than_the_host_was_told() {
    use polyport_counting_alloc::live_bytes;
    let limits = Limits { entries: 70_000, bytes: 16 << 20, per_peer: 10, ttl_ns: 1 << 60 };
    let (before, mut cache) = (live_bytes(), cache_of(limits));
    let mut dearest = 0;
    for n in 0..70_000_u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let peer = ([10, a, b, c], 7).into();
        ask_as(&mut cache, Peer::Unproved, RequestKey { peer, ..key(1, u64::from(n)) }, 0);
        if n >= 64 {
            let each = usize::try_from(live_bytes() - before).unwrap() / (n as usize + 1);
            dearest = dearest.max(each);
        }
    }
    // Of payload there are 16 bytes each; `malloc` adds 8 bytes to each block, and rounds it up.
    assert!(dearest + 16 <= ENTRY_BYTES, "{dearest} bytes");
    assert!(ENTRY_BYTES < 2 * dearest, "{dearest} bytes: the host is told far too much");
}

proptest! {
    #[test]
    fn limits_hold_whatever_comes(asks in prop::collection::vec((1_u16..6, 0_u64..80, 0_u64..3, 0_u64..400), 1..300)) {
        let mut cache = cache_of(LIMITS);
        let mut now = 0;
        for (port, id, digest, later) in asks {
            now += later;
            prop_assert_ne!(ask(&mut cache, key(port, id), digest, now), "full");
            prop_assert!(cache.entries() <= 4 && cache.bytes() <= 100 && cache.arena.slots() <= 4);
            prop_assert!(cache.peers.len() <= cache.entries());
            prop_assert!(cache.peers.values().all(|share| share.done.len() <= 3 && share.in_progress == 0));
            prop_assert_eq!(cache.peers.values().map(|share| share.done.len()).sum::<usize>(), cache.entries());
        }
    }
}
