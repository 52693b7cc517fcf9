//! Seeds and keys, both ways, profiles, timelines, the log of decisions, and options that were called otherwise.

use std::fs;

use polyport_plugin::testing::Refused;

use super::*;

/// The numbers of a client's datagrams that are lost, of so many.
fn lost(h: &mut Harness<Lossy>, client: &str, of: u32) -> Vec<u32> {
    let mut missing = Vec::new();
    for n in 0..of {
        h.send(client, &n.to_be_bytes());
        if h.sent().is_empty() {
            missing.push(n);
        }
    }
    missing
}

fn refused(options: &[(&str, &str)]) -> Refused {
    Harness::<Lossy>::try_new(options, 1).unwrap_err()
}

/// The decisions are an interface: a seed written into somebody's test plan must go on meaning the same. Computed by an
/// independent implementation.
#[test]
fn the_decisions_of_a_seed_never_change() {
    let run =
        |way: &str, key: &str| lost(&mut lossy(&[(way, "25%"), ("seed", "1"), ("key", key)]), ALICE, 40);
    assert_eq!(run("loss", "endpoint"), [5, 15, 16, 20, 27, 28, 32, 38]);
    assert_eq!(run("loss", "address"), [6, 7, 14, 20, 22, 24, 25, 31, 35, 37, 39]);
    assert_eq!(run("up.loss", "endpoint"), [0, 2, 3, 4, 11, 12, 13, 16, 24, 28, 29, 36, 37]);
    assert_eq!(run("down.loss", "endpoint"), [3, 13, 24, 25, 26, 34]);
}

#[test]
fn a_client_with_another_port_sees_the_same_run_and_others_do_as_their_key_says() {
    let runs = |key: &str| {
        let mut h = lossy(&[("loss", "30%"), ("seed", "7"), ("key", key)]);
        ["192.0.2.1:5000", "192.0.2.1:5001", "192.0.2.2:5000"].map(|client| lost(&mut h, client, 100))
    };
    let [first, again, other] = runs("address");
    assert_eq!(first, again);
    assert_ne!(first, other);
    let [first, again, other] = runs("endpoint");
    assert!(first != again && again != other && first != other);
    let [first, again, other] = runs("order");
    assert!(first != again && again != other && first != other);
    // The first is the first, wherever it comes from.
    let mut h = lossy(&[("loss", "30%"), ("seed", "7"), ("key", "order")]);
    assert_eq!(lost(&mut h, "203.0.113.9:9", 100), first);
    // By itself it is the address where there is a seed; without one each run is another one.
    let mut h = lossy(&[("loss", "30%")]);
    assert_ne!(lost(&mut h, "192.0.2.1:5000", 100), lost(&mut h, "192.0.2.1:5001", 100));
    let mut h = lossy(&[("loss", "30%"), ("seed", "7")]);
    assert_eq!(lost(&mut h, "192.0.2.1:9999", 100), runs("address")[0]);
    // The seed that the host hands over, configured or not, leaves the key as it is: who wants the address says so.
    for (key, same) in [("auto", false), ("address", true)] {
        let mut h = Harness::<Lossy>::with_seed(&[("loss", "30%"), ("key", key)], 42);
        let two = ["192.0.2.1:5000", "192.0.2.1:5001"].map(|client| lost(&mut h, client, 100));
        assert_eq!(two[0] == two[1], same, "{key}");
    }
}

