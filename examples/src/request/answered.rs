//! What both ways of asking lead to.

use std::net::SocketAddr;

use polyport_protocol::Nanos;

use crate::text::millis;

/// The answer to a request, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload.
    pub payload: Vec<u8>,
    /// From the first transmission to its arrival.
    pub took: Nanos,
    /// From the transmission it answers to its arrival; `None` where nobody knows which one that was, as after a
    /// retransmission of plain text.
    pub rtt: Option<Nanos>,
    /// Transmissions so far.
    pub transmissions: u8,
}

impl Answered {
    /// How long it took and how often it was asked, for people.
    #[must_use]
    pub fn effort(&self) -> String {
        let took = millis(self.took);
        match (self.transmissions, self.rtt) {
            (1, _) => format!("after {took} and 1 transmission"),
            (many, None) => format!("after {took} and {many} transmissions"),
            (many, Some(rtt)) => {
                format!("after {took} and {many} transmissions, round trip {}", millis(rtt))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effort_is_counted_from_the_first_transmission() {
        let effort = |transmissions, rtt| {
            let from = ([127, 0, 0, 1], 7).into();
            Answered { from, payload: Vec::new(), took: 305_200_000, rtt, transmissions }.effort()
        };
        assert_eq!(effort(1, Some(305_200_000)), "after 305.200 ms and 1 transmission");
        assert_eq!(effort(3, None), "after 305.200 ms and 3 transmissions");
        assert_eq!(effort(2, Some(400_000)), "after 305.200 ms and 2 transmissions, round trip 0.400 ms");
    }
}
