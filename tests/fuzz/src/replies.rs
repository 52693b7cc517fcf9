//! Datagrams at the machines of the client: what they accept, and how often they send.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use polyport_protocol::client::{
    CONTROL_LEN, Failure, Input as Became, MAX_TRANSMISSIONS, MtuConfig, MtuInput, MtuResult, MtuSearch,
    Request, RequestClient, RequestConfig,
};
use polyport_protocol::{
    Code, Cookie, Decoder, Encoder, Flags, FrameOption, Header, Key, Kind, MILLISECOND, Nanos, Role,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::input::Input;

const STEPS: usize = 64;
/// Turns of a search for a path MTU: many more than a search without answers needs.
const PROBES: usize = 2000;
/// Requests that are open at the same time.
const OPEN: usize = 4;

/// Makes requests of a server that answers as the bytes say.
pub fn requests(data: &[u8]) {
    let mut input = Input(data);
    let seed = input.u8();
    let key = (seed & 1 != 0).then(|| Key::siphash(1, [7; 16]));
    let config = RequestConfig { key: key.as_ref(), ..RequestConfig::new(server()) };
    let mut run = Run {
        client: RequestClient::new(config, StdRng::seed_from_u64(seed.into())),
        key: key.as_ref(),
        now: 0,
        sent: Vec::new(),
        transmissions: BTreeMap::new(),
        ended: BTreeMap::new(),
        opened: 0,
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
        run.drain();
    }
    run.end();
}

fn server() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7000))
}

struct Run<'k> {
    client: RequestClient<'k, StdRng, OPEN>,
    key: Option<&'k Key>,
    now: Nanos,
    /// What has left, the last ones.
    sent: Vec<Vec<u8>>,
    /// How often each request, by its seq, was sent.
    transmissions: BTreeMap<u64, u8>,
    /// How often each request ended.
    ended: BTreeMap<u64, u8>,
    opened: u64,
}

impl Run<'_> {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 8 {
            0 => {
                let request =
                    Request { payload: b"ping", want_cookie: input.u8() & 1 != 0, ..Request::default() };
                if let Ok(handle) = self.client.request(self.now, request) {
                    assert_eq!(handle.0, self.opened);
                    self.opened += 1;
                } else {
                    assert_eq!(self.client.outstanding(), OPEN);
                }
            }
            1 => self.now += u64::from(input.u16()) * MILLISECOND,
            2 => {
                self.now = self.client.poll_timeout().unwrap_or(self.now).max(self.now);
                self.client.handle_timeout(self.now);
            }
            3 => {
                let len = usize::from(input.u8());
                let datagram = input.take(len).to_vec();
                self.hear(server(), &datagram, false);
            }
            _ => {
                let from = if input.u8() < 240 { server() } else { SocketAddr::from(([192, 0, 2, 1], 7001)) };
                let (reply, cut) = (self.reply(input), input.u8() > 250);
                self.hear(from, &reply, cut);
            }
        }
    }

    /// A reply to something that was sent, right but for what the input spoils.
    fn reply(&self, input: &mut Input<'_>) -> Vec<u8> {
        let (which, kind, code, spoil) = (input.u8(), input.u8(), input.u8(), input.u8());
        let Some(sent) = self.sent.get(usize::from(which) % self.sent.len().max(1)) else {
            return Vec::new();
        };
        let kinds = [Kind::Response, Kind::Error, Kind::Error, Kind::Version, Kind::ProbeAck, Kind::Request];
        let kind = kinds[usize::from(kind) % kinds.len()];
        let codes = [Code::OK, Code::BUSY, Code::COOKIE_REQUIRED, Code::BAD_COOKIE, Code(code)];
        let code = codes[usize::from(code) % codes.len()];
        let Some(asked) = Header::of_refused(sent) else { return sent.clone() };
        let mut header = asked.reply(kind, code);
        match spoil & 0x0F {
            0 => header.request_id ^= 1,
            1 => header.stream_id ^= 1,
            2 => header.seq = header.seq.wrapping_add(1),
            3 => header.attempt ^= 1,
            4 => header.timestamp ^= 1,
            5 => header.flags = header.flags.without(Flags::REPLY),
            _ => {}
        }
        let mut buffer = [0; 512];
        let mut encoder = Encoder::new(&mut buffer, &header);
        if spoil & 0x10 != 0 {
            encoder = encoder.option(&FrameOption::Cookie(Cookie([spoil; 16])));
        }
        if spoil & 0x20 != 0 {
            encoder = encoder.option(&FrameOption::RetryAfter { ms: input.u32() });
        }
        if kind == Kind::Version {
            encoder = encoder.option(&FrameOption::Versions(&[2 - (spoil >> 7), 0x0A]));
        }
        let key = self.key.filter(|_| spoil & 0x40 == 0 && kind != Kind::Version);
        match encoder.auth_if(key).payload(b"pong").finish() {
            Ok(len) => buffer[..len].to_vec(),
            Err(_) => sent.clone(),
        }
    }

    fn hear(&mut self, from: SocketAddr, datagram: &[u8], cut: bool) {
        let before = self.client.rejects().total();
        let was = self.client.outstanding();
        let ended = match self.client.handle_input(self.now, from, datagram, cut) {
            Became::Answer(answer) => {
                let header = *answer.frame.header();
                assert_eq!((header.seq, header.stream_id), (answer.handle.0, self.client.stream_id()));
                assert!(matches!(header.kind, Kind::Response | Kind::Error) && from == server() && !cut);
                assert_eq!(Some(&answer.transmissions), self.transmissions.get(&answer.handle.0));
                assert!(answer.rtt <= self.now);
                Some(answer.handle)
            }
            Became::UnknownVersion(handle, _) => Some(handle),
            Became::Retry(handle) => {
                assert_eq!(self.client.outstanding(), was);
                assert!(handle.0 < self.opened);
                None
            }
            Became::Rejected(_) => {
                assert_eq!((self.client.rejects().total(), self.client.outstanding()), (before + 1, was));
                None
            }
        };
        if let Some(handle) = ended {
            assert_eq!(self.client.outstanding() + 1, was);
            self.close(handle.0);
        }
    }

    fn close(&mut self, seq: u64) {
        let times = self.ended.entry(seq).or_default();
        *times += 1;
        assert!(*times == 1 && seq < self.opened, "request {seq} ended {times} times");
    }

    /// Takes all that is due.
    fn drain(&mut self) {
        let mut buffer = [0; 1500];
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut buffer) {
            assert_eq!(transmit.destination, server());
            let datagram = &buffer[..transmit.len];
            let seq = Header::of_refused(datagram).map_or(u64::MAX, |header| header.seq);
            assert!(seq < self.opened && Decoder::new(Role::Client).decode(datagram).is_err());
            let times = self.transmissions.entry(seq).or_default();
            *times += 1;
            assert!(*times <= MAX_TRANSMISSIONS, "request {seq} was sent {times} times");
            self.sent.push(datagram.to_vec());
        }
        while let Some(failure) = self.client.poll_failure() {
            let (Failure::TimedOut(handle) | Failure::BudgetExhausted(handle) | Failure::Encode(handle, _)) =
                failure;
            self.close(handle.0);
        }
    }

    /// Lets time pass without an answer: every request ends, and once.
    fn end(mut self) {
        for _ in 0..OPEN * usize::from(MAX_TRANSMISSIONS) * 4 {
            self.drain();
            let Some(due) = self.client.poll_timeout() else { break };
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
        }
        self.drain();
        assert_eq!((self.client.outstanding(), self.client.poll_timeout()), (0, None));
        assert_eq!(self.ended.len() as u64, self.opened);
    }
}

