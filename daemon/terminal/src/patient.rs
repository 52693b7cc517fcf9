//! A stream that a thread of its own writes, so that nobody else ever waits for its reader.
//!
//! ```text
//! write -> queue of whole lines, bounded in bytes -> thread -> terminal, pipe, socket, file
//! ```
//!
//! The thread that serves writes the log as well. A terminal, a pipe or a disk that takes nothing blocks `write(2)`, and
//! `poll(2)` does not tell how much a terminal takes. `O_NONBLOCK` is no way out: it belongs to the open file, which the
//! shell and its other programs share. So the only thread that touches the descriptor does nothing else.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, poll};

use crate::shape::{Severity, Shape};

/// Lines are handed to the system in pieces of this size, bytes, which a pipe takes whole or not at all (`pipe(7)`).
const PIECE: usize = libc::PIPE_BUF;

/// The unit in which patience is spent.
const SLICE: Duration = Duration::from_millis(1);
/// Bytes of lines that may wait before there is a thread to write them: warnings of the largest plan.
const BEFORE_START: usize = 16 << 20;
/// How often [`PatientWriter::settle`] looks whether the reader still reads.
const LOOK: Duration = Duration::from_millis(100);
/// [`PatientWriter::settle`] gives up a reader that took nothing in so many looks.
const IDLE_LOOKS: u32 = 10;

/// Why lines are missing, where the system did not say anything else.
const UNREAD: &str = "nobody read them in time";

/// Writes lines to a stream by a thread of its own, and leaves out what finds no room in its queue.
///
/// Each call of `write` takes whole lines, and always succeeds. Where lines are missing, a line says how many. Once the queue
/// was full, it takes nothing before half of it is free: then the gaps are few and long, and not one behind every line. Until
/// [`start`](Self::start) everything waits. The thread ends when the last clone is dropped and the queue is written.
#[derive(Clone, Debug)]
pub struct PatientWriter(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// The thread that is not started yet.
    pending: Mutex<Option<Pending>>,
}

struct Pending(Box<dyn FnOnce(&Shared) + Send>);

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or nothing will come any more.
    work: Condvar,
    /// Something was written.
    written: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Bytes of lines that are not written yet, those in the thread's hands among them. A gap counts as one.
    waiting: usize,
    /// Bytes that left the queue so far.
    done: u64,
    /// It was full, and is not half empty yet.
    full: bool,
    /// Lines left out so far.
    lost: u64,
    /// How long writers may still wait for room, all together.
    patience: Duration,
    /// There is a thread.
    started: bool,
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    /// Whole lines, of [`PIECE`] bytes at most unless it is a single one.
    Lines(Vec<u8>),
    /// So many lines are missing here.
    Gap(u64),
}

impl PatientWriter {
    /// A queue of `limit` bytes for `to`. `of` says which lines are missing where some were left out, as " of the log".
    pub fn new<F>(to: F, of: &'static str, limit: usize) -> Self
    where
        F: AsFd + Write + Send + 'static,
    {
        Self::shaped(to, of, limit, Shape::Plain)
    }

    /// As [`Self::new`], and the lines about missing ones look so.
    pub fn shaped<F>(to: F, of: &'static str, limit: usize, shape: Shape) -> Self
    where
        F: AsFd + Write + Send + 'static,
    {
        let (work, written) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { queue: Mutex::default(), work, written, limit });
        let scribe = Scribe { to, of, shape, owed: 0, reason: None, torn: false };
        let pending = Mutex::new(Some(Pending(Box::new(|shared| scribe.run(shared)))));
        Self(Arc::new(Handle { shared, pending }))
    }

    /// Starts the thread that writes, the first time.
    ///
    /// # Errors
    /// Those of `pthread_create(3)`; then nothing will be written.
    pub fn start(&self) -> io::Result<()> {
        let pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Pending(run)) = pending else { return Ok(()) };
        let shared = Arc::clone(&self.0.shared);
        let body = move || {
            // Signals are for the thread that serves: two of them that two threads take at once would each be the first.
            SigSet::all().thread_block().unwrap_or(());
            run(&shared);
        };
        thread::Builder::new().name("output".to_owned()).spawn(body)?;
        self.shared().lock().started = true;
        Ok(())
    }

    /// Lets writers wait for room, so long in all from now on. Zero: a line that finds none is left out at once.
    pub fn set_patience(&self, patience: Duration) {
        self.shared().lock().patience = patience;
    }

