//! What one listener has delayed, by the moment it is due.
//!
//! Mostly what is queued later is due later, since all have one delay. It waits in a row then, one behind the other in memory:
//! until it is due it has left the cache, and what lies in order comes back before it is asked for. Only what is due before
//! another that came earlier is sorted in, in memory of its own.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::{Envelope, Output, OwnedOutput};

/// Most datagrams of a chunk.
const CHUNK_DATAGRAMS: usize = 64;
/// Most payload bytes of a chunk, unless one datagram alone has more.
const CHUNK_BYTES: usize = 16 * 1024;
/// Most memory of datagrams that have left which is kept for the next ones; more would hold it after a burst.
const SPARE_CHUNKS: usize = 64;
/// Most payload buffers of sorted datagrams that are kept.
const SPARE_BUFFERS: usize = 1024;
/// Largest of these, bytes.
const SPARE_BYTES: usize = 2048;

/// When a datagram is due, monotonic ns, and its sequence number.
pub(super) type Moment = (u64, u64);

/// What one listener has delayed.
#[derive(Debug, Default)]
pub(super) struct Queue {
    row: Row,
    /// Those that are due before one that was queued earlier.
    sorted: BTreeMap<Moment, OwnedOutput>,
    /// Payload bytes of all.
    bytes: usize,
}

/// Memory of datagrams that have left, to be used again.
#[derive(Debug, Default)]
pub(super) struct Spare {
    chunks: Vec<Chunk>,
    buffers: Vec<Vec<u8>>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.row.len + self.sorted.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps a copy of an output that is one datagram.
    pub(super) fn push(&mut self, moment: Moment, output: &Output<'_>, spare: &mut Spare) {
        if self.row.last().is_none_or(|last| last < moment) {
            self.row.push(moment, output, spare);
        } else {
            let buffer = spare.buffers.pop().unwrap_or_default();
            self.sorted.insert(moment, OwnedOutput::copy(output, buffer));
        }
        self.bytes += output.payload.len();
    }

    /// The moment of the datagram that is due first.
    pub(super) fn first(&self) -> Option<Moment> {
        let sorted = self.sorted.first_key_value().map(|(moment, _)| *moment);
        self.row.first().into_iter().chain(sorted).min()
    }

    /// The datagrams in the order in which they are due.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Moment, Output<'_>)> {
        merged(self.row.iter(), self.sorted.iter().map(of_sorted), |row, sorted| row < sorted)
    }

    /// The datagrams, the one that is due last first.
    pub(super) fn iter_back(&self) -> impl Iterator<Item = (Moment, Output<'_>)> {
        merged(self.row.iter().rev(), self.sorted.iter().rev().map(of_sorted), |row, sorted| row > sorted)
    }

    /// Forgets the `n` datagrams that are due first.
    pub(super) fn forget_first(&mut self, n: usize, spare: &mut Spare) {
        for _ in 0..n {
            let sorted = self.sorted.first_entry();
            self.bytes -= match (self.row.first(), sorted) {
                (Some(row), Some(sorted)) if *sorted.key() < row => spare.keep(sorted.remove()),
                (None, Some(sorted)) => spare.keep(sorted.remove()),
                _ => self.row.pop_front(spare),
            };
        }
    }

    /// Forgets the `n` datagrams that are due last.
    pub(super) fn forget_last(&mut self, n: usize, spare: &mut Spare) {
        for _ in 0..n {
            let sorted = self.sorted.last_entry();
            self.bytes -= match (self.row.last(), sorted) {
                (Some(row), Some(sorted)) if *sorted.key() > row => spare.keep(sorted.remove()),
                (None, Some(sorted)) => spare.keep(sorted.remove()),
                _ => self.row.pop_back(spare),
            };
        }
    }
}

fn of_sorted<'a>((moment, owned): (&'a Moment, &'a OwnedOutput)) -> (Moment, Output<'a>) {
    (*moment, owned.as_output())
}