/// Searches for a path MTU at a server, and past routers, that answer as the bytes say.
pub fn path_mtu(data: &[u8]) {
    let mut input = Input(data);
    let limit = usize::from(input.u16()).clamp(100, 9000);
    // What the server does when the input is used up: nothing, answer late, or answer.
    let ending = [0, 6, 1][data.len() % 3];
    let mut search =
        MtuSearch::new(MtuConfig::new(server(), limit), StdRng::seed_from_u64(input.u8().into()));
    let (mut now, mut buffer, mut last, mut before, mut largest) =
        (0, vec![0; 9000], Vec::new(), Vec::new(), 0);
    for _ in 0..PROBES {
        while let Some(transmit) = search.poll_transmit(now, &mut buffer) {
            assert!(transmit.destination == server() && transmit.len <= limit);
            before = std::mem::replace(&mut last, buffer[..transmit.len].to_vec());
        }
        match if input.is_empty() { ending } else { input.u8() % 9 } {
            kind @ (1 | 2 | 6) => {
                // The sixth kind is late: an answer to the probe before.
                let probe = if kind == 6 { &before } else { &last };
                let reply = acknowledged(probe, input.u8());
                if let MtuInput::Echo { size, .. } = search.handle_input(now, server(), &reply, false) {
                    assert_eq!(size, probe.len());
                    largest = largest.max(size);
                }
            }
            3 => {
                let quoted = usize::from(input.u8()).min(last.len());
                search.handle_icmp(&last[..quoted], usize::from(input.u16()));
            }
            4 => search.handle_message_too_long(),
            7 => {
                let reply = acknowledged(&last, input.u8());
                // In fragments only a control probe is an answer like any other.
                if let MtuInput::Echo { size, .. } = search.handle_fragmented(now, server(), &reply, false)
                    && size == CONTROL_LEN
                {
                    largest = largest.max(size);
                }
            }
            8 => {
                let id = last.get(8..16).and_then(|id| id.try_into().ok()).map_or(0, u64::from_be_bytes);
                let len = usize::from(input.u16());
                if search.handle_cut(id, len) {
                    assert!(len < last.len(), "no less than what was sent");
                    largest = largest.max(len);
                }
            }
            5 => {
                let len = usize::from(input.u8());
                let noise = input.take(len);
                assert!(!matches!(
                    search.handle_input(now, server(), noise, false),
                    MtuInput::Echo { .. } | MtuInput::Refused(_)
                ));
            }
            _ => {}
        }
        if let Some(due) = search.poll_timeout() {
            now = due.max(now);
            search.handle_timeout(now);
        } else if search.result().is_some() {
            break;
        }
    }
    match search.result() {
        Some(MtuResult::Found { payload, .. }) => {
            assert_eq!(payload, largest, "a size that nobody has answered");
        }
        Some(MtuResult::Unreachable) => {}
        None => assert!(!input.is_empty(), "a search that does not end"),
    }
}

/// The `PROBE_ACK` of a probe; `spoil` changes what it says of the length.
fn acknowledged(probe: &[u8], spoil: u8) -> Vec<u8> {
    let Some(header) = Header::of_refused(probe) else { return Vec::new() };
    let len = u16::try_from(probe.len()).unwrap_or(u16::MAX);
    let len = if spoil == 1 { len.wrapping_add(1) } else { len };
    let mut buffer = [0; 100];
    let option = FrameOption::ProbeInfo { len, limit: u16::from(spoil & 0xFE) * 64 };
    let reply = header.reply(Kind::ProbeAck, Code::OK);
    Encoder::new(&mut buffer, &reply)
        .option(&option)
        .finish()
        .map_or(Vec::new(), |len| buffer[..len].to_vec())
}
