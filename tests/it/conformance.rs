//! `polyport plugin test`: what keeps the rules of `plugins/ABI.md` is said to, and who breaks one is found by its rule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyport::workbench::CASES;
use polyport_tests::plugins::{built, compile_c, fixture};
use polyport_tests::process::Process;
use polyport_tests::{Finished, Launch};
use serde_json::Value;
use tempfile::TempDir;

use super::examples::{built_by_cargo, built_by_cc};
use crate::polyport;

/// What each breach of `tests/fixtures/c/breaches.c` is found by: the case, the rule, and words of what is said.
const BREACHES: &[(&str, &str, &str, &str)] = &[
    ("silent", "made", "2.2", "did not fill in the error"),
    ("destroy-twice", "made", "3.1", "SIGABRT in destroy"),
    ("code", "made", "4.16", "returned 7, a code that there is not"),
    ("metric", "made", "5", "`metric` outside of create"),
    ("want", "made", "5", "`want` outside of create"),
    ("aborts", "made", "7.4", "SIGABRT in on_batch"),
    ("wild", "made", "7.4", "SIGSEGV in on_batch"),
    ("exits", "made", "7.4", "ended the process, with exit code 3"),
    ("behind-cap", "batches", "3.2", "wrote to byte 1 behind the bytes of datagram 0"),
    ("no-rx", "batches", "4.13", "entry 0 of on_batch"),
    ("nowhere", "batches", "4.3", "goes nowhere"),
    ("flag", "batches", "4.13", "a flag"),
    ("longer", "batches", "4.13", "entry 0 of on_batch"),
    ("stale", "batches", "4.13", "entry 0 of on_batch"),
    ("too-long", "batches", "4.13", "longer than a datagram may be"),
    ("on-stack", "batches", "3.7", "changed when it had returned"),
    ("keeps-rx", "batches", "3.6", "bytes of a datagram whose call had returned"),
    ("keeps-arena", "batches", "3.6", "the arena, whose call had returned"),
    ("keeps-values", "batches", "3.6", "the values of the options, whose call had returned"),
    ("frees", "batches", "3.1", "a byte before the arena"),
    ("endless", "batches", "6.3", "on_batch has not returned for 2s"),
    ("timer-rx", "batches", "4.13", "entry 0 of on_timer"),
    ("before-data", "sizes", "3.2", "a byte before the bytes of datagram 0"),
    ("empty", "sizes", "3.2", "read byte 1 behind the bytes of datagram"),
    ("poison", "contents", "4.16", "at datagram 167, '\\xa7"),
    ("train-end", "trains", "3.2", "byte 1 behind the bytes of datagram"),
    ("full-ring", "small-ring", "4.2", "behind `tx` of the batch"),
    ("ring-claim", "small-ring", "4.2", "1 more entry than `tx_cap` allows"),
    ("full-arena", "small-arena", "4.6", "behind the arena"),
    ("arena-claim", "small-arena", "4.6", "1 more byte of the arena"),
    ("timer-fatal", "timers", "4.16", "on_timer broke the instance"),
    ("timer-loop", "timers", "6.3", "on_timer has not returned"),
    ("delay-share", "delays", "7.4", "SIGFPE in on_batch"),
    ("check-strict", "options", "2.4", "check refuses n = \"9\", and create takes it"),
    ("check-lax", "options", "9.5", "check takes n = \"9\", and create refuses the option"),
    ("blames", "options", "9.5", "blames an option that is none"),
    ("check-leaks", "checks", "2.4", "descriptors"),
    ("session-dead", "sessions", "12.4", "of whose end the plugin was told before"),
    ("session-forged", "sessions", "12.4", "which nobody was given"),
    ("stale-ticket", "wakes", "4.13", "entry 0 of on_wake"),
    ("clock", "repeats", "8", "answer differently"),
    ("static", "neighbours", "2.11", "they share a `static`"),
    ("race", "at-once", "6.2", "SIGABRT"),
    ("sleeps", "waits", "6.3", "on_batch waited for something"),
    ("thread-late", "threads", "6.4", "for an instance that is gone"),
    ("threads", "thousand", "2.10", "threads"),
    ("descriptors", "thousand", "2.10", "descriptors"),
    ("rare", "random", "4.16", "in life "),
];

