//! Clients that send garbage, hang, or are many: each costs itself, and datagrams are served meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use polyport_tests::wait;

use super::{answer, connect, echo, get, raw, scrape, serve};

fn limit(all: &std::collections::BTreeMap<String, f64>, name: &str) -> f64 {
    all[&format!("polyport_metrics_limit_reached_total{{limit=\"{name}\"}}")]
}

#[test]
fn garbage_is_refused_and_the_next_one_is_answered() {
    let (daemon, at) = serve(echo());
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(100_000));
    let fat = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    for (bytes, statuses) in [
        (&b"garbage\r\n\r\n"[..], &[400][..]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400]),
        (b"GET / HTTP/9.9\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", &[400]),
        (b"\0\0\0\0\0\0\0\0", &[400]),
        (many.as_bytes(), &[431]),
        (long.as_bytes(), &[414, 431]),
        (fat.as_bytes(), &[431]),
    ] {
        let mut stream = connect(at);
        // It may have been closed before all was sent.
        stream.write_all(bytes).unwrap_or(());
        let mut came = Vec::new();
        stream.read_to_end(&mut came).map(drop).unwrap_or(());
        let shown = String::from_utf8_lossy(bytes.get(..40.min(bytes.len())).unwrap());
        // What was not read makes the kernel reset the connection, which may overtake the answer.
        if !came.is_empty() {
            let answer = answer(&String::from_utf8(came).unwrap());
            assert!(statuses.contains(&answer.status), "{shown:?}: {answer:?}");
        }
        daemon.client(0).expect_echo(b"served");
        assert_eq!(get(at, "/healthz").status, 200, "{shown:?}");
    }
    // Nothing is read behind a request, and the body of none.
    let two = raw(at, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(two.matches("HTTP/1.1 200").count(), 1, "{two}");
    let body = raw(at, b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\nxxx");
    assert_eq!(answer(&body).status, 405);
    drop(daemon.stop());
}

#[test]
fn a_request_that_never_ends_is_not_kept() {
    let (daemon, at) = serve(echo());
    daemon.client(0).expect_echo(b"warm");
    let before = daemon.anonymous_memory();
    let mut stream = connect(at);
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let block = format!("X: {}", "x".repeat(1 << 20)).into_bytes();
    for _ in 0..50 {
        stream.write_all(&block).unwrap_or(());
    }
    drop(stream);
    daemon.client(0).expect_echo(b"served");
    assert_eq!(get(at, "/metrics").status, 200);
    let after = daemon.anonymous_memory();
    assert!(after < before + (8 << 20), "{before} bytes of memory, then {after}");
    drop(daemon.stop());
}

/// A byte now and then: those that are slow are ended, and meanwhile others are answered.
#[test]
fn who_is_slow_with_a_request_is_counted_and_gone() {
    let (daemon, at) = serve(echo());
    let mut slow: Vec<TcpStream> = (0..10).map(|_| connect(at)).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX-".get(..n * 2).unwrap()).unwrap();
    }
    for n in 0..10 {
        daemon.client(0).expect_echo(format!("{n}").as_bytes());
        assert_eq!(get(at, "/metrics").status, 200);
    }
    for mut stream in slow {
        let mut came = Vec::new();
        stream.read_to_end(&mut came).map(drop).unwrap_or(());
        assert!(!came.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&came));
    }
    wait::until("they are counted", || limit(&scrape(at), "slow") == 10.0);
    drop(daemon.stop());
}

#[test]
fn a_thousand_connections_leave_room_for_one_more() {
    let (daemon, at) = serve(echo());
    let mut held = Vec::new();
    for _ in 0..1000 {
        // The queue of the kernel is full now and then; `connect` waits.
        held.push(connect(at));
    }
    daemon.client(0).expect_echo(b"served");
    assert_eq!(get(at, "/healthz").status, 200);
    let all = scrape(at);
    assert!(all["polyport_metrics_connections_total"] >= 1002.0);
    assert!(limit(&all, "evicted") >= 930.0, "{}", limit(&all, "evicted"));
    assert_eq!(limit(&all, "connections"), 0.0, "nobody who asks is sent away for those who do not");
    drop(held);
    drop(daemon.stop());
}

/// It asks for a page that is larger than the kernel keeps for it, and reads none of it.
#[test]
fn who_reads_nothing_is_left_behind() {
    let tables: String = (0..1000)
        .map(|n| format!("[[listen]]\nname = \"l{n}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n"))
        .collect();
    let (daemon, at) = serve(crate::polyport().config(&tables));
    let held: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(at);
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for n in 0..20 {
        daemon.client(n).expect_echo(b"served");
    }
    assert_eq!(get(at, "/healthz").status, 200);
    // As many as there may be hold what they do not read; until they are gone, others hear so.
    assert_eq!(get(at, "/metrics").status, 503);
    wait::until("one of them is gone", || get(at, "/metrics").status == 200);
    wait::until("they are gone, each when its time is over", || limit(&scrape(at), "slow") == 8.0);
    assert!(limit(&scrape(at), "pages") >= 1.0);
    drop(held);
    drop(daemon.stop());
}

/// Random bytes from several clients at once, until as many datagrams were served as there should be.
#[test]
fn random_bytes_cost_no_datagram() {
    let (daemon, at) = serve(echo());
    let clients: Vec<_> = (1..=4_u64)
        .map(|seed| {
            thread::spawn(move || {
                let mut random = seed;
                for _ in 0..50 {
                    let mut stream = connect(at);
                    for _ in 0..4 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let bytes: Vec<u8> =
                            (0..random % 97).map(|n| ((random >> (n % 56)) ^ n).to_le_bytes()[0]).collect();
                        stream.write_all(b"GET /").and_then(|()| stream.write_all(&bytes)).unwrap_or(());
                    }
                }
            })
        })
        .collect();
    for n in 0..200 {
        daemon.client(0).expect_echo(format!("datagram {n}").as_bytes());
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(get(at, "/metrics").status, 200);
    let served = daemon.stop();
    assert_eq!(served.received("echo", "replied"), 200);
}
