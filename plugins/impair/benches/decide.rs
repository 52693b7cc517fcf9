//! What a decision costs. Targets: loss alone at most 15 ns, everything at most 150 ns.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use polyport_impair::{
    Clock, Config, Direction, Distribution, Family, GilbertElliott, Line, Script, Share, Slot, Start, Step,
    Table, Timeline,
};

const MS: u64 = 1_000_000;

fn share(value: f64) -> Share {
    Share::new(value).unwrap_or_default()
}

/// A datagram of 500 bytes every 100 us, which a link of 50 Mbit/s carries.
#[expect(clippy::panic, reason = "a case that is left out would be missed by nobody")]
fn decide(c: &mut Criterion, name: &str, config: &Config, timeline: Option<&Timeline>) {
    let script = Script::new(7, Direction::Up, Start::Line, config, timeline);
    let script = script.unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    let mut line = Line::new(42, Family::Ipv4);
    let mut now = 0;
    c.bench_function(name, |b| {
        b.iter(|| {
            now += MS / 10;
            line.decide(black_box(&script), black_box(now), black_box(500), black_box(2))
        });
    });
}

fn all(c: &mut Criterion) {
    let neutral = Config::default();
    let loss = Config { loss: share(0.01), ..neutral.clone() };
    let jitter = Config { delay: 20 * MS, jitter: 5 * MS, ..neutral.clone() };
    let normal = Distribution::Table(Arc::new(Table::normal()));
    let rate = Config { rate: Some(50_000_000), ..neutral.clone() };
    // All that does not exclude each other; each is on for every datagram, and something is queued at any time.
    let everything = Config {
        loss_gemodel: GilbertElliott::from_arguments(&[share(0.01), share(0.25), share(0.9), share(0.001)]),
        ecn: true,
        duplicate: share(0.02),
        corrupt: share(0.01),
        late: share(0.03),
        reorder: share(0.01),
        distribution: normal.clone(),
        rate: rate.rate,
        slot: Some(Slot { min: MS, max: 3 * MS, packets: Some(50), bytes: Some(30_000) }),
        limit_bytes: Some(1 << 20),
        mtu: Some(1_400),
        ..jitter.clone()
    };
    let later = Step { at: u64::MAX, config: neutral.clone() };
    let timeline = Timeline { steps: vec![later], clock: Clock::Time, repeat: 0 };

    decide(c, "neutral", &neutral, None);
    decide(c, "loss", &loss, None);
    decide(c, "loss, a step of a timeline ahead", &loss, Some(&timeline));
    decide(c, "loss with correlation", &Config { loss_correlation: share(0.25), ..loss.clone() }, None);
    decide(c, "delay and jitter", &jitter, None);
    decide(c, "delay and normal jitter", &Config { distribution: normal, ..jitter }, None);
    decide(c, "rate", &rate, None);
    decide(c, "delay 20 ms, loss 1 %", &Config { delay: 20 * MS, ..loss }, None);
    decide(c, "everything", &everything, Some(&timeline));
}

criterion_group!(benches, all);
criterion_main!(benches);
