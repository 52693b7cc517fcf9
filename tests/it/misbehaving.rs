//! The load tester against a server that shares no code with it, misbehaves by the numbers of the requests, and keeps books of its own:
//! each class of the tester is what was done, its latencies are those of a capture, and each of its clocks shows what it is for.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use polyport_tests::plugins::{compile, fixture};
use polyport_tests::process::Process;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const MILLISECOND: u64 = 1_000_000;

/// The server, built; none without a C compiler.
struct Program {
    dir: TempDir,
}

/// A run of it.
struct Server {
    process: Process,
    port: u16,
}

/// What it says it did.
#[derive(Default)]
struct Books {
    seen: BTreeSet<u64>,
    /// Number of the request and of the answer, in the order of sending.
    sent: Vec<(u64, u64)>,
}

impl Program {
    fn build() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let flags = ["-O1", "-std=c11", "-Wall", "-Wextra", "-Werror"];
        compile("cc", &fixture("misbehaving"), &flags, &dir.path().join("misbehaving"))
            .then_some(Self { dir })
    }

    #[track_caller]
    fn serve(&self, pattern: &str, capture: Option<&Path>) -> Server {
        let mut command = Command::new(self.dir.path().join("misbehaving"));
        command.arg(pattern).args(capture);
        let mut process = Process::spawn(&mut command);
        assert!(process.wait_for_stdout("port "), "it ended: {}", process.stderr());
        let port = process.stdout().trim().strip_prefix("port ").unwrap().parse().unwrap();
        Server { process, port }
    }

    fn capture(&self) -> PathBuf {
        self.dir.path().join("capture.pcap")
    }
}

impl Server {
    #[track_caller]
    fn stop(self) -> Books {
        self.process.signal(Signal::TERM);
        let ended = self.process.finish();
        ended.expect_code(0);
        assert!(ended.stdout.ends_with("done\n"), "{}", ended.stdout);
        let mut books = Books::default();
        for line in ended.stdout.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["seen", seq] => drop(books.seen.insert(seq.parse().unwrap())),
                ["sent", seq, rseq] => books.sent.push((seq.parse().unwrap(), rseq.parse().unwrap())),
                _ => {}
            }
        }
        books
    }

    /// The tester against it, without warm-up and handshake: number 0 is the first of the load.
    fn load(&self, arguments: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
        command.arg(format!("127.0.0.1:{}", self.port));
        command.args(["--warmup", "0", "--no-handshake", "--json", "--quiet"]);
        Process::spawn(command.args(arguments.split(' ')))
    }
}

#[track_caller]
fn result(tester: Process) -> Value {
    let finished = tester.finish();
    finished.expect_code(0);
    let object: Value = serde_json::from_str(&finished.stdout).expect("one JSON object");
    assert_eq!(object["local"]["dropped_in_our_socket"], 0, "the machine is too slow for this test");
    object
}

#[track_caller]
fn latency(result: &Value, of: &str, point: &str) -> u64 {
    result["latency"][of][point].as_u64().unwrap_or_else(|| panic!("no {of} {point}: {}", result["latency"]))
}

impl Books {
    /// Answers, their first copies and all.
    fn first_copies(&self) -> Vec<u64> {
        let mut known = BTreeSet::new();
        self.sent.iter().map(|(seq, _)| *seq).filter(|seq| known.insert(*seq)).collect()
    }

    /// Further answers with a number of their own, and further copies of one that was sent already.
    fn duplicates(&self) -> (u64, u64) {
        let (mut numbers, mut up, mut down) = (BTreeMap::<u64, BTreeSet<u64>>::new(), 0, 0);
        for (seq, rseq) in &self.sent {
            let answers = numbers.entry(*seq).or_default();
            let is_first = answers.is_empty();
            match answers.insert(*rseq) {
                true if is_first => {}
                true => up += 1,
                false => down += 1,
            }
        }
        (up, down)
    }

    /// RFC 4737, section 3.3, and those of section 5.3 with n = 3: all of the three before have higher numbers.
    fn reordered(&self) -> (u64, u64) {
        let arrivals = self.first_copies();
        let (mut next, mut reordered, mut by_three) = (0, 0, 0);
        for (at, seq) in arrivals.iter().enumerate() {
            if *seq >= next {
                next = seq + 1;
                continue;
            }
            reordered += 1;
            by_three += u64::from(at >= 3 && arrivals[at - 3..at].iter().all(|earlier| earlier > seq));
        }
        (reordered, by_three)
    }
}

