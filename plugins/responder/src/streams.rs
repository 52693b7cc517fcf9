//! What is known of streams: statistics for RSTAT ([P-70]) and replay windows ([P-62]), both in tables of
//! bounded size.

use std::net::SocketAddr;

use polyport_plugin::{Recent, Reservation};
use polyport_protocol::{ReplayWindow, WindowError};

/// Most streams with statistics, if the host grants as many: a flood of invented streams costs 15 MB.
pub const MAX_STREAMS: usize = 65_536;
/// What a stream costs at worst, bytes: its entry, and its part of an index that is just being doubled.
pub const STREAM_BYTES: usize = 232;
/// Most replay windows, if the host grants as many: 8 MB. Only a client with the key can make one.
pub const MAX_WINDOWS: usize = 16_384;
/// What a replay window costs at worst, bytes.
pub const WINDOW_BYTES: usize = 480;

/// One run of one client, as the responder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// Address and port of the client.
    pub peer: SocketAddr,
    /// Port it sends to.
    pub local_port: u16,
    /// The run.
    pub stream_id: u32,
}

/// The content of RSTAT for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Number of the reply, from 0.
    pub rseq: u64,
    /// Requests and probes seen, duplicates included.
    pub rcount: u32,
    /// Bit i: the number `seq - i` was seen.
    pub window: u64,
    /// Another stream was forgotten to make room.
    pub forgot: bool,
}

/// Statistics of streams. The stream that has been silent for longest is forgotten when there are too many;
/// if it comes back, it starts anew.
#[derive(Debug)]
pub struct Streams(Recent<StreamKey, Stream>);

/// Twice as many bits as RSTAT shows: a request up to 64 numbers late is answered with a whole window.
#[derive(Debug, Default)]
struct Stream {
    replies: u64,
    requests: u32,
    top: u64,
    /// Bit i: `top - i` was seen.
    seen: u128,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(Reservation::default())
    }
}

impl Streams {
    /// Room for [`MAX_STREAMS`], as far as the reservation grows.
    #[must_use]
    pub fn new(reservation: Reservation) -> Self {
        Self(Recent::with_limit(MAX_STREAMS, STREAM_BYTES, reservation))
    }

    /// Marks `seq` as seen, and counts it as a request if `counts`: events and warm-up frames do not.
    pub fn see(&mut self, key: StreamKey, seq: u64, counts: bool) -> Seen {
        let Some((stream, forgot)) = self.0.entry(&key, Stream::default) else { return Seen::default() };
        stream.requests = stream.requests.wrapping_add(counts.into());
        let window = stream.mark(seq);
        Seen { rseq: stream.replies, rcount: stream.requests, window, forgot }
    }

    /// Counts a reply that left.
    pub fn replied(&mut self, key: &StreamKey) {
        if let Some(stream) = self.0.peek_mut(key) {
            stream.replies = stream.replies.wrapping_add(1);
        }
    }

    /// Streams remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.0.len()
    }
}

impl Stream {
    /// Returns the window of RSTAT for `seq`. Bit 0, the request answered, is always set.
    fn mark(&mut self, seq: u64) -> u64 {
        if seq > self.top {
            let ahead = u32::try_from(seq - self.top).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0);
            self.top = seq;
        }
        let back = u32::try_from(self.top - seq).unwrap_or(u32::MAX);
        self.seen |= 1_u128.checked_shl(back).unwrap_or(0);
        #[expect(clippy::cast_possible_truncation, reason = "the low half is the window")]
        let window = self.seen.checked_shr(back).unwrap_or(0) as u64;
        window | 1
    }
}

/// One replay window of a stream. It does not name the peer: a frame is no newer for being sent from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct WindowKey {
    key_id: u32,
    stream_id: u32,
    attempt: u8,
}

/// The replay windows of authenticated streams.
///
/// All attempts of a request have one seq ([P-10], [P-11]), so a window of seq alone would take every
/// retransmission for a replay, and a client with a key could never recover a lost reply. Each attempt number
/// therefore has a window of its own: what is refused is the copy of a frame that was accepted before, and
/// what passes as another attempt meets the reply cache.
#[derive(Debug)]
pub struct Windows(Recent<WindowKey, Box<ReplayWindow>>);

impl Default for Windows {
    fn default() -> Self {
        Self::new(Reservation::default())
    }
}

impl Windows {
    /// Room for [`MAX_WINDOWS`], as far as the reservation grows.
    #[must_use]
    pub fn new(reservation: Reservation) -> Self {
        Self(Recent::with_limit(MAX_WINDOWS, WINDOW_BYTES, reservation))
    }

