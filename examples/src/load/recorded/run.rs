//! A recording, sent at its pace.

use std::fs::File;
use std::io::{self, BufReader, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use polyport_capture::{CaptureReader, ReadError, Skipped};
use polyport_net::{
    Pktinfo, RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_writable,
};
use polyport_protocol::{Decoder, Flags, HEADER_LEN, Integrity, Key, Kind, MAGIC, Nanos, Role, SECOND};
use polyport_terminal::{Escaped, Exit, Interrupt, remark};

use super::books::{Asks, Books, Came};
use super::course::{Course, MOST_SOCKETS, Route};
use super::outcome::{Outcome, Skips};
use super::pace::{Pace, Speed};
use super::settings::Settings;
use crate::clock::Clock;
use crate::load::config::Config;
use crate::load::histogram::{Latencies, TotalLatency};
use crate::load::pacing::{self, Pacing};
use crate::load::sockets::RECEIVE_BUFFER;
use crate::load::unit::span;
use crate::outcome::ExitError;
use crate::source::SourceArgs;
use crate::strangers::Strangers;
use crate::unsent::unsent;

/// Datagrams taken in one call.
const BATCH: usize = 32;
/// Datagrams of the recording before answers are looked for, where nothing is waited for.
const SENT_A_LOOK: u64 = 32;
/// How often it is looked whether to end, while nothing is due.
const LOOK: Nanos = SECOND / 10;
/// How long a full send buffer may stay full before the datagram counts as not sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends the recording of `settings` to the targets of `config`, whose schedule is not used.
///
/// # Errors
/// The file is none of UDP datagrams, a socket fails, or the books do not balance.
pub fn run(config: &Config, settings: &Settings, interrupt: &Interrupt) -> Result<Outcome, ExitError> {
    pacing::be_exact();
    let clock = Clock::start();
    let mut player = Player {
        config,
        settings,
        interrupt,
        clock,
        keys: config.key.clone().into_iter().collect(),
        course: Course::new(settings.port, config.targets.len()),
        pace: Pace::new(settings.speed),
        books: Books::new(config.timeout),
        latencies: Latencies::new(0).map_err(|error| ExitError::new(Exit::Software, error.to_string()))?,
        links: Vec::new(),
        links_of: vec![[None; 2]; MOST_SOCKETS],
        sockets: Vec::new(),
        ready: Vec::new(),
        receiver: Receiver::new(),
        send: SendBatch::new(1),
        outcome: Outcome::default(),
        strangers: Strangers::default(),
        longest: None,
        last_sent: 0,
        next_line: settings.interval.unwrap_or(Nanos::MAX),
    };
    let aborted = player.play()?;
    let end = clock.now();
    let aborted = aborted || player.drain()?;
    player.close(end, aborted)
}

struct Player<'c> {
    config: &'c Config,
    settings: &'c Settings,
    interrupt: &'c Interrupt,
    clock: Clock,
    keys: Vec<Key>,
    course: Course,
    pace: Pace,
    books: Books,
    latencies: Latencies,
    /// Which socket of the course each of ours is.
    links: Vec<usize>,
    /// Where the sockets of the course are, for IPv4 and IPv6.
    links_of: Vec<[Option<usize>; 2]>,
    sockets: Vec<UdpSocket>,
    /// Those that have something to say; its room is used again.
    ready: Vec<usize>,
    receiver: Receiver,
    send: SendBatch,
    outcome: Outcome,
    strangers: Strangers,
    longest: Option<Nanos>,
    last_sent: Nanos,
    next_line: Nanos,
}

/// What is received into.
struct Receiver {
    batch: RecvBatch,
    memory: Vec<u8>,
}

impl Receiver {
    fn new() -> Self {
        Self { batch: RecvBatch::new(BATCH), memory: vec![0; SlotLayout::WHOLE.memory(BATCH)] }
    }
}

