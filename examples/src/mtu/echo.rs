//! How a probe travels: as a PROBE, or in a form that an echo sends back whole.
//!
//! The search knows PROBE and `PROBE_ACK` only. Whatever else comes back is compared with what was sent, and if it came back
//! whole it is told to the search as the `PROBE_ACK` it amounts to.

use polyport_protocol::{
    Decoder, EncodeError, Encoder, Flags, FrameOption, Header, Integrity, Key, Kind, Role,
};

use crate::own_frames::OwnFrames;

/// How a probe travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// PROBE there, a short `PROBE_ACK` back: the way there alone.
    Forward,
    /// REQUEST there, a RESPONSE with the same payload back: both ways, with a responder that echoes.
    Request,
    /// A frame there, the very same octets back: both ways, with any echo server.
    Raw,
}

/// What was sent, in the form it was sent.
#[derive(Debug)]
pub(super) struct Echo {
    method: Method,
    key: Option<Key>,
    sent: OwnFrames,
    /// Echoes of ours that were shorter than what was sent.
    pub(super) cut: u64,
}

impl Echo {
    pub(super) fn new(method: Method, key: Option<Key>) -> Self {
        Self { method, key, sent: OwnFrames::default(), cut: 0 }
    }

    /// Brings the PROBE at the front of `buffer` into the form it travels in, of the same length.
    pub(super) fn dress(&mut self, buffer: &mut [u8], len: usize) -> Result<(), EncodeError> {
        let Some(datagram) = buffer.get_mut(..len) else { return Ok(()) };
        if self.method == Method::Request
            && let Some(mut header) = header_of(datagram, Role::Responder, self.key.as_ref())
        {
            header.kind = Kind::Request;
            header.flags = Flags::IDEMPOTENT;
            let seal = self.key.as_ref().map_or(0, |key| key.tag_len() + 8);
            let payload = vec![0; len.saturating_sub(polyport_protocol::HEADER_LEN + seal)];
            Encoder::new(datagram, &header).auth_if(self.key.as_ref()).payload(&payload).finish()?;
        }
        self.sent.remember(datagram);
        Ok(())
    }

    /// Whether `datagram` is a probe of ours that came back, where a frame of the peer's own was to come.
    pub(super) fn is_unwanted(&self, datagram: &[u8]) -> bool {
        self.method != Method::Raw && self.key.is_none() && self.sent.is_echo(datagram)
    }

    /// The `PROBE_ACK` that `datagram` amounts to: itself for [`Method::Forward`], else one made if all came back. `None`
    /// for what is no echo of ours; it goes to the search as it is, which rejects and counts it.
    pub(super) fn undress(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        match self.method {
            Method::Forward => None,
            Method::Raw => {
                if self.sent.iter().any(|sent| sent == datagram) {
                    let header = header_of(datagram, Role::Responder, self.key.as_ref())?;
                    return self.ack(&header, datagram.len());
                }
                // A server with a short buffer sends back what it took.
                self.cut += u64::from(self.sent.iter().any(|sent| cut_of(sent, datagram)));
                None
            }
            Method::Request => {
                let header = header_of(datagram, Role::Client, self.key.as_ref())?;
                let id = header.request_id.to_be_bytes();
                let asked = self.sent.iter().find(|sent| sent.get(8..16) == Some(&id[..]))?;
                if header.kind != Kind::Response {
                    return None;
                }
                if asked.len() != datagram.len() {
                    self.cut += 1;
                    return None;
                }
                self.ack(&header, datagram.len())
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

    fn ack(&self, header: &Header, len: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; 128];
        let info = FrameOption::ProbeInfo { len: u16::try_from(len).ok()?, limit: 0 };
        let header = header.reply(Kind::ProbeAck, polyport_protocol::Code::OK);
        let encoder = Encoder::new(&mut out, &header).option(&info).auth_if(self.key.as_ref());
        let len = encoder.finish().ok()?;
        out.truncate(len);
        Some(out)
    }
}

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
    use polyport_protocol::Code;

    use super::*;

    fn probe(len: usize, key: Option<&Key>) -> Vec<u8> {
        let header = Header::new(Kind::Probe, 7, 8, 9, 10);
        let mut out = vec![0; len];
        Encoder::new(&mut out, &header).auth_if(key).pad_to(len).finish().unwrap();
        out
    }

    fn is_ack(datagram: &[u8], len: u16, key: Option<&Key>) -> bool {
        let integrity = key.map_or(Integrity::Checksum, |key| Integrity::Keys(std::slice::from_ref(key)));
        let frame = Decoder::new(Role::Client).with_integrity(integrity).decode(datagram).unwrap();
        let info = frame.options().iter().next();
        assert_eq!(info, Some(FrameOption::ProbeInfo { len, limit: 0 }));
        let header = frame.header();
        header.kind == Kind::ProbeAck && (header.request_id, header.seq, header.timestamp) == (7, 9, 10)
    }

    #[test]
    fn a_raw_echo_counts_if_it_is_whole() {
        let (mut echo, mut datagram) = (Echo::new(Method::Raw, None), probe(1200, None));
        echo.dress(&mut datagram, 1200).unwrap();
        assert_eq!(datagram, probe(1200, None));
        assert!(is_ack(&echo.undress(&datagram).unwrap(), 1200, None));
        assert_eq!((echo.undress(&datagram[..512]), echo.cut), (None, 1));
        assert_eq!((echo.undress(b"something else entirely"), echo.cut), (None, 1));
        datagram[1199] = 1;
        assert_eq!(echo.undress(&datagram), None, "one octet differs");
    }

    #[test]
    fn a_response_counts_if_it_is_as_long_as_the_request() {
        for key in [None, Some(Key::siphash(1, [3; 16]))] {
            let (mut echo, mut datagram) =
                (Echo::new(Method::Request, key.clone()), probe(900, key.as_ref()));
            echo.dress(&mut datagram, 900).unwrap();
            let header = header_of(&datagram, Role::Responder, key.as_ref()).unwrap();
            assert_eq!(header.kind, Kind::Request);
            for (len, counts) in [(900, true), (899, false)] {
                let mut out = vec![0; len];
                let seal = key.as_ref().map_or(0, |key| key.tag_len() + 8);
                let payload = vec![0; len - 44 - seal];
                let reply = header.reply(Kind::Response, Code::OK);
                Encoder::new(&mut out, &reply).auth_if(key.as_ref()).payload(&payload).finish().unwrap();
                let ack = echo.undress(&out);
                assert_eq!(ack.is_some(), counts);
                assert!(ack.is_none_or(|ack| is_ack(&ack, 900, key.as_ref())));
            }
            assert_eq!(echo.cut, 1);
        }
    }
}
