//! `polyport-request` against servers that lose, lie, refuse and babble.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use polyport_protocol::{Code, Cookie, FrameOption, Integrity, Key, Kind, Role, version_reply};
use polyport_tools::request::json::RequestReport;

use crate::support::{Run, closed, decode, finish, object, read_until, reply, run, serve, socket, start};

const WAITS: [&str; 5] = ["0.1", "0.2", "0.4", "0.8", "1.6"];

fn waits(run: &Run) -> Vec<&str> {
    let line = |line: &'static str| line;
    let (before, after) = (line("Waiting up to "), line(" s for a reply"));
    run.out.lines().filter_map(|line| line.strip_prefix(before)?.strip_suffix(after)).collect()
}

#[test]
fn the_textbook_schedule_is_printed_and_kept() {
    let (silent, address) = socket();
    let run = run("request", &["--raw", &address.to_string(), "hello"]);
    run.fails(69, "no reply: the server may be down");
    assert_eq!(waits(&run), WAITS);
    let mut buffer = [0; 16];
    for _ in WAITS {
        let len = silent.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"hello");
    }
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut buffer).is_err(), "one transmission a wait");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let (_silent, address) = socket();
    let address = address.to_string();
    for (client, options, word) in [
        ("request", &["--timeout", "0s"][..], "--timeout"),
        ("request", &["--retries", "9"], "--retries"),
        ("request", &["--key-id", "3"], "--key-file"),
        ("mtu", &["--timer", "0s"], "--timer"),
        ("mtu", &["--max", "10"], "--max"),
        ("cast", &["--source", "127.0.0.1", "--ttl", "1"], "--listen"),
    ] {
        let run = run(client, &[options, &[&address]].concat());
        assert_eq!(run.code, 64, "{run:?}");
        assert!(run.err.contains(word), "{run:?}");
    }
    let run = run("cast", &["--source", "127.0.0.1", &address, "text"]);
    assert_eq!(run.code, 64, "{run:?}");
}

