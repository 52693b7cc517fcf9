use serde_json::{Value, json};

use super::*;
use crate::load::config::example;

#[test]
fn every_class_and_every_count_has_a_field_even_if_zero() {
    let config = example(vec!["127.0.0.1:7".parse().unwrap()]);
    let report = LoadReport::new(&config, &Summary::default(), &[], Vec::new());
    let object = serde_json::to_value(&report).unwrap();
    assert_eq!(object["format"], 3);
    assert_eq!(object["config"]["seed"], "1", "all 64 bits of it survive any reader");
    assert!(object["behind_since_ns"].is_null() && object["icmp"].as_object().unwrap().is_empty());
    for class in [
        "ok",
        "bad_checksum",
        "wrong_source",
        "stale_stream",
        "truncated",
        "error",
        "warm_up",
        "wrong_seq",
        "wrong_attempt",
        "wrong_timestamp",
        "unasked",
    ] {
        assert_eq!(object["classes"][class], 0, "{class}");
    }
    for count in ["planned", "not_sent", "not_sent_behind", "lost_unknown", "pending_at_abort", "received"] {
        assert_eq!(object["counts"][count], 0, "{count}");
    }
    for reason in NotSent::ALL {
        assert_eq!(object["counts"][format!("not_sent_{}", reason.name())], 0, "{reason:?}");
    }
    assert!(object["latency"]["lag"].is_null() && object["config"]["rate"]["count"] == 1000);
    assert_eq!(
        (&object["config"]["distribution"], &object["config"]["pacing"]),
        (&json!("round-robin"), &json!("sleep"))
    );
    let read: Value = serde_json::from_str(&object.to_string()).unwrap();
    assert_eq!(read, object);
}

#[test]
fn either_drain_is_told_by_its_fields() {
    let object = |drain| {
        let config = Config { drain, ..example(vec!["127.0.0.1:7".parse().unwrap()]) };
        let report = LoadReport::new(&config, &Summary::default(), &[], Vec::new());
        serde_json::to_value(&report).unwrap()["config"]["drain"].clone()
    };
    assert_eq!(object(Drain::Fixed(5)), json!({"fixed_ns": 5}));
    let adaptive = Drain::Adaptive { factor: 3, fallback: 7 };
    assert_eq!(object(adaptive), json!({"factor": 3, "fallback_ns": 7}));
}
