//! What one option decides does not depend on the others, nor on other clients, nor on the other direction.

use std::sync::Arc;

use polyport_impair::{
    Cause, Config, Direction, Distribution, Family, Fate, GilbertElliott, Line, Pass, Script, Start, Table,
    What,
};

use crate::configs::share;

const COUNT: u64 = 20_000;

fn script(config: &Config, seed: u64, direction: Direction) -> Script {
    Script::new(seed, direction, Start::Line, config, None).unwrap()
}

fn fates_of(config: &Config, seed: u64, direction: Direction, client: u64) -> Vec<Fate> {
    let script = script(config, seed, direction);
    let mut line = Line::new(client, Family::Ipv4);
    (0..COUNT).map(|n| line.decide(&script, n * 1_000, 500, 0)).collect()
}

fn fates(config: &Config) -> Vec<Fate> {
    fates_of(config, 7, Direction::Up, 42)
}

/// All that may be on at once and does not look at the time.
fn all() -> Config {
    let model = GilbertElliott::from_arguments(&[share(0.1), share(0.3)]);
    Config {
        loss_gemodel: model,
        duplicate: share(0.2),
        corrupt: share(0.3),
        late: share(0.4),
        reorder: share(0.25),
        delay: 50_000_000,
        jitter: 10_000_000,
        distribution: Distribution::Table(Arc::new(Table::normal())),
        ..Config::default()
    }
}

fn pass(fate: Fate) -> Option<Pass> {
    match fate {
        Fate::Pass(pass) => Some(pass),
        Fate::Lost(_) => None,
    }
}