    /// Accepts a frame whose tag was right, and says whether another stream was forgotten for it.
    ///
    /// # Errors
    /// The frame was accepted before, or is too old to tell.
    pub fn accept(
        &mut self,
        key_id: u32,
        stream_id: u32,
        attempt: u8,
        seq: u64,
    ) -> Result<bool, WindowError> {
        let key = WindowKey { key_id, stream_id, attempt };
        let Some((window, forgot)) = self.0.entry(&key, Box::default) else {
            return Err(WindowError::TooOld);
        };
        window.accept(seq)?;
        Ok(forgot)
    }
}

#[cfg(test)]
mod tests {
    use polyport_counting_alloc::{CountingAlloc, live_bytes};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAlloc = CountingAlloc;

    const KEY: StreamKey = StreamKey {
        peer: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
        local_port: 7,
        stream_id: 1,
    };

    #[test]
    fn the_window_shows_what_was_seen_before_and_around() {
        let mut streams = Streams::default();
        let mut window = |seq| streams.see(KEY, seq, true).window;
        assert_eq!(window(0), 0b1);
        assert_eq!(window(1), 0b11);
        assert_eq!(window(3), 0b1101);
        assert_eq!(window(2), 0b111, "late");
        assert_eq!(window(4), 0b1_1111);
        assert_eq!(window(67), 1 | (1 << 63));
        assert_eq!(window(4), 0b1_1111, "63 late, and all of its window is still known");
        assert_eq!(window(200), 1);
        assert_eq!(window(4), 1, "older than what is known");
        assert_eq!(window(u64::MAX), 1);
        assert_eq!(window(u64::MAX - 1), 1);
        assert_eq!(window(u64::MAX), 0b11);
    }

    #[test]
    fn replies_and_requests_are_counted_apart() {
        let mut streams = Streams::default();
        assert_eq!(streams.see(KEY, 5, true), Seen { rseq: 0, rcount: 1, window: 1, forgot: false });
        streams.replied(&KEY);
        assert_eq!(streams.see(KEY, 5, true), Seen { rseq: 1, rcount: 2, window: 1, forgot: false });
        assert_eq!(streams.see(KEY, 6, false), Seen { rseq: 1, rcount: 2, window: 3, forgot: false });
        let other = StreamKey { stream_id: 2, ..KEY };
        assert_eq!(streams.see(other, 0, true).rcount, 1);
    }

    #[test]
    fn a_million_streams_are_as_many_as_the_table_holds() {
        let mut streams = Streams::default();
        let forgotten =
            (0..1_000_000).filter(|n| streams.see(StreamKey { stream_id: *n, ..KEY }, 0, true).forgot);
        assert_eq!((forgotten.count(), streams.remembered()), (1_000_000 - MAX_STREAMS, MAX_STREAMS));
        let mut windows = Windows::default();
        let forgotten = (0..20_000).filter(|n| windows.accept(1, *n, 0, 0) == Ok(true));
        assert_eq!(forgotten.count(), 20_000 - MAX_WINDOWS);
    }

    #[test]
    fn streams_and_windows_cost_no_more_than_the_host_was_told() {
        /// The dearest of all states of a table with more than so many entries.
        fn dearest(most: u32, mut add: impl FnMut(u32)) -> usize {
            let before = live_bytes();
            let costs = (1..=most).map(|n| {
                add(n);
                usize::try_from(live_bytes() - before).unwrap() / n as usize
            });
            costs.skip(100).max().unwrap()
        }
        let mut streams = Streams::default();
        let stream =
            dearest(60_000, |n| assert!(!streams.see(StreamKey { stream_id: n, ..KEY }, 0, true).forgot));
        let mut windows = Windows::default();
        let window = dearest(16_000, |n| assert_eq!(windows.accept(1, n, 0, 0), Ok(false)));
        // `malloc` adds 8 bytes to each block, and rounds it up; a window has two.
        assert!((STREAM_BYTES / 2..=STREAM_BYTES - 16).contains(&stream), "{stream} bytes");
        // A debug build keeps a model beside each window.
        let told = cfg!(debug_assertions) || (WINDOW_BYTES / 2..=WINDOW_BYTES - 32).contains(&window);
        assert!(told, "{window} bytes");
    }

    #[test]
    fn a_copy_is_a_replay_and_another_attempt_is_not() {
        let mut windows = Windows::default();
        assert_eq!(windows.accept(1, 1, 0, 5000), Ok(false));
        assert_eq!(windows.accept(1, 1, 0, 5000), Err(WindowError::Replay));
        assert_eq!(windows.accept(1, 1, 1, 5000), Ok(false));
        assert_eq!(windows.accept(1, 1, 1, 5000), Err(WindowError::Replay));
        assert_eq!(windows.accept(1, 1, 0, 5000 - 1984), Err(WindowError::TooOld));
        assert_eq!(windows.accept(1, 2, 0, 5000), Ok(false));
    }
}