#[test]
fn each_way_has_luck_options_and_counters_of_its_own() {
    let mut h = lossy(&[("up.loss", "20%"), ("down.loss", "20%"), ("loss", "20%"), ("seed", "3")]);
    let all = lost(&mut h, ALICE, 1000);
    let [up, down] = ["up_lost_total", "down_lost_total"].map(|name| h.counter(name));
    assert!((120..280).contains(&up) && (80..190).contains(&down), "{up} {down}");
    assert_eq!((h.counter("up_datagrams_total"), h.counter("down_datagrams_total") > 500), (1000, true));
    assert!(all.len() as u64 > up + down && h.counter("dropped_total") == all.len() as u64);
    // What is lost on the way up alone is what another seed of dice says than on the way down.
    let alone = |way: &str| lost(&mut lossy(&[(way, "20%"), ("seed", "3")]), ALICE, 1000);
    let [up, down, whole] = ["up.loss", "down.loss", "loss"].map(alone);
    assert!(up != down && down != whole && up != whole);
    // Times add up, and copies multiply.
    let mut h = lossy(&[
        ("up.delay", "10ms"),
        ("down.delay", "5ms"),
        ("delay", "1ms"),
        ("up.duplicate", "100%"),
        ("down.duplicate", "100%"),
    ]);
    h.send(ALICE, b"four");
    h.advance(Duration::from_millis(16));
    assert_eq!(story(&h.sent(), ALICE), vec![(16_000_000, b"four".to_vec()); 4]);
    assert_eq!(["answered_total", "duplicated_total"].map(|name| h.counter(name)), [1, 3]);
}

#[test]
fn a_corrupted_question_is_what_an_answer_repeats_and_not_what_it_counts() {
    let mut h = lossy(&[("up.corrupt", "100%")]);
    h.send(ALICE, &[0; 9]);
    assert_eq!(h.sent()[0].payload.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    let mut h = lossy(&[("up.mtu", "8"), ("reply", "length")]);
    h.send(ALICE, &[0; 9]);
    h.send(ALICE, &[0; 8]);
    assert_eq!((h.sent().len(), h.counter("up_lost_total")), (1, 1));
}

/// An empty datagram has no bit to flip: it passes, and is counted apart, each way.
#[test]
fn what_is_picked_for_corruption_and_empty_is_counted_each_way() {
    let mut h = lossy(&[("up.corrupt", "100%"), ("down.corrupt", "100%"), ("down.duplicate", "100%")]);
    h.send(ALICE, b"");
    let counts = |h: &Harness<Lossy>| {
        ["up_corrupted", "up_uncorruptible", "down_corrupted", "down_uncorruptible"]
            .map(|name| h.counter(&format!("{name}_total")))
    };
    assert_eq!((h.sent().len(), counts(&h)), (2, [0, 1, 0, 2]));
    h.send(ALICE, b"x");
    assert_eq!((h.sent().len(), counts(&h)), (2, [1, 1, 2, 2]));
}

#[test]
fn a_jitter_above_the_delay_is_refused_also_in_a_step() {
    for (options, option) in [
        (&[("jitter", "5ms")][..], "jitter"),
        (&[("down.delay", "5ms"), ("down.jitter", "6ms")], "down.jitter"),
        (&[("delay", "5ms"), ("timeline", "1s loss=1%; 2s jitter=6ms")], "timeline"),
    ] {
        let told = refused(options);
        assert_eq!(told.option.as_deref(), Some(option), "{told}");
        assert!(told.message.contains("is more than the delay"), "{told}");
    }
    let told = refused(&[("delay", "5ms"), ("timeline", "1s loss=1%; 2s jitter=6ms")]);
    assert!(
        told.message.starts_with("step 2, `2s jitter=6ms`: `jitter`: is more than the delay, 5ms"),
        "{told}"
    );
}

#[test]
fn a_rate_spaces_answers_and_a_full_queue_drops_them() {
    let mut h = lossy(&[("down.rate", "1Mbit"), ("down.limit", "3")]);
    let burst: Vec<(&str, &[u8])> = vec![(ALICE, &[7; 972]); 5];
    h.send_batch(&burst);
    h.advance(Duration::from_secs(1));
    // 972 bytes and 28 of IP and UDP: 8 ms each.
    let times: Vec<u64> = story(&h.sent(), ALICE).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [8_000_000, 16_000_000, 24_000_000]);
    assert_eq!(["down_queue_full_total", "dropped_total"].map(|name| h.counter(name)), [2, 2]);
}

