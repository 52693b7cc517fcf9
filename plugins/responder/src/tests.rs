//! The handler through the exported table, as the daemon calls it.

mod caching;
mod client;
mod cookies;
mod malformed;
mod replies;
mod sealed;
mod sources;

use polyport_plugin::testing::{Harness, Outcome};
use polyport_protocol::{Code, Cookie, Decoder, Encoder, Flags, Frame, FrameOption, Header, Key, Kind, Role};

use crate::Responder;

const PEER: &str = "192.0.2.1:40000";
const OTHER: &str = "192.0.2.2:40000";

fn responder(options: &[(&str, &str)]) -> Harness<Responder> {
    Harness::new(options)
}

fn header(request_id: u64, seq: u64) -> Header {
    Header::new(Kind::Request, request_id, 0xCAFE_F00D, seq, 1000 + seq)
}

fn flagged(header: Header, flags: Flags) -> Header {
    Header { flags: header.flags | flags, ..header }
}

fn encode(header: &Header, options: &[FrameOption<'_>], payload: &[u8], key: Option<&Key>) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let encoder =
        options.iter().fold(Encoder::new(&mut buffer, header), |encoder, option| encoder.option(option));
    let len = encoder.auth_if(key).payload(payload).finish().unwrap();
    buffer[..len].to_vec()
}

fn request(request_id: u64, seq: u64, payload: &[u8]) -> Vec<u8> {
    encode(&header(request_id, seq), &[], payload, None)
}

/// A reply, taken apart.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    header: Header,
    payload: Vec<u8>,
    len: usize,
    padding: usize,
    rstat: Option<(u64, u32, u64)>,
    times: Option<(u64, u64)>,
    cookie: Option<Cookie>,
    probe: Option<(u16, u16)>,
    at_ns: u64,
}

impl Answer {
    fn of(frame: &Frame<'_>, at_ns: u64) -> Self {
        let mut answer = Self {
            header: *frame.header(),
            payload: frame.payload().to_vec(),
            len: frame.datagram_len(),
            padding: frame.padding(),
            rstat: None,
            times: None,
            cookie: frame.options().cookie(),
            probe: None,
            at_ns,
        };
        for option in frame.options() {
            if let FrameOption::Rstat { rseq, rcount, window } = option {
                answer.rstat = Some((rseq, rcount, window));
            } else if let FrameOption::Times { rx_ns, tx_ns } = option {
                answer.times = Some((rx_ns, tx_ns));
            } else if let FrameOption::ProbeInfo { len, limit } = option {
                answer.probe = Some((len, limit));
            }
        }
        answer
    }

    fn code(&self) -> Code {
        self.header.code
    }
}

/// The answers that have left, each one whole and unspoilt.
#[track_caller]
fn answers(h: &mut Harness<Responder>, decoder: &Decoder<'_>) -> Vec<Answer> {
    assert_eq!((h.bad(), h.refused()), (0, 0));
    h.sent().iter().map(|sent| Answer::of(&decoder.decode(&sent.payload).unwrap(), sent.at_ns)).collect()
}

/// Sends one datagram and takes the one answer it gets, if any.
#[track_caller]
fn try_ask(h: &mut Harness<Responder>, peer: &str, datagram: &[u8]) -> Option<Answer> {
    assert_eq!(h.send(peer, datagram), Outcome::Done, "{:?}", h.lines());
    let mut answers = answers(h, &Decoder::new(Role::Client));
    assert!(answers.len() <= 1, "one reply for one request");
    answers.pop()
}

#[track_caller]
fn ask(h: &mut Harness<Responder>, datagram: &[u8]) -> Answer {
    try_ask(h, PEER, datagram).expect("an answer")
}

#[track_caller]
fn silent(h: &mut Harness<Responder>, datagram: &[u8]) {
    assert_eq!(try_ask(h, PEER, datagram), None);
}
