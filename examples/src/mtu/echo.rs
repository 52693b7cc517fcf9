//! How a probe travels: as a PROBE, or in a form that an echo sends back whole.
//!
//! The search knows PROBE and `PROBE_ACK` only. Whatever else comes back is compared with what was sent, and if it came back
//! whole it is told to the search as the `PROBE_ACK` it amounts to.

use polyport_protocol::{
    Code, Decoder, EncodeError, Encoder, Flags, FrameOption, HEADER_LEN, Header, Integrity, Key, Kind, Role,
};

use crate::own_frames::OwnFrames;

/// How a probe travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// PROBE there, a short `PROBE_ACK` back: the way there alone.
    Forward,
    /// PROBE there, a `PROBE_ACK` of the same length back; from a responder that has none, which is seen at the first
    /// answer, REQUEST there, and a RESPONSE with the same payload back. Both ways.
    Padded,
    /// A frame there, the very same octets back: both ways, with any echo server.
    Raw,
}

/// What a datagram is to the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// What it is; the search judges.
    AsIs,
    /// An echo, as the `PROBE_ACK` it amounts to.
    Whole(Vec<u8>),
    /// The first `len` octets of the probe `request_id`, or as many made for it: the peer sends no more.
    Cut { request_id: u64, len: usize },
}

/// What was sent, in the form it was sent.
#[derive(Debug)]
pub(super) struct Echo {
    method: Method,
    key: Option<Key>,
    sent: OwnFrames,
    /// Octets of the first probe, which are those of a control probe.
    control: Option<usize>,
    /// The responder pads no acknowledgements, so it is asked by REQUEST.
    by_request: bool,
    /// Echoes of ours that were shorter than what was sent.
    pub(super) cut: u64,
}

impl Echo {
    pub(super) fn new(method: Method, key: Option<Key>) -> Self {
        Self { method, key, sent: OwnFrames::default(), control: None, by_request: false, cut: 0 }
    }

    /// Brings the PROBE at the front of `buffer` into the form it travels in, of the same length.
    pub(super) fn dress(&mut self, buffer: &mut [u8], len: usize) -> Result<(), EncodeError> {
        let Some(datagram) = buffer.get_mut(..len) else { return Ok(()) };
        if self.method == Method::Padded
            && let Some(mut header) = header_of(datagram, Role::Responder, self.key.as_ref())
        {
            header.flags = Flags::IDEMPOTENT;
            let key = self.key.as_ref();
            if self.by_request {
                header.kind = Kind::Request;
                let seal = key.map_or(0, |key| key.tag_len() + 8);
                let payload = vec![0; len.saturating_sub(HEADER_LEN + seal)];
                Encoder::new(datagram, &header).auth_if(key).payload(&payload).finish()?;
            } else {
                Encoder::new(datagram, &header).auth_if(key).pad_to(len).finish()?;
            }
        }
        self.control.get_or_insert(len);
        self.sent.remember(datagram);
        Ok(())
    }

    /// Whether `datagram` is a probe of ours that came back, where a frame of the peer's own was to come.
    pub(super) fn is_unwanted(&self, datagram: &[u8]) -> bool {
        self.method != Method::Raw && self.key.is_none() && self.sent.is_echo(datagram)
    }

    /// Whether an answer is sent whole or not at all: a padded acknowledgement is ([P-88]).
    pub(super) fn is_uncut(&self) -> bool {
        self.method == Method::Padded && !self.by_request
    }

    /// What `datagram`, which came from the peer, is to the search.
    pub(super) fn undress(&mut self, datagram: &[u8]) -> Came {
        let came = match self.method {
            Method::Forward => None,
            Method::Raw => self.undress_raw(datagram),
            Method::Padded => self.undress_padded(datagram),
        };
        let came = came.unwrap_or(Came::AsIs);
        self.cut += u64::from(matches!(came, Came::Cut { .. }));
        came
    }

