//! Nobody who serves waits for whoever reads the output, and nothing is killed by it: R55, R56.

use std::fs::{self, File};
use std::io::{PipeReader, Read, pipe};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use polyport_tests::bare::terminal;
use polyport_tests::network::Host;
use polyport_tests::strace::Strace;
use polyport_tests::{Client, DEADLINE, Launch, ports, wait};

use crate::polyport;

/// A port for a daemon whose table nobody reads.
fn port(offset: u16) -> u16 {
    ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 1, offset)
}

fn client(port: u16) -> Client {
    Client::of(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Returns when the daemon answers on that port, and everything that was asked of it is answered.
#[track_caller]
fn wait_until_it_serves(port: u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = [0; 100];
    // As long as it is not bound, the kernel says so to a connected socket.
    wait::until("an answer", || socket.send(b"are you there?").is_ok() && socket.recv(&mut answer).is_ok());
}

/// A file for standard output, and what is in it at the end.
fn books() -> (tempfile::NamedTempFile, Stdio) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let stdio = file.reopen().unwrap().into();
    (file, stdio)
}

fn text(file: &tempfile::NamedTempFile) -> String {
    fs::read_to_string(file.path()).unwrap()
}

/// Asks `count` times, and fails unless each is answered; then the daemon must end when it is told to.
#[track_caller]
fn serves_and_ends(launch: Launch, port: u16, count: usize, stderr: impl Into<Stdio>) {
    let (books, stdout) = books();
    let mut process = launch.bare(stdout, stderr);
    wait_until_it_serves(port);
    let client = client(port);
    for number in 0..count {
        client.expect_echo(format!("a line that nobody reads {number}").as_bytes());
    }
    assert_eq!(process.terminate().code(), Some(0));
    let text = text(&books);
    let (_, served) = text.split_once("\nserved:\n").expect("the books");
    assert!(served.contains("replied "), "{text}");
}

/// A10: a pseudo-terminal takes some kilobytes; here are some hundred.
#[test]
fn a_terminal_that_nobody_reads_holds_nobody() {
    let (_person, program) = terminal();
    let port = port(7000);
    serves_and_ends(polyport().arg("-vv").listen(format!("127.0.0.1:{port}=echo")), port, 3000, program);
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody() {
    let (_reader, writer) = pipe().unwrap();
    let port = port(7010);
    serves_and_ends(polyport().arg("-vv").listen(format!("127.0.0.1:{port}=echo")), port, 12_000, writer);
}

#[test]
fn a_disk_that_is_full_holds_nobody() {
    let port = port(7020);
    let full = File::options().write(true).open("/dev/full").unwrap();
    serves_and_ends(polyport().arg("-vv").listen(format!("127.0.0.1:{port}=echo")), port, 100, full);
}

#[test]
fn outputs_that_are_closed_or_full_hold_nobody() {
    for (number, ends) in [">&- 2>&-", ">/dev/full 2>/dev/full", ">/dev/full 2>&1"].into_iter().enumerate() {
        let port = port(7030 + 2 * u16::try_from(number).unwrap());
        let script = format!("exec \"$0\" \"$@\" {ends}");
        let program = env!("CARGO_BIN_EXE_polyport-under-test");
        let launch = polyport().replaced_by("sh").arg("-c").arg(script).arg(program);
        let launch = launch.arg("-vv").listen(format!("127.0.0.1:{port}=echo"));
        let mut process = launch.bare(Stdio::null(), Stdio::null());
        wait_until_it_serves(port);
        let client = client(port);
        for _ in 0..100 {
            client.send(b"some more");
        }
        client.ask_until_answered(b"still?", 20);
        assert_eq!(process.terminate().code(), Some(0), "{ends}");
    }
}

/// A configuration with `count` listeners, of which the first has a known port.
fn many(count: usize, port: u16) -> String {
    let rest = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";
    let numbered = |number| rest.replacen("]]\n", &format!("]]\nname = \"number-{number:05}\"\n"), 1);
    let first = format!("[[listen]]\nname = \"first\"\nbind = \"127.0.0.1:{port}\"\nplugin = \"echo\"\n");
    first + &(1..count).map(numbered).collect::<String>()
}

/// A11: neither the table at the start nor the books at the end fit into a pipe.
#[test]
fn a_table_that_nobody_reads_holds_nobody() {
    let Some(host) = Host::alone() else { return };
    let (_reader, writer) = pipe().unwrap();
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let mut process = host.launch(program).config(&many(1500, 7000)).bare(writer, Stdio::null());
    host.inside(|| {
        wait_until_it_serves(7000);
        client(7000).expect_echo(b"and the books?");
    });
    assert_eq!(process.terminate().code(), Some(0));
}

/// Whoever reads late gets everything.
#[test]
fn a_table_that_is_read_late_is_whole() {
    const COUNT: usize = 1500;
    let Some(host) = Host::alone() else { return };
    let (reader, writer) = pipe().unwrap();
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let mut process =
        launch.env("POLYPORT_LOG", "polyport=error").config(&many(COUNT, 7000)).bare(writer, Stdio::null());
    host.inside(|| wait_until_it_serves(7000));
    let text = thread::spawn(move || read_to_end(reader));
    assert_eq!(process.terminate().code(), Some(0));
    let text = text.join().unwrap();
    let (table, served) = text.split_once("\nserved:\n").expect("the books behind the table");
    assert_eq!((rows(table, "127.0.0.1:"), rows(served, "received ")), (COUNT, COUNT));
    assert!(table.contains("\nserving; Ctrl-C stops\n") && !text.contains("left out"));
}

fn rows(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.contains(word)).count()
}

fn read_to_end(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// A12: of a log that is read slowly, lines are missing, and each of them is counted in a line. Meanwhile nobody waits.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long an answer takes is what is tested")]
fn a_log_that_is_read_slowly_delays_nobody_and_says_what_is_missing() {
    /// Lavish: 10 ms are promised, which a busy machine cannot hold a test to.
    const LONGEST: Duration = Duration::from_secs(1);
    const SLOWLY: Duration = Duration::from_millis(90);
    /// Ten times as many lines as find room.
    const FLOOD: usize = 20_000;
    let first = ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 2, 7060);
    let (books, stdout) = books();
    let (reader, writer) = pipe().unwrap();
    let listen = |port: u16, name: &str| format!("127.0.0.1:{port}=echo,name={name}");
    // Nothing but a line for each datagram.
    let launch = polyport()
        .env("POLYPORT_LOG", "polyport=error,polyport::datagram=trace")
        .listen(listen(first, "noisy"))
        .listen(listen(first + 1, "quiet"));
    let mut process = launch.bare(stdout, writer);
    let (slowly, hurry) = mpsc::channel::<()>();
    let log = thread::spawn(move || slow_reader(reader, &hurry, SLOWLY));
    wait_until_it_serves(first + 1);
    let quiet = client(first + 1);
    let flood = thread::spawn(move || {
        let noisy = client(first);
        for _ in 0..FLOOD / 20 {
            (0..20).for_each(|_| noisy.send(&[b'x'; 400]));
            thread::park_timeout(Duration::from_millis(4));
        }
    });
    let mut longest = Duration::ZERO;
    while !flood.is_finished() {
        let before = Instant::now();
        quiet.expect_echo(b"how long?");
        longest = longest.max(before.elapsed());
        thread::park_timeout(Duration::from_millis(2));
    }
    flood.join().unwrap();
    drop(slowly);
    assert_eq!(process.terminate().code(), Some(0));
    let log = log.join().unwrap();
    assert!(longest < LONGEST, "{longest:?}");
    let (mut missing, mut found) = (0_u64, 0_u64);
    for line in log.lines() {
        // One line was left out, several were.
        let gap = line.strip_prefix("warn: ").filter(|gap| gap.contains(" of the log w"));
        match gap.and_then(|gap| gap.split_once(' ')) {
            Some((number, _)) => missing += number.parse::<u64>().unwrap(),
            None => found += 1,
        }
    }
    let text = text(&books);
    let received: u64 = text
        .lines()
        .filter_map(|line| line.split_once("received ")?.1.split(' ').next()?.parse::<u64>().ok())
        .sum();
    assert!(missing > 0, "{found} lines");
    assert_eq!(found + missing, received, "{text}");
    assert!(text.contains(&format!("lines of the log left out {missing}")), "{text}");
}

/// Reads 4 KiB in each pause, until it is told to hurry.
fn slow_reader(mut reader: PipeReader, hurry: &mpsc::Receiver<()>, pause: Duration) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while hurry.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
        let read = reader.read(&mut piece).unwrap();
        text.extend(piece.get(..read).unwrap());
    }
    reader.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A20: who decides how many sends fail does not decide how many lines there are.
