//! The replay window against a set of every number ever seen.

use std::collections::BTreeSet;

use polyport_protocol::{ReplayWindow, WINDOW_SPAN, WindowError};
use proptest::collection::vec;
use proptest::prelude::*;

/// How the next number lies to the highest so far.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ahead(u64),
    Behind(u64),
    Anywhere(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u64).prop_map(Step::Ahead),
        2 => (0..WINDOW_SPAN * 2).prop_map(Step::Ahead),
        6 => (0..80_u64).prop_map(Step::Behind),
        3 => (WINDOW_SPAN - 3..WINDOW_SPAN + 3).prop_map(Step::Behind),
        1 => any::<u64>().prop_map(Step::Anywhere),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 400 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_agrees_with_the_set(start in any::<u64>(), steps in vec(step(), 1..200)) {
        let mut window = ReplayWindow::new();
        let mut seen = BTreeSet::new();
        let mut top = start;
        for step in steps {
            let seq = match step {
                Step::Ahead(by) => top.saturating_add(by),
                Step::Behind(by) => top.saturating_sub(by),
                Step::Anywhere(seq) => seq,
            };
            let expected = expect(&seen, seq);
            prop_assert_eq!(window.check(seq), expected);
            prop_assert_eq!(window.accept(seq), expected);
            if expected.is_ok() {
                seen.insert(seq);
            }
            top = *seen.last().unwrap();
            prop_assert_eq!(window.top(), Some(top));
            prop_assert_eq!(window.recent(seq), recent(&seen, seq));
        }
    }
}

fn expect(seen: &BTreeSet<u64>, seq: u64) -> Result<(), WindowError> {
    match seen.last() {
        Some(top) if top.saturating_sub(seq) >= WINDOW_SPAN => Err(WindowError::TooOld),
        Some(_) if seen.contains(&seq) => Err(WindowError::Replay),
        Some(_) | None => Ok(()),
    }
}

fn recent(seen: &BTreeSet<u64>, seq: u64) -> u64 {
    let top = *seen.last().unwrap();
    (0..64)
        .filter(|back| seq.checked_sub(*back).is_some_and(|n| seen.contains(&n) && top - n < WINDOW_SPAN))
        .fold(0, |bits, back| bits | (1 << back))
}
