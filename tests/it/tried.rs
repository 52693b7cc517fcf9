//! `polyport plugin try`: a plugin serves in a virtual network, by the loop that serves real datagrams.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use polyport_tests::Launch;
use polyport_tests::plugins::{built, compile_c, fixture};

use crate::polyport;

/// `polyport plugin try`, about to be started.
fn try_out(plugin: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Launch {
    polyport().args(&["plugin", "try"]).arg(plugin).args(args)
}

/// What it prints.
#[track_caller]
fn printed(plugin: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    try_out(plugin, args).run().expect_code(0).stdout.clone()
}

/// Delays take no time, and are exact.
#[test]
fn each_datagram_that_is_sent_is_told_with_its_virtual_time() {
    let args =
        ["--datagram", "one", "--datagram", "", "--hex", "00ff", "--option", "delay=1m", "--for", "2m"];
    let text = printed(built("lossy"), &args);
    let expected = "    \
       0.000000 ms  192.0.2.1:5000 -> 'one' (3 bytes)
    1.000000 ms  192.0.2.1:5000 -> '' (0 bytes)
    2.000000 ms  192.0.2.1:5000 -> '\\x00\\xff' (2 bytes)
60000.000000 ms  192.0.2.1:5000 <- 'one' (3 bytes)
60001.000000 ms  192.0.2.1:5000 <- '' (0 bytes)
60002.000000 ms  192.0.2.1:5000 <- '\\x00\\xff' (2 bytes)
198.51.100.1:7000: received 3 = replied 3 + consumed 0 + dropped 0; replies 3 = sent 3 + dropped 0
datagrams_total 3
answered_total 3
delayed_total 3
";
    assert_eq!(text, expected);
    // Within a second the answers are still on their way.
    let text = printed(built("lossy"), &args[..8]);
    assert!(text.contains("received 3 = ") && !text.contains("<-"), "{text}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let run = |seed: &str| {
        let many: Vec<&str> = (0..40).flat_map(|_| ["--datagram", "x"]).collect();
        let options =
            ["--option", "loss=50%", "--option", "delay=1ms", "--option", "jitter=1ms", "--seed", seed];
        printed(built("lossy"), &[&many[..], &options].concat())
    };
    let first = run("7");
    assert_eq!(first, run("7"));
    assert_ne!(first, run("8"));
    assert!(first.contains("on_purpose") && first.contains("<-"), "{first}");
}

#[test]
fn a_plugin_of_c_is_tried_like_one_of_rust() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("name"), &["-DNAME=\"myself\""], dir.path(), "name") else {
        return;
    };
    let text = printed(&library, &["--datagram", "who?", "--from", "[2001:db8::1]:53000"]);
    assert!(text.contains("  [2001:db8::1]:53000 <- 'myself' (6 bytes)\n"), "{text}");
}

/// Log lines stand among the datagrams; a handler that breaks is made again, and the exit code says so.
#[test]
fn a_handler_that_breaks_is_told_with_its_panic() {
    let args = ["--datagram", "fine", "--datagram", "boom", "--datagram", "late", "--every", "1m"];
    let finished = try_out(built("fixture-panics"), &args).run();
    let text = &finished.expect_code(70).stdout;
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
    assert!(at("-> 'boom'") < at("panicked") && at("panicked") < at("-> 'late'"), "{text}");
    assert!(text.contains("handler faults 1"), "{text}");
}

/// One packet of a pcap file: IPv4 or IPv6 as raw IP, with a UDP datagram.
fn packet(seconds: u32, from: std::net::SocketAddr, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).unwrap();
    let mut ip = match from.ip() {
        std::net::IpAddr::V4(ip) => {
            let total = (20 + udp_len).to_be_bytes();
            let head = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0];
            [&head[..], &ip.octets(), &[198, 51, 100, 1]].concat()
        }
        std::net::IpAddr::V6(ip) => {
            let len = udp_len.to_be_bytes();
            [&[0x60, 0, 0, 0, len[0], len[1], 17, 64][..], &ip.octets(), &[0; 16]].concat()
        }
    };
    for number in [from.port(), 7000, udp_len, 0] {
        ip.extend(number.to_be_bytes());
    }
    ip.extend(payload);
    let len = u32::try_from(ip.len()).unwrap();
    let head = [seconds, 500_000, len, len].map(u32::to_le_bytes).concat();
    [head, ip].concat()
}

fn recording(path: &Path, link: u32, packets: &[Vec<u8>]) {
    let head = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, link].map(u32::to_le_bytes).concat();
    fs::write(path, [&[head], packets].concat().concat()).unwrap();
}