/// Two orders as one; `left_first` says whose turn it is.
fn merged<'a>(
    left: impl Iterator<Item = (Moment, Output<'a>)>,
    right: impl Iterator<Item = (Moment, Output<'a>)>,
    left_first: impl Fn(Moment, Moment) -> bool,
) -> impl Iterator<Item = (Moment, Output<'a>)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((a, _)), Some((b, _))) if !left_first(*a, *b) => right.next(),
        (None, Some(_)) => right.next(),
        _ => left.next(),
    })
}

impl Spare {
    /// Keeps the buffer of a datagram if there is room for it. Returns how many payload bytes the datagram had.
    fn keep(&mut self, owned: OwnedOutput) -> usize {
        let bytes = owned.payload.len();
        if self.buffers.len() < SPARE_BUFFERS && owned.payload.capacity() <= SPARE_BYTES {
            self.buffers.push(owned.payload);
        }
        bytes
    }

    /// Keeps an empty chunk if there is room for it.
    fn keep_chunk(&mut self, mut chunk: Chunk) {
        if self.chunks.len() < SPARE_CHUNKS && chunk.payloads.capacity() <= CHUNK_BYTES {
            chunk.entries.clear();
            chunk.payloads.clear();
            chunk.gone = 0;
            self.chunks.push(chunk);
        }
    }
}

/// Datagrams each of which is due after the one before it.
#[derive(Debug, Default)]
struct Row {
    /// None of them is empty.
    chunks: VecDeque<Chunk>,
    len: usize,
}

impl Row {
    fn first(&self) -> Option<Moment> {
        self.chunks.front()?.waiting().first().map(|entry| entry.moment)
    }

    fn last(&self) -> Option<Moment> {
        self.chunks.back()?.entries.last().map(|entry| entry.moment)
    }

