//! Random options, some of all that there are.

use std::sync::Arc;

use polyport_impair::{
    Burst, Config, Correlation, DelayTrace, Distribution, FourStates, GilbertElliott, Order, RateTrace,
    Share, Slot, Table, mix,
};

pub(crate) fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

/// Numbers of a seed, one after the other.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0, 0, 0)
    }

    /// From 0 up to `span`, without it.
    pub(crate) fn below(&mut self, span: u64) -> u64 {
        self.roll() % span
    }

    pub(crate) fn share(&mut self) -> Share {
        let share = f64::from(u32::try_from(self.below(1000)).unwrap()) / 1000.0;
        self::share(share)
    }

    fn some<T>(&mut self, value: T) -> Option<T> {
        (self.below(2) == 0).then_some(value)
    }
}

/// The options of a mask: a bit turns on a group of them, `seed` chooses the values. Contradictions are left out.
pub(crate) fn config(mask: u32, seed: u64) -> Config {
    let mut dice = Dice(seed);
    let mut config = Config::default();
    for group in (0..20).filter(|group| mask & 1 << group != 0) {
        set(&mut config, group, &mut dice);
    }
    while let Some(problem) = config.check().first() {
        leave_out(&mut config, problem.option);
    }
    config
}

fn set(config: &mut Config, group: u32, dice: &mut Dice) {
    match group {
        0 => config.loss = dice.share(),
        1 => {
            config.loss_burst =
                Some(Burst { share: dice.share(), length: u16::try_from(1 + dice.below(5)).unwrap() });
        }
        2 => {
            let half = |dice: &mut Dice| share(dice.share().get() / 2.0);
            let (p13, p31, p32) = (half(dice), half(dice), half(dice));
            config.loss_state = Some(FourStates { p13, p31, p32, p23: dice.share(), p14: half(dice) });
        }
        3 => {
            let shares = [dice.share(), dice.share(), dice.share(), dice.share()];
            let given = usize::try_from(1 + dice.below(4)).unwrap();
            config.loss_gemodel = GilbertElliott::from_arguments(&shares[..given]);
        }
        4 => config.ecn = true,
        5 => config.duplicate = dice.share(),
        6 => config.corrupt = dice.share(),
        7 => config.delay = dice.below(5_000_000),
        8 => {
            config.jitter = 1 + dice.below(5_000_000);
            let table = [Table::normal, Table::pareto, Table::pareto_normal]
                .get(usize::try_from(dice.below(5)).unwrap());
            config.distribution =
                table.map_or(Distribution::Uniform, |table| Distribution::Table(Arc::new(table())));
        }
        9 => {
            config.reorder = dice.share();
            let gap = u16::try_from(1 + dice.below(6)).unwrap();
            config.gap = dice.some(gap);
        }
        10 => {
            config.late = dice.share();
            config.late_by = 1 + dice.below(9_000_000);
        }
        11 => config.order = Order::Keep,
        12 => {
            config.rate = Some(1_000_000 + dice.below(100_000_000));
            let overhead = i32::try_from(dice.below(80)).unwrap() - 20;
            config.packet_overhead = dice.some(overhead);
        }
        13 => {
            config.cell_size = Some(u32::try_from(1 + dice.below(200)).unwrap());
            config.cell_overhead = i32::try_from(dice.below(10)).unwrap();
        }
        14 => config.limit = Some(u32::try_from(1 + dice.below(20)).unwrap()),
        15 => config.limit_bytes = Some(1 + dice.below(20_000)),
        16 => {
            let min = 150_000 + dice.below(2_000_000);
            let (packets, bytes) = (u32::try_from(1 + dice.below(4)).unwrap(), 1 + dice.below(6_000));
            let max = min + dice.below(2_000_000);
            config.slot = Some(Slot { min, max, packets: dice.some(packets), bytes: dice.some(bytes) });
        }
        17 => {
            config.mtu = Some(u32::try_from(dice.below(2_000)).unwrap());
            config.blackout = dice.below(8) == 0;
        }
        18 => {
            let shares = [dice.share(), dice.share(), dice.share(), dice.share(), dice.share(), dice.share()];
            let [loss, duplicate, corrupt, late, reorder, jitter] = shares;
            config.loss_correlation = loss;
            config.duplicate_correlation = duplicate;
            config.corrupt_correlation = corrupt;
            config.late_correlation = late;
            config.reorder_correlation = reorder;
            config.jitter_correlation = jitter;
            config.correlation = if dice.below(3) == 0 { Correlation::Netem } else { Correlation::Copy };
        }
        _ => {
            if dice.below(2) == 0 {
                config.trace = Some(Arc::new(RateTrace::parse(&lines(dice, 20)).unwrap()));
            } else {
                config.delay_trace = Some(Arc::new(DelayTrace::parse(&lines(dice, 5)).unwrap()));
                let step = 1 + dice.below(3_000_000);
                config.delay_trace_step = dice.some(step);
            }
        }
    }
}

/// Numbers that never get smaller, one a line.
fn lines(dice: &mut Dice, most: u64) -> String {
    let mut at = 0;
    let all: Vec<String> = (0..=dice.below(most))
        .map(|_| {
            at += dice.below(3);
            at.max(1).to_string()
        })
        .collect();
    all.join("\n")
}

fn leave_out(config: &mut Config, option: &str) {
    let neutral = Config::default();
    match option {
        "loss_burst" => config.loss_burst = None,
        "loss_state" => config.loss_state = None,
        "loss_gemodel" => config.loss_gemodel = None,
        "ecn" => config.ecn = false,
        "reorder" => config.reorder = neutral.reorder,
        "gap" => config.gap = None,
        "late" => config.late = neutral.late,
        "loss_correlation" => config.loss_correlation = neutral.loss_correlation,
        "duplicate_correlation" => config.duplicate_correlation = neutral.duplicate_correlation,
        "corrupt_correlation" => config.corrupt_correlation = neutral.corrupt_correlation,
        "jitter_correlation" => config.jitter_correlation = neutral.jitter_correlation,
        "reorder_correlation" => config.reorder_correlation = neutral.reorder_correlation,
        "late_correlation" => config.late_correlation = neutral.late_correlation,
        "delay_trace" => config.delay_trace = None,
        "delay_trace_step" => config.delay_trace_step = None,
        "trace" => config.trace = None,
        "cell_size" => config.cell_size = None,
        "cell_overhead" => config.cell_overhead = 0,
        "limit" => config.limit = None,
        "limit_bytes" => config.limit_bytes = None,
        other => panic!("{other}: {:?}", config.check()),
    }
}
