//! What the servers did is what the tester says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use polyport_protocol::{Code, Key};

use crate::server::{Request, Server};
use crate::tester::{expect, expect_classes, measure, run};

#[test]
fn an_echo_answers_everything() {
    let server = Server::start(|request| request.send(request.datagram));
    let result = measure(server.address, "--raw-echo --size 300");
    expect_classes(&result, &[("ok", 200)]);
    expect(
        &result["counts"],
        &[("planned", 200), ("sent", 200), ("ok", 200), ("lost", 0), ("received", 200)],
    );
    assert_eq!(result["config"]["size"], 300);
    for histogram in ["rtt_from_plan", "rtt_from_send", "lag"] {
        assert_eq!(result["latency"][histogram]["count"], 200);
    }
    let point = |name: &str, at: &str| result["latency"][name][at].as_u64().unwrap();
    assert!(point("rtt_from_plan", "max") >= point("rtt_from_send", "max"));
    assert_eq!(result["local"]["dropped_in_our_socket"], 0);
}

#[test]
fn handshake_and_warm_up_are_not_counted() {
    let server = Server::start(|request| request.send(&request.response()));
    let line = format!("{} --rate 1000/s -d 200ms --warmup 100ms --json -q", server.address);
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // At least one datagram of handshake, and the schedule of the warm-up.
    let warm_up = ran.json()["classes"]["warm_up"].as_u64().unwrap();
    assert!((101..=105).contains(&warm_up), "{warm_up}");
    expect_classes(&ran.json(), &[("ok", 200), ("warm_up", warm_up)]);
    expect(&ran.json()["counts"], &[("planned", 200), ("sent", 200)]);
}

#[test]
fn loss_has_a_direction() {
    let (mut window, mut rseq) = (0_u64, 0);
    let server = Server::start(move |request| {
        window <<= 1;
        if request.number % 10 == 0 {
            return;
        }
        window |= 1;
        if request.number % 10 != 5 {
            request.send(&request.reply(Code::OK, Some((rseq, window)), |_| ()));
            rseq += 1;
        }
    });
    let result = measure(server.address, "");
    let counts = [("ok", 160), ("lost", 40), ("lost_up", 20), ("lost_down", 20), ("lost_unknown", 0)];
    expect(&result["counts"], &counts);
    expect_classes(&result, &[("ok", 160)]);
}

#[test]
fn without_rstat_the_direction_of_loss_is_unknown() {
    let server = Server::start(|request| {
        if request.number % 4 != 0 {
            request.send(&request.response());
        }
    });
    let result = measure(server.address, "--streams 3");
    expect(&result["counts"], &[("ok", 150), ("lost", 50), ("lost_unknown", 50)]);
}

#[test]
fn duplicates_have_a_direction_and_hide_no_loss() {
    let mut rseq = 0;
    let server = Server::start(move |request| {
        let mut next = || {
            rseq += 1;
            Some((rseq, 1))
        };
        let reply = request.reply(Code::OK, next(), |_| ());
        match request.number % 10 {
            0 => return,
            1 => request.send(&reply),
            2 => request.send(&request.reply(Code::OK, next(), |_| ())),
            _ => {}
        }
        request.send(&reply);
    });
    let result = measure(server.address, "");
    expect_classes(&result, &[("ok", 180), ("dup_up", 20), ("dup_down", 20)]);
    expect(&result["counts"], &[("lost", 20), ("dup_up", 20), ("dup_down", 20), ("reordered", 0)]);
}

#[test]
fn reordering_is_that_of_rfc_4737() {
    // Of each ten, 0 comes after 1 (reordered), 4 after 7 (by three).
    let mut held: Vec<Vec<u8>> = Vec::new();
    let server = Server::start(move |request| {
        let reply = request.response();
        match request.number % 10 {
            0 | 4 => held.push(reply),
            1 | 7 => {
                request.send(&reply);
                held.drain(..).for_each(|reply| request.send(&reply));
            }
            _ => request.send(&reply),
        }
    });
    let result = measure(server.address, "");
    expect(&result["counts"], &[("ok", 200), ("lost", 0), ("reordered", 40), ("three_reordered", 20)]);
    // Of each ten: 1 is one place early and 0 one late; 5, 6 and 7 are early by one, and 4 is late by three.
    let density = serde_json::json!({"-1": 80, "0": 80, "1": 20, "3": 20});
    assert_eq!(result["reorder_density"], density);
}

