//! What the governor decides on simulated machines with known costs.

use super::*;

/// A peer with a few datagrams in flight, on a machine with a known cost of a message for each strategy.
struct Run {
    governor: Governor,
    now_ns: u64,
    cpu_ns: u64,
    /// Processor time of a message for each strategy, ns.
    costs: [u64; 3],
    stream: bool,
    /// What a rest adds to the time of a turn, ns.
    rest_ns: u64,
}

impl Run {
    fn new(costs: [u64; 3], limits: Limits) -> Self {
        let governor = Governor::new(&limits, true);
        Self { governor, now_ns: 1, cpu_ns: 7, costs, stream: false, rest_ns: 0 }
    }

    /// Runs `turns`, each after a gap. Returns how many of them began with each strategy.
    fn turns(&mut self, turns: u32, gap_ns: u64) -> [u32; 3] {
        let mut strategies = [0; 3];
        for _ in 0..turns {
            let strategy = self.governor.current as usize;
            strategies[strategy] += 1;
            self.cpu_ns += self.costs[strategy] * 8;
            let found = Found { visits: 1, messages: 8, stream: self.stream, more: false };
            let from_ns =
                self.now_ns + gap_ns + if strategy == Strategy::Rest as usize { self.rest_ns } else { 0 };
            let timing = TurnTiming { from_ns, to_ns: from_ns + 1000, waited: true };
            self.now_ns = timing.to_ns;
            self.governor.after(found, timing, || self.cpu_ns);
        }
        strategies
    }
}

const LONG: u32 = 128 * 2000;

#[test]
fn the_cheapest_way_wins_and_trials_of_the_others_are_rare() {
    for (stream, costs, best) in [
        (false, [20_000, 15_000, 1], Strategy::Spin),
        (false, [20_000, 25_000, 1], Strategy::Sleep),
        (false, [20_000, 19_900, 1], Strategy::Sleep),
        (true, [2000, 1900, 1500], Strategy::Rest),
        (true, [2000, 1400, 1500], Strategy::Spin),
        (true, [1500, 2000, 2000], Strategy::Sleep),
    ] {
        let mut run = Run::new(costs, Limits::default());
        run.stream = stream;
        run.turns(128 * 64, 10_000);
        let strategies = run.turns(LONG, 10_000);
        let others = LONG - strategies[best as usize];
        assert!(others < LONG / 50, "{costs:?}: {strategies:?}, {best:?} is best");
    }
}

#[test]
fn a_rest_that_slows_a_stream_down_is_not_taken_however_cheap_it_is() {
    for (rest_ns, taken) in [(1000, true), (2000, false)] {
        let mut run = Run::new([2000, 2000, 500], Limits::default());
        run.stream = true;
        run.rest_ns = rest_ns;
        run.turns(LONG, 10_000);
        assert_eq!(run.governor.usual == Strategy::Rest, taken, "{rest_ns}");
    }
}

#[test]
fn a_rest_that_begins_to_slow_the_stream_down_ends() {
    let mut run = Run::new([2000, 2000, 500], Limits::default());
    run.stream = true;
    run.turns(LONG, 10_000);
    assert_eq!(run.governor.usual, Strategy::Rest);
    run.rest_ns = 5000;
    run.turns(LONG, 10_000);
    assert_ne!(run.governor.usual, Strategy::Rest);
}

#[test]
fn the_trial_of_a_rest_does_not_end_spinning() {
    let mut run = Run::new([2000, 1500, 1000], Limits::default());
    run.stream = true;
    // A rest is longer than any wait for which the loop spins, and slows the stream down.
    run.rest_ns = 2 * SLEPT_NS;
    run.turns(LONG, 10_000);
    for _ in 0..1000 {
        assert_eq!(run.governor.usual, Strategy::Spin);
        run.turns(128, 10_000);
    }
}

#[test]
fn a_pause_of_the_traffic_is_nobodys_time() {
    let mut run = Run::new([2000, 2000, 500], Limits::default());
    run.stream = true;
    run.rest_ns = 2000;
    for _ in 0..LONG / 100 {
        run.turns(99, 10_000);
        run.turns(1, PAUSE_NS + 1);
        assert_ne!(run.governor.usual, Strategy::Rest, "it slows the stream");
    }
}

#[test]
fn the_way_changes_when_the_costs_do() {
    let mut run = Run::new([20_000, 15_000, 1], Limits::default());
    run.turns(128 * 64, 10_000);
    assert_eq!(run.governor.usual, Strategy::Spin);
    run.costs = [20_000, 50_000, 1];
    run.turns(128 * 600, 10_000);
    assert_eq!(run.governor.usual, Strategy::Sleep);
}

#[test]
fn what_does_not_come_soon_is_not_looked_for() {
    let mut run = Run::new([20_000, 15_000, 1], Limits::default());
    assert_eq!(run.turns(LONG, SLEPT_NS)[Strategy::Spin as usize], 0);
    run.turns(LONG, 10_000);
    assert_eq!(run.governor.current, Strategy::Spin);
    assert_eq!(
        run.turns(1000, SPIN_NS)[Strategy::Spin as usize],
        FRUITLESS,
        "the waits that were for nothing"
    );
    run.turns(LONG, 10_000);
    assert_eq!(run.governor.current, Strategy::Spin, "it may come back");
    // Every other wait is long: there are never eight in a row, but too many in all.
    (0..256).for_each(|n| assert_eq!(run.turns(1, [10_000, 90_000][n % 2]).iter().sum::<u32>(), 1));
    let spun: u32 =
        (0..10_000).map(|n| run.turns(1, [10_000, 90_000, 90_000][n % 3])[Strategy::Spin as usize]).sum();
    assert!(spun < 128, "{spun}");
}

#[test]
fn the_configuration_is_obeyed() {
    let zero = Duration::ZERO;
    let never = Limits { spin: Some(zero), moderation: zero, ..Limits::default() };
    let mut run = Run::new([20_000, 1, 1], never);
    run.stream = true;
    assert_eq!(run.turns(LONG, 10_000), [LONG, 0, 0]);
    let always = Limits { spin: Some(Duration::from_micros(70)), ..Limits::default() };
    let mut run = Run::new([1, 20_000, 1], always);
    run.stream = true;
    assert!(!run.governor.spins(1), "nothing was found yet");
    assert_eq!(run.turns(LONG, 100_000), [0, LONG, 0]);
    assert!(run.governor.spins(run.now_ns + 69_999) && !run.governor.spins(run.now_ns + 70_000));
}
