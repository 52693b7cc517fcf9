//! Which address is asked where a name has several, and which one is asked from.

use std::net::{SocketAddr, UdpSocket};
#[cfg(target_os = "linux")]
use std::process::Command;

use polyport_protocol::{Code, Decoder, Encoder, FrameOption, Kind, Role};

#[cfg(target_os = "linux")]
use crate::support::{Run, command, finish, pipes, skip};
use crate::support::{closed, run, serve, socket};

/// The options that a client needs to end soon, and what it prints when the responder has answered.
const CLIENTS: [(&str, &[&str], &str); 5] = [
    ("request", &[], "answer from 127.0.0.1:"),
    ("request", &["--raw"], "answer from 127.0.0.1:"),
    ("request", &["--raw", "--unconnected"], "answer from 127.0.0.1:"),
    ("mtu", &["--max", "1200"], "path MTU to 127.0.0.1:"),
    ("load", &["-d", "50ms", "--rate", "100/s", "--warmup", "0s"], "polyport-load  127.0.0.1:"),
];

/// Answers frames as a responder, and other text with itself; tells who asked.
fn respond(socket: &UdpSocket, datagram: &[u8], peer: SocketAddr) {
    let mut out = vec![0; datagram.len().max(64)];
    let answer = match Decoder::new(Role::Responder).decode(datagram) {
        Ok(frame) => {
            let kind = frame.header().kind.answer().unwrap();
            let header = frame.header().reply(kind, Code::OK);
            let info = FrameOption::ProbeInfo { len: u16::try_from(datagram.len()).unwrap(), limit: 0 };
            let encoder = Encoder::new(&mut out, &header);
            let encoder = if kind == Kind::ProbeAck { encoder.option(&info) } else { encoder };
            let len = encoder.finish().unwrap();
            &out[..len]
        }
        Err(_) => datagram,
    };
    socket.send_to(answer, peer).unwrap();
}

/// A client where `localhost` is `::1` before it is 127.0.0.1; none where that cannot be had.
#[cfg(target_os = "linux")]
fn with_two_addresses(binary: &str, arguments: &[&str]) -> Option<Run> {
    let hosts = std::env::temp_dir().join(format!("polyport-hosts-{}", std::process::id()));
    std::fs::write(&hosts, "::1 localhost\n127.0.0.1 localhost\n").unwrap();
    let mut unshare = Command::new("unshare");
    // What is mounted there is seen by nobody else, and gone with the client.
    let script = "mount --bind \"$0\" /etc/hosts || exit 99; exec \"$@\"";
    unshare.args(["--mount", "sh", "-c", script]).arg(&hosts);
    let client = command(binary, arguments);
    unshare.arg(client.get_program()).args(client.get_args());
    let run = finish(pipes(&mut unshare).spawn().unwrap());
    if run.code == 99 || run.err.contains("unshare") {
        skip(&format!("no file can be mounted here: {}", run.err.trim()));
        return None;
    }
    Some(run)
}

#[test]
#[cfg(target_os = "linux")]
fn the_next_address_of_a_name_is_asked_when_one_refuses() {
    let (address, _server) = serve(|socket, datagram, peer| {
        respond(socket, datagram, peer);
        true
    });
    let target = format!("localhost:{}", address.port());
    for (client, options, line) in CLIENTS {
        let Some(run) = with_two_addresses(client, &[options, &[&target]].concat()) else { return };
        assert_eq!(run.code, 0, "{run:?}");
        run.prints(line);
        let trying = format!("[::1]:{}; trying {address}\n", address.port());
        assert!(run.err.contains(&trying), "{run:?}");
    }
    // Told not to look elsewhere, it does not.
    for only in [&["-6"][..], &["--from", "::1"]] {
        let Some(run) = with_two_addresses("request", &[only, &[&target]].concat()) else { return };
        run.fails(69, "nobody listens at [::1]:");
    }
    let target = format!("localhost:{}", closed().port());
    let Some(run) = with_two_addresses("request", &["-q", &target]) else { return };
    run.fails(69, "nobody listens at 127.0.0.1:");
}

/// An address that would have no time left is not asked, and what is said is of the one that was.
#[test]
#[cfg(target_os = "linux")]
fn no_address_is_asked_when_the_time_is_over() {
    let (_silent, address) = socket();
    let target = format!("localhost:{}", address.port());
    let line = ["--raw", "--retries", "1", "--timeout", "250ms", "--json", &target];
    let Some(run) = with_two_addresses("request", &line) else { return };
    run.fails(69, "nobody listens at [::1]:");
    assert!(!run.err.contains("trying"), "{run:?}");
    assert!(run.out.lines().count() == 1 && run.out.contains("\"target\":\"[::1]:"), "{run:?}");
}

#[test]
fn every_client_sends_from_where_it_is_told() {
    for (client, options, line) in CLIENTS {
        let wanted = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, _server) = serve(move |socket, datagram, peer| {
            // Others are not answered, and so the client fails.
            if peer == wanted {
                respond(socket, datagram, peer);
            }
            true
        });
        let from = wanted.to_string();
        let run = run(client, &[options, &["--from", &from, &address.to_string()]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        run.prints(line);
    }
    let port = closed().port();
    for from in ["127.0.0.2".to_owned(), "[::1]".to_owned(), "::1".to_owned(), format!(":{port}")] {
        let run = run("spoof", &["--from", &from]);
        assert_eq!(run.code, 0, "{from}: {run:?}");
    }
}

#[test]
fn the_own_address_is_shown_before_and_after() {
    let (address, _server) = serve(|socket, datagram, peer| {
        respond(socket, datagram, peer);
        true
    });
    let port = closed().port();
    let run = run("request", &["--from", &format!(":{port}"), &address.to_string()]);
    assert_eq!(run.code, 0, "{run:?}");
    run.prints(&format!("my address: 0.0.0.0:{port} before\nmy address: 0.0.0.0:{port} after\n"));
}

#[test]
fn a_source_that_cannot_be_is_explained() {
    let (taken, address) = socket();
    let taken = taken.local_addr().unwrap().to_string();
    let address = address.to_string();
    for client in ["request", "mtu", "load", "cast"] {
        let run = |from: &str| run(client, &["--from", from, &address]);
        run("192.0.2.77").fails(71, "no interface of this host has the address 192.0.2.77");
        run("::1").fails(64, "two families");
        run(&taken).fails(75, "holds UDP port");
        for (from, word) in [("localhost", "number"), ("239.1.2.3", "no source"), ("127.0.0.1:x-y", "x-y")] {
            let run = run(from);
            assert!(run.code == 64 && run.err.contains(word), "{run:?}");
        }
    }
    run("spoof", &["-6", "--from", "127.0.0.1"]).fails(64, "two families");
    run("spoof", &["--from", "0.0.0.0"]).fails(64, "one address of this host");
}
