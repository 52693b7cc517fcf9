//! Properties of the search on any server, and of what a tester that is too slow does to it.

use polyport_protocol::SECOND;
use proptest::prelude::*;

use super::simulated::{Past, Server, uniform};
use super::{Ask, Goal, Outcome, Search, Stop, Trial};

const GOAL: Goal = Goal {
    loss_ratio: 0.0,
    exceed_ratio: 0.5,
    width: 0.01,
    initial: SECOND,
    last: 10 * SECOND,
    sum: 30 * SECOND,
};

/// A goal of any kind.
fn goal() -> impl Strategy<Value = Goal> {
    let spans = (1..20_u64, 0..60_u64, 0..60_u64);
    (0.0..0.3_f64, 0.0..0.9_f64, 0.002..0.2_f64, spans).prop_map(
        |(loss_ratio, exceed_ratio, width, (a, b, c))| Goal {
            loss_ratio,
            exceed_ratio,
            width,
            initial: a * SECOND,
            last: (a + b) * SECOND,
            sum: (a + b + c) * SECOND,
        },
    )
}

/// What a server of sharp limit can take at a goal.
fn capacity(limit: f64, goal: &Goal) -> f64 {
    limit / (1.0 - goal.loss_ratio)
}

proptest! {
    #[test]
    fn any_limit_lies_in_its_bracket(
        limit in 1.0..1e7_f64,
        lowest in 2.0..1e4_f64,
        ratio in 1.1..1e5_f64,
        goals in prop::collection::vec(goal(), 1..4),
    ) {
        let highest = lowest * ratio;
        let (search, past) = Server::Sharp { limit }.search(&goals, lowest, highest);
        prop_assert!(past.trials <= 100 * goals.len() as u64, "{} trials", past.trials);
        for (found, goal) in search.found().iter().zip(&goals) {
            let capacity = capacity(limit, goal);
            prop_assert!(found.reached);
            if let Some(lower) = found.lower {
                prop_assert!(lower.rate <= capacity * 1.000_001, "{:?}: {}", lower, capacity);
                prop_assert!(found.throughput.is_some_and(|rate| rate <= lower.rate && rate >= lower.rate * 0.7 * 0.99));
            } else {
                prop_assert!(capacity < lowest * 1.000_001);
            }
            if let Some(upper) = found.upper {
                prop_assert!(upper.rate >= capacity * 0.999_999, "{:?}: {}", upper, capacity);
            } else {
                prop_assert!(capacity > highest * 0.999_999);
            }
            if let (Some(lower), Some(upper)) = (found.lower, found.upper) {
                prop_assert!((upper.rate - lower.rate) / upper.rate <= goal.width * 1.000_001);
            }
        }
    }

    #[test]
    fn chance_does_not_keep_it_from_ending(
        seed in any::<u64>(),
        share in 0.0..1.0_f64,
        goals in prop::collection::vec(goal(), 1..4),
    ) {
        // Every trial is good or bad by chance, at any load.
        let mut search = Search::new(&goals, 10.0, 1e6).unwrap();
        let longest = goals.iter().map(|goal| goal.sum.div_ceil(goal.initial)).max().unwrap_or(1);
        let bound = 400 * longest * goals.len() as u64;
        let mut trials = 0;
        while let Some(Ask { duration, .. }) = search.ask() {
            let loss_ratio = if uniform(seed, trials) < share { 0.5 } else { 0.0 };
            let good = goals.iter().map(|goal| loss_ratio <= goal.loss_ratio).collect();
            search.tell(Outcome::Counted(Trial { duration, loss_ratio, good }));
            trials += 1;
            prop_assert!(trials < bound, "{} trials", trials);
        }
        prop_assert!(search.stopped().is_none() && search.found().iter().all(|found| found.reached));
    }

    #[test]
    fn a_slow_tester_is_no_limit_of_the_server(limit in 100.0..1e6_f64, tester in 20.0..1e6_f64) {
        let server = Server::Sharp { limit };
        let mut search = Search::new(&[GOAL], 10.0, 1e6).unwrap();
        let mut past = Past::default();
        let mut asked = 0;
        while let Some(ask) = search.ask() {
            asked += 1;
            prop_assert!(asked < 300);
            search.tell(if ask.rate > tester {
                Outcome::Limited(tester)
            } else {
                Outcome::Counted(server.measure(ask, &[GOAL], &mut past))
            });
        }
        prop_assert_eq!(search.stopped(), None);
        let found = search.found()[0];
        let lower = found.lower.unwrap().rate;
        prop_assert!(found.reached && lower <= limit && lower <= tester);
        match found.upper {
            Some(upper) => prop_assert!(upper.rate >= limit && upper.rate <= tester),
            None => {
                prop_assert!(lower >= 0.88 * tester.min(1e6), "{} of {}", lower, tester);
                prop_assert!(search.ceiling().is_some_and(|ceiling| ceiling <= tester && ceiling >= lower));
            }
        }
    }
}