/// What `look` sees of datagrams that pass is the same with `alone` and with everything.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(
    alone: &Config,
    all: &Config,
    look: impl Fn(Pass) -> Option<T>,
) {
    let (alone, all) = (fates(alone), fates(all));
    let both =
        alone.iter().zip(&all).filter_map(|(alone, all)| Some((look(pass(*alone)?)?, look(pass(*all)?)?)));
    let both: Vec<(T, T)> = both.collect();
    assert!(both.len() as u64 > COUNT / 3, "{}", both.len());
    let wrong: Vec<_> = both.iter().filter(|(alone, all)| alone != all).take(3).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn turning_one_option_on_does_not_shift_another() {
    let all = all();
    let neutral = Config::default();
    // Loss is what it is alone.
    let lost = |config: &Config| {
        fates(config).iter().map(|fate| *fate == Fate::Lost(Cause::Loss)).collect::<Vec<_>>()
    };
    assert_eq!(lost(&Config { loss_gemodel: all.loss_gemodel, ..neutral.clone() }), lost(&all));
    let duplicate = Config { duplicate: all.duplicate, ..neutral.clone() };
    assert_same(&duplicate, &all, |pass| Some(pass.copy.is_some()));
    let corrupt = Config { corrupt: all.corrupt, ..neutral.clone() };
    assert_same(&corrupt, &all, |pass| Some(pass.corrupt));
    let late = Config { late: all.late, ..neutral.clone() };
    let delayed = |pass: Pass| (!pass.what.has(What::REORDERED)).then_some(pass);
    assert_same(&late, &all, |pass| Some(delayed(pass)?.what.has(What::LATE)));
    let reorder = Config { reorder: all.reorder, delay: 1, ..neutral.clone() };
    assert_same(&reorder, &all, |pass| Some(pass.what.has(What::REORDERED)));
    let Config { delay, jitter, .. } = all;
    let jitter = Config { delay, jitter, distribution: all.distribution.clone(), ..neutral };
    let time = |pass: Pass| delayed(pass).and_then(|pass| (!pass.what.has(What::LATE)).then_some(pass.at_ns));
    assert_same(&jitter, &all, time);
}

/// Also what correlations take over, of datagrams that are lost.
#[test]
fn losing_some_does_not_shift_correlated_decisions() {
    let correlated = Config {
        duplicate_correlation: share(0.5),
        corrupt_correlation: share(0.5),
        reorder_correlation: share(0.5),
        jitter_correlation: share(0.5),
        ..all()
    };
    let alone = Config { loss_gemodel: None, ..correlated.clone() };
    assert_same(&alone, &correlated, |pass| Some(pass.copy.is_some()));
    assert_same(&alone, &correlated, |pass| Some(pass.corrupt));
    assert_same(&alone, &correlated, |pass| Some(pass.what.has(What::REORDERED)));
    assert_same(&alone, &correlated, |pass| (!pass.what.has(What::REORDERED)).then_some(pass.at_ns));
}

/// What is lost before the loss model is asked was a step for it all the same.
#[test]
fn the_loss_model_steps_with_every_datagram() {
    let model = GilbertElliott::from_arguments(&[share(0.1), share(0.3)]);
    let config = Config { loss_gemodel: model, ..Config::default() };
    let fates = |mtu| {
        let script = script(&Config { mtu, ..config.clone() }, 7, Direction::Up);
        let mut line = Line::new(42, Family::Ipv4);
        let len = |n| if n % 3 == 0 { 1_500 } else { 100 };
        (0..1_000).map(|n| line.decide(&script, 0, len(n), 0)).collect::<Vec<Fate>>()
    };
    let (all, cut) = (fates(None), fates(Some(1_000)));
    for (n, (all, cut)) in all.iter().zip(&cut).enumerate() {
        let expected = if n % 3 == 0 { Fate::Lost(Cause::Mtu) } else { *all };
        assert_eq!(*cut, expected, "{n}");
    }
}

#[test]
fn seed_direction_and_client_all_matter() {
    let config = Config { loss: share(0.5), ..Config::default() };
    let base = fates_of(&config, 7, Direction::Up, 42);
    assert_eq!(base, fates_of(&config, 7, Direction::Up, 42));
    for (seed, direction, client) in [
        (8, Direction::Up, 42),
        (7, Direction::Down, 42),
        (7, Direction::Only, 42),
        (7, Direction::Up, 43),
        (7, Direction::Up, 42 << 32),
    ] {
        let other = fates_of(&config, seed, direction, client);
        let same = base.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Of two fair coins half the throws agree: within four deviations.
        assert!(same.abs_diff(10_000) < 4 * 71, "{seed} {direction:?} {client}: {same}");
    }
}

type Has = fn(&Pass) -> bool;

/// Of independent decisions, both come together as often as the shares say.
#[test]
fn decisions_are_independent_of_each_other() {
    let config = Config { loss_gemodel: None, reorder: share(0.5), late: share(0.5), ..all() };
    let half = Config { duplicate: share(0.5), corrupt: share(0.5), ..config };
    let passes: Vec<Pass> = fates(&half).into_iter().filter_map(pass).collect();
    let has: [(&str, Has); 3] = [
        ("duplicate", |pass| pass.copy.is_some()),
        ("corrupt", |pass| pass.corrupt.is_some()),
        ("reorder", |pass| pass.what.has(What::REORDERED)),
    ];
    for (i, (a, first)) in has.iter().enumerate() {
        for (b, second) in &has[i + 1..] {
            let mut cells = [[0_u32; 2]; 2];
            for pass in &passes {
                cells[usize::from(first(pass))][usize::from(second(pass))] += 1;
            }
            let [[none, only_second], [only_first, both]] = cells.map(|row| row.map(f64::from));
            let (rows, columns) =
                ([none + only_second, only_first + both], [none + only_first, only_second + both]);
            let total = rows[0] + rows[1];
            let expected = rows[1] * columns[1] / total;
            let spread = (rows[0] * rows[1] * columns[0] * columns[1] / total.powi(3)).sqrt();
            assert!((both - expected).abs() < 4.0 * spread, "{a} and {b}: {both}, not {expected}");
        }
    }
}
