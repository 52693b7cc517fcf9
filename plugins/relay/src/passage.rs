//! A datagram leaves as the network has decided.

use polyport_impair::{Fate, Pass, flip};
use polyport_plugin::{Datagram, Queued, SessionId};

/// Where it leaves to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    /// The upstream of this session.
    Session(SessionId),
    /// The client of the session that it came by.
    Client,
}

/// Congestion experienced (RFC 3168, section 5).
const CE: u8 = 0b11;

/// Sends it on, or not. Returns how many leave, itself and the second one of it, and when the first of them does.
pub(crate) fn pass(mut datagram: Datagram<'_>, to: To, fate: Fate, now_ns: u64) -> (u32, u64) {
    let Fate::Pass(Pass { at_ns, corrupt, mark, copy, .. }) = fate else {
        datagram.discard();
        return (0, now_ns);
    };
    if mark {
        datagram.set_tos(datagram.tos() | CE);
    }
    // 0 joins neighbours into the message that they came in.
    let when = |at_ns: u64| if at_ns <= now_ns { 0 } else { at_ns };
    if let Some(copy) = copy.filter(|copy| copy.corrupt != corrupt) {
        // What leaves in place is as it is at the end of the call, so the one with other bytes is the copy.
        let change = |bytes: &mut [u8]| {
            if let Some(random) = copy.corrupt {
                flip(bytes, random);
            }
        };
        match to {
            To::Session(session) => datagram.copy_to_session_at(when(copy.at_ns), session, change),
            To::Client => datagram.copy_to_client_at(when(copy.at_ns), change),
        };
    }
    if let Some(random) = corrupt {
        flip(datagram.payload_mut(), random);
    }
    let datagram = datagram.freeze();
    let send = |at_ns: u64| -> Queued {
        match to {
            To::Session(session) => datagram.to_session_at(when(at_ns), session),
            To::Client => datagram.to_client_at(when(at_ns)),
        }
    };
    send(at_ns);
    if let Some(copy) = copy.filter(|copy| copy.corrupt == corrupt) {
        send(copy.at_ns);
    }
    let first_ns = copy.map_or(at_ns, |copy| copy.at_ns.min(at_ns));
    (1 + u32::from(copy.is_some()), first_ns.max(now_ns))
}