#[test]
fn a_server_that_loses_nothing_has_no_upper_bound() {
    let (search, past) = Server::Sharp { limit: f64::INFINITY }.search(&[GOAL], 10.0, 1000.0);
    let found = search.found()[0];
    assert!(found.reached && found.upper.is_none() && found.throughput.is_some_and(|rate| rate >= 999.999));
    assert_eq!(search.ceiling(), None);
    let sure = found.lower.unwrap().sure;
    assert!(sure.good >= 15 * SECOND && sure.bad == 0, "half of 30 s and more would be enough: {sure:?}");
    assert!(past.seconds <= 40.0, "{past:?}");
}

#[test]
fn a_server_that_loses_everything_has_no_lower_bound() {
    let (search, past) =
        Server::Sharp { limit: 0.0 }.search(&[GOAL, Goal { loss_ratio: 0.5, ..GOAL }], 10.0, 1e6);
    for found in search.found() {
        assert!(found.reached && found.lower.is_none() && found.throughput.is_none());
        assert!((found.upper.unwrap().rate - 10.0).abs() < 1e-9, "{found:?}");
    }
    assert!(past.seconds <= 60.0, "{past:?}");
}

#[test]
fn trials_grow_from_the_first_length_to_the_last() {
    let mut search = Search::new(&[GOAL], 100.0, 1e5).unwrap();
    let mut past = Past::default();
    let mut lengths = Vec::new();
    while let Some(ask) = search.ask() {
        lengths.push(ask.duration / SECOND);
        search.tell(Outcome::Counted(Server::Sharp { limit: 7000.0 }.measure(ask, &[GOAL], &mut past)));
    }
    assert_eq!((lengths.first(), lengths.last()), (Some(&1), Some(&10)));
    assert!(lengths.is_sorted(), "{lengths:?}");
    assert!(lengths.contains(&5), "{lengths:?}");
}

#[test]
fn a_pause_of_the_tester_is_no_ceiling() {
    let mut search = Search::new(&[GOAL], 10.0, 1e6).unwrap();
    let mut past = Past::default();
    let mut trials = 0;
    while let Some(ask) = search.ask() {
        trials += 1;
        // One trial in three has a hiccup that costs a hundredth of the rate, but the first is repeated at once.
        search.tell(if trials % 3 == 1 {
            Outcome::Limited(ask.rate * 0.99)
        } else {
            Outcome::Counted(Server::Sharp { limit: 7000.0 }.measure(ask, &[GOAL], &mut past))
        });
    }
    assert_eq!((search.stopped(), search.ceiling()), (None, None));
    let found = search.found()[0];
    assert!(found.lower.unwrap().rate <= 7000.0 && found.upper.unwrap().rate >= 7000.0);
}

#[test]
fn a_tester_that_keeps_nothing_is_told_so() {
    let mut search = Search::new(&[GOAL], 10.0, 1e6).unwrap();
    while search.ask().is_some() {
        search.tell(Outcome::Limited(1.0));
    }
    assert_eq!(search.stopped(), Some(Stop::TooSlow));
    assert!(!search.found()[0].reached);

    let mut search = Search::new(&[GOAL], 10.0, 1e6).unwrap();
    let mut past = Past::default();
    while let Some(ask) = search.ask() {
        let trial = Server::Sharp { limit: 7000.0 }.measure(ask, &[GOAL], &mut past);
        search.tell(if past.trials <= 2 { Outcome::Counted(trial) } else { Outcome::Limited(1.0) });
    }
    assert_eq!(search.stopped(), Some(Stop::Unsteady));
}

#[test]
fn rates_and_goals_are_checked() {
    let goals = [GOAL];
    for (goals, lowest, highest) in
        [(&goals[..0], 1.0, 2.0), (&goals, 0.0, 2.0), (&goals, 2.0, 2.0), (&goals, 1.0, f64::INFINITY)]
    {
        Search::new(goals, lowest, highest).unwrap_err();
    }
    Search::new(&[Goal { width: 2.0, ..GOAL }], 1.0, 2.0).unwrap_err();
}
