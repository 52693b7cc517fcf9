//! Every combination of options that is refused, and what is said of it: what is wrong, where, and what to do.

use super::*;

/// What is said of a command line; it must be refused as usage.
fn refused(line: &str) -> String {
    let line = format!("polyport-load 127.0.0.1:7-8 {line}");
    match Args::try_parse_from(line.split(' ')) {
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "no help, but a refusal: {line}");
            error.to_string()
        }
        Ok(args) => {
            let checked = args.config().and_then(|config| args.capacity.check(&config));
            let error = checked.expect_err(&line);
            assert_eq!(error.exit, polyport_terminal::Exit::Usage, "{line}: {error}");
            error.to_string()
        }
    }
}

/// Options that no two of may be given, with what is wrong about it told by naming both.
const APART: &[(&str, &[&str])] = &[
    ("--shard 0/2", &["--ramp 0..5/1s", "--flow 5:1s", "--in-flight 5"]),
    ("--flow 5:1s", &["--ramp 0..5/1s", "--rate 5/s", "--duration 1s"]),
    ("--ramp 0..5/1s", &["--rate 5/s", "--duration 1s"]),
    ("--in-flight 5", &["--rate 5/s", "--arrival poisson", "--flow 5:1s", "--ramp 0..5/1s"]),
    ("--sizes 100:1", &["--size 100", "--text a", "--template a"]),
    ("--text a", &["--payload 5", "--size 100", "--raw-echo", "--template a"]),
    ("--template a", &["--payload 5", "--size 100", "--raw-echo"]),
    ("--tos 3", &["--dscp ef"]),
    ("--raw-echo", &["--expect any", "--one-way"]),
    ("--json", &["--json-stream"]),
    ("-4", &["-6"]),
    ("--find-max loss<1%", OF_A_RUN),
    ("--find-knee", OF_A_RUN),
    ("--pcap a.pcap", OF_A_RUN_AND_A_SCHEDULE),
    ("--books a", &["--warmup 1s", "--pcap a.pcap", "--find-max loss<1%", "--find-knee"]),
];

/// What a search decides by itself, or does not show.
const OF_A_RUN: &[&str] = &[
    "--rate 5/s",
    "--duration 1s",
    "--threshold loss<1%",
    "--ramp 0..5/1s",
    "--flow 5:1s",
    "--in-flight 5",
    "--one-way",
    "--percentiles 50",
    "--per-port",
    "--per-flow",
    "--start-at +1s",
    "--shard 0/2",
    "--json-stream",
    "--html a",
    "--svg a",
    "--csv a",
    "--hdr-log a",
    "--junit a",
    "--openmetrics a",
    "--pcap a.pcap",
];

/// What a recording says by itself, or does not have.
const OF_A_RUN_AND_A_SCHEDULE: &[&str] = &[
    "--rate 5/s",
    "--duration 1s",
    "--warmup 1s",
    "--payload 5",
    "--size 100",
    "--sizes 100:1",
    "--text a",
    "--template a",
    "--payload-file a",
    "--expect any",
    "--raw-echo",
    "--distribution random",
    "--flows 2",
    "--threads 2",
    "--pin",
    "--gso off",
    "--rx-time kernel",
    "--per-port",
    "--per-flow",
    "--no-handshake",
    "--seed 1",
    "--arrival poisson",
    "--ramp 0..5/1s",
    "--flow 5:1s",
    "--in-flight 5",
    "--one-way",
    "--percentiles 50",
    "--find-max loss<1%",
    "--find-knee",
    "--json-stream",
    "--html a",
    "--svg a",
    "--csv a",
    "--hdr-log a",
    "--junit a",
    "--openmetrics a",
    "--start-at +1s",
    "--shard 0/2",
];

#[test]
fn options_that_exclude_each_other_are_both_named() {
    let name = |words: &str| words.split(' ').next().unwrap_or_default().to_owned();
    for (one, others) in APART {
        for other in *others {
            for line in [format!("{one} {other}"), format!("{other} {one}")] {
                let said = refused(&line);
                for words in [one, other] {
                    assert!(said.contains(&name(words)), "{line}: {} is not named: {said}", name(words));
                }
                assert!(said.contains("cannot be used with"), "{line}: {said}");
            }
        }
    }
}

