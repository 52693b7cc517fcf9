//! Every client against servers that do what no honest server does. Whatever they do, a client ends by itself, with the
//! code that README.md gives the case; it sends no more than against a silent server, and its memory stays small.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use polyport_protocol::{
    Code, Cookie, Decoder, Encoder, FrameOption, Header, Integrity, Key, Kind, MILLISECOND, Nanos, Role,
};
use polyport_tools::clock::Clock;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::support::{Run, closed, command, finish, reply};

/// What a server does with a request, or instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Closed,
    /// The datagram goes back as it is.
    Echo,
    /// A request of somebody else comes, whole and with a right checksum.
    Reflected,
    WrongId,
    /// A version that nobody speaks, and a VERSION frame that lists the one that everybody speaks.
    WrongVersion,
    Cut,
    /// The answer, and sixty thousand octets behind it.
    Oversized,
    /// The right answer, fifty times.
    Duplicates,
    /// The right answer from another port, and from another address.
    Elsewhere,
    /// The right answer, later than it should come.
    Late,
    /// Garbage without an end, as fast as it can be sent.
    Flood,
    Busy,
    /// Each answer wants the cookie that is in it.
    Cookies,
    /// A tag of a key that the client does not have.
    BadAuth,
    /// Errors of every code, one after the other.
    Errors,
    Empty,
}

const MODES: [Mode; 17] = [
    Mode::Silent,
    Mode::Closed,
    Mode::Echo,
    Mode::Reflected,
    Mode::WrongId,
    Mode::WrongVersion,
    Mode::Cut,
    Mode::Oversized,
    Mode::Duplicates,
    Mode::Elsewhere,
    Mode::Late,
    Mode::Flood,
    Mode::Busy,
    Mode::Cookies,
    Mode::BadAuth,
    Mode::Errors,
    Mode::Empty,
];

/// Garbage of one server at most, datagrams: some seconds of all that loopback carries.
const MOST_GARBAGE: u64 = 300_000;
/// Address space of a client, bytes. What it says and keeps of strangers must not grow with what they send.
const ADDRESS_SPACE: u64 = 512 << 20;
/// How late a late answer is: later than the load tester waits. The other clients may have given up, or not.
const TOO_LATE: Nanos = 150 * MILLISECOND;

const OK: &[i32] = &[0];
const NO_REPLY: &[i32] = &[69];
const PROTOCOL: &[i32] = &[76];
const OK_OR_NO_REPLY: &[i32] = &[0, 69];
const NO_REPLY_OR_PROTOCOL: &[i32] = &[69, 76];

#[test]
fn a_request_ends_whatever_the_server_does() {
    against_all(6, |mode, address, _| {
        let run = client("request", &["--preset", "loopback", "--retries", "2", "--timeout", "10s", address]);
        let expected = if mode == Mode::Busy { NO_REPLY } else { expected(mode, PROTOCOL) };
        (run, expected)
    });
}

/// Plain text has no ids: who answers from the right address is believed.
#[test]
fn a_plain_request_ends_whatever_the_server_does() {
    against_all(6, |mode, address, _| {
        // Four: a server on a busy machine may need longer than the first waits.
        let run = client("request", &["--raw", "--retries", "4", "--timeout", "10s", address]);
        (run, expected(mode, OK))
    });
}

/// A search sends up to ten control probes, and with answers at most a few dozen.
#[test]
fn a_search_for_the_path_mtu_ends_whatever_the_server_does() {
    against_all(100, |mode, address, _| {
        let run = client("mtu", &["--timer", "20ms", "--max", "1500", address]);
        (run, expected(mode, PROTOCOL))
    });
}