#[test]
fn the_socket_is_shown_before_and_after_also_without_an_answer() {
    for (ip, family, ttl) in [("127.0.0.1", "AF_INET", "IP_TTL"), ("[::1]", "AF_INET6", "IPV6_UNICAST_HOPS")]
    {
        let server = UdpSocket::bind(format!("{ip}:0")).unwrap();
        let address = server.local_addr().unwrap().to_string();
        let options = ["--raw", "--show-socket", "--recv-buffer", "8KiB", "--retries", "0"];
        let shown = run("request", &[&options[..], &[&address]].concat());
        shown.fails(69, "no reply");
        let row = |name: &str| -> Vec<String> {
            let line = shown.out.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(row("type"), ["SOCK_DGRAM", "SOCK_DGRAM"], "{shown:?}");
        assert_eq!(row("family"), [family, family]);
        assert_eq!(row("getpeername"), ["-", &address]);
        assert_eq!(row("SO_RCVBUF"), ["8192", "(asked", "8192)", "8192", "(asked", "8192)"]);
        assert_eq!((row("SO_BROADCAST"), row("SO_DONTROUTE")), (row("SO_DONTROUTE"), vec!["off".into(); 2]));
        let hops = row(ttl);
        assert!(hops.len() == 2 && hops.iter().all(|hops| hops.parse::<u8>().is_ok_and(|hops| hops > 0)));
        if cfg!(target_os = "linux") {
            assert!(
                row("getsockname")[0].ends_with(":0") && !row("getsockname")[1].ends_with(":0"),
                "{shown:?}"
            );
            let mtu = row(if family == "AF_INET" { "IP_MTU " } else { "IPV6_MTU " });
            assert!(mtu[1].parse::<u32>().is_ok_and(|mtu| mtu >= 1280), "{shown:?}");
        }
    }
}

#[test]
fn the_outcome_is_one_object_of_the_schema() {
    let (address, thread) = serve(|socket, datagram, peer| {
        socket.send_to(&[datagram, b"\xff"].concat(), peer).unwrap();
        false
    });
    let answered = run("request", &["--raw", "--json", "--show-socket", &address.to_string(), "hi"]);
    thread.join().unwrap();
    let found = object::<RequestReport>(&answered.out);
    assert_eq!((answered.code, &found["answer"]["payload"]), (0, &"6869ff".into()), "{answered:?}");
    assert_eq!(found["answer"]["text"], serde_json::Value::Null, "that is no UTF-8");
    assert_eq!(found["socket"]["after"]["peer"], address.to_string());
    assert_eq!(
        (&found["socket"]["before"]["peer"], &found["rejected"]),
        (&serde_json::Value::Null, &serde_json::json!({}))
    );
    let refused = run("request", &["--raw", "--json", &closed().to_string()]);
    refused.fails(69, "nobody listens");
    let found = object::<RequestReport>(&refused.out);
    assert_eq!((&found["answer"], &found["socket"]), (&serde_json::Value::Null, &serde_json::Value::Null));
}

#[test]
fn a_text_longer_than_a_datagram_is_the_callers_mistake() {
    let (_silent, address) = socket();
    let run = run("request", &["--raw", &address.to_string(), &"x".repeat(66_000)]);
    run.fails(65, "the payload has 66000 octets, and a datagram at most 65507");
}

#[test]
fn its_own_address_is_printed_before_and_after() {
    for (flag, ip) in [("--connect", "127.0.0.1"), ("--unconnected", "0.0.0.0")] {
        let (address, server) = serve(|socket, datagram, peer| {
            socket.send_to(format!("{} from {}", datagram.len(), peer.port()).as_bytes(), peer).unwrap();
            false
        });
        let run = run("request", &["--raw", flag, &address.to_string(), "hello"]);
        server.join().unwrap();
        let lines: Vec<&str> = run.out.lines().collect();
        assert_eq!((run.code, lines[0]), (0, "my address: 0.0.0.0:0 before"), "{run:?}");
        let own = lines[1].strip_prefix("my address: ").unwrap().strip_suffix(" after").unwrap();
        let (own_ip, port) = own.rsplit_once(':').unwrap();
        assert_eq!(own_ip, ip);
        run.prints(&format!("answer from {address}: \"5 from {port}\""));
        run.prints("1 transmission\n");
    }
}

#[test]
fn loss_is_made_good() {
    for (raw, drops) in [(true, 2), (false, 2), (false, 4)] {
        let mut left = drops;
        let (address, server) = serve(move |socket, datagram, peer| {
            if left > 0 {
                left -= 1;
                return true;
            }
            let answer = if raw {
                b"5".to_vec()
            } else {
                reply(decode(datagram).header(), Kind::Response, Code::OK, &[])
            };
            socket.send_to(&answer, peer).unwrap();
            false
        });
        let address = address.to_string();
        let arguments = if raw { vec!["--raw", &address] } else { vec!["--preset", "loopback", &address] };
        let run = run("request", &arguments);
        server.join().unwrap();
        assert_eq!((run.code, waits(&run).len()), (0, drops + 1), "{run:?}");
        run.prints(&format!("and {} transmissions", drops + 1));
        let took = run.out.lines().find_map(|line| line.strip_prefix("after ")).unwrap();
        let took: f64 = took.split_once(" ms").unwrap().0.parse().unwrap();
        let waited: f64 = waits(&run)[..drops].iter().map(|wait| wait.parse::<f64>().unwrap()).sum();
        assert!(took > waited * 1000.0 - 5.0, "from the first transmission, not from the last: {run:?}");
        assert_eq!(run.out.contains(", round trip "), !raw, "plain text has no attempts: {run:?}");
        run.prints(if raw { "\"5\"" } else { "\"pong\"" });
    }
}

#[test]
fn a_closed_port_is_told_at_once() {
    for arguments in [&["--raw"][..], &["--connect"], &[]] {
        let address = closed().to_string();
        let run = run("request", &[arguments, &[&address]].concat());
        run.fails(69, &format!("connection refused: nobody listens at {address}"));
    }
}

#[test]
fn a_forged_reply_is_taken_by_the_promiscuous_only() {
    let forged_first = |raw: bool| {
        serve(move |socket, datagram, peer| {
            let header = if raw { None } else { Some(*decode(datagram).header()) };
            let answer =
                header.map_or_else(|| b"pong".to_vec(), |h| reply(&h, Kind::Response, Code::OK, &[]));
            let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
            let forged =
                header.map_or_else(|| b"evil".to_vec(), |h| reply(&h, Kind::Response, Code::OK, &[]));
            forger.send_to(&forged, peer).unwrap();
            socket.send_to(&answer, peer).unwrap();
            false
        })
    };
    for (arguments, raw) in [
        (&["--raw", "--unconnected"][..], true),
        (&["--raw"], true),
        (&["--preset", "loopback"], false),
        (&["--preset", "loopback", "--connect"], false),
    ] {
        let (address, server) = forged_first(raw);
        let run = run("request", &[arguments, &[&address.to_string()]].concat());
        server.join().unwrap();
        assert_eq!(run.code, 0, "{run:?}");
        run.prints(&format!("answer from {address}: \"pong\""));
        let hidden = arguments.contains(&"--connect") || arguments == ["--raw"];
        assert_eq!(run.out.contains("rejected: wrong_source 1\n"), !hidden, "{arguments:?} {run:?}");
        assert_eq!(run.out.contains("wrong_source: from 127.0.0.1:"), !hidden, "{arguments:?} {run:?}");
    }
    let (address, server) = forged_first(true);
    let run = run("request", &["--raw", "--promiscuous", &address.to_string()]);
    server.join().unwrap();
    run.prints(": \"evil\"");
    assert!(run.err.starts_with("promiscuous: "), "{run:?}");
}

#[test]
fn garbage_is_rejected_named_and_harmless() {
    let (address, server) = serve(|socket, datagram, peer| {
        socket.send_to(b"\x1b[2Jgarbage", peer).unwrap();
        let cut = reply(decode(datagram).header(), Kind::Response, Code::OK, &[]);
        socket.send_to(&cut[..cut.len() - 1], peer).unwrap();
        decode(datagram).header().attempt < 1
    });
    let run = run("request", &["--preset", "lan", "--retries", "1", &address.to_string()]);
    server.join().unwrap();
    run.fails(76, "does it speak PPT/1?");
    run.prints("rejected: short 2, bad_length 2\n");
    assert!(!run.err.contains('\u{1b}') && !run.out.contains('\u{1b}'));
}

#[test]
fn an_echo_of_the_own_frame_is_told_at_once() {
    let (address, _server) = serve(|socket, datagram, peer| {
        socket.send_to(datagram, peer).unwrap();
        true
    });
    let address = address.to_string();
    let echo = run("request", &[&address]);
    echo.fails(76, "sends our own frames back: it is an echo and does not speak PPT/1: use --raw");
    assert_eq!(waits(&echo).len(), 1, "nothing is sent again: {echo:?}");
    // Who can read a sealed frame can send it back, and must not be able to end the request.
    let path = std::env::temp_dir().join(format!("polyport-echo-key-{}", std::process::id()));
    std::fs::write(&path, "6b".repeat(32)).unwrap();
    let key = path.to_str().unwrap();
    let sealed = run("request", &["--key-file", key, "--preset", "loopback", "--retries", "1", &address]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((sealed.code, waits(&sealed).len()), (76, 2), "{sealed:?}");
    assert_eq!(sealed.err.matches("; still waiting\n").count(), 1, "{sealed:?}");
    assert!(sealed.err.contains("error: ") && sealed.err.contains("use --raw\n"), "{sealed:?}");
}

#[test]
fn who_answers_instead_of_the_server_is_named() {
    for raw in [true, false] {
        let (other, elsewhere) = socket();
        let (address, _server) = serve(move |_, datagram, peer| {
            other.send_to(datagram, peer).unwrap();
            true
        });
        let address = address.to_string();
        let line = ["--unconnected", "--preset", "loopback", "--retries", "0", &address];
        let run = run("request", &[if raw { &["--raw"][..] } else { &[] }, &line].concat());
        run.fails(69, &format!("no reply: the server may be down (what came is from {elsewhere}: "));
        run.prints(&format!("wrong_source: from {elsewhere}\n"));
    }
}

#[test]
fn a_cookie_is_sent_when_it_is_asked_for() {
    let cookie = Cookie(*b"0123456789abcdef");
    let (address, server) = serve(move |socket, datagram, peer| {
        let frame = decode(datagram);
        let shown = frame.options().cookie() == Some(cookie);
        let answer = if shown {
            reply(frame.header(), Kind::Response, Code::OK, &[])
        } else {
            reply(frame.header(), Kind::Error, Code::COOKIE_REQUIRED, &[FrameOption::Cookie(cookie)])
        };
        assert!(shown || answer.len() <= datagram.len(), "no amplification");
        socket.send_to(&answer, peer).unwrap();
        !shown
    });
    let run = run("request", &[&address.to_string()]);
    server.join().unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    run.prints("and 2 transmissions");
}

#[test]
fn refusals_of_the_responder_have_their_codes() {
    for (code, exit, text) in [
        (Some(Code::HANDLER_FAILED), 76, "handler_failed (22)"),
        (Some(Code::SHUTTING_DOWN), 69, "shutting_down (23)"),
        (None, 76, "does not speak version 1, but 2, 10"),
    ] {
        let (address, server) = serve(move |socket, datagram, peer| {
            let answer = match code {
                Some(code) => reply(decode(datagram).header(), Kind::Error, code, &[]),
                None => {
                    let (mut asked, mut out) = (datagram.to_vec(), [0; 64]);
                    asked[4] = 3;
                    let len = version_reply(&asked, &[2, 0x0A], &mut out).unwrap();
                    out[..len].to_vec()
                }
            };
            socket.send_to(&answer, peer).unwrap();
            false
        });
        run("request", &[&address.to_string()]).fails(exit, text);
        server.join().unwrap();
    }
}

#[test]
fn a_key_seals_both_ways() {
    let secret = [0x6B; 32];
    let path = std::env::temp_dir().join(format!("polyport-request-key-{}", std::process::id()));
    std::fs::write(&path, "6b".repeat(32)).unwrap();
    let (address, server) = serve(move |socket, datagram, peer| {
        let keys = [Key::hmac_sha256(2, &secret).unwrap()];
        let decoder = polyport_protocol::Decoder::new(Role::Responder).with_integrity(Integrity::Keys(&keys));
        let header = decoder.decode(datagram).unwrap().header().reply(Kind::Response, Code::OK);
        // An unsealed copy first: it must not be believed.
        socket
            .send_to(&reply(decoder.decode(datagram).unwrap().header(), Kind::Response, Code::OK, &[]), peer)
            .unwrap();
        let mut out = [0; 200];
        let len = polyport_protocol::Encoder::new(&mut out, &header)
            .auth(&keys[0])
            .payload(b"sealed")
            .finish()
            .unwrap();
        socket.send_to(&out[..len], peer).unwrap();
        false
    });
    let run = run("request", &["--key-file", path.to_str().unwrap(), &address.to_string()]);
    server.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    run.prints("\"sealed\"");
    run.prints("rejected: no_auth 1\n");
}

#[test]
fn limits_of_time_and_number_end_the_request() {
    let (_silent, address) = socket();
    let address = address.to_string();
    let run_with = |arguments: &[&str]| run("request", &[arguments, &[address.as_str()]].concat());
    let few = run_with(&["--raw", "--retries", "1"]);
    few.fails(69, "no reply");
    assert_eq!(waits(&few), WAITS[..2]);
    let brief = run_with(&["--raw", "--timeout", "1s"]);
    brief.fails(69, "no reply");
    let (last, whole) = (waits(&brief).pop().unwrap(), waits(&brief).len() - 1);
    assert_eq!(waits(&brief)[..whole], WAITS[..whole]);
    // Rounded up to milliseconds.
    let sum: f64 = waits(&brief).iter().map(|wait| wait.parse::<f64>().unwrap()).sum();
    assert!(sum < 1.005 && !WAITS.contains(&last), "the last wait is what is left: {brief:?}");
    let ppt = run_with(&["--preset", "loopback", "--retries", "2"]);
    ppt.fails(69, "no reply: the server may be down");
    assert_eq!(waits(&ppt).len(), 3);
    let long = "x".repeat(1300);
    run("request", &[&address, &long]).fails(65, "does not fit");
}

#[test]
fn wrong_targets_have_their_codes() {
    run("request", &["127.0.0.1"]).fails(64, "port is missing");
    run("request", &["127.0.0.1:0"]).fails(64, "port 0");
    run("request", &["127.0.0.1:no-such-service"]).fails(68, "no-such-service");
    run("request", &["no-such-host.invalid:7"]).fails(68, "no-such-host.invalid");
    run("request", &["-6", "127.0.0.1:7"]).fails(68, "no IPv6 address");
    // That of all networks may have no route here, that of loopback has one everywhere.
    for broadcast in ["127.255.255.255:7", "255.255.255.255:7"] {
        for arguments in [&[][..], &["--connect"], &["--raw"], &["--raw", "--unconnected"]] {
            run("request", &[arguments, &["-q", broadcast]].concat()).fails(77, "polyport-cast");
        }
    }
    run("request", &["[fe80::1]:7"]).fails(64, "[fe80::1%eth0]:7");
    assert_eq!(run("request", &[]).code, 64);
    assert_eq!(run("request", &["--connect", "--promiscuous", "127.0.0.1:7"]).code, 64);
    run("request", &["--key-file", "/nonexistent", "127.0.0.1:7"]).fails(65, "/nonexistent");
}

#[test]
fn a_signal_ends_the_wait() {
    let (silent, address) = socket();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut child = start("request", &[&address.to_string()]);
    read_until(&mut child, "Waiting up to");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(finish(child).code, 130);
}