/// One more datagram for each way to be wrong, before the good answer.
fn noise(request: &Request<'_>, stranger: &UdpSocket) {
    let good = request.response();
    let changed = |at: usize, octet: u8| {
        let mut datagram = good.clone();
        datagram[at] = octet;
        datagram
    };
    request.send(b"");
    request.send(&good[..43]);
    request.send(&changed(0, 0xFF));
    request.send(&changed(4, 9));
    request.send(&changed(7, 200));
    request.send(&changed(good.len() - 1, 0xAA));
    request.send(&[&good[..], b"tail"].concat());
    request.send(request.datagram);
    request.send(&request.reply(Code::OK, None, |header| header.stream_id ^= 1 << 31));
    request.send(&request.reply(Code::OK, None, |header| header.request_id ^= 1));
    request.send(&request.reply(Code::OK, None, |header| header.seq += 1));
    request.send(&request.reply(Code::OK, None, |header| header.attempt = 1));
    request.send(&request.reply(Code::OK, None, |header| header.timestamp ^= 1));
    request.send(&vec![0; 5000]);
    request.send_from(stranger, &good);
    request.send_from(stranger, b"hello");
    request.send(&good);
}

#[test]
fn every_datagram_has_its_class() {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = Server::start(move |request| noise(request, &stranger));
    let result = measure(server.address, "");
    let twice = |name| (name, 400);
    let once = |name| (name, 200);
    expect_classes(
        &result,
        &[
            once("ok"),
            twice("short"),
            once("not_ours"),
            once("unknown_version"),
            once("bad_hlen"),
            once("bad_checksum"),
            once("trailing"),
            once("wrong_direction"),
            once("stale_stream"),
            once("unknown_id"),
            once("wrong_seq"),
            once("wrong_attempt"),
            once("wrong_timestamp"),
            once("truncated"),
            twice("wrong_source"),
        ],
    );
    expect(&result["counts"], &[("ok", 200), ("lost", 0), ("malformed", 1800), ("received", 3400)]);
}

#[test]
fn late_is_not_lost() {
    let server = Server::start(|request| {
        let reply = request.response();
        match request.number % 4 {
            0 => request.send_later(Duration::from_millis(1200), &reply),
            1 => {}
            _ => request.send(&reply),
        }
    });
    let result = measure(server.address, "--timeout 500ms --drain 3s");
    expect_classes(&result, &[("ok", 100), ("late", 50)]);
    expect(&result["counts"], &[("ok", 100), ("late", 50), ("lost", 50), ("pending_at_abort", 0)]);
}

#[test]
fn errors_are_answers_with_a_code() {
    let server = Server::start(|request| {
        let code = match request.number % 4 {
            0 => Code::BUSY,
            1 => Code(200),
            _ => Code::OK,
        };
        request.send(&request.reply(code, None, |_| ()));
    });
    let result = measure(server.address, "");
    expect_classes(&result, &[("ok", 100), ("error", 100)]);
    expect(&result["errors"], &[("16", 50), ("200", 50)]);
    assert_eq!(result["latency"]["rtt_from_plan"]["count"], 200);
}

#[test]
fn every_port_has_its_row_and_both_families_their_socket() {
    let good = || Server::start(|request| request.send(&request.response()));
    let (first, second) = (good(), good());
    let mute = Server::start(|_| ());
    let v6 = Server::on("[::1]:0", |request| request.send(&request.response()));
    let targets = format!("127.0.0.1:{},{},{} {}", first.port(), second.port(), mute.port(), v6.address);
    let result = measure(targets, "");
    let ports = result["ports"].as_array().unwrap();
    for (row, (server, ok)) in ports.iter().zip([(&first, 50), (&second, 50), (&mute, 0), (&v6, 50)]) {
        assert_eq!(row["target"], server.address.to_string());
        expect(row, &[("sent", 50), ("ok", ok), ("lost", 50 - ok)]);
        assert_eq!(row["rtt_from_plan"].is_null(), ok == 0);
    }
    assert_eq!(result["local"]["sockets"].as_array().unwrap().len(), 2);
}

