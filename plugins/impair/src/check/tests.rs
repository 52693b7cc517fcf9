//! Each contradiction is found, and points at its option.

use alloc::sync::Arc;
use std::vec;

use super::*;
use crate::{Burst, DelayTrace, FourStates, GilbertElliott, RateTrace, Slot, Table};

fn share(value: f64) -> Share {
    Share::new(value).unwrap()
}

fn wrong(config: &Config) -> Vec<&'static str> {
    config.check().iter().map(|problem| problem.option).collect()
}

fn neutral() -> Config {
    Config::default()
}

#[test]
fn nothing_is_wrong_with_nothing() {
    assert!(neutral().is_neutral() && neutral().check().is_empty() && neutral().notes().is_empty());
    let limit = Config { limit: Some(5), rate: Some(5), ..neutral() };
    assert!(!limit.is_neutral() && limit.delays() && limit.check().is_empty());
}

#[test]
fn contradictions_point_at_their_option() {
    let some = share(0.1);
    let chain = FourStates::from_arguments(&[some]);
    let model = GilbertElliott::from_arguments(&[some]);
    let rate = Arc::new(RateTrace::parse("1").unwrap());
    let delays = Arc::new(DelayTrace::parse("1").unwrap());
    let slot = Slot { min: 1, max: 2, packets: None, bytes: None };
    let cases: Vec<(&[&str], Config)> = vec![
        (&["loss_gemodel"], Config { loss: some, loss_gemodel: model, ..neutral() }),
        (&["loss_state", "loss_gemodel"], {
            let burst = Some(Burst { share: some, length: 2 });
            Config { loss_burst: burst, loss_state: chain, loss_gemodel: model, ..neutral() }
        }),
        (&["loss_burst"], Config { loss_burst: Some(Burst { share: some, length: 0 }), ..neutral() }),
        (&["loss_state"], {
            let p = share(0.6);
            Config { loss_state: FourStates::from_arguments(&[p, some, some, some, p]), ..neutral() }
        }),
        (&["loss_state"], {
            let p = share(0.6);
            Config { loss_state: FourStates::from_arguments(&[some, p, p]), ..neutral() }
        }),
        (&["ecn"], Config { ecn: true, ..neutral() }),
        (&["reorder"], Config { reorder: some, ..neutral() }),
        (&["gap"], Config { gap: Some(5), delay: 5, ..neutral() }),
        (&["gap"], Config { gap: Some(0), reorder: some, delay: 5, ..neutral() }),
        (&["reorder"], Config { reorder: some, delay: 5, order: Order::Keep, ..neutral() }),
        (&["late"], Config { late: some, order: Order::Keep, ..neutral() }),
        (&["late_by"], Config { late: some, late_by: 0, ..neutral() }),
        (&["loss_correlation"], Config { loss_correlation: some, ..neutral() }),
        (&["loss_correlation"], Config { loss: some, loss_correlation: share(1.0), ..neutral() }),
        (&["jitter_correlation"], Config { jitter_correlation: some, delay: 5, ..neutral() }),
        (&["duplicate_correlation", "corrupt_correlation", "reorder_correlation", "late_correlation"], {
            Config {
                duplicate_correlation: some,
                corrupt_correlation: some,
                reorder_correlation: some,
                late_correlation: some,
                ..neutral()
            }
        }),
        (&["distribution"], {
            Config { distribution: Distribution::Table(Arc::new(Table::normal())), delay: 5, ..neutral() }
        }),
        (&["delay_trace"], Config { delay: 5, delay_trace: Some(Arc::clone(&delays)), ..neutral() }),
        (&["delay_trace_step"], Config { delay_trace: Some(delays), delay_trace_step: Some(0), ..neutral() }),
        (&["delay_trace_step"], Config { delay_trace_step: Some(5), ..neutral() }),
        (&["rate"], Config { rate: Some(0), ..neutral() }),
        (&["rate"], Config { rate: Some(FASTEST_RATE + 1), ..neutral() }),
        (&["trace"], Config { rate: Some(5), trace: Some(rate), ..neutral() }),
        (&["cell_size"], Config { rate: Some(5), cell_size: Some(0), cell_overhead: 1, ..neutral() }),
        (&["cell_size"], Config { cell_size: Some(48), ..neutral() }),
        (&["cell_overhead"], Config { rate: Some(5), cell_overhead: 5, ..neutral() }),
        (&["cell_overhead"], Config { rate: Some(5), cell_size: Some(48), cell_overhead: -48, ..neutral() }),
        (&["limit"], Config { rate: Some(5), limit: Some(0), ..neutral() }),
        (&["limit"], Config { rate: Some(5), limit: Some(MOST_LIMIT + 1), ..neutral() }),
        (&["limit_bytes"], Config { rate: Some(5), limit_bytes: Some(0), ..neutral() }),
        (&["limit", "limit_bytes"], Config { limit: Some(1), limit_bytes: Some(1), ..neutral() }),
        (&["slot"], Config { slot: Some(Slot { min: 3, ..slot }), ..neutral() }),
        (&["slot"], Config { slot: Some(Slot { min: 0, ..slot }), ..neutral() }),
        (
            &["slot", "slot"],
            Config { slot: Some(Slot { packets: Some(0), bytes: Some(0), ..slot }), ..neutral() },
        ),
        (&["slot"], Config { slot: Some(Slot { max: LONGEST_NS + 1, ..slot }), ..neutral() }),
        (&["delay", "jitter"], Config { delay: LONGEST_NS + 1, jitter: LONGEST_NS + 1, ..neutral() }),
        (&["late_by"], Config { late: some, late_by: u64::MAX, ..neutral() }),
        (&["packet_overhead"], Config { rate: Some(5), packet_overhead: Some(i32::MIN), ..neutral() }),
        (&["cell_size"], Config { rate: Some(5), cell_size: Some(u32::MAX), ..neutral() }),
    ];
    for (options, config) in cases {
        assert_eq!(wrong(&config), options, "{config:?}");
    }
}

#[test]
fn messages_are_sentences_without_a_full_stop() {
    let all = Config {
        rate: Some(0),
        limit: Some(0),
        reorder: share(0.5),
        order: Order::Keep,
        ecn: true,
        ..neutral()
    };
    let found = all.check();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|problem| !problem.message.ends_with('.') && problem.step.is_none()));
}

#[test]
fn what_may_surprise_is_noted() {
    let notes = |config: &Config| config.notes().iter().map(|note| note.option).collect::<Vec<_>>();
    assert_eq!(notes(&Config { delay: 5, jitter: 5, order: Order::Keep, ..neutral() }), [""; 0]);
    assert_eq!(notes(&Config { delay: 5, jitter: 6, order: Order::Keep, ..neutral() }), ["jitter"]);
    let trace = Some(Arc::new(DelayTrace::parse("5ns\n9ns").unwrap()));
    assert_eq!(notes(&Config { delay_trace: trace.clone(), jitter: 5, ..neutral() }), [""; 0]);
    assert_eq!(notes(&Config { delay_trace: trace, jitter: 6, ..neutral() }), ["jitter"]);
}