#[test]
fn a_profile_is_for_both_ways_and_own_options_override_it() {
    let mut h = lossy(&[("profile", "satellite")]);
    h.send(ALICE, b"");
    h.advance(Duration::from_secs(1));
    let (at, _) = story(&h.sent(), ALICE)[0];
    // And 28 bytes at 3 and at 25 Mbit/s.
    assert_eq!(at, 2 * 279_000_000 + 74_666 + 8_960);
    let mut h =
        lossy(&[("profile", "satellite"), ("up.delay", "0ms"), ("up.rate", "none"), ("down.rate", "none")]);
    h.send(ALICE, b"");
    h.advance(Duration::from_secs(1));
    assert_eq!(story(&h.sent(), ALICE), [(279_000_000, vec![])]);
}

#[test]
fn a_timeline_changes_options_on_the_way() {
    let mut h = lossy(&[("timeline", "#3 blackout=true; #5 blackout=false; #7 up.blackout=true")]);
    assert_eq!(lost(&mut h, ALICE, 9), [3, 4, 7, 8]);
    let mut h = lossy(&[("timeline", "30s loss=100%; 32s loss=0%")]);
    let mut answered = Vec::new();
    for second in 0..40 {
        h.send(ALICE, b"");
        answered.extend((!h.sent().is_empty()).then_some(second));
        h.advance(Duration::from_secs(1));
    }
    assert_eq!(answered, (0..30).chain(32..40).collect::<Vec<_>>());
    let told = refused(&[("timeline", "1s loss=1%; 2s loss=2%; 3s up.reorder=5%")]);
    assert_eq!(told.option.as_deref(), Some("timeline"));
    assert!(told.message.starts_with("step 3, `3s up.reorder=5%`: "), "{told}");
}

#[test]
fn marks_of_congestion_are_in_answers() {
    let mut h = lossy(&[("up.loss", "100%"), ("up.ecn", "true")]);
    for (tos, expected) in
        [(0, None), (0b10, Some(0b11)), (0b1011_1001, Some(0b1011_1011)), (0b11, Some(0b11))]
    {
        h.deliver(&[Incoming { tos, ..Incoming::new(ALICE.parse().unwrap(), b"x") }]);
        assert_eq!(h.sent().first().map(|sent| sent.tos), expected, "{tos:b}");
    }
    assert_eq!(["up_marked_total", "marked_total", "dropped_total"].map(|name| h.counter(name)), [3, 3, 1]);
}

/// Two runs with the same seed have the same log but for the times; so has a client with another port.
#[test]
fn the_log_of_decisions_repeats_but_for_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let log = |client: &'static str, pause: u64| {
        let path = dir.path().join("decisions.csv");
        let bad = [
            ("up.loss", "20%"),
            ("down.duplicate", "20%"),
            ("corrupt", "20%"),
            ("late", "20%"),
            ("seed", "7"),
        ];
        let mut h = lossy(&[&bad[..], &[("decisions", path.to_str().unwrap())]].concat());
        for n in 0..200_u32 {
            h.send(client, &n.to_be_bytes());
            h.advance(Duration::from_millis(pause));
        }
        assert!(h.stop().is_empty());
        let text = fs::read_to_string(path).unwrap();
        let (header, lines) = text.split_once('\n').unwrap();
        assert_eq!(header, "ns,client,dir,n,bytes,what,wait_ns");
        let line = |line: &str| {
            let (ns, rest) = line.split_once(',').unwrap();
            (ns.parse().unwrap(), rest.to_owned())
        };
        lines.lines().map(line).unzip::<u64, String, Vec<_>, Vec<_>>()
    };
    let (times, first) = log("192.0.2.1:5000", 3);
    let (others, second) = log("192.0.2.1:5001", 4);
    assert_eq!(first, second);
    assert_ne!(times, others);
    let count = |what: &str| first.iter().filter(|line| line.contains(what)).count();
    assert!(count("up,") > 20 && count(",only,") > 40 && count(",down,") > 20, "{first:?}");
    assert!(first[0].starts_with("192.0.2.1,") && count(",late,") + count("+late,") > 20, "{first:?}");
    // The run before is kept.
    assert!(dir.path().join("decisions.1.csv").exists());
}