#[test]
fn every_stream_has_a_port_of_its_own() {
    let ports = Arc::new(Mutex::new(BTreeMap::<SocketAddr, u64>::new()));
    let seen = Arc::clone(&ports);
    let server = Server::start(move |request| {
        *seen.lock().unwrap().entry(request.from).or_default() += 1;
        request.send(&request.response());
    });
    let result = measure(server.address, "--streams 8");
    expect(&result["counts"], &[("ok", 200), ("lost", 0)]);
    let sockets = result["local"]["sockets"].as_array().unwrap();
    let ports = ports.lock().unwrap();
    assert_eq!((sockets.len(), ports.len()), (8, 8), "{ports:?}");
    for (from, count) in ports.iter() {
        assert_eq!(*count, 25, "{from}");
        assert!(sockets.iter().any(|socket| *socket == format!("0.0.0.0:{}", from.port())), "{from}");
    }
}

#[test]
fn an_answer_to_another_port_is_no_answer() {
    // Each answer goes to another port of the tester than its datagram came from, once two are known.
    let mut known = BTreeSet::new();
    let server = Server::start(move |request| {
        known.insert(request.from);
        if let Some(other) = known.iter().find(|known| **known != request.from) {
            request.send_to(*other, &request.response());
        }
    });
    let ran = run(&format!(
        "{} --rate 1000/s -d 200ms --warmup 0s --no-handshake --json -q --timeout 2s --streams 2",
        server.address
    ));
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    let wrong = ran.json()["classes"]["wrong_source"].as_u64().unwrap();
    assert!(wrong > 0, "{}", ran.stdout);
    expect_classes(&ran.json(), &[("wrong_source", wrong)]);
    let told = format!("error: no answer: sent 200, received {wrong} that answer none of them");
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[test]
fn a_server_that_says_something_else_can_be_a_target() {
    // The lossy server of the textbook: every fifth datagram is ignored, the others are measured.
    let server = Server::start(|request| {
        if request.number % 5 != 4 {
            let text = std::str::from_utf8(request.datagram).unwrap();
            request.send(format!("Your data was {} bytes long", text.len()).as_bytes());
        }
    });
    for (more, size) in [("", 32), ("--size 300", 300), ("--streams 4", 32), ("--text measure-me", 10)] {
        let result = measure(server.address, &format!("--expect any {more}"));
        expect_classes(&result, &[("ok", 160)]);
        expect(&result["counts"], &[("sent", 200), ("ok", 160), ("lost", 40)]);
        let config = &result["config"];
        assert_eq!((&config["expect"], &config["size"]), (&"any".into(), &size.into()), "{more}");
    }
}

#[test]
fn plain_text_has_a_handshake_that_takes_nothing_from_the_load() {
    let mut greetings = 0;
    // It ignores the first greeting, so that one stays without an answer for ever.
    let server = Server::start(move |request| {
        greetings += 1;
        if greetings > 1 {
            request.send(b"no");
        }
    });
    let line =
        format!("{} --expect any --text yes --rate 1000/s -d 200ms --warmup 0s --json -q", server.address);
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    expect_classes(
        &ran.json(),
        &[("ok", 200), ("warm_up", ran.json()["classes"]["warm_up"].as_u64().unwrap())],
    );
    let mute = run(&format!("{} --expect any --timeout 100ms -q", Server::start(|_| ()).address));
    assert_eq!(mute.code, 69, "{}", mute.stderr);
}

#[test]
fn random_turns_repeat_by_seed() {
    let servers = [0; 3].map(|_| Server::start(|request| request.send(&request.response())));
    let targets = servers.each_ref().map(|server| server.address.to_string()).join(" ");
    let shares = |seed: u64| {
        let result = measure(&targets, &format!("--distribution random --seed {seed}"));
        expect(&result["counts"], &[("ok", 200)]);
        result["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["sent"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(shares(7), shares(7));
    assert_ne!(shares(7), shares(8));
}

#[test]
fn sealed_frames_want_sealed_answers() {
    let key = Key::siphash(1, [0x42; 16]);
    let file = std::env::temp_dir().join(format!("polyport-load-key-{}", std::process::id()));
    std::fs::write(&file, "42".repeat(16)).unwrap();
    let server = Server::start(move |request| {
        let mut reply = request.sealed(&key);
        match request.number % 4 {
            0 => *reply.last_mut().unwrap() ^= 1,
            1 => {
                let last = reply.len() - 3;
                reply[last] ^= 1;
            }
            _ => {}
        }
        request.send(&reply);
    });
    let result = measure(server.address, &format!("--key-file {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    expect_classes(&result, &[("ok", 100), ("bad_auth", 100)]);
    expect(&result["counts"], &[("lost", 100)]);
}

/// Datagrams of a burst: more than a stream remembers by its mean rate.
const BURST: u64 = 10_000;

/// A server that reads a burst to its end, and answers the first half of what it got at once and the other half after the timeout.
/// Ends when nobody has the other end of `stop` any more; how many it has answered.
fn slow_server(stop: Receiver<()>) -> (SocketAddr, thread::JoinHandle<u64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
        // Without root it is a smaller one, and more of the burst is lost: the books are exact with that as well.
        set_socket_recv_buffer_size_force(&socket, 32 << 20)
            .or_else(|_| set_socket_recv_buffer_size(&socket, 32 << 20))
            .unwrap();
    }
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let serving = thread::spawn(move || {
        let pause = |millis| stop.recv_timeout(Duration::from_millis(millis));
        let (mut buffer, mut kept, mut answered) = ([0; 2048], Vec::new(), 0);
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => kept.push((buffer[..length].to_vec(), from)),
                Err(_) if kept.is_empty() && pause(0) == Err(RecvTimeoutError::Disconnected) => {
                    return answered;
                }
                Err(_) => {
                    let half = kept.len() / 2;
                    for (place, (datagram, from)) in kept.drain(..).enumerate() {
                        if place == half && half > 1000 {
                            pause(1200).unwrap_err();
                        }
                        // Not faster than a busy tester reads.
                        if place % 20 == 0 {
                            pause(2).unwrap_err();
                        }
                        socket.send_to(&datagram, from).unwrap();
                        answered += 1;
                    }
                }
            }
        }
    });
    (address, serving)
}

#[test]
fn a_burst_to_a_slow_server_is_accounted_to_the_last_datagram() {
    let (stop, stopped) = mpsc::channel();
    let (address, serving) = slow_server(stopped);
    // 5 s at this rate are 4,500 datagrams: by the mean, a stream would forget a part of the burst before it is answered.
    let ran = run(&format!(
        "{address} --rate 900/s --arrival burst:{BURST} -d 11200ms --warmup 0s --no-handshake --timeout 1s --raw-echo --json -q"
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let result = ran.json();
    drop(stop);
    let answered = serving.join().unwrap();
    let of = |name: &str| result["counts"][name].as_u64().unwrap();
    let dropped = result["local"]["dropped_in_our_socket"].as_u64().unwrap();
    assert_eq!(
        (of("planned"), of("planned")),
        (10_080, of("sent") + of("not_sent")),
        "{:#}",
        result["counts"]
    );
    assert!(of("sent") > BURST, "it left as planned: {:#}", result["counts"]);
    let (ok, late) = (of("ok"), of("late"));
    assert_eq!(ok + late, answered - dropped, "each answer is of a datagram that is remembered: {result:#}");
    assert_eq!(of("lost"), of("sent") - ok - late);
    assert!(ok > 0 && late > 0, "{:#}", result["counts"]);
    expect_classes(&result, &[("ok", ok), ("late", late)]);
}