    /// Waits until everything is written, `longest` at most, and no longer than a second for a reader that takes nothing, or
    /// for a thread that is not started.
    /// False if something still waits.
    pub fn settle(&self, longest: Duration) -> bool {
        let mut queue = self.shared().lock();
        let (mut idle, mut left) = (0, longest);
        while queue.waiting > 0 && idle < IDLE_LOOKS && !left.is_zero() {
            let before = queue.done;
            let look = LOOK.min(left);
            left -= look;
            queue = self.shared().wait_while(queue, look, |queue| queue.waiting > 0);
            idle = if queue.done == before { idle + 1 } else { 0 };
        }
        queue.waiting == 0
    }

    /// Says behind all that was written before how many lines are missing, if some are of which nothing was said, as after
    /// the last line there is no other to say it before.
    pub fn report_missing(&self) {
        let mut queue = self.shared().lock();
        queue.waiting += 1;
        queue.entries.push_back(Entry::Gap(0));
        drop(queue);
        self.shared().work.notify_one();
    }

    /// Lines left out so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared().lock().lost
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }
}

impl Write for PatientWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let shared = self.shared();
        let mut queue = shared.lock();
        while queue.started && !queue.has_room(lines.len(), shared.limit) && !queue.patience.is_zero() {
            // A slice counts whole, however soon there was room: so nobody has to read a clock.
            queue.patience = queue.patience.saturating_sub(SLICE);
            queue = shared.wait_while(queue, SLICE, |queue| !queue.has_room(lines.len(), shared.limit));
        }
        let limit = if queue.started { shared.limit } else { BEFORE_START };
        queue.push(lines, limit);
        drop(queue);
        shared.work.notify_one();
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
    }
}

impl Shared {
    /// A thread that panicked has left the queue in order: nothing between locking and unlocking panics.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        longest: Duration,
        condition: impl FnMut(&mut Queue) -> bool,
    ) -> MutexGuard<'a, Queue> {
        let waited = self.written.wait_timeout_while(queue, longest, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Queue {
    /// An empty queue takes anything.
    fn has_room(&mut self, len: usize, limit: usize) -> bool {
        self.full = self.waiting > if self.full { limit / 2 } else { limit.saturating_sub(len) };
        !self.full || self.waiting == 0
    }

    fn push(&mut self, lines: &[u8], limit: usize) {
        if !self.has_room(lines.len(), limit) {
            let missing = count(lines);
            self.lost += missing;
            match self.entries.back_mut() {
                Some(Entry::Gap(before)) => *before += missing,
                _ => {
                    self.waiting += 1;
                    self.entries.push_back(Entry::Gap(missing));
                }
            }
            return;
        }
        self.waiting += lines.len();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            match self.entries.back_mut() {
                Some(Entry::Lines(piece)) if piece.len() + line.len() <= PIECE => piece.extend(line),
                _ => self.entries.push_back(Entry::Lines(line.to_vec())),
            }
        }
    }
}

/// The thread's side.
struct Scribe<F> {
    to: F,
    of: &'static str,
    shape: Shape,
    /// Lines that are missing and not reported yet.
    owed: u64,
    /// Why, if the system said it.
    reason: Option<io::Error>,
    /// The last line that was written lacks its end.
    torn: bool,
}

