//! The replies: one genuine, the others not.

use polyport_protocol::{
    Code, Decoder, EncodeError, Encoder, Flags, FrameOption, Header, Integrity, Key, Kind, Role, VERSION,
};

use super::case::Case;

/// A reply that must not be taken.
#[derive(Clone, Debug)]
pub(super) struct Forged {
    /// Whether it comes from the server's address, as a forger sends it who can lie about his own.
    pub(super) from_server: bool,
    pub(super) datagram: Vec<u8>,
}

/// Longest reply made here.
const ROOM: usize = 256;

/// The header of a request.
pub(super) fn header(request: &[u8], key: Option<&Key>) -> Option<Header> {
    let integrity = key.map_or(Integrity::Checksum, |key| Integrity::Keys(std::slice::from_ref(key)));
    let decoder = Decoder::new(Role::Responder).with_integrity(integrity);
    decoder.decode(request).ok().map(|frame| *frame.header())
}

/// The answer of an honest server.
pub(super) fn genuine(request: &Header, key: Option<&Key>) -> Result<Vec<u8>, EncodeError> {
    response(request, b"genuine", key)
}

/// The forged replies of `case` to `request`; `old` is a reply that was genuine once.
pub(super) fn forged(
    case: Case,
    request: &Header,
    datagram: &[u8],
    old: Option<&[u8]>,
    key: Option<&Key>,
) -> Result<Vec<Forged>, EncodeError> {
    let from_server = case != Case::OtherPort;
    let one = |datagram: Vec<u8>| vec![Forged { from_server, datagram }];
    Ok(match case {
        Case::OtherPort => one(response(request, b"forged", key)?),
        Case::WrongId => {
            let request = Header { request_id: request.request_id ^ 1, ..*request };
            one(response(&request, b"forged", key)?)
        }
        Case::EarlierRun | Case::Late => one(old.unwrap_or_default().to_vec()),
        Case::Twice => one(genuine(request, key)?),
        Case::FlippedBit => one(flip_last(genuine(request, key)?, 0)),
        Case::Cut => {
            let mut reply = genuine(request, key)?;
            reply.pop();
            one(reply)
        }
        Case::Reflected => one(datagram.to_vec()),
        Case::BadAuth => {
            let foreign = Key::siphash(key.map_or(1, Key::id), [0x5A; 16]);
            // Behind the tag lie two octets of option padding and the payload.
            let behind = 2 + b"genuine".len();
            [
                response(request, b"forged", None)?,
                flip_last(genuine(request, key)?, behind),
                response(request, b"forged", Some(&foreign))?,
            ]
            .into_iter()
            .flat_map(one)
            .collect()
        }
        Case::Version => {
            let mut header = request.reply(Kind::Version, Code::OK);
            header.flags = Flags::REPLY;
            let versions = FrameOption::Versions(&[VERSION, 0x0A]);
            one(written(|out| Encoder::new(out, &header).option(&versions).finish())?)
        }
    })
}

fn response(request: &Header, payload: &[u8], key: Option<&Key>) -> Result<Vec<u8>, EncodeError> {
    let header = request.reply(Kind::Response, Code::OK);
    written(|out| Encoder::new(out, &header).auth_if(key).payload(payload).finish())
}

fn written(write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; ROOM];
    let len = write(&mut out)?;
    out.truncate(len);
    Ok(out)
}

/// Flips one bit of the octet that has `behind` octets behind it.
fn flip_last(mut datagram: Vec<u8>, behind: usize) -> Vec<u8> {
    if let Some(octet) = datagram.iter_mut().rev().nth(behind) {
        *octet ^= 1;
    }
    datagram
}