#[test]
fn sends_that_fail_are_a_line_a_second() {
    const COUNT: u64 = 1000;
    let daemon = polyport().arg("-v").listen("127.0.0.1:0=echo").serve();
    let calls = "sendto,sendmsg,sendmmsg";
    let inject = ["sendto", "sendmsg", "sendmmsg"].map(|call| format!("{call}:error=EPERM"));
    let inject = inject.each_ref().map(String::as_str);
    let Some(strace) = Strace::attach(&daemon, calls, &inject) else { return };
    let client = daemon.client(0);
    for _ in 0..COUNT / 100 {
        (0..100).for_each(|_| client.send(b"nobody answers"));
        daemon.wait_until_drained(0);
    }
    drop(strace.detach());
    let served = daemon.stop();
    assert_eq!(served.sent("echo", "forbidden"), COUNT, "{}", served.line("echo"));
    let lines: Vec<_> =
        served.finished.stderr.lines().filter(|line| line.contains("not permitted")).collect();
    let silent = |line: &&str| line.split_once("; ")?.1.split(' ').next()?.parse::<u64>().ok();
    let told = lines.len() as u64 + lines.iter().filter_map(silent).sum::<u64>();
    assert!(!lines.is_empty() && (lines.len() as u64) <= DEADLINE.as_secs() && told <= COUNT, "{lines:#?}");
}

/// A19: what looks like a verdict is one.
#[test]
fn a_payload_cannot_pass_for_a_verdict() {
    let mut daemon = polyport().arg("-vv").listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    let forged = "hi': replied 2 bytes";
    client.expect_echo(forged.as_bytes());
    let invisible = [
        '\u{200E}',
        '\u{200F}',
        '\u{61C}',
        '\u{200B}',
        '\u{FEFF}',
        '\u{FFF9}',
        '\u{FFFB}',
        '\u{E0041}',
        '\u{FE0F}',
        '\u{AD}',
        '\u{3164}',
        '\u{2028}',
        '\u{A0}',
        '\u{2019}',
        '\u{FF07}',
        '\\',
        '"',
    ];
    let payload: String = invisible.iter().collect();
    client.expect_echo(payload.as_bytes());
    client.expect_echo(b"the end");
    daemon.process.wait_for_stderr(" says 'the end': replied 7 bytes\n");
    let text = daemon.process.stderr();
    assert!(text.contains(" says 'hi\\': replied 2 bytes': replied 20 bytes\n"), "{text}");
    let escaped: String = invisible.iter().map(|c| c.escape_default().to_string()).collect();
    assert!(text.contains(&format!(" says '{escaped}': replied {} bytes\n", payload.len())), "{text}");
    assert!(text.is_ascii(), "{text:?}");
}