impl<F: AsFd + Write> Scribe<F> {
    fn run(mut self, shared: &Shared) {
        let mut queue = shared.lock();
        loop {
            let (lines, missing) = match queue.entries.pop_front() {
                Some(Entry::Lines(lines)) => (lines, 0),
                Some(Entry::Gap(missing)) => (Vec::new(), missing),
                None if queue.closed => return,
                None => {
                    queue = shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            drop(queue);
            self.owed += missing;
            let failed = self.put(&lines);
            queue = shared.lock();
            queue.lost += failed;
            let taken = lines.len().max(1);
            queue.waiting = queue.waiting.saturating_sub(taken);
            queue.done += taken as u64;
            shared.written.notify_all();
        }
    }

    /// Writes lines, behind a line about those that are missing before them. Returns how many could not be written.
    fn put(&mut self, lines: &[u8]) -> u64 {
        let result = self.report().and_then(|()| self.write(lines));
        let Err(error) = result else { return 0 };
        // A reader that has gone takes everything.
        if error.kind() == ErrorKind::BrokenPipe {
            return 0;
        }
        let missing = count(lines);
        self.owed += missing;
        self.reason = Some(error);
        missing
    }

    fn report(&mut self) -> io::Result<()> {
        if self.owed == 0 {
            return Ok(());
        }
        let end = if self.torn { "\n" } else { "" };
        let missing = match (self.owed, self.of) {
            (1, of) => format!("1 line{of} was"),
            (owed, of) => format!("{owed} lines{of} were"),
        };
        let reason = self.reason.as_ref().map_or_else(|| UNREAD.to_owned(), ToString::to_string);
        let note = self.shape.note(Severity::Warn, &format!("{missing} left out: {reason}"));
        self.write(format!("{end}{note}\n").as_bytes())?;
        (self.owed, self.reason) = (0, None);
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let (written, rest) = bytes.split_at_checked(n).unwrap_or((bytes, b""));
                    self.torn = !written.ends_with(b"\n");
                    bytes = rest;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody else has set O_NONBLOCK for all who share the open file.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.to, PollFlags::OUT)];
                    // An interrupted wait is followed by a write, which tells whether to wait on.
                    poll(&mut fds, None).unwrap_or(0);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Lines in a text; what has no end is one as well.
fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use rustix::fs::OFlags;

    use super::*;

    const LIMIT: usize = 64 * 1024;
    const LONG: Duration = Duration::from_secs(20);

    fn started(to: impl AsFd + Write + Send + 'static, what: &'static str, limit: usize) -> PatientWriter {
        let writer = PatientWriter::new(to, what, limit);
        writer.start().unwrap();
        writer
    }

    fn line(number: u64, len: usize) -> String {
        format!("{number:0len$}\n")
    }

    fn read_to_end(mut reader: PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    /// Fails unless `text` has all lines up to `end` in order, but for those that it says are missing. Returns how often it
    /// says so.
    #[track_caller]
    fn check(text: &str, end: u64, len: usize) -> usize {
        let (mut next, mut reports) = (0, 0);
        for found in text.split_inclusive('\n') {
            if let Some(report) = found.strip_prefix("warn: ") {
                let (number, rest) = report.split_once(' ').unwrap();
                let one = if number == "1" { "line of the log was" } else { "lines of the log were" };
                assert_eq!(rest, format!("{one} left out: nobody read them in time\n"));
                next += number.parse::<u64>().unwrap();
                reports += 1;
            } else {
                assert_eq!(found, line(next, len));
                next += 1;
            }
        }
        assert_eq!(next, end);
        reports
    }

    #[test]
    fn a_reader_that_hangs_holds_nobody_and_hears_what_it_missed() {
        for len in [100, PIECE + 100, 2 * PIECE + 100] {
            let (reader, writer) = pipe().unwrap();
            let mut log = started(writer, " of the log", LIMIT);
            for number in 0..5000 {
                log.write_all(line(number, len).as_bytes()).unwrap();
            }
            assert!((1..5000).contains(&log.lost()), "{}", log.lost());
            assert!(!log.settle(Duration::from_millis(1)), "nobody reads");
            let text = thread::spawn(move || read_to_end(reader));
            assert!(log.settle(LONG), "somebody reads");
            log.write_all(line(5000, len).as_bytes()).unwrap();
            drop(log);
            let text = text.join().unwrap();
            assert!(check(&text, 5001, len) > 0 && text.ends_with(&line(5000, len)));
        }
    }

    /// One gap behind every line would cost as much as the lines.
    #[test]
    fn a_reader_that_is_slow_is_given_long_pieces() {
        let (mut reader, writer) = pipe().unwrap();
        let mut log = started(writer, " of the log", LIMIT);
        let mut text = Vec::new();
        for number in 0..100_000 {
            log.write_all(line(number, 100).as_bytes()).unwrap();
            // Nine of ten are too many for it.
            if number % 10 == 0 {
                let mut piece = [0; 101];
                reader.read_exact(&mut piece).unwrap();
                text.extend(piece);
            }
        }
        let rest = thread::spawn(move || read_to_end(reader));
        drop(log);
        let text = String::from_utf8(text).unwrap() + &rest.join().unwrap();
        let reports = check(&text, 100_000, 100);
        assert!((1..100).contains(&reports), "{reports}");
    }

    #[test]
    fn who_has_patience_loses_nothing_to_a_reader_that_reads() {
        let (reader, writer) = pipe().unwrap();
        let mut log = started(writer, "", LIMIT);
        log.set_patience(LONG);
        let text = thread::spawn(move || read_to_end(reader));
        for number in 0..50_000 {
            log.write_all(line(number, 100).as_bytes()).unwrap();
        }
        assert_eq!(log.lost(), 0);
        drop(log);
        assert_eq!(text.join().unwrap().len(), 50_000 * 101);
    }

    #[test]
    fn patience_ends() {
        let (_reader, writer) = pipe().unwrap();
        let mut log = started(writer, "", LIMIT);
        log.set_patience(SLICE * 5);
        for number in 0..5000 {
            log.write_all(line(number, 100).as_bytes()).unwrap();
        }
        assert!(log.lost() > 0 && log.shared().lock().patience.is_zero());
    }

    #[test]
    fn a_reader_that_is_gone_and_a_file_are_no_reason_to_lose_count() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut log = started(writer, "", LIMIT);
        log.write_all(b"to nobody\n").unwrap();
        assert!(log.settle(LONG));
        assert_eq!(log.lost(), 0);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = started(file.reopen().unwrap(), "", LIMIT);
        log.set_patience(LONG);
        for _ in 0..1000 {
            log.write_all(&[b'x'; 1000]).unwrap();
        }
        assert!(log.settle(LONG));
        assert_eq!((log.lost(), file.as_file().metadata().unwrap().len()), (0, 1_000_000));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_counted() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut log = started(full, "", LIMIT);
        for _ in 0..10 {
            log.write_all(b"in vain\n").unwrap();
        }
        assert!(log.settle(LONG));
        assert_eq!(log.lost(), 10);
    }

    /// A disk that is full for a while.
    struct Disk {
        pipe: io::PipeWriter,
        refusals: u32,
    }

    impl AsFd for Disk {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.pipe.as_fd()
        }
    }

