//! `polyport-cast` between its own two sides, on the loopback interface.

use std::net::UdpSocket;
use std::process::Child;

use crate::support::{DEADLINE, Run, finish, read_until, run, start};

/// Each test has its own port: the system hands it out, and it is free again a moment later.
fn free_port() -> u16 {
    UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn listener(arguments: &[&str]) -> Child {
    let mut child = start("cast", &[&["--listen", "--for", "20s"], arguments].concat());
    read_until(&mut child, "listening at ");
    child
}

#[track_caller]
fn heard(child: Child) -> Run {
    let run = finish(child);
    assert_eq!(run.code, 0, "{run:?}");
    run
}

#[test]
fn a_group_on_loopback_is_heard_with_sender_destination_and_interface() {
    let group = format!("239.255.77.1:{}", free_port());
    let listener = listener(&["--count", "3", "--interface", "lo", &group]);
    let sent = run("cast", &["--interface", "lo", "--count", "3", "--interval", "10ms", &group, "a\tb"]);
    assert_eq!((sent.code, sent.out.lines().count()), (0, 3), "{sent:?}");
    let heard = heard(listener);
    assert_eq!(heard.out.matches(&format!(" -> {group} on lo: \"a\\tb\"\n")).count(), 3, "{heard:?}");
    heard.prints("heard 3 from 1\n");
}

#[test]
fn two_listeners_share_a_broadcast_address() {
    let address = format!("127.255.255.255:{}", free_port());
    let listeners = [0, 1].map(|_| listener(&["--count", "1", &address]));
    // To this host alone: not what they listen for.
    let unicast = UdpSocket::bind("127.0.0.1:0").unwrap();
    drop(unicast.send_to(b"unicast", address.replace("127.255.255.255", "127.0.0.1")));
    assert_eq!(run("cast", &[&address, "all"]).code, 0);
    for listener in listeners {
        let heard = heard(listener);
        heard.prints(&format!(" -> {address} on lo: \"all\"\n"));
        assert!(!heard.out.contains("unicast"), "{heard:?}");
    }
}

#[test]
fn answers_are_heard_after_the_last_datagram_if_asked_for() {
    let receiver = UdpSocket::bind("127.255.255.255:0").unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let mut asking = start("cast", &["--answers", "20s", &address, "who is there?"]);
    let (_, peer) = receiver.recv_from(&mut [0; 100]).unwrap();
    let answering = UdpSocket::bind("127.0.0.1:0").unwrap();
    answering.send_to(b"I am", peer).unwrap();
    let shown = read_until(&mut asking, "answer from ");
    assert!(
        shown.contains(&format!("answer from {}: \"I am\"\n", answering.local_addr().unwrap())),
        "{shown}"
    );
    asking.kill().unwrap();
    asking.wait().unwrap();
    let unanswered = run("cast", &["--answers", "10ms", &address]);
    unanswered.fails(69, &format!("no answer to what was sent to {address}"));
    unanswered.prints("\n0 answers\n");
    assert!(!run("cast", &[&address]).out.contains("answers"), "nobody has asked for them");
    assert_eq!(run("cast", &["--listen", "--answers", "1s", &address]).code, 64);
}

#[test]
fn events_carry_the_group_flag_and_the_key() {
    let path = std::env::temp_dir().join(format!("polyport-cast-key-{}", std::process::id()));
    std::fs::write(&path, "000102030405060708090a0b0c0d0e0f").unwrap();
    let file = path.to_str().unwrap();
    let group = format!("239.255.77.2:{}", free_port());
    let with_key = listener(&["--count", "2", "--interface", "lo", "--key-file", file, &group]);
    let without = listener(&["--count", "2", "--interface", "lo", &group]);
    let sent = run(
        "cast",
        &[
            "--ppt",
            "--key-file",
            file,
            "--grease",
            "always",
            "--interface",
            "lo",
            "--count",
            "2",
            "--interval",
            "1ms",
            &group,
            "hi",
        ],
    );
    assert_eq!(sent.code, 0, "{sent:?}");
    let (with_key, without) = (heard(with_key), heard(without));
    std::fs::remove_file(&path).unwrap();
    for part in [": event 0 of stream ", ": event 1 of stream ", ": \"hi\"\n"] {
        with_key.prints(part);
    }
    without.prints(": unexpected_auth: \"\\x0ePPT");
}

#[test]
fn the_frame_on_the_wire_is_an_event_with_flag_g() {
    let receiver = UdpSocket::bind("127.255.255.255:0").unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    assert_eq!(run("cast", &["--ppt", "--grease", "never", &address, "x"]).code, 0);
    let mut buffer = [0; 100];
    let len = receiver.recv(&mut buffer).unwrap();
    let frame = crate::support::decode(&buffer[..len]);
    assert_eq!(frame.header().kind, polyport_protocol::Kind::Event);
    assert_eq!(frame.header().flags, polyport_protocol::Flags::GROUP);
    assert_eq!((frame.header().request_id, frame.payload()), (0, &b"x"[..]));
}

#[test]
fn only_the_wanted_source_is_heard() {
    let group = format!("232.255.77.3:{}", free_port());
    let mine = listener(&["--count", "1", "--interface", "lo", "--source", "127.0.0.1", &group]);
    let mut other =
        start("cast", &["--listen", "--for", "1s", "--interface", "lo", "--source", "127.0.0.9", &group]);
    read_until(&mut other, "listening at ");
    assert_eq!(run("cast", &["--from", "127.0.0.1", &group, "x"]).code, 0);
    heard(mine).prints("127.0.0.1:");
    finish(other).fails(69, "heard 0 of 1");
}

#[test]
fn a_ttl_of_0_is_heard_here_or_refused() {
    for target in ["239.255.77.4", "127.255.255.255", "255.255.255.255"] {
        let target = format!("{target}:{}", free_port());
        let listener = listener(&["--count", "1", "--interface", "lo", &target]);
        let sent = run("cast", &["--ttl", "0", "--interface", "lo", &target, "here"]);
        assert_eq!(sent.code, 0, "{target}: {sent:?}");
        heard(listener).prints(": \"here\"\n");
    }
    for target in ["255.255.255.255:7", "192.0.2.255:7", "192.0.2.1:7"] {
        run("cast", &["--ttl", "0", target]).fails(64, "--ttl 0 keeps groups on this host, and ");
    }
    run("cast", &["--ttl", "0", "--no-loop", "239.1.2.3:7"]).fails(64, "nobody would hear it");
}

#[test]
fn the_source_is_the_users_choice_beside_the_interface_too() {
    let address = format!("127.255.255.255:{}", free_port());
    for interface in [&[][..], &["--interface", "lo"]] {
        let listener = listener(&["--count", "2", &address]);
        for from in ["127.0.0.7", "127.0.0.8:0"] {
            let sent = run("cast", &[interface, &["--from", from, &address, "x"]].concat());
            assert_eq!(sent.code, 0, "{sent:?}");
        }
        let heard = heard(listener);
        heard.prints("127.0.0.7:");
        heard.prints("127.0.0.8:");
    }
    assert_eq!(run("cast", &["--listen", "--from", "127.0.0.1", &address]).code, 64);
}

#[test]
fn faults_are_one_line() {
    run("cast", &["--interface", "no-such-if", "239.1.2.3:7"]).fails(64, "no interface `no-such-if`");
    run("cast", &["--listen", "--source", "127.0.0.1", "127.0.0.1:7"]).fails(64, "--source is for groups");
    run("cast", &["239.1.2.3"]).fails(64, "port is missing");
    run("cast", &["no-such-host.invalid:7"]).fails(68, "no-such-host");
    let long = "x".repeat(66_000);
    run("cast", &["127.255.255.255:7", &long]).fails(65, "too long");
    run("cast", &["--ppt", "127.255.255.255:7", &long]).fails(65, "too long");
    run("cast", &["--from", "192.0.2.77", "239.1.2.3:7"]).fails(71, "no interface of this host has");
    run("cast", &["--from", "::1", "239.1.2.3:7"]).fails(64, "--from");
    assert_eq!(run("cast", &["--count", "0", "239.1.2.3:7"]).code, 64);
    assert_eq!(run("cast", &["--for", "1s", "239.1.2.3:7"]).code, 64);
}
