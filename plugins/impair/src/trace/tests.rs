//! Files, and the arithmetic of rounds.

use super::*;

const MS: u64 = NS_PER_MS;

fn times(text: &str) -> RateTrace {
    RateTrace::parse(text).unwrap()
}

#[test]
fn rate_traces_are_read() {
    assert_eq!(times("# a\n0\n\n 3 \n3\r\n10").times_ms(), [0, 3, 3, 10]);
    assert_eq!(times("7").period_ns(), 7 * MS);
    let wrong = |text: &str| RateTrace::parse(text).unwrap_err().line;
    assert_eq!(
        [wrong("1\n5\n4"), wrong("1\nx"), wrong("1.5"), wrong("-1"), wrong("\n4294967296")],
        [3, 2, 1, 1, 2]
    );
    assert_eq!([wrong(""), wrong("# 1\n\n"), wrong("0\n0")], [1, 2, 2]);
    let many = "1\n".repeat(MOST_ENTRIES);
    assert_eq!(times(&many).times_ms().len(), MOST_ENTRIES);
    assert_eq!(RateTrace::parse(&(many + "1")).unwrap_err().line, MOST_ENTRIES + 1);
}

#[test]
fn delay_traces_are_read() {
    let trace =
        DelayTrace::parse("# ping\n12.5\n0.25 ms\n300us\n\n1s\n40ns\n1.000000001s\n0.0000009").unwrap();
    let expected = [12_500_000, 250_000, 300_000, 1_000_000_000, 40, 1_000_000_001, 0];
    assert_eq!((trace.delays(), trace.shortest()), (&expected[..], 0));
    assert_eq!([trace.at(1), trace.at(7), trace.at(u64::MAX)].map(|ns| ns > 0), [true; 3]);
    for (text, line) in [
        ("1\nfast", 2),
        ("-1", 1),
        ("1e3", 1),
        (".5", 1),
        ("5.", 1),
        ("1 2", 1),
        ("+1", 1),
        ("ms", 1),
        ("1\n\n86401s", 3),
        ("99999999999999999999", 1),
        ("18446744073709551615s", 1),
        ("", 1),
    ] {
        assert_eq!(DelayTrace::parse(text).unwrap_err().line, line, "{text}");
    }
    let many = "1\n".repeat(MOST_ENTRIES);
    assert_eq!(DelayTrace::parse(&many).unwrap().delays().len(), MOST_ENTRIES);
    assert_eq!(DelayTrace::parse(&(many + "1")).unwrap_err().line, MOST_ENTRIES + 1);
}

/// The example of mahimahi's authors: one packet at 0, 2, 3 ms, and the file lasts 3 ms.
#[test]
fn a_round_ends_where_the_next_begins() {
    let trace = times("0\n2\n3");
    let mut carried = Carried::default();
    let mut at = |ready: u64, bytes| trace.carry(&mut carried, 0, ready, bytes) / MS;
    // The last of a round and the first of the next are at the same moment.
    assert_eq!([at(0, 1500), at(0, 1500), at(0, 1500), at(0, 1500), at(0, 1500)], [0, 2, 3, 3, 5]);
    // What nobody used is gone; of one that is used in part, the rest is there for who is ready.
    assert_eq!([at(6 * MS, 100), at(6 * MS, 1400), at(6 * MS, 1501), at(6 * MS, 1499)], [6, 6, 8, 8]);
    assert_eq!([at(8 * MS + 1, 1500), at(9 * MS, 1500), at(9 * MS, 1500)], [9, 9, 11]);
    // Nothing needs no room of its own.
    assert_eq!(at(11 * MS + 1, 0), 12);
}

#[test]
fn far_away_it_stays_at_the_end_of_time() {
    let trace = times("1\n4294967295");
    let mut carried = Carried::default();
    let mut at = |ready: u64, bytes| trace.carry(&mut carried, 0, ready, bytes);
    assert_eq!(at(0, 1), MS);
    assert!(at(u64::MAX - 1, 1) >= u64::MAX - 1);
    assert!(at(u64::MAX, u64::MAX) == u64::MAX);
    assert!(at(0, u64::MAX) > 0);
}
