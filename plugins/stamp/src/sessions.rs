//! How many packets each session was sent: the sequence numbers of the stateful mode (RFC 8762, section 4).

use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::{Recent, Reservation};

/// What a session costs at worst, bytes: its entry, and its part of an index that is just being doubled.
const SESSION_BYTES: usize = 224;

/// What tells sessions apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) peer: SocketAddr,
    /// The address that was sent to.
    pub(crate) local: SocketAddr,
    /// Zero unless the plugin is told to look at it.
    pub(crate) ssid: [u8; 2],
}

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// The number of the next packet.
    pub(crate) next: u32,
    /// When the last one came, nanoseconds of the monotonic clock.
    last_ns: u64,
}

/// Sessions, those that were silent for longest forgotten first.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Recent<Session, Count>,
    silence_ns: u64,
}

impl Sessions {
    /// Room for `limit` sessions, as far as the reservation grows. A session that was silent for `silence` has ended.
    pub(crate) fn new(limit: u32, silence: Duration, reservation: Reservation) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let silence_ns = u64::try_from(silence.as_nanos()).unwrap_or(u64::MAX);
        Self { table: Recent::with_limit(limit, SESSION_BYTES, reservation), silence_ns }
    }

    /// The count of a session of which a packet has come, and whether another session was forgotten for it.
    pub(crate) fn heard(&mut self, session: Session, now_ns: u64) -> Option<(&mut Count, bool)> {
        let silence_ns = self.silence_ns;
        let (count, forgot) = self.table.entry(&session, || Count { next: 0, last_ns: now_ns })?;
        if now_ns.saturating_sub(count.last_ns) >= silence_ns {
            count.next = 0;
        }
        count.last_ns = now_ns;
        Some((count, forgot))
    }

    /// Sessions there are, those that have ended and are not forgotten yet included.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use polyport_counting_alloc::{CountingAlloc, live_bytes};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 862);

    fn session(n: u32) -> Session {
        Session { peer: (Ipv4Addr::from(n), 7).into(), local: LOCAL, ssid: [0; 2] }
    }

    #[test]
    fn a_session_costs_no_more_than_the_host_was_told() {
        let before = live_bytes();
        let mut sessions = Sessions::new(70_000, Duration::from_secs(1), Reservation::default());
        let mut dearest = 0;
        for n in 0..70_000 {
            sessions.heard(session(n), 1);
            let each = usize::try_from(live_bytes() - before).unwrap() / sessions.len();
            // The first few are free.
            dearest = dearest.max(if n < 100 { 0 } else { each });
        }
        assert!((96..SESSION_BYTES).contains(&dearest), "{dearest}");
        for n in 0..70_000 {
            sessions.heard(session(100_000 + n), 1);
        }
        assert_eq!(sessions.len(), 70_000);
    }
}