    fn push(&mut self, moment: Moment, output: &Output<'_>, spare: &mut Spare) {
        let payload = output.payload;
        if self.chunks.back().is_none_or(|chunk| !chunk.has_room(payload.len())) {
            self.chunks.push_back(spare.chunks.pop().unwrap_or_default());
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let begin = chunk.payloads.len();
            chunk.payloads.extend_from_slice(payload);
            chunk.entries.push(Entry {
                moment,
                envelope: Envelope::of(output),
                begin: narrow(begin),
                len: narrow(payload.len()),
            });
            self.len += 1;
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (Moment, Output<'_>)> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.waiting().iter().map(|entry| (entry.moment, chunk.output(entry))))
    }

    /// Forgets the first datagram. Returns its payload bytes.
    fn pop_front(&mut self, spare: &mut Spare) -> usize {
        let Some(chunk) = self.chunks.front_mut() else { return 0 };
        let bytes = chunk.waiting().first().map_or(0, |entry| entry.len as usize);
        chunk.gone += 1;
        self.len -= 1;
        if chunk.waiting().is_empty() {
            self.chunks.pop_front().into_iter().for_each(|chunk| spare.keep_chunk(chunk));
        }
        bytes
    }

    /// Forgets the last datagram. Returns its payload bytes.
    fn pop_back(&mut self, spare: &mut Spare) -> usize {
        let Some(chunk) = self.chunks.back_mut() else { return 0 };
        let Some(entry) = chunk.entries.pop() else { return 0 };
        chunk.payloads.truncate(entry.begin as usize);
        self.len -= 1;
        if chunk.waiting().is_empty() {
            self.chunks.pop_back().into_iter().for_each(|chunk| spare.keep_chunk(chunk));
        }
        entry.len as usize
    }
}

/// A part of a row, with the payloads side by side.
#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<Entry>,
    /// So many of the first ones have left.
    gone: usize,
    payloads: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    moment: Moment,
    envelope: Envelope,
    /// Where its payload begins in the chunk.
    begin: u32,
    /// Payload bytes.
    len: u32,
}

/// Payloads are shorter than 64 KiB, and a chunk has few.
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Chunk {
    fn has_room(&self, bytes: usize) -> bool {
        self.entries.len() < CHUNK_DATAGRAMS
            && (self.payloads.is_empty() || self.payloads.len() + bytes <= CHUNK_BYTES)
    }

    fn waiting(&self) -> &[Entry] {
        self.entries.get(self.gone..).unwrap_or_default()
    }

    fn output(&self, entry: &Entry) -> Output<'_> {
        let begin = entry.begin as usize;
        let payload = self.payloads.get(begin..begin + entry.len as usize);
        entry.envelope.output(payload.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn push(queue: &mut Queue, moment: Moment, payload: &[u8], spare: &mut Spare) {
        let to = "192.0.2.1:9".parse().unwrap();
        let envelope = Envelope { to, from: None, tos: 0, session: moment.1, hop_limit: 0, df: false };
        queue.push(moment, &envelope.output(payload), spare);
    }

    fn waiting(queue: &Queue) -> Vec<(Moment, Vec<u8>)> {
        queue.iter().map(|(moment, output)| (moment, output.payload.to_vec())).collect()
    }

    /// A sorted list does the same, slowly.
    #[test]
    fn it_is_what_a_sorted_list_would_be() {
        let mut random = SmallRng::seed_from_u64(7);
        for overtaking in [0, 2, 50] {
            let (mut queue, mut spare) = (Queue::default(), Spare::default());
            let mut twin: Vec<(Moment, Vec<u8>)> = Vec::new();
            for step in 0..3000 {
                let n = random.random_range(0..=twin.len().min(20));
                match random.random_range(0..10) {
                    0 => {
                        queue.forget_first(n, &mut spare);
                        twin.drain(..n);
                    }
                    1 => {
                        queue.forget_last(n, &mut spare);
                        twin.truncate(twin.len() - n);
                    }
                    _ => {
                        let moment = (100 + step - random.random_range(0..=overtaking), step);
                        let len = if step % 100 == 0 { 65_000 } else { random.random_range(0..900) };
                        let payload = vec![u8::try_from(step % 251).unwrap(); len];
                        push(&mut queue, moment, &payload, &mut spare);
                        twin.insert(twin.partition_point(|(other, _)| *other < moment), (moment, payload));
                    }
                }
                assert_eq!(queue.len(), twin.len());
                assert_eq!(queue.bytes(), twin.iter().map(|(_, payload)| payload.len()).sum::<usize>());
                assert_eq!(queue.first(), twin.first().map(|(moment, _)| *moment));
                if step % 50 == 0 {
                    assert!(waiting(&queue) == twin, "step {step}");
                    let back: Vec<_> = queue.iter_back().map(|(moment, _)| moment).collect();
                    assert_eq!(back, twin.iter().rev().map(|(moment, _)| *moment).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn what_is_due_in_order_needs_no_search_and_its_memory_is_used_again() {
        let (mut queue, mut spare) = (Queue::default(), Spare::default());
        let n = 2 * SPARE_CHUNKS * CHUNK_DATAGRAMS;
        for round in 0..3 {
            for at in 0..n as u64 {
                push(&mut queue, (round, at), b"12345678", &mut spare);
            }
            assert!(queue.sorted.is_empty() && spare.chunks.is_empty());
            queue.forget_first(n, &mut spare);
            assert_eq!((spare.chunks.len(), queue.row.chunks.len()), (SPARE_CHUNKS, 0));
        }
    }

    #[test]
    fn large_buffers_are_not_kept_and_of_small_ones_not_many() {
        let (mut queue, mut spare) = (Queue::default(), Spare::default());
        push(&mut queue, (9, 0), &vec![0; CHUNK_BYTES + 1], &mut spare);
        push(&mut queue, (1, 1), &vec![0; SPARE_BYTES + 1], &mut spare);
        queue.forget_first(2, &mut spare);
        assert!(spare.chunks.is_empty() && spare.buffers.is_empty());
        push(&mut queue, (9, 2), b"a", &mut spare);
        for at in 0..2 * SPARE_BUFFERS as u64 {
            push(&mut queue, (1, at), b"b", &mut spare);
        }
        queue.forget_last(1 + 2 * SPARE_BUFFERS, &mut spare);
        assert_eq!((spare.chunks.len(), spare.buffers.len(), queue.len()), (1, SPARE_BUFFERS, 0));
    }
}
