//! What a tap shows is what the books have, whatever goes wrong: the seeds of `seeded`, seen by a tap.

use std::collections::BTreeMap;

use polyport::metrics::{Counters, DropReason, Stage};
use polyport::tap::{Direction, Filter, Verdict, feed};

use crate::seeded::prepared;

/// Runs; each is one of `seeded` as well.
const SEEDS: u64 = 300;

#[test]
fn a_tap_has_what_the_books_have() {
    let (mut whole, mut reasons) = (0, BTreeMap::<&str, u64>::new());
    for seed in 0..SEEDS {
        let (mut bench, _) = prepared(seed);
        // Without payloads more finds room, since nobody reads before the end.
        let (feed, reader) = feed(Filter::default(), 0, None);
        let number = bench.reactor.add_tap(None, feed).unwrap();
        let slots = bench.reactor.slots();
        bench.reactor.tell_taps_in(0..slots);
        bench.reactor.turn_tap_on(number);
        bench.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut books = Counters::default();
        bench.reactor.reports().for_each(|report| books += report.counters);
        let (mut shown, mut received) = (BTreeMap::<&str, u64>::new(), 0);
        while let Some(chunk) = reader.take() {
            for entry in &chunk.entries {
                received += u64::from(entry.direction == Direction::In);
                let name = match entry.verdict {
                    Verdict::Replied => "replied",
                    Verdict::Consumed => "consumed",
                    Verdict::Kept => "kept",
                    Verdict::Sent => "sent",
                    Verdict::Dropped(reason) => reason,
                };
                *shown.entry(name).or_default() += 1;
            }
        }
        let lost = reader.lost();
        if lost.left_out > 0 {
            continue;
        }
        whole += 1;
        let of = |name: &str| shown.get(name).copied().unwrap_or(0);
        assert_eq!((received, of("sent")), (books.received, books.sent), "seed {seed}: {shown:?}\n{books:?}");
        // What was kept for the next handler is shown once, and counted again as what became of it then.
        if of("kept") == 0 {
            assert_eq!(
                (of("replied"), of("consumed")),
                (books.replied, books.consumed),
                "seed {seed}: {books:?}"
            );
        }
        let mut missing = 0;
        for reason in DropReason::ALL {
            let (seen, counted) = (of(reason.name()), books.dropped(*reason));
            if reason.stage() == Stage::Send {
                assert!(seen <= counted, "seed {seed}: {reason}: {seen} of {counted}");
                missing += counted - seen;
            } else if of("kept") == 0 {
                assert_eq!(seen, counted, "seed {seed}: {reason}");
            }
            *reasons.entry(reason.name()).or_default() += seen;
        }
        assert_eq!(missing, lost.unseen, "seed {seed}: {shown:?}\n{books:?}");
    }
    assert!(whole > SEEDS / 2, "{whole} runs were shown whole");
    for reason in
        ["on_purpose", "handler_fault", "poison", "truncated", "own_listener", "delay_full", "backlog_full"]
    {
        assert!(reasons.get(reason).is_some_and(|n| *n > 0), "{reason} was never shown: {reasons:?}");
    }
}