#[test]
fn every_class_is_what_was_done_by_the_number() {
    let Some(program) = Program::build() else { return };
    let server = program.serve("faults", None);
    // 2.6 s is late for a timeout of 2 s, on any machine; so is nothing else, unless the machine stands still for as long.
    let result = result(server.load("--rate 500/s --duration 4 --timeout 2 --drain 4"));
    let books = server.stop();
    let numbers = |residue: u64| (0..2000_u64).filter(|seq| seq % 20 == residue).collect::<BTreeSet<_>>();
    let unseen: BTreeSet<u64> = (0..2000).filter(|seq| !books.seen.contains(seq)).collect();
    assert_eq!(unseen, numbers(3), "the machine is too slow for this test");
    let count = |name: &str| result["counts"][name].as_u64().unwrap();
    assert_eq!((count("planned"), count("sent"), count("not_sent")), (2000, 2000, 0));
    assert_eq!((count("ok"), count("late"), count("error")), (1700, 100, 0));
    assert_eq!(
        (count("lost"), count("lost_up"), count("lost_down"), count("lost_unknown")),
        (200, 100, 100, 0)
    );
    assert_eq!(books.duplicates(), (100, 100), "the books are of the pattern");
    assert_eq!((count("dup_up"), count("dup_down")), books.duplicates());
    let (reordered, by_three) = books.reordered();
    assert!(reordered >= 300 && by_three >= 100, "late ones, 9 and 14: {reordered}, {by_three}");
    assert_eq!((count("reordered"), count("three_reordered")), (reordered, by_three));
    assert_eq!(count("received"), books.sent.len() as u64);
    for (class, number) in result["classes"].as_object().unwrap() {
        let wanted = match class.as_str() {
            "ok" => 1700,
            "late" | "dup_up" | "dup_down" => 100,
            _ => 0,
        };
        assert_eq!(*number, wanted, "{class}");
    }
    // Only first answers within the timeout are no matter of how long one has waited.
    assert_eq!(latency(&result, "rtt_from_send", "count"), 1800);
    assert!(latency(&result, "rtt_from_send", "max") >= 2600 * MILLISECOND);
}

/// By number, when a request and the first answer to it passed the loopback interface, by the kernel's clock.
fn passed(capture: &[u8]) -> BTreeMap<u64, (u64, u64)> {
    const HEAD: usize = 24;
    let mut passed: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut rest = &capture[HEAD..];
    while let Some((head, packets)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let at_ns = u64::from(word(0)) * 1_000_000_000 + u64::from(word(4));
        let (packet, others) = packets.split_at(word(8) as usize);
        rest = others;
        let frame = &packet[usize::from(packet[0] & 15) * 4 + 8..];
        let seq = u64::from_be_bytes(frame[24..32].try_into().unwrap());
        if frame[6] & 0x80 == 0 {
            passed.entry(seq).or_insert((at_ns, 0));
        } else if let Some((_, answer)) = passed.get_mut(&seq).filter(|(_, answer)| *answer == 0) {
            *answer = at_ns;
        }
    }
    passed
}

/// Where a histogram is read: the share, and the name.
const POINTS: [(u64, &str); 3] = [(500, "p50"), (900, "p90"), (990, "p99")];

