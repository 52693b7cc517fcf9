//! Numbered datagrams while one daemon follows the other: each is answered once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use polyport_tests::{DEADLINE, Daemon, wait};
use rustix::process::Signal;

use super::{Line, Owner, all, descriptors, pid, range, settled, spec};

/// Datagrams a second.
const RATE: u32 = 20_000;
/// Unanswered ones at most: what the queue of a client holds that has asked for nothing, however slow the machine is.
const WINDOW: usize = 64;
/// How often a daemon follows, unless `POLYPORT_TAKE_OVERS` says it.
const RESTARTS: usize = 10;
/// How many are killed on the way.
const KILLS: usize = 20;
const SEED: u64 = 0x7a6b_5c4d;

/// A stream that goes on until it is told to end.
struct Stream {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

/// What became of its numbers.
#[derive(Debug)]
struct Answers {
    sent: usize,
    twice: Vec<usize>,
    lost: Vec<usize>,
}

impl Stream {
    /// To these addresses in turn.
    fn to(addresses: Vec<SocketAddr>) -> Self {
        let ends = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&ends);
        Self { ends, thread: thread::spawn(move || run(&addresses, &asked)) }
    }

    #[track_caller]
    fn end(self) -> usize {
        self.ends.store(true, Relaxed);
        let Answers { sent, twice, lost } = self.thread.join().unwrap();
        assert!(twice.is_empty(), "of {sent}, {} were answered twice: {:?}", twice.len(), twice.first());
        assert!(lost.is_empty(), "of {sent}, {} were not answered: {:?}", lost.len(), lost.first());
        sent
    }
}

#[expect(clippy::disallowed_methods, reason = "a stream has a rate")]
fn run(addresses: &[SocketAddr], ends: &AtomicBool) -> Answers {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let gap = Duration::from_secs(1) / RATE;
    let (mut answers, mut answered) = (Vec::<u8>::new(), 0);
    let (mut due, mut until) = (Instant::now(), None);
    loop {
        let now = Instant::now();
        if ends.load(Relaxed) && until.is_none() {
            until = Some(now + DEADLINE);
        }
        if until.is_some_and(|until| now > until || answered == answers.len()) {
            break;
        }
        while until.is_none() && due <= now && answers.len() - answered < WINDOW {
            let number = answers.len();
            socket.send_to(&number.to_be_bytes(), addresses[number % addresses.len()]).unwrap();
            answers.push(0);
            due += gap;
        }
        // Who was kept from it does not send all of that at once.
        due = due.max(now.checked_sub(Duration::from_millis(20)).unwrap_or(now));
        let mut bytes = [0; 8];
        if socket.recv(&mut bytes).is_ok_and(|n| n == bytes.len()) {
            let count = &mut answers[usize::from_be_bytes(bytes)];
            answered += usize::from(*count == 0);
            *count = count.saturating_add(1);
        }
    }
    let numbers = |is: fn(u8) -> bool| {
        answers.iter().enumerate().filter(|(_, count)| is(**count)).map(|(number, _)| number).collect()
    };
    Answers { sent: answers.len(), twice: numbers(|count| count > 1), lost: numbers(|count| count == 0) }
}

#[test]
fn each_number_of_a_stream_is_answered_once_whoever_serves() {
    const PORTS: u16 = 4;
    let restarts = std::env::var("POLYPORT_TAKE_OVERS").ok().and_then(|n| n.parse().ok()).unwrap_or(RESTARTS);
    let (line, place) = (Line::new(), range(1, PORTS));
    let mut daemon = line.first().listen(spec(place, PORTS, "echo,name=echo")).serve();
    let stream = Stream::to(all(place, PORTS));
    let mut replied = 0;
    for _ in 0..restarts {
        let next = line.next().listen(spec(place, PORTS, "echo,name=echo")).serve();
        replied += daemon.ended().received("echo", "replied");
        daemon = next;
    }
    let sent = stream.end();
    replied += daemon.stop().received("echo", "replied");
    assert_eq!(replied, sent as u64, "nobody has seen what another one has answered");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "when one is killed is drawn")]
fn whoever_is_killed_on_the_way_leaves_thousands_of_sockets_as_they_were() {
    const PORTS: u16 = 3_000;
    let (line, place) = (Line::new(), range(2, PORTS));
    let listen = spec(place, PORTS, "echo,name=echo");
    let first = line.first().listen(&listen).serve();
    let stream = Stream::to(all(place, PORTS));
    let began = Instant::now();
    let mut daemon = line.next().listen(&listen).serve();
    let mut longest = began.elapsed();
    assert_eq!(first.ended().received("echo", "dropped"), 0);
    let (mut draw, mut killed) = (SEED, 0);
    let mut base = settled(pid(&daemon));
    for _ in 0..KILLS {
        // Numerical Recipes' generator: the point of the kill.
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = longest.mul_f64((draw >> 40) as f64 / f64::from(1 << 24));
        let mut launch = line.next().listen(&listen);
        let mut next = polyport_tests::process::Process::spawn(launch.command());
        thread::sleep(after);
        if next.has_ended() {
            panic!("it did not start:\n{}", next.finish().stderr);
        }
        next.freeze();
        if line.owner(pid(&daemon)) == Owner::It {
            next.signal(Signal::KILL);
            drop(next);
            is_as_before(&daemon, &base);
            killed += 1;
            continue;
        }
        // It was quicker, and is the one that the next one takes over from. The machine has more time than at first.
        longest = longest.mul_f64(0.8);
        next.thaw();
        assert!(next.wait_for_stdout("serving; Ctrl-C stops\n"), "{}", next.stderr());
        drop(daemon.ended());
        daemon = launch.served_by(next);
        base = settled(pid(&daemon));
    }
    assert!(killed > KILLS / 3, "only {killed} were killed: the others were quicker");
    assert_eq!(line.serving(DEADLINE), Some(pid(&daemon)));
    // One that nobody kills takes over as ever.
    let last = line.next().listen(&listen).serve();
    drop(daemon.ended());
    let sent = stream.end();
    assert!(sent > KILLS * WINDOW, "{sent}");
    drop(last.stop());
}

#[track_caller]
fn is_as_before(daemon: &Daemon, base: &BTreeMap<String, PathBuf>) {
    wait::until("the descriptors are those of before", || descriptors(pid(daemon)) == *base);
}