#[test]
fn a_recording_is_played_with_its_senders_and_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let pcap = dir.path().join("a.pcap");
    let first = packet(100, "192.0.2.7:4000".parse().unwrap(), b"first");
    let cut = packet(101, "192.0.2.7:4000".parse().unwrap(), b"cut off").split_at(30).0.to_vec();
    let mut cut = cut;
    for at in [8, 12] {
        cut[at..at + 4].copy_from_slice(&14_u32.to_le_bytes());
    }
    let second = packet(102, "[2001:db8::7]:4001".parse().unwrap(), b"second");
    recording(&pcap, 101, &[first, cut, second]);
    let text = printed(built("echo"), &["--pcap", pcap.to_str().unwrap()]);
    for words in [
        "    0.000000 ms  192.0.2.7:4000 <- 'first' (5 bytes)\n",
        " 2000.000000 ms  [2001:db8::7]:4001 <- 'second' (6 bytes)\n",
        "198.51.100.1:7000: received 1 = replied 1",
        "[2001:db8:5ca1::1]:7000: received 1 = replied 1",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // What the listener records can be played as well: pcapng.
    let recorded = dir.path().join("heard.pcapng");
    let file = format!("file={}", recorded.display());
    let listen = ["--option", "record=pcapng", "--option", &file, "--datagram", "heard", "--every", "1s"];
    printed(built("listener"), &listen);
    let text = printed(built("echo"), &["--pcap", recorded.to_str().unwrap()]);
    assert!(text.contains("192.0.2.1:5000 <- 'heard' (5 bytes)\n"), "{text}");
    // Links that nobody reads, and what is no recording.
    recording(&pcap, 105, &[packet(1, "192.0.2.7:4000".parse().unwrap(), b"x")]);
    let refused = try_out(built("echo"), &["--pcap", pcap.to_str().unwrap()]).run();
    refused.expect_code(65).expect_stderr(&["recorded on a link of type "]);
    fs::write(&pcap, "no recording").unwrap();
    try_out(built("echo"), &["--pcap", pcap.to_str().unwrap()]).run().expect_code(65);
}

#[test]
fn each_line_of_standard_input_is_a_datagram() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-under-test"));
    command.args(["plugin", "try", "echo", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\n\nthree").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in ["<- 'one' (3 bytes)", "<- '' (0 bytes)", "<- 'three' (5 bytes)", "received 3 = replied 3"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn what_cannot_be_tried_is_refused_in_words() {
    for (args, code, words) in [
        (&["--datagram", "x", "--option", "rply=same"][..], 78, "did you mean `reply`?"),
        (&["--hex", "0"], 65, "--hex 0: "),
        (&["--pcap", "/nonexistent"], 65, "/nonexistent: "),
        (&[], 64, "--datagram"),
        (&["--datagram", "x", "--for", "5"], 64, "unit"),
    ] {
        try_out(built("echo"), args).run().expect_code(code).expect_stderr(&[words]);
    }
    try_out("no-such", &["--datagram", "x"]).run().expect_code(78).expect_stderr(&["no such plugin"]);
}

/// While no time passes, threads have some of the real one.
#[test]
fn a_thread_of_the_plugin_answers_by_a_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("wakes"), &["-pthread"], dir.path(), "wakes") else { return };
    let text = printed(library, &["--datagram", "storm"]);
    assert!(text.contains(" 0.000000 ms  192.0.2.1:5000 <- ") && text.contains("(8 bytes)"), "{text}");
    assert!(text.contains("received 1 = replied 0 + consumed 1 + dropped 0; replies 1 = sent 1"), "{text}");
}

/// Several addresses, one instance: it counts over all of them, and each line says which.
#[test]
fn several_addresses_have_one_instance_if_the_plugin_wants_it_so() {
    let args = [
        "--datagram",
        "n",
        "--datagram",
        "n",
        "--datagram",
        "o0",
        "--to",
        "198.51.100.1:1",
        "--to",
        "198.51.100.1:2",
    ];
    let expected = "    \
       0.000000 ms  192.0.2.1:5000 -> 198.51.100.1:1 'n' (1 byte)
    0.000000 ms  192.0.2.1:5000 <- 198.51.100.1:1 '1 0 2' (5 bytes)
    1.000000 ms  192.0.2.1:5000 -> 198.51.100.1:2 'n' (1 byte)
    1.000000 ms  192.0.2.1:5000 <- 198.51.100.1:2 '2 1 2' (5 bytes)
    2.000000 ms  192.0.2.1:5000 -> 198.51.100.1:1 'o0' (2 bytes)
    2.000000 ms  192.0.2.1:5000 <- 198.51.100.1:1 'o0' (2 bytes)
";
    let text = printed(built("census"), &args);
    assert!(text.contains(expected.trim_start()) && text.contains("seen_total 3"), "{text}");
    let refused = try_out(built("echo"), &["--datagram", "x", "--to", "[::1]:7"]).run();
    assert!(
        refused.expect_code(78).stderr.contains("no address of its family listens"),
        "{}",
        refused.stderr
    );
}