    fn undress_raw(&self, datagram: &[u8]) -> Option<Came> {
        if self.sent.iter().any(|sent| sent == datagram) {
            let header = header_of(datagram, Role::Responder, self.key.as_ref())?;
            return self.ack(&header, datagram.len());
        }
        // A server with a short buffer sends back what it took.
        let cut = self.sent.iter().any(|sent| cut_of(sent, datagram));
        let id = datagram.get(ID).and_then(|id| id.try_into().ok()).filter(|_| cut)?;
        Some(Came::Cut { request_id: u64::from_be_bytes(id), len: datagram.len() })
    }

    fn undress_padded(&mut self, datagram: &[u8]) -> Option<Came> {
        let header = header_of(datagram, Role::Client, self.key.as_ref())?;
        let (id, len) = (header.request_id.to_be_bytes(), datagram.len());
        let asked = self.sent.iter().find(|sent| sent.get(ID) == Some(&id[..]))?;
        let is_control = self.control.is_some_and(|control| asked.len() <= control);
        let shorter = (len < asked.len()).then_some(Came::Cut { request_id: header.request_id, len });
        match header.kind {
            // It answers, so that the control probe has its answer.
            Kind::ProbeAck if shorter.is_some() && is_control => {
                self.by_request = true;
                None
            }
            Kind::ProbeAck => shorter,
            Kind::Response if len == asked.len() => self.ack(&header, len),
            Kind::Response => shorter,
            Kind::Version | Kind::Request | Kind::Error | Kind::Event | Kind::Probe | Kind::Private(_) => {
                None
            }
        }
    }

    /// What a `PROBE_ACK` that the search has accepted says about its sender's buffer [P-99].
    pub(super) fn limit(&self, datagram: &[u8]) -> Option<u16> {
        let integrity = integrity(self.key.as_ref());
        let frame = Decoder::new(Role::Client).with_integrity(integrity).decode(datagram).ok()?;
        let limits = frame.options().iter().map(|option| match option {
            FrameOption::ProbeInfo { limit, .. } => limit,
            FrameOption::Room(_)
            | FrameOption::Cookie(_)
            | FrameOption::Times { .. }
            | FrameOption::Rstat { .. }
            | FrameOption::RetryAfter { .. }
            | FrameOption::Versions(_)
            | FrameOption::Auth { .. }
            | FrameOption::Other { .. }
            | _ => 0,
        });
        limits.into_iter().find(|limit| *limit > 0)
    }

    fn ack(&self, header: &Header, len: usize) -> Option<Came> {
        let mut out = vec![0; 128];
        let info = FrameOption::ProbeInfo { len: u16::try_from(len).ok()?, limit: 0 };
        let header = header.reply(Kind::ProbeAck, Code::OK);
        let encoder = Encoder::new(&mut out, &header).option(&info).auth_if(self.key.as_ref());
        let len = encoder.finish().ok()?;
        out.truncate(len);
        Some(Came::Whole(out))
    }
}

/// Where the request id lies in a frame.
const ID: std::ops::Range<usize> = 8..16;

fn header_of(datagram: &[u8], role: Role, key: Option<&Key>) -> Option<Header> {
    Decoder::new(role).with_integrity(integrity(key)).decode(datagram).ok().map(|frame| *frame.header())
}

fn integrity(key: Option<&Key>) -> Integrity<'_> {
    key.map_or(Integrity::Checksum, |key| Integrity::Keys(std::slice::from_ref(key)))
}