impl Player<'_> {
    /// Sends all passes; whether the user wanted an earlier end.
    fn play(&mut self) -> Result<bool, ExitError> {
        for pass in 0..self.settings.passes {
            let before = self.outcome.of_recording;
            if self.pass(pass == 0)? {
                return Ok(true);
            }
            if self.outcome.of_recording == before {
                return Err(self.nothing());
            }
            self.outcome.passes += 1;
            self.pace.again();
        }
        Ok(false)
    }

    fn pass(&mut self, is_first: bool) -> Result<bool, ExitError> {
        let path = &self.settings.file;
        let file = File::open(path).map_err(|error| bad(path, &format!("it cannot be opened: {error}")))?;
        let mut reader = CaptureReader::new(BufReader::new(file)).map_err(|error| unread(path, &error))?;
        while let Some(packet) = reader.next_packet().map_err(|error| unread(path, &error))? {
            match packet {
                Ok(datagram) => {
                    let Some(route) = self.course.route(datagram.from, datagram.to) else { continue };
                    let due = self.pace.due(datagram.at_ns);
                    if self.wait_until(due)? {
                        return Ok(true);
                    }
                    // One whose wait was broken off was never due.
                    self.outcome.of_recording += 1;
                    self.leave(route, &datagram.payload, due)?;
                }
                // Every pass has the same ones.
                Err(why) if is_first => self.outcome.skips.count(why),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Takes answers until a moment has come; whether the user wants the end.
    fn wait_until(&mut self, due: Nanos) -> Result<bool, ExitError> {
        let is_hasty = self.settings.speed == Speed::Max;
        // What is held back counts as well, and only an answer or a timeout makes room.
        let is_full = self.books.in_flight() >= self.config.max_in_flight;
        if is_hasty && !is_full && !self.outcome.of_recording.is_multiple_of(SENT_A_LOOK) {
            return Ok(false);
        }
        loop {
            if self.interrupt.is_set() {
                return Ok(true);
            }
            self.receive()?;
            let now = self.clock.now();
            self.progress(now);
            if now >= due {
                return Ok(false);
            }
            self.sleep(due)?;
        }
    }

    fn sleep(&self, until: Nanos) -> Result<(), ExitError> {
        let now = self.clock.now();
        let deadline = until.min(now.saturating_add(LOOK));
        let pacing: Pacing = self.config.pacing;
        pacing
            .wait(&self.sockets, &[], now, deadline)
            .map_err(|error| ExitError::io("wait for a datagram", &error))
    }

    fn leave(&mut self, route: Route, payload: &[u8], due: Nanos) -> Result<(), ExitError> {
        // The file may be slower than its times, and a busy machine than both.
        let planned = if self.settings.speed == Speed::Max { self.clock.now() } else { due };
        self.books.expire(self.clock.now());
        if self.books.in_flight() >= self.config.max_in_flight {
            self.outcome.in_flight += 1;
            return Ok(());
        }
        let Some(to) = self.config.targets.get(route.target).copied() else { return Ok(()) };
        let at = self.socket(route.socket, to)?;
        let Some(socket) = self.sockets.get(at) else { return Ok(()) };
        let parts = [IoSlice::new(payload)];
        let message = SendMessage { to, from: None, parts: &parts, segment: None, tos: 0, hop_limit: None };
        let mut now = self.clock.now();
        let mut left = self.send.send(socket, &[message]);
        if matches!(&left, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.outcome.eagain += 1;
            if wait_writable(socket, PATIENCE).is_ok() {
                now = self.clock.now();
                left = self.send.send(socket, &[message]);
            }
        }
        match left {
            Ok(_) => {
                self.latencies.left(planned, now);
                self.books.sent(route, asks(payload), planned, now);
                self.outcome.octets += payload.len() as u64;
                self.last_sent = now;
            }
            Err(error) => {
                self.outcome.refused += 1;
                self.outcome.refusal.get_or_insert_with(|| {
                    let own = SourceArgs { from: self.config.from }.towards(to);
                    unsent("send to", to, own, &error).to_string()
                });
            }
        }
        Ok(())
    }

    /// The socket of a source of the recording, for the family of a target.
    fn socket(&mut self, source: usize, to: SocketAddr) -> Result<usize, ExitError> {
        let family = usize::from(to.is_ipv6());
        let known = self.links_of.get(source).and_then(|families| families.get(family)).copied().flatten();
        if let Some(at) = known {
            return Ok(at);
        }
        let options = SocketOptions {
            recv_buffer: Some(RECEIVE_BUFFER),
            pktinfo: Pktinfo::Never,
            tos: self.config.tos,
            ttl: self.config.ttl,
            ..SocketOptions::default()
        };
        let own = self.config.own_of_port(to, source)?;
        self.sockets.push(UdpSocket::bind(own, &options)?);
        self.links.push(source);
        let at = self.sockets.len() - 1;
        if let Some(place) = self.links_of.get_mut(source).and_then(|families| families.get_mut(family)) {
            *place = Some(at);
        }
        Ok(at)
    }

    fn receive(&mut self) -> Result<(), ExitError> {
        let mut ready = std::mem::take(&mut self.ready);
        pacing::ready(&self.sockets, &mut ready)
            .map_err(|error| ExitError::io("wait for a datagram", &error))?;
        ready.iter().for_each(|at| self.receive_at(*at));
        self.ready = ready;
        Ok(())
    }

    fn receive_at(&mut self, at: usize) {
        let (Some(socket), Some(source)) = (self.sockets.get(at), self.links.get(at)) else { return };
        let layout = SlotLayout::WHOLE;
        let Receiver { batch, memory } = &mut self.receiver;
        // An error tells of an earlier datagram that nobody took: it stays without an answer.
        let Ok(count) = batch.recv(socket, memory, layout, BATCH) else { return };
        let now = self.clock.now();
        for index in 0..count {
            let meta = batch.meta(index);
            let datagram = layout.datagram(memory, index, meta.len);
            let Some(target) = self.config.targets.iter().position(|target| *target == meta.peer) else {
                self.strangers.heard(meta.peer);
                continue;
            };
            let Some(came) = came(datagram, &self.keys) else {
                self.outcome.malformed += 1;
                continue;
            };
            let route = Route { socket: *source, target };
            if let (_, Some((planned, sent))) = self.books.came(route, came, now) {
                self.latencies.answered(0, planned, sent, now);
                self.longest = self.longest.max(Some(now.saturating_sub(sent)));
            }
        }
    }

    fn progress(&mut self, now: Nanos) {
        if now < self.next_line {
            return;
        }
        self.next_line = now.saturating_add(self.settings.interval.unwrap_or(Nanos::MAX));
        let tally = self.books.tally();
        remark(format_args!(
            "{:>7}  pass {}  sent {}  ok {}  late {}  error {}  in flight {}",
            span(now),
            self.settings.passes.min(self.outcome.passes + 1),
            tally.sent,
            tally.ok,
            tally.late,
            tally.error,
            self.books.in_flight()
        ));
    }

    /// Waits for the answers that may still come; whether the user wanted the end.
    fn drain(&mut self) -> Result<bool, ExitError> {
        loop {
            if self.interrupt.is_set() {
                return Ok(true);
            }
            self.receive()?;
            self.books.expire(self.clock.now());
            let end = self.config.drain.end(self.last_sent, self.longest, self.books.in_flight() > 0);
            let now = self.clock.now();
            self.progress(now);
            if end.is_some_and(|end| end <= now) {
                return Ok(false);
            }
            let due = end.unwrap_or(Nanos::MAX);
            let sleep = Pacing::Sleep.wait(&self.sockets, &[], now, due.min(now.saturating_add(LOOK)));
            sleep.map_err(|error| ExitError::io("wait for a datagram", &error))?;
        }
    }

    fn close(mut self, end: Nanos, aborted: bool) -> Result<Outcome, ExitError> {
        let now = self.clock.now();
        self.books.finish(now, aborted);
        let tally = *self.books.tally();
        if tally.sent != tally.accounted() {
            let text =
                format!("the books do not balance: sent {}, accounted {}", tally.sent, tally.accounted());
            return Err(ExitError::new(Exit::Software, text));
        }
        let due = self.outcome.of_recording;
        if due != tally.sent + self.outcome.not_sent() {
            let not_sent = self.outcome.not_sent();
            let text =
                format!("the books do not balance: due {due}, sent {}, not sent {not_sent}", tally.sent);
            return Err(ExitError::new(Exit::Software, text));
        }
        let ask = |error: io::Error| ExitError::io("ask the socket", &error);
        let mut outcome = self.outcome;
        for socket in &self.sockets {
            outcome.sockets.push(socket.local_addr().map_err(ask)?);
            if let Some(drops) = socket.drops().map_err(ask)? {
                *outcome.socket_drops.get_or_insert(0) += u64::from(drops);
            }
        }
        let read = TotalLatency::percentiles;
        outcome.from_plan = read(&self.latencies.from_plan);
        outcome.from_send = read(&self.latencies.from_send);
        outcome.lag = read(&self.latencies.lag);
        outcome.late_sends = self.latencies.late_sends;
        outcome.tally = tally;
        outcome.sources = self.course.sources();
        outcome.other_way = self.course.other_way();
        outcome.unsorted = self.course.unsorted();
        outcome.backwards = self.pace.backwards();
        outcome.strangers = self.strangers;
        outcome.took = end;
        outcome.drained = now.saturating_sub(end);
        outcome.aborted = aborted;
        Ok(outcome)
    }

    /// Why there is nothing to send.
    fn nothing(&self) -> ExitError {
        let other = self.course.other_way();
        let why = match (self.settings.port, self.outcome.skips.text()) {
            (Some(port), _) if other > 0 => format!("none of its {other} datagrams was sent to port {port}"),
            (_, Some(skips)) => format!("it has no whole datagram of UDP, but packets {skips}"),
            _ => "it is empty".to_owned(),
        };
        bad(&self.settings.file, &why)
    }
}

impl Skips {
    fn count(&mut self, why: Skipped) {
        *self.0.entry(why.text().to_owned()).or_default() += 1;
    }
}

/// What a datagram of the recording wants.
fn asks(payload: &[u8]) -> Asks {
    let Some(header) = payload.get(..HEADER_LEN).filter(|header| header.starts_with(&MAGIC)) else {
        return Asks::Plain;
    };
    match Kind::from_octet(header[5]) {
        Some(Kind::Request | Kind::Probe) => id(header).map_or(Asks::Plain, Asks::Frame),
        _ if Flags::from_octet(header[6]).contains(Flags::REPLY) => Asks::Nothing,
        Some(Kind::Event) => Asks::Nothing,
        _ => id(header).map_or(Asks::Plain, Asks::Frame),
    }
}

/// What came, if it is plain text or a frame that is whole.
fn came(datagram: &[u8], keys: &[Key]) -> Option<Came> {
    if !datagram.starts_with(&MAGIC) || datagram.len() < HEADER_LEN {
        return Some(Came { id: None, is_error: false });
    }
    let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(keys) };
    let frame = Decoder::new(Role::Any).with_integrity(integrity).decode(datagram).ok()?;
    Some(Came { id: Some(frame.header().request_id), is_error: frame.header().kind == Kind::Error })
}

fn id(header: &[u8]) -> Option<u64> {
    header.get(8..16)?.try_into().ok().map(u64::from_be_bytes)
}

fn unread(path: &Path, error: &ReadError) -> ExitError {
    match error {
        ReadError::Io(error) => {
            let name = Escaped(path.as_os_str().as_encoded_bytes());
            ExitError::new(Exit::Io, format!("cannot read the recording {name}: {error}"))
        }
        ReadError::Foreign | ReadError::Cut | ReadError::Broken(_) => bad(path, &error.to_string()),
    }
}

fn bad(path: &Path, why: &str) -> ExitError {
    let name = Escaped(path.as_os_str().as_encoded_bytes());
    ExitError::new(Exit::BadInput, format!("the recording {name}: {why}"))
}