    impl Write for Disk {
        /// The first part of a line still fits.
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.refusals {
                0 => self.pipe.write(bytes),
                4 => {
                    self.refusals -= 1;
                    self.pipe.write(bytes.get(..4).unwrap())
                }
                _ => {
                    self.refusals -= 1;
                    Err(ErrorKind::StorageFull.into())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_gets_room_again_hears_what_it_missed() {
        let (reader, pipe) = pipe().unwrap();
        let mut log = started(Disk { pipe, refusals: 4 }, "", LIMIT);
        for number in 1..=5 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
            assert!(log.settle(LONG));
        }
        assert_eq!(log.lost(), 3);
        drop(log);
        let reason = io::Error::from(ErrorKind::StorageFull);
        let expected = format!("line\nwarn: 3 lines were left out: {reason}\nline 4\nline 5\n");
        assert_eq!(read_to_end(reader), expected);
    }

    /// The disk has room again when nothing more comes to be written.
    #[test]
    fn what_is_missing_at_the_end_is_told_at_the_end() {
        for (lines, told) in [(1, "1 line was"), (3, "3 lines were")] {
            let (reader, pipe) = pipe().unwrap();
            let mut log = started(Disk { pipe, refusals: lines }, "", LIMIT);
            for _ in 0..lines {
                log.write_all(b"in vain\n").unwrap();
                assert!(log.settle(LONG));
            }
            log.report_missing();
            log.report_missing();
            assert!(log.settle(LONG));
            drop(log);
            let reason = io::Error::from(ErrorKind::StorageFull);
            assert_eq!(read_to_end(reader), format!("warn: {told} left out: {reason}\n"));
        }
    }

    /// Another program may have made the open file non-blocking for everybody.
    #[test]
    fn a_pipe_that_does_not_block_is_waited_for_by_the_thread() {
        let (reader, writer) = pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let mut log = started(writer, "", 4 * LIMIT);
        for number in 0..2000 {
            log.write_all(line(number, 100).as_bytes()).unwrap();
        }
        let text = thread::spawn(move || read_to_end(reader));
        drop(log);
        assert_eq!(text.join().unwrap(), (0..2000).map(|number| line(number, 100)).collect::<String>());
    }

    #[test]
    fn what_is_written_before_the_thread_is_there_waits_for_it_whole() {
        let (reader, writer) = pipe().unwrap();
        let mut log = PatientWriter::new(writer, " of the log", LIMIT);
        log.set_patience(LONG);
        for number in 0..2000 {
            log.write_all(line(number, 99).as_bytes()).unwrap();
        }
        assert!(!log.settle(Duration::ZERO));
        log.start().unwrap();
        log.start().unwrap();
        drop(log);
        assert_eq!(check(&read_to_end(reader), 2000, 99), 0);
    }
}
