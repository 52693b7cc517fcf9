//! Files of a bad network: distributions, and traces of rates and delays.

use std::fmt::Display;
use std::sync::Arc;

use polyport_impair::limits::LONGEST_NS;
use polyport_impair::{
    Config, DelayTrace, Direction, Distribution, Family, Fate, Line, MOST_ENTRIES, ParseError, RateTrace,
    Script, Start, Table,
};

/// Reads a text as every kind of file. What was read is bounded, is read again from what is printed of it, and can be used.
pub fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(table) = said(text, Table::parse(text)) {
        assert!((1..=Table::MOST).contains(&table.values().len()));
        assert_eq!(Table::parse(&printed(table.values(), "")), Ok(table.clone()));
        let distribution = Distribution::Table(Arc::new(table));
        used(&Config { delay: 1_000_000, jitter: 2_000_000, distribution, ..Config::default() });
    }
    if let Some(trace) = said(text, RateTrace::parse(text)) {
        let times = trace.times_ms();
        assert!(
            (1..=MOST_ENTRIES).contains(&times.len()) && times.is_sorted() && trace.period_ns() >= 1_000_000
        );
        assert_eq!(RateTrace::parse(&printed(times, "")), Ok(trace.clone()));
        used(&Config { trace: Some(Arc::new(trace)), ..Config::default() });
    }
    if let Some(trace) = said(text, DelayTrace::parse(text)) {
        let delays = trace.delays();
        assert!((1..=MOST_ENTRIES).contains(&delays.len()) && delays.iter().all(|ns| *ns <= LONGEST_NS));
        assert_eq!(Some(trace.shortest()), delays.iter().min().copied());
        assert_eq!(DelayTrace::parse(&printed(delays, "ns")), Ok(trace.clone()));
        used(&Config { delay_trace: Some(Arc::new(trace)), ..Config::default() });
    }
}

/// An error is a sentence for a terminal, about a line that the text has.
fn said<T>(text: &str, result: Result<T, ParseError>) -> Option<T> {
    if let Err(error) = &result {
        assert!((1..=text.lines().count().max(1)).contains(&error.line), "{error}");
        assert!(!error.message.is_empty() && !error.message.chars().any(char::is_control), "{error:?}");
    }
    result.ok()
}

fn printed<T: Display>(values: &[T], unit: &str) -> String {
    values.iter().map(|value| format!("{value}{unit}\n")).collect()
}

/// Some datagrams: each passes, none before it came.
fn used(config: &Config) {
    let script = match Script::new(1, Direction::Only, Start::Line, config, None) {
        Ok(script) => script,
        Err(wrong) => panic!("{wrong:?}"),
    };
    let mut line = Line::new(1, Family::Ipv4);
    for now in [5, 5, 6, 1_000_000, 3_000_000_000, u64::MAX, 7] {
        match line.decide(&script, now, 1_200, 0) {
            Fate::Pass(pass) => assert!(pass.at_ns >= now, "{now}: {pass:?}"),
            Fate::Lost(cause) => panic!("{now}: {cause:?}"),
        }
    }
}