/// A hundred datagrams are planned, and none is sent because of what came.
#[test]
fn a_load_ends_whatever_the_server_does() {
    const LOAD: [&str; 14] = [
        "-q",
        "--json",
        "--rate",
        "500/s",
        "-d",
        "200ms",
        "--warmup",
        "0s",
        "--no-handshake",
        "--timeout",
        "100ms",
        "--max-in-flight",
        "1000",
        "--drain=300ms",
    ];
    against_all(100, |mode, address, received| {
        let run = client("load", &[&LOAD[..], &[address]].concat());
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let classes = &report["classes"];
        assert_eq!(classes["ok"].as_u64() > Some(0), mode == Mode::Duplicates, "{mode:?}: {classes:#}");
        assert!(received.load(Ordering::Relaxed) <= 100);
        let answered = ["ok", "late", "error"].iter().any(|class| classes[class].as_u64() > Some(0));
        let nobody = matches!(mode, Mode::Silent | Mode::Closed | Mode::Elsewhere);
        assert!(!(answered && nobody), "{mode:?}: {classes:#}");
        (run, if answered { OK } else { NO_REPLY })
    });
    // Who asks before whether anybody is there learns it from whoever answers, by an error too, and from nobody else.
    against_all(10, |mode, address, _| {
        let line = [
            "-q",
            "--rate",
            "500/s",
            "-d",
            "1ms",
            "--warmup",
            "0s",
            "--timeout",
            "100ms",
            "--drain=100ms",
            address,
        ];
        let answers = [Mode::Duplicates, Mode::Busy, Mode::Cookies, Mode::Errors].contains(&mode);
        let codes = if answers {
            OK
        } else if mode == Mode::Echo {
            PROTOCOL
        } else {
            expected(mode, NO_REPLY)
        };
        (client("load", &line), codes)
    });
}

/// Who shares a key with the server believes nobody without it.
#[test]
fn a_request_with_a_key_is_answered_by_nobody_without_it() {
    let file = std::env::temp_dir().join(format!("polyport-hostile-key-{}", std::process::id()));
    std::fs::write(&file, "000102030405060708090a0b0c0d0e0f").unwrap();
    let key = file.to_str().unwrap();
    against_all(6, |mode, address, _| {
        let line = ["--preset", "loopback", "--retries", "2", "--timeout", "10s", "--key-file", key, address];
        let codes = match expected(mode, PROTOCOL) {
            OK => PROTOCOL,
            OK_OR_NO_REPLY => NO_REPLY_OR_PROTOCOL,
            codes => codes,
        };
        (client("request", &line), codes)
    });
    std::fs::remove_file(&file).unwrap();
}

/// A listener counts and shows whoever sends, and ends when it was told to.
#[test]
fn a_listener_ends_in_the_middle_of_a_flood() {
    let server = Server::start(Mode::Flood);
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"", server.address).unwrap();
    server.aim.lock().unwrap().replace(port);
    let run = client("cast", &["--listen", "--for", "1s", &port.to_string()]);
    assert!(OK_OR_NO_REPLY.contains(&run.code) && !run.out.contains('\u{1b}'), "{}", run.code);
}

/// One answer after the other, by the tool that explains them: nothing makes it fall over, and nothing that a stranger
/// sent reaches the terminal as it was.
#[test]
fn frames_of_every_server_are_explained() {
    let request = Header::new(Kind::Request, 7, 7, 7, 7);
    let mut asked = [0; 44];
    let len = Encoder::new(&mut asked, &request).finish().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for mode in MODES {
        for number in 0..8 {
            for datagram in answers(mode, &asked[..len], number, &mut rng) {
                let hex: String = datagram.iter().take(9000).map(|octet| format!("{octet:02x}")).collect();
                let run = client("frame", &["decode", "--hex", &hex]);
                assert!([0, 65].contains(&run.code), "{mode:?}: {run:?}");
                assert!(!run.out.contains('\u{1b}') && !run.out.contains('\r'), "{mode:?}");
            }
        }
    }
}

