//! `polyport-spoof`: the whole table.

use polyport_tools::spoof::json::SpoofReport;

use crate::support::{object, run};

#[test]
fn only_the_request_id_client_is_safe_and_the_table_says_so() {
    let run = run("spoof", &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines.len(), 12, "heading, ten cases, the genuine ones: {run:?}");
    for (line, reason) in lines[1..].iter().zip([
        "wrong_source",
        "unknown_id",
        "stale_stream",
        "duplicate",
        "late",
        "bad_checksum",
        "bad_length",
        "wrong_direction",
        "bad_auth, no_auth",
        "version_ignored",
    ]) {
        assert!(line.ends_with(&format!("rejects: {reason}")), "{line}");
        assert!(line.contains("ACCEPTS"), "the promiscuous one takes all: {line}");
    }
    assert_eq!(lines[1].matches("ACCEPTS").count(), 1, "the kernel keeps other sources out");
    assert!(lines[2..11].iter().all(|line| line.matches("ACCEPTS").count() == 2), "{run:?}");
    assert!(lines[11].ends_with("10 of 10"));
}

#[test]
fn json_says_the_same_over_ipv6_and_repeats_with_a_seed() {
    let first = run("spoof", &["--json", "-6", "--seed", "7", "--grease", "always"]);
    let object = object::<SpoofReport>(&first.out);
    assert_eq!((first.code, &object["safe"]), (0, &true.into()), "{first:?}");
    let cases = object["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let cell = &case["request_id"];
        assert_eq!((&cell["forged_accepted"], &cell["genuine_accepted"]), (&0.into(), &1.into()), "{case}");
        assert!(cell["forged"].as_u64().unwrap() >= 1);
    }
    assert_eq!(run("spoof", &["--json", "-6", "--seed", "7", "--grease", "always"]).out, first.out);
}

#[test]
fn a_wrong_flag_is_usage() {
    assert_eq!(run("spoof", &["--no-such-flag"]).code, 64);
}