#[test]
fn a_log_that_cannot_be_written_is_refused_or_told_and_costs_nothing_else() {
    let told = refused(&[("loss", "50%"), ("decisions", "/nowhere/a.csv")]);
    assert_eq!(told.option.as_deref(), Some("decisions"));
    assert!(told.message.starts_with("/nowhere/a.csv: No such file"), "{told}");
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut h = lossy(&[("loss", "100%"), ("decisions", "/dev/full")]);
    for _ in 0..60_000 {
        h.send(ALICE, b"");
        h.advance(Duration::from_secs(1));
        if h.counter("log_errors_total") > 0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert!(h.counter("log_errors_total") > 0 && h.counter("log_written_total") == 0);
    let lines = h.lines();
    assert!(
        lines.len() == 1 && lines[0].starts_with("/dev/full cannot be written: No space left"),
        "{lines:?}"
    );
}

/// A pipe that nobody empties: the batches fill, and what finds no room in them is left out and counted.
#[test]
fn what_the_log_has_no_room_for_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let name = path.to_str().unwrap();
    assert!(std::process::Command::new("mkfifo").args(["-m", "600", name]).status().unwrap().success());
    // To read and to write, so that opening it waits for nobody.
    let pipe = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut h = lossy(&[("loss", "100%"), ("decisions", name)]);
    // Three batches of 16,384, and what the pipe holds.
    for _ in 0..1200 {
        h.send_batch(&[(ALICE, &b""[..]); 64]);
    }
    let lost = h.counter("log_lost_total");
    assert!((1..1200 * 64).contains(&lost), "{lost}");
    assert_eq!((h.counter("dropped_total"), h.counter("log_errors_total")), (1200 * 64, 0));
    h.advance(Duration::from_secs(1));
    let lines = h.lines();
    assert!(
        lines.iter().any(|line| line.contains("is written more slowly than decisions come")),
        "{lines:?}"
    );
    drop(pipe);
}

#[test]
fn a_reload_begins_another_log_and_a_change_of_options_goes_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let name = path.to_str().unwrap();
    let options = |loss| [("loss", loss), ("decisions", name)];
    let mut h = lossy(&options("100%"));
    assert_eq!(lost(&mut h, ALICE, 3), [0, 1, 2]);
    h.reconfigure(&options("99%")).unwrap();
    h.send(ALICE, b"");
    h.reload(&options("100%")).unwrap();
    h.send(ALICE, b"");
    assert!(h.stop().is_empty());
    let numbers = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_owned()).collect()
    };
    assert_eq!(
        (numbers("a.1.csv"), numbers("a.csv")),
        (["0", "1", "2", "3"].map(String::from).to_vec(), vec!["0".into()])
    );
    // From nothing to something needs no other handler, and neither does the way back.
    let mut h = lossy(&[]);
    h.reconfigure(&[("loss", "100%")]).unwrap();
    assert_eq!(lost(&mut h, ALICE, 2), [0, 1]);
    h.reconfigure(&[]).unwrap();
    assert_eq!(lost(&mut h, ALICE, 2), [0; 0]);
    // What needs another handler gets one.
    let mut h = lossy(&[("loss", "50%")]);
    for more in [("up.loss", "1%"), ("key", "order"), ("rate", "1Mbit"), ("decisions", name), ("ecn", "true")]
    {
        assert!(h.reconfigure(&[("loss", "50%"), more]).is_err(), "{more:?}");
    }
    h.reconfigure(&[("loss_gemodel", "5% 25%"), ("delay", "1ms"), ("reply", "length")]).unwrap();
}

#[test]
fn names_of_before_are_refused_with_those_of_now() {
    for (option, text, now) in [
        ("drop", "10%", "it is called `loss` now"),
        ("drop", "0%", "it is called `loss` now"),
        ("hold", "5ms", "it is called `late_by` now"),
        ("reorder", "5%", "what is not delayed cannot be overtaken"),
    ] {
        let told = refused(&[(option, text)]);
        assert!(told.option.as_deref() == Some(option) && told.message.starts_with(now), "{told}");
    }
    let told = refused(&[("reorder", "5%")]).message;
    assert!(told.ends_with("what was called `reorder` before is `late` now"), "{told}");
    // With a delay it is netem's.
    let mut h = lossy(&[("reorder", "100%"), ("delay", "20ms")]);
    h.send(ALICE, b"at once");
    assert_eq!(h.sent().len(), 1);
}
