//! What strangers send to a responder takes neither the answers of others nor makes anything run twice (A8, A9).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use polyport_protocol::{Code, Cookie, Decoder, Encoder, FrameOption, Header, Integrity, Key, Kind, Role};
use polyport_tests::process::Process;
use polyport_tests::strangers::Strangers;
use polyport_tests::{Client, DEADLINE, Daemon, Finished, ports, scale, wait};

use crate::polyport;

/// Forged datagrams between two questions of an honest client, which wait until they are served: no more than a
/// receive queue holds.
const BURST: u64 = 64;
const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// A8: a flood of errors of every kind from other prefixes while `polyport-request` needs its COOKIE.
#[test]
fn a_flood_of_errors_leaves_a_client_its_cookies() {
    const PREFIXES: u32 = 8;
    const RUNS: u64 = 8;
    let daemon =
        polyport().listen("127.0.0.1:0=responder,name=all,service=time,errors_per_second=10").serve();
    let (to, over) = (daemon.addresses()[0], AtomicBool::new(false));
    let (forged, finished) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let (client, mut strangers) = (Client::of(to), Strangers::new(PREFIXES << 8));
            let mut forged = 0;
            while !over.load(Ordering::Relaxed) {
                for id in forged..forged + BURST {
                    let datagram = if id % 2 == 0 { bad_version(id) } else { wants_cookie(id) };
                    strangers.send(to, &datagram);
                }
                forged += BURST;
                // As long as its reply, so that it needs no COOKIE.
                expect_time(&client, &encode(&header(forged), &[], 128, None));
            }
            forged
        });
        let _end = End(&over);
        // Each is a run of its own, with a stream of its own, and so needs a COOKIE of its own.
        let finished: Vec<Finished> =
            (0..RUNS).map(|_| request(to, &["--grease", "never"]).finish()).collect();
        over.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), finished)
    });
    for finished in &finished {
        finished.expect_code(0);
        assert!(finished.stdout.contains("\"unix "), "{}", finished.stdout);
    }
    let served = daemon.stop();
    let [suppressed, versions, cookies] = ["errors_suppressed_total", "versions_total", "cookies_sent_total"]
        .map(|what| served.counted("all", what));
    assert!(cookies >= RUNS && versions > 0, "{}", served.finished.stdout);
    // The flood got a part of what it asked for, and the client all.
    assert!(suppressed > forged / 4, "{suppressed} of {forged}: the flood was too slow to show anything");
    assert!(suppressed + versions + cookies >= forged + RUNS, "{}", served.finished.stdout);
}

/// A9: more forged requests than replies can be kept, between a request and its retransmission.
#[test]
fn a_forged_flood_does_not_make_a_retransmission_run_twice() {
    const KEPT: u64 = 65_536;
    let forged = KEPT * u64::from(scale()) + KEPT / 8;
    let daemon = polyport().listen("127.0.0.1:0=responder,name=all,service=time").serve();
    let (to, honest, between) = (daemon.addresses()[0], daemon.client(0), daemon.client(0));
    let cookie = FrameOption::Cookie(cookie_of(&honest, 1));
    let first = expect_time(&honest, &encode(&header(1), &[cookie], 0, None));
    let mut strangers = Strangers::new(1 << 20);
    for burst in 0..forged.div_ceil(BURST) {
        let id = 2 + burst * BURST;
        for id in id..id + BURST {
            strangers.send(to, &encode(&header(id), &[], 128, None));
        }
        expect_time(&between, &encode(&header(id), &[], 128, None));
    }
    let again = Header { attempt: 1, ..header(1) };
    let second = expect_time(&honest, &encode(&again, &[cookie], 0, None));
    assert_eq!(first, second, "the time of the first execution");
    let served = daemon.stop();
    // The first request was executed when it was refused for its length.
    assert_eq!(served.counted("all", "duplicates_answered_total"), 2, "{}", served.finished.stdout);
    let (executed, bursts) = (served.counted("all", "executed_total"), forged.div_ceil(BURST));
    assert_eq!(executed, 1 + bursts * BURST + bursts, "{}", served.finished.stdout);
    assert!(served.counted("all", "cache_evicted_entries_total") > 0, "the flood was too small");
}

/// A9: what `polyport-request` sent with a key is captured on its way, and sent again before and after a restart. The
/// secret of cookies is another after it, or the same because it is configured.
#[test]
fn a_captured_frame_is_not_executed_again_not_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("shared.key");
    fs::write(&key_file, KEY).unwrap();
    let key_args = ["--key-file", key_file.to_str().unwrap()];
    for (number, secret) in (0..).zip(["", ", cookie_secret = '101112131415161718191a1b1c1d1e1f'"]) {
        let port = ports::free_range(&[Ipv4Addr::LOCALHOST.into()], 1, 7200 + number);
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let options = format!("{{ auth = 'siphash', key = '{KEY}'{secret} }}");
        let table = format!("[[listen]]\nbind = '{address}'\nplugin = 'responder'\noptions = {options}\n");
        let serve = || polyport().config(&table).serve();
        let wire = Wire::to(address);

        let daemon = serve();
        // A COOKIE tells whole seconds: those of the first are told from those of a process before, not after.
        let started = unix_seconds();
        wait::until("the next second", || unix_seconds() > started);
        let captured = wire.capture(request(wire.front(), &key_args));
        assert_eq!(captured.len(), 2, "a request for the COOKIE, and one with it");
        let again = captured.iter().map(|frame| wire.replay(frame)).collect::<Vec<_>>();
        assert_eq!(again, [None, None]);
        assert_eq!(executed_and_replays(daemon), (1, 2));

        let daemon = serve();
        let again = captured.iter().map(|frame| wire.replay(frame)).collect::<Vec<_>>();
        let refused = |code| Some((Kind::Error, code));
        assert_eq!(again, [refused(Code::COOKIE_REQUIRED), refused(Code::BAD_COOKIE)]);
        // Its owner goes on all the same.
        wire.capture(request(wire.front(), &key_args));
        assert_eq!(executed_and_replays(daemon), (1, 0));
    }
}

