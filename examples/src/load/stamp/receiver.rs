//! The receiving side of STAMP: what came becomes an answer for the books, and a figure.

use std::net::SocketAddr;

use hdrhistogram::CreationError;
use polyport_protocol::{DecodeError, Nanos};
use polyport_terminal::Exit;

use super::codec::{Answer, Codec};
use super::figures::Figures;
use super::settings::Stamp;
use crate::clock::Clock;
use crate::outcome::ExitError;

/// What a thread needs to take packets of reflectors.
#[derive(Clone, Debug)]
pub struct Receiver {
    codec: Codec,
    /// What reflectors told.
    pub figures: Figures,
    /// What the wall clock showed when ours showed 0. It goes on by ours: a step of the wall clock during the run moves nothing.
    epoch: Nanos,
}

/// A packet of a reflector, in times of our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflected {
    /// What it says.
    pub answer: Answer,
    /// When it came to the reflector and left it, by the reflector's clock less our epoch.
    pub times: Option<(Nanos, Nanos)>,
    /// How long it was there; 0 if that is not known.
    pub inside: Nanos,
}

impl Receiver {
    /// Reads both clocks.
    ///
    /// # Errors
    /// None with these bounds; the library cannot know.
    pub fn new(stamp: &Stamp, clock: Clock) -> Result<Self, CreationError> {
        let (now, unix) = clock.both();
        Ok(Self { codec: Codec::new(stamp), figures: Figures::new()?, epoch: unix.saturating_sub(now) })
    }

    /// What the wall clock showed when ours showed 0: what is written into packets counts from there.
    #[must_use]
    pub const fn epoch(&self) -> Nanos {
        self.epoch
    }

    /// Reads a packet that came at `arrival`.
    ///
    /// # Errors
    /// Those of [`Codec::read`].
    pub fn read(&self, octets: &[u8], arrival: Nanos) -> Result<Reflected, DecodeError> {
        let answer = self.codec.read(octets, self.epoch.saturating_add(arrival))?;
        // Longer in the reflector than on its whole way is impossible.
        let whole = answer.sent.map(|sent| arrival.saturating_sub(sent.saturating_sub(self.epoch)));
        let inside = answer.inside.filter(|(came, left)| whole.is_some_and(|whole| left - came <= whole));
        Ok(Reflected {
            answer,
            times: inside.map(|(came, left)| (came.wrapping_sub(self.epoch), left.wrapping_sub(self.epoch))),
            inside: inside.map_or(0, |(came, left)| left - came),
        })
    }

    /// It was the first answer to a packet of the load, `as_long` as that or not, and `tos` has its DSCP.
    pub fn count(&mut self, reflected: &Reflected, tos: Option<u8>, as_long: bool) {
        let inside = reflected.times.map(|_| reflected.inside);
        self.figures.count(&reflected.answer, inside, tos, as_long);
    }
}

/// The failure that `peer` sends back what it gets.
#[must_use]
pub fn echo(peer: SocketAddr) -> ExitError {
    let text =
        format!("{peer} sends our own packets back: it is an echo and no reflector: use --expect echo");
    ExitError::new(Exit::Protocol, text)
}
