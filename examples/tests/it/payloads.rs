//! What is sent may come from a file or a pipe, whatever it is.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use polyport_tools::cast::json::CastLine;
use polyport_tools::frame::json::FrameReport;
use polyport_tools::request::json::RequestReport;
use polyport_tools::text::hex;
use serde_json::Value;

use super::support::{Run, closed, command, finish, object, run, serve, socket};

/// A file of one test.
struct Payload(PathBuf);

impl Payload {
    fn new(name: &str, octets: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("polyport-payloads-{name}-{}", std::process::id()));
        fs::write(&path, octets).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// Runs a client with a pipe as its input.
#[track_caller]
fn fed(binary: &str, arguments: &[&str], octets: &[u8]) -> Run {
    let mut child = command(binary, arguments).stdin(Stdio::piped()).spawn().unwrap();
    // Who refuses the command line does not read.
    child.stdin.take().unwrap().write_all(octets).unwrap_or(());
    finish(child)
}

const BINARY: &[u8] = b"\x00\xff\r\n%s\x1b[31m";

#[test]
fn a_request_carries_a_file_or_a_pipe_as_it_is() {
    let echo = serve(|socket, datagram, peer| socket.send_to(datagram, peer).is_ok()).0.to_string();
    for (name, octets) in [("binary", BINARY), ("empty", b""), ("longest", &vec![0x5a; 65_507][..])] {
        let file = Payload::new(name, octets);
        let line = ["--raw", "--json", &echo];
        let by_file = run("request", &[&line[..], &["--payload-file", file.name()]].concat());
        let by_pipe = fed("request", &[&line[..], &["-"]].concat(), octets);
        let by_both = fed("request", &[&line[..], &["--payload-file=-"]].concat(), octets);
        for answered in [by_file, by_pipe, by_both] {
            assert_eq!(answered.code, 0, "{}", answered.err);
            let found = object::<RequestReport>(&answered.out);
            assert_eq!(found["answer"]["payload"], hex(octets), "{name}");
        }
    }
}

#[test]
fn a_payload_that_no_datagram_takes_is_refused_in_words() {
    let (_silent, address) = socket();
    let address = address.to_string();
    let long = Payload::new("long", &vec![0; 65_508]);
    let line = ["--raw", &address, "--payload-file"];
    let of = |file| run("request", &[&line[..], &[file]].concat());
    of(long.name()).fails(65, "the payload has 65508 octets, and a datagram at most 65507");
    of("/dev/zero")
        .fails(65, "the payload from /dev/zero: longer than 65527 octets, and no datagram takes as much");
    of("/no-such-file").fails(65, "cannot read the payload from /no-such-file: No such file");
    of("/").fails(65, "cannot read the payload from /: Is a directory");
    let zero = Stdio::from(File::open("/dev/zero").unwrap());
    let piped = command("request", &["--raw", &address, "-"]).stdin(zero).spawn().unwrap();
    finish(piped).fails(65, "standard input: longer than 65527 octets");
    run("request", &["--payload-file", long.name(), &address]).fails(65, "octets");
    for group in ["127.255.255.255:9", "239.255.77.9:9"] {
        run("cast", &["--interface", "lo", "--payload-file", long.name(), group]).fails(65, "too long");
    }
    let load = ["--expect", "any", "--payload-file", long.name(), &address];
    run("load", &load).fails(64, "a datagram of 65508 octets does not fit");
    run("frame", &["encode", "--payload-file", long.name()]).fails(65, "no datagram");
}

#[test]
fn there_is_one_payload() {
    let file = Payload::new("two", b"x");
    for (binary, arguments) in [
        ("request", &["127.0.0.1:9", "hi", "--payload-file"][..]),
        ("cast", &["239.255.77.9:9", "hi", "--payload-file"]),
        ("cast", &["239.255.77.9:9", "--listen", "--payload-file"]),
        ("frame", &["encode", "--payload", "hi", "--payload-file"]),
        ("frame", &["encode", "--payload-hex", "00", "--payload-file"]),
        ("load", &["127.0.0.1:9", "--payload-file"]),
        ("load", &["127.0.0.1:9", "--expect", "any", "--text", "hi", "--payload-file"]),
    ] {
        assert_eq!(run(binary, &[arguments, &[file.name()]].concat()).code, 64, "{binary} {arguments:?}");
    }
}

#[test]
fn a_frame_is_built_around_a_file() {
    let file = Payload::new("frame", BINARY);
    for built in [
        run("frame", &["encode", "--json", "--payload-file", file.name()]),
        fed("frame", &["encode", "--json", "--payload", "-"], BINARY),
    ] {
        let found = object::<FrameReport>(&built.out);
        assert_eq!((&found["class"], &found["frame"]["payload"]), (&"ok".into(), &hex(BINARY).into()));
    }
    let key = "000102030405060708090a0b0c0d0e0f";
    let sealed = run("frame", &["encode", "--json", "--key", key, "--payload", "hi"]);
    let found = object::<FrameReport>(&sealed.out);
    assert_eq!((&found["class"], &found["frame"]["key_id"]), (&"ok".into(), &1.into()), "{sealed:?}");
}

#[test]
fn a_load_sends_a_file() {
    let (address, server) = serve(|socket, datagram, peer| {
        assert_eq!(datagram, BINARY);
        socket.send_to(b"ok", peer).is_ok()
    });
    let file = Payload::new("load", BINARY);
    let target = address.to_string();
    let line =
        ["--expect", "any", "--payload-file", file.name(), "-d", "0.1", "--warmup", "0", "--json", "-q"];
    let ran = run("load", &[&line[..], &[&target]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let object: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(object["config"]["size"], BINARY.len());
    drop(server);
}

fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(object::<CastLine>).collect()
}

#[test]
fn a_group_is_told_for_programs() {
    let address = format!("127.255.255.255:{}", closed().port());
    let mut listener =
        command("cast", &["--listen", "--json", "--count", "3", "--for", "20", &address]).spawn().unwrap();
    let first = super::support::read_until(&mut listener, "listening");
    assert_eq!(lines(&first), [serde_json::json!({"event": "listening", "at": address})]);
    let file = Payload::new("cast", BINARY);
    let sent = run("cast", &["--json", "--payload-file", file.name(), &address]);
    let sent = lines(&sent.out);
    assert_eq!((sent.len(), &sent[0]["event"], &sent[0]["to"]), (2, &"sent".into(), &address.clone().into()));
    assert_eq!(
        sent[1],
        serde_json::json!({"event": "end", "sent": 1, "answers": 0, "heard": 0, "senders": 0})
    );
    fed("cast", &["--ppt", "--seed", "1", &address, "-"], b"hi");
    let raw = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    raw.set_broadcast(true).unwrap();
    let mut frame = vec![0x0e, 0x50, 0x50, 0x54, 9];
    frame.resize(50, 0);
    raw.send_to(&frame, &address).unwrap();
    let heard = finish(listener);
    assert_eq!(heard.code, 0, "{heard:?}");
    let heard = lines(&heard.out);
    let classes: Vec<&Value> = heard.iter().map(|line| &line["class"]).collect();
    assert_eq!(classes, [&"plain".into(), &"ok".into(), &"unknown_version".into(), &Value::Null]);
    assert_eq!(heard[0]["content"]["payload"], hex(BINARY));
    assert_eq!(heard[0]["interface"], if cfg!(target_os = "linux") { "lo" } else { "lo0" });
    assert_eq!((&heard[1]["content"]["text"], &heard[1]["frame"]["seq"]), (&"hi".into(), &"0".into()));
    assert_eq!(heard[3]["heard"], 3);
}

#[test]
fn an_answer_to_a_group_is_told_for_programs() {
    let receiver = std::net::UdpSocket::bind("127.255.255.255:0").unwrap();
    receiver.set_read_timeout(Some(super::support::DEADLINE)).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let asking = command("cast", &["--json", "--answers", "1", &address, "who?"]).spawn().unwrap();
    let (_, peer) = receiver.recv_from(&mut [0; 100]).unwrap();
    let answering = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    answering.send_to(b"I am", peer).unwrap();
    let ran = finish(asking);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = lines(&ran.out);
    assert_eq!((&told[1]["event"], &told[1]["content"]["text"]), (&"answer".into(), &"I am".into()));
    assert_eq!(told[1]["from"], answering.local_addr().unwrap().to_string());
    assert_eq!((&told[2]["answers"], &told[2]["sent"]), (&1.into(), &1.into()));
}