/// `polyport plugin test`, about to be started.
fn test(plugin: &Path, args: &[&str]) -> Launch {
    polyport().args(&["plugin", "test"]).arg(plugin).args(args)
}

/// The fixture; none without a C compiler.
fn breaches() -> Option<(PathBuf, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("breaches"), &["-pthread"], dir.path(), "breaches")?;
    Some((library, dir))
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// More than the seconds that a case has, and the time that a call in it has.
const PATIENCE: Duration = Duration::from_secs(90);

/// Each by the case alone that is for it, so that none is found by accident.
#[track_caller]
fn found(which: impl Fn(usize) -> bool) {
    let Some((library, _dir)) = breaches() else { return };
    let mut wrong = Vec::new();
    for (_, (breach, case, rule, words)) in BREACHES.iter().enumerate().filter(|(n, _)| which(*n)) {
        let option = format!("breach={breach}");
        // It takes as long as it needs to find something, and a call that is not to return is not waited for.
        let limit = if words.contains("not returned") { "2s" } else { "60s" };
        let args = ["--option", &option, "--case", case, "--seconds", "15", "--timeout", limit, "--json"];
        // It says something at its end only.
        let mut launch = test(&library, &args);
        let finished = Process::spawn(launch.command()).silent_for(PATIENCE).finish();
        let told = json(&finished);
        let of = &told["cases"][0];
        let what = of["what"].as_str().unwrap_or_default();
        if finished.code() != Some(70) || of["rule"] != *rule || !what.contains(words) {
            wrong.push(format!("{breach} by {case}: {:?} {told}", finished.code()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn breaches_are_found_by_their_case_and_their_rule() {
    found(|n| n % 3 == 0);
}

#[test]
fn more_breaches_are_found_by_their_case_and_their_rule() {
    found(|n| n % 3 == 1);
}

#[test]
fn still_more_breaches_are_found_by_their_case_and_their_rule() {
    found(|n| n % 3 == 2);
}

/// So a case that is taken out is missed by the tests above.
#[test]
fn every_case_finds_a_breach() {
    let finds: BTreeSet<&str> = BREACHES.iter().map(|(_, case, ..)| *case).collect();
    let all: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(finds, all);
    let source = std::fs::read_to_string(fixture("breaches")).unwrap();
    let words = source.split("\"none|").nth(1).unwrap().split("\" }").next().unwrap();
    let words: BTreeSet<&str> = words.split(|c: char| !c.is_ascii_lowercase() && c != '-').collect();
    let told: BTreeSet<&str> = BREACHES.iter().map(|(breach, ..)| *breach).chain(["", "grows"]).collect();
    assert_eq!(words, told, "what the fixture can do wrong");
}

/// The fixture itself keeps all of them as long as it is not told to break one.
#[test]
fn who_breaks_nothing_is_said_to_keep_every_rule() {
    let Some((library, _dir)) = breaches() else { return };
    let finished = test(&library, &["--option", "breach=none", "--seconds", "2"]).run();
    let text = &finished.expect_code(0).stdout;
    // A machine with other things to do makes a call wait now and then, which is remarked.
    let is_of_machine = |line: &&str| line.trim_start().starts_with("remark: on_batch waited for something");
    let lines: Vec<&str> = text.lines().filter(|line| !is_of_machine(line)).collect();
    assert_eq!(lines.len(), CASES.len() + 1, "{text}");
    for (line, case) in lines.iter().zip(CASES) {
        assert!(line.starts_with(&format!("{:12} kept     {}", case.name, case.about)), "{line}");
    }
    let all = CASES.len();
    assert!(lines[all].starts_with(&format!("{all} cases: {all} kept, 0 broken, 0 skipped; ")), "{text}");
    // What is lost is a remark.
    let finished = test(&library, &["--option", "breach=grows", "--case", "thousand"]).run();
    let text = &finished.expect_code(0).stdout;
    assert!(text.contains("remark: memory grows by about 1"), "{text}");
}

#[track_caller]
fn keeps(plugin: &Path, args: &[&str]) {
    let finished = test(plugin, &[&["--seconds", "2"], args].concat()).run();
    finished.expect_code(0);
    assert!(finished.stdout.contains(" 0 broken"), "{}", finished.stdout);
}

#[test]
fn the_shipped_plugins_keep_every_rule() {
    for name in ["echo", "lossy", "discard"] {
        keeps(&built(name), &[]);
    }
}

#[test]
fn the_larger_shipped_plugins_keep_every_rule() {
    keeps(&built("listener"), &["--option", "ack=true"]);
    keeps(&built("responder"), &[]);
    keeps(&built("stamp"), &["--option", "mode=stateful"]);
    keeps(&built("relay"), &["--option", "to=127.0.0.1:9"]);
}

#[test]
fn the_example_plugins_keep_every_rule() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["echo", "policer", "sockperf"] {
        if let Some(library) = built_by_cc(name, dir.path()) {
            keeps(&library, &[]);
        }
    }
    keeps(&built_by_cargo("polyport-example-whoami"), &[]);
    // A thousand of its threads ask for a name, which takes as long as the resolver of the machine takes.
    let cases = CASES.iter().map(|case| case.name).filter(|name| *name != "thousand");
    let cases: Vec<&str> = cases.flat_map(|name| ["--case", name]).collect();
    keeps(&built_by_cargo("polyport-example-lookup"), &cases);
    keeps(&built("example-relay"), &["--option", "to=192.0.2.9:53"]);
}

/// The seed and the case find the same again; a secret is not repeated.
#[test]
fn what_was_found_is_found_again_by_what_is_printed() {
    let Some((library, _dir)) = breaches() else { return };
    let args = ["--option", "breach=rare", "--case", "random", "--seed", "7", "--seconds", "15"];
    let first = test(&library, &args).run();
    first.expect_code(70);
    let again = first.stdout.lines().find_map(|line| line.trim().strip_prefix("again: polyport ")).unwrap();
    let words: Vec<&str> = again.split(' ').collect();
    let second = polyport().args(&words).run();
    second.expect_code(70);
    let rule = |finished: &Finished| {
        finished.stdout.lines().find(|line| line.contains(" broken ")).map(str::to_owned).unwrap()
    };
    assert_eq!(rule(&first), rule(&second));
    let key = ["--option", "auth=hmac", "--option", "key=00112233445566778899aabbccddeeff", "--json"];
    let told = test(&built("stamp"), &[&key[..], &["--case", "made"]].concat()).run();
    assert!(!told.expect_code(0).stdout.contains("00112233"), "{}", told.stdout);
}

#[test]
fn what_cannot_be_tested_is_refused_in_words() {
    let echo = built("echo");
    for (plugin, args, code, words) in [
        (&*echo, &["--case", "no-such"][..], 64, "there is no case `no-such`"),
        (&echo, &["--option", "reply=nothing", "--case", "made"], 78, "the options are refused"),
        (&echo, &["--timeout", "5", "--case", "made"], 64, "unit"),
        (Path::new("no-such"), &[], 78, "no such plugin"),
        (Path::new("/dev/null"), &[], 78, ""),
    ] {
        let finished = test(plugin, args).run();
        finished.expect_code(code).expect_stderr(&[words]);
    }
    polyport().args(&["plugin", "test"]).run().expect_code(64);
    let listed = polyport().args(&["plugin", "test", "--list"]).run();
    let listed = &listed.expect_code(0).stdout;
    assert!(CASES.iter().all(|case| listed.contains(case.about)), "{listed}");
}
