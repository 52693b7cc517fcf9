//! What a datagram costs: no memory.

use polyport_counting_alloc::allocations;
use polyport_impair_options::{Key, Keys};
use polyport_plugin::config::Value;
use polyport_plugin::{Config as _, Reservation};

use super::*;
use crate::LossyConfig;

/// The options with the shares and times that are given, all others as they are by themselves.
fn config(given: &[(&str, Value<'_>)]) -> LossyConfig {
    let value = |name: &str| match name {
        "reply" | "key" | "timeline_from" => Value::Choice(0),
        "df" => Value::Bool(false),
        name => given.iter().find(|(given, _)| *given == name).map_or(Value::Missing, |(_, value)| *value),
    };
    let values: Vec<Value<'_>> = LossyConfig::OPTIONS.iter().map(|option| value(option.name())).collect();
    LossyConfig::from_values(&values).unwrap()
}

#[test]
fn a_datagram_of_a_known_peer_takes_no_memory() {
    let config = config(&[
        ("loss", Value::Ratio(0.2)),
        ("loss_correlation", Value::Ratio(0.5)),
        ("corrupt", Value::Ratio(0.2)),
        ("duplicate", Value::Ratio(0.2)),
        ("jitter", Value::Duration(5_000_000)),
        ("delay", Value::Duration(5_000_000)),
        ("up.loss_gemodel", Value::Text("5% 25%")),
        ("down.rate", Value::Text("1Mbit")),
        ("down.duplicate", Value::Ratio(0.2)),
    ]);
    let plan = config.plan().unwrap();
    let channel = Channel::new(&plan, plan.scripts(7, 0).unwrap(), |script| Lane::new(script, None));
    let mut peers = Peers::new(Keys::new(Key::Address, 7000), plan.client_bytes(), Reservation::default());
    let from: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    let (mut answers, mut most) = (Answers::new(), 0);
    let mut all = |numbers: std::ops::Range<u64>| {
        for n in numbers {
            // More than the link carries: its queue is as full as it gets.
            let seen = Seen { from, bytes: 1000, answer: 1000, tos: 0, now_ns: n * 1_000_000, wall_ns: 0 };
            channel.decide(&mut peers, &seen, None, &mut answers);
            most = most.max(answers.len());
        }
    };
    all(0..5000);
    let before = allocations();
    all(5000..20_000);
    assert_eq!(allocations() - before, 0);
    assert!(most >= 3, "{most}");
}
