//! What reflectors told, as a line of the summary screen.

use std::collections::BTreeMap;

use polyport_terminal::Escaped;

use super::figures::StampReport;
use super::settings::{Numbering, Stamp};
use crate::load::unit::span;

/// The line.
#[must_use]
pub fn line(stamp: Option<&Stamp>, told: &StampReport) -> String {
    let numbering = stamp.map(|stamp| stamp.settings.reflector).unwrap_or_default();
    let numbers = match numbering {
        Numbering::Stateful => "stateful",
        Numbering::Stateless => "stateless: losses have no direction",
        Numbering::Auto if told.own_numbers > 0 => "stateful",
        Numbering::Auto => "stateless, or nothing was lost on the way up: losses have no direction",
    };
    let mut words = vec![numbers.to_owned()];
    let mut say = |name: &str, what: String| {
        if !what.is_empty() {
            words.push(format!("{name} {what}"));
        }
    };
    say("TTL there", counts(&told.ttl_at_reflector));
    say("DSCP back", counts(&told.dscp_of_answers));
    if let Some(error) = told.error_estimate_ns {
        let kept = if told.synchronized == told.answers { "" } else { ", not synchronized" };
        say("its clock", format!("+- {}{kept}", span(error)));
    }
    for (name, count) in [
        ("PTP stamps", told.ptp),
        ("unusable stamps", told.unusable_stamps),
        ("of another length", told.other_length),
    ] {
        say(name, if count > 0 { count.to_string() } else { String::new() });
    }
    format!(" stamp   {}", words.join("; "))
}

/// What came, and how often if there were several; a result may be anybody's, so its words are escaped.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    let words = counts.iter().map(|(key, count)| {
        let key = Escaped(key.as_bytes());
        if counts.len() == 1 { key.to_string() } else { format!("{key} ({count})") }
    });
    words.collect::<Vec<_>>().join(", ")
}