/// The codes that a client may end with; `otherwise` is for what it has heard and does not believe.
fn expected(mode: Mode, otherwise: &'static [i32]) -> &'static [i32] {
    match mode {
        Mode::Silent | Mode::Closed | Mode::Elsewhere => NO_REPLY,
        Mode::Late => OK_OR_NO_REPLY,
        Mode::Duplicates => OK,
        Mode::Echo
        | Mode::Reflected
        | Mode::WrongId
        | Mode::WrongVersion
        | Mode::Cut
        | Mode::Oversized
        | Mode::Flood
        | Mode::Busy
        | Mode::Cookies
        | Mode::BadAuth
        | Mode::Errors
        | Mode::Empty => otherwise,
    }
}

/// Runs `attack` against a server of each mode, all at once. It returns what became of the client and with which code
/// it should have ended. No client may send more than `most` datagrams.
#[track_caller]
fn against_all(most: u64, attack: impl Fn(Mode, &str, &AtomicU64) -> (Run, &'static [i32]) + Sync) {
    let attack = &attack;
    thread::scope(|scope| {
        for mode in MODES {
            scope.spawn(move || {
                let server = Server::start(mode);
                let (run, expected) = attack(mode, &server.address.to_string(), &server.received);
                let shown = |text: &str| text.chars().take(2000).collect::<String>();
                assert!(
                    expected.contains(&run.code),
                    "{mode:?}: {} {} {}",
                    run.code,
                    shown(&run.out),
                    shown(&run.err)
                );
                assert!(!run.err.contains("panicked"), "{mode:?}: {}", run.err);
                assert!(run.out.len() + run.err.len() < 100_000, "{mode:?}: a client that babbles");
                let received = server.received.load(Ordering::Relaxed);
                assert!(received <= most, "{mode:?}: the client sent {received}");
            });
        }
    });
}

/// Runs a client to its end, in an address space of limited size.
fn client(name: &str, arguments: &[&str]) -> Run {
    let plain = command(name, arguments);
    let mut command = if cfg!(target_os = "linux") {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--as={ADDRESS_SPACE}")).arg(plain.get_program()).args(plain.get_args());
        limited
    } else {
        plain
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap())
}

/// A server that lives as long as the value.
struct Server {
    address: SocketAddr,
    received: Arc<AtomicU64>,
    /// Where garbage goes, if not to who asked.
    aim: Arc<std::sync::Mutex<Option<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mode: Mode) -> Self {
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let aim = Arc::default();
        if mode == Mode::Closed {
            return Self { address: closed(), received, aim, stop, thread: None };
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let address = socket.local_addr().unwrap();
        let ours = (Arc::clone(&received), Arc::clone(&aim), Arc::clone(&stop));
        let thread = Some(thread::spawn(move || serve(mode, &socket, &ours.0, &ours.1, &ours.2)));
        Self { address, received, aim, stop, thread }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let result = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || !matches!(result, Some(Err(_))), "the server panicked");
    }
}

fn serve(
    mode: Mode,
    socket: &UdpSocket,
    received: &AtomicU64,
    aim: &std::sync::Mutex<Option<SocketAddr>>,
    stop: &AtomicBool,
) {
    let mut rng = StdRng::seed_from_u64(mode as u64);
    let elsewhere = [UdpSocket::bind("127.0.0.1:0").unwrap(), other_address(socket)];
    let (mut buffer, mut victim, mut garbage) = (vec![0; 65_536], None, 0);
    let (clock, mut later) = (Clock::start(), Vec::new());
    let flood = mode == Mode::Flood;
    while !stop.load(Ordering::Relaxed) {
        if let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let number = received.fetch_add(1, Ordering::Relaxed);
            victim = Some(peer);
            // A client may have ended; then the kernel tells the next send.
            for datagram in answers(mode, &buffer[..len], number, &mut rng) {
                if mode == Mode::Elsewhere {
                    elsewhere.iter().for_each(|other| drop(other.send_to(&datagram, peer)));
                } else if mode == Mode::Late {
                    later.push((clock.now() + TOO_LATE, datagram, peer));
                } else {
                    drop(socket.send_to(&datagram, peer));
                }
            }
        }
        let now = clock.now();
        later.retain(|(at, datagram, peer)| {
            if now >= *at {
                drop(socket.send_to(datagram, *peer));
            }
            now < *at
        });
        // Two milliseconds of waiting after each burst would be no flood.
        while flood && garbage < MOST_GARBAGE && !stop.load(Ordering::Relaxed) {
            let Some(to) = aim.lock().unwrap().or(victim) else { break };
            for _ in 0..64 {
                let mut datagram = [0; 100];
                rng.fill_bytes(&mut datagram);
                let len = rng.random_range(0..=datagram.len());
                drop(socket.send_to(&datagram[..len], to));
                garbage += 1;
            }
            socket.set_nonblocking(true).unwrap();
            while socket.recv_from(&mut buffer).is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
            socket.set_nonblocking(false).unwrap();
        }
    }
}