/// How many requests a daemon has executed when it stops, and how many replays it has seen.
fn executed_and_replays(daemon: Daemon) -> (u64, u64) {
    let served = daemon.stop();
    let count = |what| served.counted("responder", what);
    (count("executed_total"), count("malformed_replay_total"))
}

#[expect(clippy::disallowed_methods, reason = "the second that a COOKIE tells is that of the wall clock")]
fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A place between a client and the daemon where everything is seen, and can be sent again.
struct Wire {
    front: UdpSocket,
    back: UdpSocket,
}

impl Wire {
    fn to(daemon: SocketAddr) -> Self {
        let [front, back] = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
        }
        back.connect(daemon).unwrap();
        Self { front, back }
    }

    /// The daemon, for the client.
    fn front(&self) -> SocketAddr {
        self.front.local_addr().unwrap()
    }

    /// Lets a client talk to the daemon until it is answered; what it sent.
    fn capture(&self, client: Process) -> Vec<Vec<u8>> {
        let mut captured = Vec::new();
        loop {
            let mut buffer = [0; 2048];
            let (len, from) = self.front.recv_from(&mut buffer).expect("the client sends");
            captured.push(buffer[..len].to_vec());
            self.back.send(&buffer[..len]).unwrap();
            let len = self.back.recv(&mut buffer).expect("the daemon answers");
            self.front.send_to(&buffer[..len], from).unwrap();
            if decode(&buffer[..len]).0 == Kind::Response {
                client.finish().expect_code(0);
                return captured;
            }
        }
    }

    /// Sends a frame once more from the same address; what came back. Behind it goes a probe, which is answered later.
    fn replay(&self, frame: &[u8]) -> Option<(Kind, Code)> {
        self.back.send(frame).unwrap();
        let probe = Header { kind: Kind::Probe, stream_id: rand::random(), ..header(1) };
        self.back.send(&encode(&probe, &[], 0, Some(&key()))).unwrap();
        let mut buffer = [0; 2048];
        let mut receive = || {
            let len = self.back.recv(&mut buffer).expect("at least the probe is answered");
            Some(decode(&buffer[..len])).filter(|(kind, _)| *kind != Kind::ProbeAck)
        };
        let answer = receive();
        if answer.is_some() {
            assert_eq!(receive(), None, "one answer");
        }
        answer
    }
}

/// Sets a flag at the end of its scope, however that is left.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn request(to: SocketAddr, args: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-request-under-test"));
    // Shorter than the time that is told, so that the answer needs a COOKIE.
    Process::spawn(command.args(args).arg(to.to_string()).arg("?"))
}

fn key() -> Key {
    Key::siphash(1, std::array::from_fn(|octet| u8::try_from(octet).unwrap()))
}

/// The header of a request; each id is a stream of its own.
fn header(id: u64) -> Header {
    Header::new(Kind::Request, id, u32::try_from(id).unwrap(), 0, 0)
}

fn encode(header: &Header, options: &[FrameOption<'_>], pad_to: usize, key: Option<&Key>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut encoder = Encoder::new(&mut buffer, header);
    for option in options {
        encoder = encoder.option(option);
    }
    let len = encoder.auth_if(key).pad_to(pad_to).finish().unwrap();
    buffer[..len].to_vec()
}

/// A request that is answered with a COOKIE.
fn wants_cookie(id: u64) -> Vec<u8> {
    encode(&header(id), &[FrameOption::Room(&[0; 16])], 0, None)
}

/// 52 octets of another version.
fn bad_version(id: u64) -> Vec<u8> {
    const VERSION_AT: usize = 4;
    let mut datagram = encode(&header(id), &[], 52, None);
    datagram[VERSION_AT] = 5;
    datagram
}

fn decode(reply: &[u8]) -> (Kind, Code) {
    let keys = [key()];
    let decoder = Decoder::new(Role::Client).with_integrity(Integrity::Keys(&keys));
    let header = *decoder.decode(reply).unwrap().header();
    (header.kind, header.code)
}

/// The COOKIE that a client gets for a stream.
fn cookie_of(client: &Client, id: u64) -> Cookie {
    let reply = client.ask(&wants_cookie(id));
    Decoder::new(Role::Client).decode(&reply).unwrap().options().cookie().expect("a COOKIE")
}

/// Asks for the time, and fails if it is not told.
fn expect_time(client: &Client, request: &[u8]) -> Vec<u8> {
    let reply = client.ask(request);
    let reply = Decoder::new(Role::Client).decode(&reply).unwrap();
    assert_eq!((reply.header().kind, reply.header().code), (Kind::Response, Code::OK));
    assert!(reply.payload().starts_with(b"unix "));
    reply.payload().to_vec()
}
