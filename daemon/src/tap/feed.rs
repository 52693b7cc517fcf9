//! The two ends of a tap: the loop pushes entries, a thread reads them. What waits between the two is bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::entry::{Chunk, Entry};
use super::filter::Filter;

/// Taps at a time: an operator, a colleague, a script and one to spare. Each is a bit of a byte in the slot of a listener.
pub const TAPS: usize = 4;
/// Bytes that wait for the reader of one tap: 4 MiB are 5,000 datagrams of 800 bytes, the time of a terminal that blinks.
pub const TAP_BYTES: usize = 4 << 20;
/// What a batch takes beside its entries and bytes.
pub const CHUNK_COST: usize = 128;

/// Why a tap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has all datagrams that it was asked for.
    Count,
    /// Its reader is gone, or wants no more.
    Reader,
    /// The daemon ends.
    Daemon,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes on the way.
    bytes: AtomicUsize,
    left_out: AtomicU64,
    /// Datagrams that were dropped on their way out and of which nothing was left to show.
    unseen: AtomicU64,
    /// The reader wants no more.
    stop: AtomicBool,
    /// 0: it goes on.
    ended: AtomicU8,
}

/// What a tap did not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Datagrams that found no room.
    pub left_out: u64,
    /// Datagrams that were dropped on their way out, of which there were no bytes to show: a handler had no room to queue them, an
    /// entry was invalid, they gave way to others, or the service ended.
    pub unseen: u64,
}

/// The loop's end of a tap. Dropping it says that the daemon ends.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    to: Sender<Chunk>,
    chunk: Chunk,
    filter: Filter,
    /// Payload bytes that are copied of each datagram.
    snaplen: usize,
    /// How many datagrams it still wants.
    left: u64,
}

/// The other end.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    from: Receiver<Chunk>,
}

/// A tap that copies `snaplen` bytes of each payload, and ends after `count` datagrams.
#[must_use]
pub fn feed(filter: Filter, snaplen: usize, count: Option<u64>) -> (Feed, Reader) {
    let shared = Arc::<Shared>::default();
    let (to, from) = channel();
    let left = count.unwrap_or(u64::MAX);
    let feed = Feed { shared: Arc::clone(&shared), to, chunk: Chunk::default(), filter, snaplen, left };
    (feed, Reader { shared, from })
}

impl Feed {
    /// Adds an entry with its payload to the batch, if it is wanted and there is room.
    pub fn push(&mut self, entry: &Entry, payload: &[u8]) {
        if self.left == 0 || !self.filter.wants(entry) {
            return;
        }
        let copied = payload.get(..self.snaplen).unwrap_or(payload);
        let waiting = self.shared.bytes.load(Relaxed) + self.cost();
        if waiting + size_of::<Entry>() + copied.len() + CHUNK_COST > TAP_BYTES {
            self.shared.left_out.fetch_add(1, Relaxed);
            return;
        }
        self.left -= 1;
        let begin = self.chunk.bytes.len();
        self.chunk.bytes.extend_from_slice(copied);
        self.chunk.entries.push(Entry { payload: begin..self.chunk.bytes.len(), ..entry.clone() });
    }

    /// Payload bytes that are copied of each datagram.
    #[must_use]
    pub const fn snaplen(&self) -> usize {
        self.snaplen
    }

    /// Counts datagrams of which there is nothing to show.
    pub fn miss(&self, datagrams: u64) {
        let wants = self.filter.peer.is_none() && self.filter.port.is_none();
        if wants && self.filter.direction != Some(super::entry::Direction::In) {
            self.shared.unseen.fetch_add(datagrams, Relaxed);
        }
    }

    /// Bytes of the batch as they count.
    fn cost(&self) -> usize {
        cost(&self.chunk)
    }