/// A socket with the same port at another address of this host.
fn other_address(socket: &UdpSocket) -> UdpSocket {
    let port = socket.local_addr().unwrap().port();
    UdpSocket::bind(("127.0.0.2", port)).or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap()
}

/// What a server of that mode sends back for its request number `number`.
fn answers(mode: Mode, datagram: &[u8], number: u64, rng: &mut StdRng) -> Vec<Vec<u8>> {
    let keys = [Key::siphash(1, core::array::from_fn(|at| u8::try_from(at).unwrap()))];
    // Requests with a key are read with it, so that only the answer lacks it.
    let header = |integrity| {
        Decoder::new(Role::Responder).with_integrity(integrity).decode(datagram).map(|f| *f.header())
    };
    let asked = header(Integrity::Checksum).or_else(|_| header(Integrity::Keys(&keys))).ok();
    // What is no frame gets the answer to one, so that plain clients are attacked too.
    let asked = asked.unwrap_or_else(|| Header::new(Kind::Request, 1, 1, 1, 1));
    let kind = if asked.kind == Kind::Probe { Kind::ProbeAck } else { Kind::Response };
    let len = u16::try_from(datagram.len()).unwrap();
    let info = [FrameOption::ProbeInfo { len, limit: 0 }];
    let options: &[FrameOption<'_>] = if kind == Kind::ProbeAck { &info } else { &[] };
    let good = || reply(&asked, kind, Code::OK, options);
    match mode {
        Mode::Silent | Mode::Closed => Vec::new(),
        Mode::Flood => vec![vec![0x1B; 44], b"\x1b[2J\r\n".to_vec()],
        Mode::Echo => vec![datagram.to_vec()],
        Mode::Reflected => {
            let other = Header { stream_id: asked.stream_id ^ 1, request_id: rng.random(), ..asked };
            let mut buffer = vec![0; 100];
            let len = Encoder::new(&mut buffer, &other).payload(b"pong").finish().unwrap();
            vec![buffer[..len].to_vec()]
        }
        Mode::WrongId => {
            vec![reply(&Header { request_id: asked.request_id ^ 1, ..asked }, kind, Code::OK, options)]
        }
        Mode::WrongVersion => {
            let mut other = good();
            other[4] = 9;
            let versions = [FrameOption::Versions(&[1, 0x0A])];
            vec![other, reply(&asked, Kind::Version, Code::OK, &versions)]
        }
        Mode::Cut => (1..good().len()).map(|len| good()[..len].to_vec()).collect(),
        Mode::Oversized => vec![[good(), vec![0x5A; 60_000]].concat()],
        Mode::Duplicates => vec![good(); 50],
        Mode::Elsewhere | Mode::Late => vec![good()],
        Mode::Busy => vec![reply(&asked, Kind::Error, Code::BUSY, &[FrameOption::RetryAfter { ms: 0 }])],
        Mode::Cookies => {
            let cookie = [FrameOption::Cookie(Cookie(rng.random()))];
            vec![reply(&asked, Kind::Error, Code::COOKIE_REQUIRED, &cookie)]
        }
        Mode::BadAuth => {
            let mut buffer = vec![0; 200];
            let foreign = Key::siphash(1, [0x66; 16]);
            let encoder = Encoder::new(&mut buffer, &asked.reply(kind, Code::OK));
            let len = encoder.auth(&foreign).payload(b"pong").finish().unwrap();
            vec![buffer[..len].to_vec()]
        }
        Mode::Errors => {
            let of = |code: u64| reply(&asked, Kind::Error, Code(u8::try_from(code % 256).unwrap()), &[]);
            vec![of(number * 37 + 22)]
        }
        Mode::Empty => vec![Vec::new()],
    }
}
