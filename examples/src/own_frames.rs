//! What a client sent itself: a server that sends it back is an echo, and does not speak the protocol.
//!
//! The machines reject such frames ([P-100]) and go on, since one of them proves nothing about the answer to come. For the
//! user it does: who can send our own frame back has read it, and could as well have forged an answer.

use std::collections::VecDeque;
use std::net::SocketAddr;

use polyport_terminal::Exit;

use crate::outcome::ExitError;

/// Frames remembered: the transmissions of a request, or the probes of a search that may still be under way.
const REMEMBERED: usize = 16;

/// Shortest part of a frame that shows whose it is: a server with a short buffer sends back what it took. Octets 8 to 15
/// are the request id [P-26].
const LEAST: usize = 16;

/// Frames that were sent, the latest first.
#[derive(Clone, Debug, Default)]
pub struct OwnFrames(VecDeque<Vec<u8>>);

impl OwnFrames {
    /// `frame` is about to be sent.
    pub fn remember(&mut self, frame: &[u8]) {
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(frame.to_vec());
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Whether `datagram` is one of them, or the beginning of one.
    #[must_use]
    pub fn is_echo(&self, datagram: &[u8]) -> bool {
        datagram.len() >= LEAST && self.0.iter().any(|frame| frame.starts_with(datagram))
    }
}

/// The failure that `peer` is an echo; `cure` says what to do.
#[must_use]
pub fn echo(peer: SocketAddr, cure: &str) -> ExitError {
    let text = format!("{peer} sends our own frames back: it is an echo and does not speak PPT/1: {cure}");
    ExitError::new(Exit::Protocol, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_is_an_echo() {
        let mut own = OwnFrames::default();
        let frame = |number: u8| [[number; 16], [7; 16]].concat();
        for number in 0..20 {
            own.remember(&frame(number));
        }
        assert!(own.is_echo(&frame(19)) && own.is_echo(&frame(19)[..16]));
        assert!(!own.is_echo(&frame(19)[..15]) && !own.is_echo(&frame(20)) && !own.is_echo(b""));
        assert!(!own.is_echo(&[frame(19), vec![7]].concat()), "longer than what was sent");
        assert!(own.is_echo(&frame(4)) && !own.is_echo(&frame(3)), "the latest sixteen");
    }
}