#[test]
fn what_goes_with_another_option_only_says_with_which() {
    for (lone, with) in [
        ("--min-rate 5/s", "--find-max"),
        ("--max-rate 5/s", "--find-max"),
        ("--max-lag 5ms", "--find-max"),
        ("--search-time 5m", "--find-max"),
        ("--steps 5", "--find-knee"),
        ("--step-time 5s", "--find-knee"),
        ("--find-max loss<1% --steps 5", "--find-knee"),
        ("--find-max loss<1% --step-time 5s", "--find-knee"),
        ("--speed 2x", "--pcap"),
        ("--loop 2", "--pcap"),
        ("--pcap-port 53", "--pcap"),
    ] {
        let said = refused(lone);
        assert!(said.contains(with), "{lone}: {said}");
    }
}

#[test]
fn what_cannot_work_says_what_where_and_what_to_do() {
    let mut wrong = Vec::new();
    for (line, what, to_do) in [
        ("--shard 2/2", "`2/2`", "the last one is 1/2"),
        ("--shard 1", "`1`", "such as 0/3"),
        ("--shard 2/3", "2 targets leave none", "start as many as there are targets at most"),
        ("--flows 1 --threads 2", "1 flows", "raise --flows or lower --threads"),
        ("--one-way --expect echo", "--one-way", "--expect reply"),
        ("--expect nothing", "--expect nothing", "--books SOCKET"),
        ("--expect nothing --books a --gso on", "--gso on", "leave --gso out"),
        ("--text hi", "--text", "--expect any"),
        ("--template hi", "--template", "--expect any"),
        ("--payload-file /dev/null", "--payload-file", "--expect any"),
        (
            "--expect any --text hi --payload-file /dev/null",
            "--text and --payload-file",
            "leave one of them out",
        ),
        ("--expect any --size 5 --payload-file /dev/null", "--payload-file", "without --payload, --size"),
        ("--expect any --payload 5 --payload-file /dev/null", "--payload-file", "without --payload, --size"),
        ("--expect any --sizes 90:1 --payload-file /dev/null", "--payload-file", "--sizes"),
        ("--in-flight 1 --threads 2", "--in-flight 1", "lower --threads"),
        ("--in-flight 9 --max-in-flight 5", "--in-flight 9", "raise --max-in-flight"),
        ("--flow 5:60d,5:60d", "--flow", "100 days"),
        ("--ramp 0..5/101d", "--ramp", "100 days"),
        ("--duration 101d", "--duration", "100 days"),
        ("--warmup 101d", "--warmup", "100 days"),
        ("--timeout 101d", "--timeout", "100 days"),
        ("--drain 3x,101d", "--drain", "100 days"),
        ("--drain 101d", "--drain", "100 days"),
        ("--timeout 0", "--timeout 0", "give a timeout above zero"),
        ("--size 20", "--size 20", "100 octets"),
        ("--sizes 20:1", "--sizes has 20", "a shorter --payload"),
        ("--payload 65500", "does not fit", "at most 65507"),
        ("--tos 256", "256", "0..=255"),
        ("--ttl 0", "`0`", "write 1 to 255"),
        ("--ttl 256", "`256`", "write 1 to 255"),
        ("--dscp af14", "`af14`", "af11 to af43"),
        ("--arrival burst:0", "burst", "1 to 1000000"),
        ("--arrival sometimes", "`sometimes`", "write constant, poisson or burst:10"),
        ("--percentiles 101", "`101`", "up to 100"),
        ("--threshold p98<1ms", "p98", "p99"),
        ("--find-max loss<1% --min-rate 9/s --max-rate 5/s", "--min-rate 9/s", "not below --max-rate 5/s"),
        ("--find-max loss<1% --max-lag 2s", "--max-lag", "not below --timeout"),
        ("--find-knee --step-time 101d", "a trial or a step", "100 days"),
        ("--find-knee --steps 3", "--steps", "4..=1000"),
        ("--find-max p99<5ms,sum=101d", "", "100 days"),
        ("--find-max speed<5", "speed", "loss<0.1%"),
        ("--interval 0", "--interval", "above zero"),
        ("--start-at noon", "noon", "+10s"),
    ] {
        let said = refused(line);
        if !said.contains(what) || !said.contains(to_do) {
            wrong.push(format!("{line}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