/// From send to answer as the tester says it, against what the kernel saw of the same run.
///
/// The tester reads its clock before it sends and after it has received, so no latency of it is shorter than the kernel's: each quantile
/// is at least that of the capture. It is longer by what the tester did not run in between: when it sent, and before it looked for the
/// answer, which takes two rounds of its loop at most. The same pauses delay the datagrams that it plans, one each millisecond, so none is
/// longer than its greatest lag and that millisecond. Behind the last planned datagram no lag tells of pauses, so as many of the longest as
/// were answered then may be anything. Beside this a quantile is as exact as the histogram, a thousandth, and the clocks of kernel and
/// process, which may run apart by half of that (`adjtimex(2)`), and what the kernel needs to hand over a packet on a busy processor.
#[test]
fn latencies_are_those_of_a_capture_of_the_run() {
    const HAND_OVER: u64 = 2 * MILLISECOND;
    let Some(program) = Program::build() else { return };
    if !may_capture() {
        return;
    }
    // Every run must hold its bounds; the more quietly one went, the narrower they are.
    for _ in 0..3 {
        let server = program.serve("delays", Some(&program.capture()));
        let result = result(server.load("--rate 1000/s --duration 4 --timeout 5"));
        server.stop();
        let passed = passed(&fs::read(program.capture()).unwrap());
        assert_eq!((passed.len(), latency(&result, "rtt_from_send", "count")), (4000, 4000));
        let last = passed.values().map(|(request, _)| *request).max().unwrap();
        let untold = passed.values().filter(|(_, answer)| *answer > last).count() + 1;
        let mut took: Vec<u64> = passed.values().map(|(request, answer)| answer - request).collect();
        took.sort_unstable();
        let lag = latency(&result, "lag", "max");
        let pauses = 3 * (lag + MILLISECOND) + HAND_OVER;
        for (share, name) in POINTS {
            let rank = (took.len() * usize::try_from(share).unwrap()).div_ceil(1000);
            let measured = latency(&result, "rtt_from_send", name);
            let least = took[rank - 1] - took[rank - 1] / 2000;
            assert!(measured >= least, "{name}: {measured} ns, and the capture has {least} ns");
            if let Some(most) = took.get(rank - 1 + untold) {
                let most = (most + pauses) * 1002 / 1000;
                assert!(
                    measured <= most,
                    "{name}: {measured} ns, lag {lag} ns, capture {most} ns with all pauses"
                );
            }
        }
        if lag < MILLISECOND {
            break;
        }
    }
}

/// Whether a packet socket may be had here.
fn may_capture() -> bool {
    use rustix::net::{AddressFamily, SocketType, socket};
    let may = socket(AddressFamily::PACKET, SocketType::DGRAM, None).is_ok();
    if !may {
        polyport_tests::tool::skip("no packet socket without CAP_NET_RAW");
    }
    may
}

/// The load does not wait for answers, so a server that stands still is seen by all who ask it meanwhile, whichever moment is counted
/// from.
#[test]
fn a_server_that_stands_still_shows_from_plan_and_from_send() {
    let Some(program) = Program::build() else { return };
    let server = program.serve("stops", None);
    let result = result(server.load("--rate 200/s --duration 4 --timeout 3"));
    server.stop();
    // A quarter of the requests fall into that second, and a tenth of all into its first half.
    let (plan, send) = (latency(&result, "rtt_from_plan", "p90"), latency(&result, "rtt_from_send", "p90"));
    assert!(send > 400 * MILLISECOND && plan >= send - send / 1000, "{:#}", result["latency"]);
    assert!(latency(&result, "lag", "p90") < send / 2, "it is not the tester: {:#}", result["latency"]);
    assert_eq!(result["counts"]["ok"], 800);
}

/// A tester that stands still sends late, and is answered at once: only the plan knows of it, and the lag.
#[test]
#[expect(clippy::disallowed_methods, reason = "the wait is what is tested")]
fn a_tester_that_stands_still_shows_from_plan_and_not_from_send() {
    let Some(program) = Program::build() else { return };
    let mut server = program.serve("good", None);
    let tester = server.load("--rate 200/s --duration 4 --timeout 3");
    assert!(server.process.wait_for_stdout("marked"));
    tester.freeze();
    std::thread::sleep(Duration::from_secs(1));
    tester.thaw();
    let result = result(tester);
    server.stop();
    let (plan, send) = (latency(&result, "rtt_from_plan", "p90"), latency(&result, "rtt_from_send", "p90"));
    assert!(plan > 400 * MILLISECOND && send < plan / 2, "{:#}", result["latency"]);
    let lag = latency(&result, "lag", "p90");
    assert!(
        lag > 400 * MILLISECOND && latency(&result, "lag", "max") >= 900 * MILLISECOND,
        "{:#}",
        result["latency"]
    );
    assert_eq!(result["counts"]["ok"], 800);
}
