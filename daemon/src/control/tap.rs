//! A connection that has become a tap: a thread of its own takes what the loop has put into the feed, makes a capture of it, and
//! writes it as fast as the client reads. What the client does not take fills the feed, and then the loop leaves datagrams out.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::Duration;

use polyport_terminal::aside;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::talk::READ_TIME;
use super::wire::{Error, MOST_TAPPED, TapDirection, TapParams, code};
use crate::capture::{CaptureWriter, Summary};
use crate::tap::{Direction, Feed, Filter, Prefix, Reader, feed};

/// How long the thread waits before it looks for datagrams again: the loop does not wake it, which would be a system call for it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Bytes of the capture that are made ahead of the client.
const AHEAD: usize = 64 << 10;
/// Payload bytes that are copied of a datagram, if nobody says it: all. Whoever looks at datagrams mostly wants to read them, and
/// the bytes that wait are bounded anyway.
const SNAPLEN: usize = 65_535;
/// How long the last words may take when the daemon ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Clocks: one that only goes forward, and Unix time.
pub(super) type Clocks = (Arc<dyn Fn() -> Duration + Send + Sync>, Arc<dyn Fn() -> Duration + Send + Sync>);

/// What a tap needs beside its client.
pub(super) struct Around {
    pub(super) clocks: Clocks,
    /// The daemon ends.
    pub(super) ending: Arc<AtomicBool>,
    /// Whoever waits for the end of all threads sees that this one has not ended.
    pub(super) _end: Sender<()>,
}

/// A tap that the loop was asked for.
#[derive(Debug)]
pub(super) struct Pending {
    reader: Reader,
    names: Vec<Arc<str>>,
    snaplen: usize,
    duration: Option<Duration>,
}

/// Checks what was asked for, and makes both ends.
pub(super) fn prepare(params: &TapParams) -> Result<(Feed, Pending), Error> {
    let invalid = |words: String| Error::new(code::INVALID_PARAMS, format!("`params`: {words}"));
    if params.listeners.len() > MOST_TAPPED {
        return Err(invalid(format!("{MOST_TAPPED} listeners at most, or none for all")));
    }
    if params.count == Some(0) {
        return Err(invalid("`count` has to be 1 at least".to_owned()));
    }
    let peer = params.peer.as_deref().map(Prefix::read).transpose().map_err(invalid)?;
    let direction = params.direction.map(|direction| match direction {
        TapDirection::In => Direction::In,
        TapDirection::Out => Direction::Out,
    });
    let filter = Filter { peer, port: params.port, direction, drops: params.drops };
    let snaplen = params.snaplen.unwrap_or(SNAPLEN).min(SNAPLEN);
    let (feed, reader) = feed(filter, snaplen, params.count);
    let names = params.listeners.iter().map(|name| Arc::from(&**name)).collect();
    let duration = params.duration_ms.map(Duration::from_millis);
    Ok((feed, Pending { reader, names, snaplen, duration }))
}

/// Starts the thread, which first writes `line`.
pub(super) fn begin(pending: Pending, stream: UnixStream, line: Vec<u8>, around: Around) -> io::Result<()> {
    let program = concat!("polyport ", env!("CARGO_PKG_VERSION"));
    let mut capture = CaptureWriter::new(program, pending.snaplen);
    for name in &pending.names {
        capture.interface(name);
    }
    let mut out = line;
    out.extend(capture.take());
    let now = (around.clocks.0)();
    let thread = Stream {
        stream,
        until: pending.duration.map(|duration| now + duration),
        reader: pending.reader,
        capture,
        out,
        written: 0,
        deaf: false,
        is_over: false,
        said_all: false,
        around,
    };
    aside("tap", move || thread.run()).map(drop)
}

/// What the thread has.
struct Stream {
    stream: UnixStream,
    reader: Reader,
    capture: CaptureWriter,
    out: Vec<u8>,
    written: usize,
    /// When its time is over.
    until: Option<Duration>,
    is_over: bool,
    /// The client says nothing more.
    deaf: bool,
    /// The last words are in `out`.
    said_all: bool,
    around: Around,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Stream {
    fn run(mut self) {
        let mut stuck_since = None;
        loop {
            let now = (self.around.clocks.0)();
            if self.until.is_some_and(|until| until <= now) && self.reader.ended().is_none() {
                self.is_over = true;
                self.reader.stop();
            }
            let more = self.fill();
            let before = self.written;
            if self.write().is_err() {
                return;
            }
            let waits = !self.out.is_empty();
            if !waits && self.said_all {
                return;
            }
            // Who reads nothing may do so as long as the tap goes on.
            let is_moving = self.written != before || !waits || self.reader.ended().is_none();
            let since = *stuck_since.get_or_insert(now);
            stuck_since = (!is_moving).then_some(since);
            let patience = if self.around.ending.load(Relaxed) { LAST_WORDS } else { READ_TIME };
            if stuck_since.is_some_and(|since| now.saturating_sub(since) > patience) {
                return;
            }
            if self.wait(waits, more && !waits).is_err() {
                return;
            }
        }
    }

    /// Makes more of the capture, if the client has room. Returns whether there may be more to come at once.
    fn fill(&mut self) -> bool {
        while self.out.len() - self.written < AHEAD {
            let ended = self.reader.ended();
            match (self.reader.take(), ended) {
                (Some(chunk), _) => {
                    self.capture.batch(&chunk);
                    self.out.extend(self.capture.take());
                }
                (None, Some(why)) => {
                    if !std::mem::replace(&mut self.said_all, true) {
                        let lost = self.reader.lost();
                        let summary = Summary::new(why, self.is_over, self.capture.shown(), lost);
                        let at_ns = u64::try_from((self.around.clocks.1)().as_nanos()).unwrap_or(u64::MAX);
                        self.capture.end(&summary, at_ns);
                        self.out.extend(self.capture.take());
                    }
                    return false;
                }
                (None, None) => return false,
            }
        }
        true
    }

    /// Writes what the client takes.
    fn write(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Waits for the client, or until it is time to look for datagrams.
    fn wait(&mut self, for_room: bool, not_at_all: bool) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !self.deaf);
        flags.set(PollFlags::OUT, for_room);
        let timeout = if not_at_all { Duration::ZERO } else { LOOK_AGAIN };
        let timeout = Timespec::try_from(timeout).ok();
        let found = {
            let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), flags)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            fds[0].revents()
        };
        if found.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut bytes = [0; 256];
        while !self.deaf {
            match self.stream.read(&mut bytes) {
                // It wants no more, and may still read what there is.
                Ok(0) => {
                    self.deaf = true;
                    self.reader.stop();
                }
                // Nothing is asked for in a stream.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
