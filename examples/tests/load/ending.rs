//! How runs start and end: exit codes, interruption, thresholds, limits of the machine.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::server::Server;
use crate::tester::{Ran, command, expect, measure, run};

fn good() -> Server {
    Server::start(|request| request.send(&request.response()))
}

/// A port of loopback on which nobody listens.
fn closed() -> String {
    closed_at("127.0.0.1:0")
}

fn closed_at(bind: &str) -> String {
    UdpSocket::bind(bind).unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_wrong_command_line_is_64_and_an_unknown_service_68() {
    for line in ["127.0.0.1", "127.0.0.1:9 --rate fast", "127.0.0.1:9 --threshold p99", "192.0.2.1:9"] {
        let ran = run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (64, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(run("127.0.0.1:no-such-service").code, 68);
    let help = run("--help");
    assert_eq!((help.code, help.stdout.contains("--i-own-the-target")), (0, true));
}

#[test]
fn a_closed_port_is_named_before_the_load() {
    let (server, closed) = (good(), closed());
    let ran = run(&format!("{} {closed} --timeout 100ms -q", server.address));
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{}", ran.stderr);
    let cause = if cfg!(target_os = "linux") { " (ICMP: port_unreachable 5)" } else { "" };
    let told = format!("1 of 2 targets do not answer: {closed}{cause};");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[test]
fn an_echo_without_raw_echo_is_told_so() {
    let server = Server::start(|request| request.send(request.datagram));
    // At once: not after a timeout that is longer than any test.
    let ran = run(&format!("{} --timeout 10m -q", server.address));
    assert_eq!(ran.code, 76, "{}", ran.stderr);
    let words = format!("{} sends our own frames back: it is an echo", server.address);
    assert!(ran.stderr.contains(&words) && ran.stderr.contains("use --expect echo"), "{}", ran.stderr);
}

#[test]
fn who_answers_instead_of_the_target_is_named() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let elsewhere = other.local_addr().unwrap();
    let server = Server::start(move |request| request.send_from(&other, &request.response()));
    let ran = run(&format!("{} --timeout 100ms -q", server.address));
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert!(ran.stderr.contains("; received: wrong_source "), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!(" from {elsewhere};")), "{}", ran.stderr);
}

#[test]
fn without_handshake_a_closed_port_is_all_loss_and_no_result() {
    let server = good();
    for (target, name) in [(closed(), "127.0.0.1"), (closed_at("[::1]:0"), "::1")] {
        // Where trains are sent, loopback complains of each once.
        let line = "--rate 1000/s -d 200ms --warmup 0s --no-handshake --drain 500ms --json -q --gso off";
        let ran = run(&format!("{target} {line}"));
        assert_eq!(ran.code, 69, "{}", ran.stderr);
        let result = ran.json();
        expect(&result["counts"], &[("planned", 200), ("sent", 200), ("lost", 200), ("received", 0)]);
        assert!(result["latency"]["rtt_from_plan"].is_null());
        assert!(ran.stderr.contains("error: no answer: sent 200, received nothing"), "{}", ran.stderr);
        if cfg!(target_os = "linux") && name == "127.0.0.1" {
            // Over IPv6 the kernel tells of a thousand a second at most, whoever asks (`icmp.ratelimit`).
            expect(&result["icmp"], &[("port_unreachable", 200)]);
            expect(&result["ports"][0], &[("icmp", 200)]);
            assert!(ran.stderr.contains("received nothing; ICMP: port_unreachable 200\n"), "{}", ran.stderr);
        }
        assert_eq!(result["icmp_disbelieved"], 0);
        // One of two that answers is a result, and the other one is named.
        let ran = run(&format!("{target} {} {line} --timeout 2s", server.address));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        expect(&ran.json()["counts"], &[("ok", 100), ("lost", 100)]);
        expect(&ran.json()["ports"][1], &[("ok", 100), ("icmp", 0)]);
    }
}

#[test]
fn icmp_is_shown_to_people_and_counts_for_plain_text_too() {
    if cfg!(not(target_os = "linux")) {
        return;
    }
    for more in ["", "--expect any", "--expect echo --streams 3"] {
        let line = "--rate 1000/s -d 100ms --warmup 0s --no-handshake --drain 500ms --per-port -q --gso off";
        let ran = run(&format!("{} {line} {more}", closed()));
        assert_eq!(ran.code, 69, "{}", ran.stderr);
        assert!(ran.stdout.contains("\n icmp    port_unreachable 100\n"), "{more}: {}", ran.stdout);
        assert!(ran.stdout.ends_with("     100\n"), "{}", ran.stdout);
        assert!(
            ran.stderr.contains("warning: the network refused datagrams of the load, by ICMP"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn thresholds_decide_the_exit_code() {
    let server = Server::start(|request| {
        if request.number % 10 != 0 {
            request.send(&request.response());
        }
    });
    let line = |more: &str| {
        let target = server.address;
        format!("{target} --no-handshake --warmup 0s --rate 1000/s -d 200ms --timeout 1s -q {more}")
    };
    let met = run(&line("--threshold loss<=10% --threshold p50<2s --threshold ok>=180"));
    assert_eq!(met.code, 0, "{}{}", met.stdout, met.stderr);
    assert!(met.stdout.contains("\u{2713} ok    loss<=10%             10.0%\n"), "{}", met.stdout);
    assert!(met.stdout.contains(" + lost 20 ("), "{}", met.stdout);
    let missed = run(&line("--threshold loss<10% --threshold p50<2s --json"));
    assert_eq!(missed.code, 99, "{}", missed.stderr);
    let thresholds = &missed.json()["thresholds"];
    assert_eq!((&thresholds[0]["met"], &thresholds[1]["met"]), (&false.into(), &true.into()));
}

#[test]
fn ctrl_c_prints_what_is_known() {
    let server = Server::start(|request| {
        if request.number % 2 == 0 {
            request.send(&request.response());
        }
    });
    let line =
        format!("{} --warmup 0s --rate 1000/s -d 1h --timeout 1h --interval 20ms --json", server.address);
    let mut child = command().args(line.split(' ')).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("ok 1") {
        shown.clear();
        assert!(progress.read_line(&mut shown).unwrap() > 0, "it ended early");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{rest}");
    let (result, counts) = (ran.json(), &ran.json()["counts"]);
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(result["aborted"], true);
    assert!(count("ok") > 0 && count("pending_at_abort") > 0, "{counts}");
    assert_eq!(count("sent"), count("ok") + count("pending_at_abort"), "nothing can be lost within an hour");
    assert_eq!(count("planned"), count("sent") + count("not_sent"));
}

#[test]
fn ctrl_c_during_the_handshake_ends_it() {
    let (heard, hears) = mpsc::channel();
    // The test may have seen enough and be gone.
    let mute = Server::start(move |_| heard.send(()).unwrap_or(()));
    let line = format!("{} --timeout 1h -q --json", mute.address);
    let child = command().args(line.split(' ')).spawn().unwrap();
    hears.recv_timeout(Duration::from_secs(30)).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    expect(&ran.json()["counts"], &[("planned", 0), ("sent", 0), ("received", 0)]);
}

#[test]
fn a_rate_out_of_reach_is_said() {
    let server = good();
    let line =
        format!("{} --rate 5M/s -d 200ms --timeout 20ms --warmup 0s --drain 50ms -q --json", server.address);
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let counts = &ran.json()["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(count("planned"), 1_000_000);
    assert!(count("not_sent_behind") > 0 && count("sent") > 0, "{counts}");
    assert_eq!(count("planned"), count("sent") + count("not_sent"));
    let missed = ran.stderr.lines().find(|line| line.starts_with("warning: the rate was missed: ")).unwrap();
    assert!(
        missed.contains("asked 5000000/s, achieved ") && missed.contains("/s, behind since "),
        "{missed}"
    );
    assert!(!missed.contains("--pacing"), "{missed}");
    let result = ran.json();
    assert!(result["achieved_per_second"].as_u64().unwrap() < 5_000_000);
    assert!(result["behind_since_ns"].as_u64().unwrap() < 200_000_000);
}

/// What is planned and cannot be sent is given up when the time is over, in one step: the plan of the second is half a
/// million times what any machine could count one by one.
#[test]
fn an_absurd_rate_ends_with_its_time() {
    let server = good();
    for (rate, duration, planned) in [
        ("999M/s", "300ms", 299_700_000_u64),
        ("1000M/s", "1s", 1_000_000_000),
        ("1000M/s --streams 50", "100ms", 100_000_000),
    ] {
        let ran = run(&format!(
            "{} --rate {rate} -d {duration} --warmup 0s --no-handshake --drain 2s -q --json --timeout 1m",
            server.address
        ));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let result = ran.json();
        let count = |name: &str| result["counts"][name].as_u64().unwrap();
        assert_eq!(count("planned"), planned);
        assert_eq!(count("planned"), count("sent") + count("not_sent"));
        assert_eq!(count("not_sent"), count("not_sent_behind"));
        // One by one it would take minutes, however fast the machine.
        assert!(result["took_ns"].as_u64().unwrap() < 30_000_000_000, "{result:#}");
        assert!(ran.stderr.contains("the rate was missed"), "{}", ran.stderr);
    }
}

#[test]
fn a_seed_survives_readers_of_json() {
    let server = good();
    let result = measure(server.address, "--seed 18446744073709551615");
    assert_eq!(result["config"]["seed"], "18446744073709551615");
}

#[test]
fn the_cap_on_datagrams_in_flight_is_counted() {
    let mute = Server::start(|_| ());
    let ran = run(&format!(
        "{} --rate 1000/s -d 200ms --warmup 0s --no-handshake --json -q --timeout 2s --max-in-flight 10 --drain 0s",
        mute.address
    ));
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    let counts =
        [("planned", 200), ("sent", 10), ("not_sent", 190), ("not_sent_in_flight", 190), ("lost", 10)];
    expect(&ran.json()["counts"], &counts);
}

#[test]
fn every_way_of_pacing_keeps_the_schedule() {
    let server = good();
    for pacing in ["sleep", "hybrid", "busy"] {
        let result = measure(server.address, &format!("--pacing {pacing}"));
        expect(&result["counts"], &[("ok", 200)]);
        let took = result["took_ns"].as_u64().unwrap();
        assert!(took >= 199_000_000, "{pacing}: the last datagram is planned at 199 ms, it took {took} ns");
    }
}

#[test]
fn progress_is_one_line_an_interval_and_none_if_quiet() {
    let server = good();
    let line = |more: &str| {
        let target = server.address;
        format!("{target} --warmup 0s --rate 1000/s -d 300ms --interval 50ms --threshold loss<=100% {more}")
    };
    let ran = run(line("--per-port").as_str());
    let lines: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("  load  sent ")).collect();
    assert!((3..=6).contains(&lines.len()), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!(" {:<28}{:>10}{:>10}", server.address.to_string(), 300, 300)));
    let quiet = run(line("-q").as_str());
    assert!(!quiet.stderr.contains("sent"), "{}", quiet.stderr);
}