    /// Hands the batch to the reader. False: the tap has ended.
    pub fn flush(&mut self) -> bool {
        if !self.chunk.entries.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.shared.bytes.fetch_add(cost(&chunk), SeqCst);
            // Without a reader nobody misses it.
            self.to.send(chunk).unwrap_or(());
        }
        if self.left == 0 {
            self.shared.ended.store(1, SeqCst);
        }
        !self.is_over()
    }

    /// Whether nobody wants any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left == 0 || self.shared.stop.load(Relaxed)
    }
}

fn cost(chunk: &Chunk) -> usize {
    CHUNK_COST + chunk.bytes.len() + chunk.entries.len() * size_of::<Entry>()
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.flush();
        let why = if self.shared.stop.load(Relaxed) { 2 } else { 3 };
        // Whoever said it first is right.
        self.shared.ended.compare_exchange(0, why, SeqCst, Relaxed).map(drop).unwrap_or(());
    }
}

impl Reader {
    /// The next batch, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Chunk> {
        let chunk = self.from.try_recv().ok()?;
        self.shared.bytes.fetch_sub(cost(&chunk), SeqCst);
        Some(chunk)
    }

    /// Has the loop put nothing in any more.
    pub fn stop(&self) {
        self.shared.stop.store(true, SeqCst);
    }

    /// Why it has ended; none while it goes on. Batches may still wait.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        match self.shared.ended.load(SeqCst) {
            1 => Some(Ended::Count),
            2 => Some(Ended::Reader),
            3 => Some(Ended::Daemon),
            _ => self.shared.stop.load(SeqCst).then_some(Ended::Reader),
        }
    }

    /// What was not shown so far.
    #[must_use]
    pub fn lost(&self) -> Lost {
        Lost { left_out: self.shared.left_out.load(SeqCst), unseen: self.shared.unseen.load(SeqCst) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Direction, Verdict};
    use super::*;

    fn entry() -> Entry {
        Entry {
            name: "echo".into(),
            at_ns: 1,
            direction: Direction::In,
            peer: ([127, 0, 0, 1], 1).into(),
            local: ([127, 0, 0, 1], 2).into(),
            verdict: Verdict::Replied,
            latency_ns: None,
            session: 0,
            upstream: false,
            len: 3,
            payload: 0..0,
            tos: 0,
            ttl: 0,
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_is_counted_twice() {
        let (mut feed, reader) = feed(Filter::default(), 65_535, None);
        let (payload, n) = (vec![7; 1000], 10_000);
        for _ in 0..n {
            feed.push(&entry(), &payload);
            assert!(feed.flush());
        }
        let waits = reader.shared.bytes.load(SeqCst);
        assert!(waits <= TAP_BYTES && waits > TAP_BYTES - 2000, "{waits}");
        let came = std::iter::from_fn(|| reader.take()).map(|chunk| chunk.entries.len() as u64).sum::<u64>();
        assert!(came > 0 && reader.lost().left_out > 0);
        assert_eq!(came + reader.lost().left_out, n);
        assert_eq!(reader.shared.bytes.load(SeqCst), 0);
        feed.push(&entry(), &payload);
        feed.flush();
        assert_eq!(reader.take().unwrap().payload(&Entry { payload: 0..1000, ..entry() }), payload);
    }

    #[test]
    fn it_ends_after_its_count_or_with_either_end() {
        let (mut one, reader) = feed(Filter::default(), 2, Some(1));
        one.push(&entry(), b"abc");
        one.push(&entry(), b"def");
        assert!(!one.flush());
        let chunk = reader.take().unwrap();
        assert_eq!((chunk.entries.len(), &*chunk.bytes, chunk.entries[0].len), (1, &b"ab"[..], 3));
        drop(one);
        assert_eq!(reader.ended(), Some(Ended::Count));
        let (two, reader) = feed(Filter::default(), 2, None);
        assert_eq!(reader.ended(), None);
        drop(two);
        assert_eq!(reader.ended(), Some(Ended::Daemon));
        let (three, reader) = feed(Filter::default(), 2, None);
        drop(reader);
        assert!(three.is_over());
    }
}