/// Whether `part` is the start of `whole`, with the id of its request.
fn cut_of(whole: &[u8], part: &[u8]) -> bool {
    (16..whole.len()).contains(&part.len()) && whole.starts_with(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(len: usize, key: Option<&Key>) -> Vec<u8> {
        let header = Header::new(Kind::Probe, 7, 8, 9, 10);
        let mut out = vec![0; len];
        Encoder::new(&mut out, &header).auth_if(key).pad_to(len).finish().unwrap();
        out
    }

    fn dressed(echo: &mut Echo, len: usize, key: Option<&Key>) -> (Vec<u8>, Header) {
        let mut datagram = probe(len, key);
        echo.dress(&mut datagram, len).unwrap();
        let header = header_of(&datagram, Role::Responder, key).unwrap();
        (datagram, header)
    }

    fn is_ack(came: &Came, len: u16, key: Option<&Key>) -> bool {
        let Came::Whole(datagram) = came else { return false };
        let integrity = key.map_or(Integrity::Checksum, |key| Integrity::Keys(std::slice::from_ref(key)));
        let frame = Decoder::new(Role::Client).with_integrity(integrity).decode(datagram).unwrap();
        let info = frame.options().iter().next();
        assert_eq!(info, Some(FrameOption::ProbeInfo { len, limit: 0 }));
        let header = frame.header();
        header.kind == Kind::ProbeAck && (header.request_id, header.seq, header.timestamp) == (7, 9, 10)
    }

    fn reply(header: &Header, kind: Kind, len: usize, key: Option<&Key>) -> Vec<u8> {
        let mut out = vec![0; len];
        let header = header.reply(kind, Code::OK);
        Encoder::new(&mut out, &header).auth_if(key).pad_to(len).finish().unwrap();
        out
    }

    #[test]
    fn a_raw_echo_counts_if_it_is_whole_and_a_cut_one_for_its_length() {
        let mut echo = Echo::new(Method::Raw, None);
        let (mut datagram, _) = dressed(&mut echo, 1200, None);
        assert_eq!(datagram, probe(1200, None));
        assert!(is_ack(&echo.undress(&datagram), 1200, None));
        assert_eq!(echo.undress(&datagram[..512]), Came::Cut { request_id: 7, len: 512 });
        for strange in [&datagram[..15], b"something else entirely"] {
            assert_eq!((echo.undress(strange), echo.cut), (Came::AsIs, 1));
        }
        datagram[1199] = 1;
        assert_eq!(echo.undress(&datagram), Came::AsIs, "one octet differs");
    }

    #[test]
    fn a_padded_acknowledgement_is_asked_for_and_a_short_one_is_no_evidence() {
        for key in [None, Some(Key::siphash(1, [3; 16]))] {
            let key = key.as_ref();
            let mut echo = Echo::new(Method::Padded, key.cloned());
            for len in [64, 900] {
                let (_, header) = dressed(&mut echo, len, key);
                assert_eq!((header.kind, header.flags.contains(Flags::IDEMPOTENT)), (Kind::Probe, true));
                assert_eq!(echo.undress(&reply(&header, Kind::ProbeAck, len, key)), Came::AsIs);
                assert!(echo.is_uncut());
            }
            let (_, header) = dressed(&mut echo, 1000, key);
            let cut = echo.undress(&reply(&header, Kind::ProbeAck, 900, key));
            assert_eq!((cut, echo.cut), (Came::Cut { request_id: 7, len: 900 }, 1));
            assert!(echo.is_uncut());
        }
    }

    #[test]
    fn who_pads_no_acknowledgement_gets_requests_and_a_response_counts_if_it_is_as_long() {
        for key in [None, Some(Key::siphash(1, [3; 16]))] {
            let key = key.as_ref();
            let mut echo = Echo::new(Method::Padded, key.cloned());
            let (_, header) = dressed(&mut echo, 64, key);
            assert_eq!(echo.undress(&reply(&header, Kind::ProbeAck, 60, key)), Came::AsIs);
            assert!(!echo.is_uncut());
            let (_, header) = dressed(&mut echo, 900, key);
            assert_eq!(header.kind, Kind::Request);
            assert!(is_ack(&echo.undress(&reply(&header, Kind::Response, 900, key)), 900, key));
            let short = echo.undress(&reply(&header, Kind::Response, 899, key));
            assert_eq!((short, echo.cut), (Came::Cut { request_id: 7, len: 899 }, 1));
            assert_eq!(echo.undress(&reply(&header, Kind::Response, 901, key)), Came::AsIs);
        }
    }
}
