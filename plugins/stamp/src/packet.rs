//! Test packets of RFC 8762, section 4: what a Session-Sender says, and what is said back.
//!
//! A reflector rewrites the head of the packet it got, so the packet that goes back is as long as the one that came. A
//! sender of TWAMP Light (RFC 5357, appendix I) sends the same beginning; if its packet is shorter than an answer, it gets the
//! bare answer (section 4.6).

/// Octets of a sequence number, a timestamp and an error estimate without any padding: the least that TWAMP Light sends.
const SHORTEST: usize = 14;

/// The TTL that is said where the received one is not known (RFC 5357, section 4.2.1).
const TTL_UNKNOWN: u8 = 255;

/// Where things stand in the packets of a mode. What a sender says stands in the same places as what a reflector says of
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Octets of a packet without padding.
    pub(crate) len: usize,
    /// The least that is taken for a packet.
    shortest: usize,
    timestamp: usize,
    error: usize,
    ssid: usize,
    received: usize,
    their_sequence: usize,
    their_timestamp: usize,
    their_error: usize,
    ttl: usize,
}

/// Unauthenticated mode: sections 4.2.1 and 4.3.1.
pub(crate) const OPEN: Layout = Layout {
    len: 44,
    shortest: SHORTEST,
    timestamp: 4,
    error: 12,
    ssid: 14,
    received: 16,
    their_sequence: 24,
    their_timestamp: 28,
    their_error: 36,
    ttl: 40,
};

/// Authenticated mode: sections 4.2.2 and 4.3.2.
pub(crate) const SEALED: Layout = Layout {
    len: 112,
    shortest: 112,
    timestamp: 16,
    error: 24,
    ssid: 26,
    received: 32,
    their_sequence: 48,
    their_timestamp: 64,
    their_error: 72,
    ttl: 80,
};

/// What a Session-Sender said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Sequence number, as it came.
    pub(crate) sequence: [u8; 4],
    timestamp: [u8; 8],
    error: [u8; 2],
    /// What RFC 8972, section 3, calls the session's identifier; zero from a sender of RFC 8762.
    pub(crate) ssid: [u8; 2],
}

impl Request {
    /// Whether the sender's timestamps have the truncated format of PTP version 2: bit Z of its error estimate (RFC 8186).
    pub(crate) const fn speaks_ptp(&self) -> bool {
        self.error[0] & 0x40 != 0
    }
}

/// What is said back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) sequence: [u8; 4],
    /// When it is sent.
    pub(crate) timestamp: [u8; 8],
    pub(crate) error: [u8; 2],
    pub(crate) ssid: [u8; 2],
    /// When the request came.
    pub(crate) received: [u8; 8],
    pub(crate) request: Request,
    /// TTL or hop limit of the request, if it is known.
    pub(crate) ttl: Option<u8>,
}

impl Layout {
    /// What the sender of `packet` says; `None` if it is too short to be a test packet.
    pub(crate) fn read(&self, packet: &[u8]) -> Option<Request> {
        if packet.len() < self.shortest {
            return None;
        }
        Some(Request {
            sequence: octets(packet, 0)?,
            timestamp: octets(packet, self.timestamp)?,
            error: octets(packet, self.error)?,
            ssid: octets(packet, self.ssid).unwrap_or_default(),
        })
    }

    /// Writes `reply` over the head of `packet`, which is at least [`len`](Self::len) octets long; what follows stays as it is.
    pub(crate) fn write(&self, reply: &Reply, packet: &mut [u8]) {
        let Some(head) = packet.get_mut(..self.len) else { return };
        head.fill(0);
        put(head, 0, &reply.sequence);
        put(head, self.timestamp, &reply.timestamp);
        put(head, self.error, &reply.error);
        put(head, self.ssid, &reply.ssid);
        put(head, self.received, &reply.received);
        put(head, self.their_sequence, &reply.request.sequence);
        put(head, self.their_timestamp, &reply.request.timestamp);
        put(head, self.their_error, &reply.request.error);
        put(head, self.ttl, &[reply.ttl.unwrap_or(TTL_UNKNOWN)]);
    }
}

fn octets<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}

fn put(head: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(place) = head.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request { sequence: [1; 4], timestamp: [2; 8], error: [3; 2], ssid: [4; 2] };
    const REPLY: Reply = Reply {
        sequence: [5; 4],
        timestamp: [6; 8],
        error: [7; 2],
        ssid: [8; 2],
        received: [9; 8],
        request: REQUEST,
        ttl: Some(10),
    };

    /// Runs of equal octets, as `octet x how many`.
    fn runs(packet: &[u8]) -> Vec<(u8, usize)> {
        packet.chunk_by(|one, next| one == next).map(|run| (run[0], run.len())).collect()
    }

    #[test]
    fn an_open_reply_has_the_fields_of_figure_5() {
        let mut packet = [0xAA; 50];
        OPEN.write(&REPLY, &mut packet);
        let expected = [
            (5, 4),
            (6, 8),
            (7, 2),
            (8, 2),
            (9, 8),
            (1, 4),
            (2, 8),
            (3, 2),
            (0, 2),
            (10, 1),
            (0, 3),
            (0xAA, 6),
        ];
        assert_eq!(runs(&packet), expected);
    }

    #[test]
    fn a_sealed_reply_has_the_fields_of_figure_6() {
        let mut packet = [0xAA; 120];
        SEALED.write(&REPLY, &mut packet);
        let expected = [
            (5, 4),
            (0, 12),
            (6, 8),
            (7, 2),
            (8, 2),
            (0, 4),
            (9, 8),
            (0, 8),
            (1, 4),
            (0, 12),
            (2, 8),
            (3, 2),
            (0, 6),
            (10, 1),
            (0, 31),
            (0xAA, 8),
        ];
        assert_eq!(runs(&packet), expected);
    }

    #[test]
    fn a_request_is_read_from_the_first_octet_on_and_shorter_ones_are_none() {
        for (layout, shortest) in [(OPEN, 14), (SEALED, 112)] {
            let mut packet = [0; 112];
            layout.write(
                &Reply { sequence: [1; 4], timestamp: [2; 8], error: [3; 2], ssid: [4; 2], ..REPLY },
                &mut packet,
            );
            assert_eq!(layout.read(&packet), Some(REQUEST));
            assert!(layout.read(&packet[..shortest]).is_some());
            for shorter in 0..shortest {
                assert_eq!(layout.read(&packet[..shorter]), None, "{shorter} octets");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_zero_and_an_unknown_ttl_is_255() {
        assert_eq!(OPEN.read(&[1; 15]).unwrap().ssid, [0; 2]);
        let mut packet = [0; 44];
        OPEN.write(&Reply { ttl: None, ..REPLY }, &mut packet);
        assert_eq!(packet[40], 255);
    }
}
