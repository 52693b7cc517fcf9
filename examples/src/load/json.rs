//! The result of a run as one JSON object. Times are in nanoseconds, counts are whole numbers.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::config::Config;
use super::drain::Drain;
use super::histogram::Percentiles;
use super::ledger::NotSent;
use super::stream::Tally;
use super::summary::{Port, Summary};
use super::threshold::Judgement;

/// Version of the object: raised when a field changes its meaning or goes, not when one is added.
pub const FORMAT: u32 = 1;

/// The whole object.
#[must_use]
pub fn object(config: &Config, summary: &Summary, judgements: &[Judgement]) -> Value {
    json!({
        "format": FORMAT,
        "program": concat!("polyport-load ", env!("CARGO_PKG_VERSION")),
        "config": self::config(config),
        "aborted": summary.aborted,
        "took_ns": summary.took,
        "drained_ns": summary.drained,
        "counts": counts(summary),
        "classes": Value::Object(summary.classes.rows().map(|(name, count)| (name.into(), count.into())).collect()),
        "errors": Value::Object(
            summary.classes.codes().map(|(code, count)| (code.0.to_string(), count.into())).collect(),
        ),
        "latency": {
            "rtt_from_plan": summary.from_plan.as_ref().map(percentiles),
            "rtt_from_send": summary.from_send.as_ref().map(percentiles),
            "lag": summary.lag.as_ref().map(percentiles),
        },
        "late_sends": summary.late_sends,
        "thresholds": judgements.iter().map(judgement).collect::<Vec<_>>(),
        "ports": summary.ports.iter().map(port).collect::<Vec<_>>(),
        "local": {
            "sockets": summary.local.sockets.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "dropped_in_our_socket": summary.local.socket_drops,
            "send_eagain": summary.local.eagain,
            "refusal": summary.local.refusal,
            "receive_buffer": summary.local.receive_buffer,
        },
    })
}

fn config(config: &Config) -> Value {
    let drain = match config.drain {
        Drain::Adaptive { factor, fallback } => json!({ "factor": factor, "fallback_ns": fallback }),
        Drain::Fixed(span) => json!({ "fixed_ns": span }),
    };
    json!({
        "targets": config.targets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rate": { "count": config.rate.count, "period_ns": config.rate.period },
        "duration_ns": config.duration,
        "warmup_ns": config.warm_up,
        "drain": drain,
        "timeout_ns": config.timeout,
        "distribution": name(&config.distribution),
        "pacing": name(&config.pacing),
        "streams": config.streams,
        "payload": config.payload,
        "size": config.shape().size(),
        "raw_echo": config.raw_echo,
        "handshake": config.handshake,
        "max_in_flight": config.max_in_flight,
        "seed": config.seed,
        "key_id": config.key.as_ref().map(polyport_protocol::Key::id),
    })
}

/// The name of a choice on the command line.
fn name(choice: &impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}

fn counts(summary: &Summary) -> Value {
    let mut counts = tally(&summary.total);
    counts.insert("planned".into(), summary.planned.into());
    counts.insert("not_sent".into(), summary.not_sent().into());
    for (reason, count) in NotSent::ALL.into_iter().zip(summary.skipped) {
        counts.insert(format!("not_sent_{}", reason.name()), count.into());
    }
    counts.insert("received".into(), summary.classes.total().into());
    counts.insert("malformed".into(), summary.classes.malformed().into());
    Value::Object(counts)
}

fn tally(tally: &Tally) -> Map<String, Value> {
    [
        ("sent", tally.sent),
        ("ok", tally.ok),
        ("late", tally.late),
        ("error", tally.error),
        ("lost", tally.lost()),
        ("lost_up", tally.lost_up),
        ("lost_down", tally.lost_down),
        ("lost_unknown", tally.lost_unknown),
        ("pending_at_abort", tally.pending),
        ("dup_up", tally.dup_up),
        ("dup_down", tally.dup_down),
        ("reordered", tally.reordered),
        ("three_reordered", tally.three_reordered),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count.into()))
    .collect()
}

fn percentiles(read: &Percentiles) -> Value {
    json!({
        "count": read.count,
        "beyond": read.beyond,
        "min": read.min,
        "p50": read.p50,
        "p90": read.p90,
        "p99": read.p99,
        "p99.9": read.p99_9,
        "max": read.max,
    })
}

fn judgement(judged: &Judgement) -> Value {
    json!({ "threshold": judged.text, "met": judged.met, "measured": judged.measured })
}

fn port(port: &Port) -> Value {
    let mut row = tally(&port.tally);
    row.insert("target".into(), port.address.to_string().into());
    row.insert("rtt_from_plan".into(), port.from_plan.as_ref().map_or(Value::Null, percentiles));
    Value::Object(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::config::example;

    #[test]
    fn every_class_and_every_count_has_a_field_even_if_zero() {
        let config = example(vec!["127.0.0.1:7".parse().unwrap()]);
        let object = object(&config, &Summary::default(), &[]);
        assert_eq!(object["format"], 1);
        for class in ["ok", "bad_checksum", "wrong_source", "stale_stream", "truncated", "error", "warm_up"] {
            assert_eq!(object["classes"][class], 0, "{class}");
        }
        for count in
            ["planned", "not_sent", "not_sent_behind", "lost_unknown", "pending_at_abort", "received"]
        {
            assert_eq!(object["counts"][count], 0, "{count}");
        }
        assert!(object["latency"]["lag"].is_null() && object["config"]["rate"]["count"] == 1000);
        assert_eq!(
            (&object["config"]["distribution"], &object["config"]["pacing"]),
            (&json!("round-robin"), &json!("sleep"))
        );
        let read: Value = serde_json::from_str(&object.to_string()).unwrap();
        assert_eq!(read, object);
    }
}
