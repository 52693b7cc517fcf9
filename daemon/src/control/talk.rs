//! One connection: a line is read, its answer waited for and written, one after the other. Each step has its bounds.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Bytes of a request with its end: a listener with many options is a hundredth of it.
pub(super) const LINE_BYTES: usize = 64 << 10;
/// How long a client may take from the first byte of a line to its end.
pub(super) const LINE_TIME: Duration = Duration::from_secs(5);
/// How long a client may take to read an answer.
pub(super) const READ_TIME: Duration = Duration::from_secs(10);
/// How long the loop of the daemon may take to answer: a reload of thousands of listeners takes seconds.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// A moment of a clock that only goes forward, since any time before.
pub(super) type Moment = Duration;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For the rest of a line, or for its first byte.
    Reading,
    /// For an answer, to the request with this number.
    Waiting(u64),
    /// For the client to read it.
    Writing,
}

/// What a look at a connection has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing that is whole.
    Nothing,
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line is too long.
    TooLong,
    /// The client is gone.
    Gone,
}

/// A connection of a client.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) stream: UnixStream,
    pub(super) state: State,
    /// What was read and is no line yet, or of lines that come next.
    read: Vec<u8>,
    /// The client sends no more.
    ended: bool,
    out: Vec<u8>,
    written: usize,
    /// Nothing is read behind what is written now.
    last: bool,
    /// When it began to wait for what it waits for.
    since: Moment,
}

impl Talk {
    pub(super) fn new(stream: UnixStream, now: Moment) -> Self {
        let (read, out) = (Vec::new(), Vec::new());
        Self { stream, state: State::Reading, read, ended: false, out, written: 0, last: false, since: now }
    }

    /// Whether nothing is going on; since when.
    pub(super) fn idle_since(&self) -> Option<Moment> {
        (self.state == State::Reading).then_some(self.since)
    }

    /// Whether a line that was read already waits for its turn.
    pub(super) fn is_pending(&self) -> bool {
        self.state == State::Reading && self.read.contains(&b'\n')
    }

    /// When its client, or the loop, is too late; none if it may wait for ever.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let time = match self.state {
            State::Reading if self.read.is_empty() => return None,
            State::Reading => LINE_TIME,
            State::Waiting(_) => ANSWER_TIME,
            State::Writing => READ_TIME,
        };
        Some(self.since + time)
    }

    /// Reads what is there, as far as a line may be long.
    pub(super) fn read(&mut self, now: Moment) -> Found {
        while !self.ended && !self.read.contains(&b'\n') {
            let mut chunk = [0; CHUNK];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    if self.read.is_empty() {
                        self.since = now;
                    }
                    self.read.extend_from_slice(chunk.get(..n).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Found::Gone,
            }
            if self.read.len() > LINE_BYTES && !self.read.iter().take(LINE_BYTES).any(|byte| *byte == b'\n') {
                return Found::TooLong;
            }
        }
        self.next_line()
    }

    /// A line that was read already. What stands before the end of all is one as well, so that who sends no newline is answered.
    fn next_line(&mut self) -> Found {
        let end = match self.read.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if self.ended && !self.read.is_empty() => self.read.len(),
            None => return if self.ended { Found::Gone } else { Found::Nothing },
        };
        let rest = self.read.get(end + 1..).unwrap_or_default().to_vec();
        self.read.truncate(end);
        Found::Line(std::mem::replace(&mut self.read, rest))
    }

    /// The stream, of which nothing is read or written here any more.
    pub(super) fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// Waits for the answer to the request with this number.
    pub(super) fn wait_for(&mut self, number: u64, now: Moment) {
        (self.state, self.since) = (State::Waiting(number), now);
    }

    /// Writes a line, and reads nothing behind it if it is the `last`.
    pub(super) fn answer(&mut self, line: Vec<u8>, last: bool, now: Moment) {
        (self.out, self.written, self.last) = (line, 0, last);
        (self.state, self.since) = (State::Writing, now);
    }

    /// A request that wants no answer has been dealt with.
    pub(super) fn go_on(&mut self, now: Moment) {
        (self.state, self.since) = (State::Reading, now);
    }

    /// Writes what the client takes. Returns whether the connection goes on.
    pub(super) fn write(&mut self, now: Moment) -> bool {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return false,
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        self.out = Vec::new();
        self.go_on(now);
        !self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, Talk) {
        let (client, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        (client, Talk::new(stream, Moment::ZERO))
    }

    #[test]
    fn lines_come_one_by_one_and_the_last_needs_no_end() {
        let (mut client, mut talk) = pair();
        let now = Moment::ZERO;
        assert_eq!((talk.read(now), talk.deadline()), (Found::Nothing, None));
        client.write_all(b"one\ntw").unwrap();
        assert_eq!(talk.read(now), Found::Line(b"one".to_vec()));
        assert_eq!(talk.read(now), Found::Nothing);
        assert_eq!(talk.deadline(), Some(now + LINE_TIME), "the rest of a line is awaited");
        client.write_all(b"o\n\nthree").unwrap();
        drop(client);
        assert_eq!(talk.read(now), Found::Line(b"two".to_vec()));
        assert_eq!(talk.read(now), Found::Line(b"".to_vec()));
        assert_eq!(talk.read(now), Found::Line(b"three".to_vec()));
        assert_eq!(talk.read(now), Found::Gone);
    }

    #[test]
    fn a_line_is_as_long_as_it_may_be_and_no_longer() {
        let (mut client, mut talk) = pair();
        let now = Moment::ZERO;
        let write = std::thread::spawn(move || {
            client.write_all(&vec![b'x'; LINE_BYTES - 1]).unwrap();
            client.write_all(b"\n").unwrap();
            // The other side closes before it has taken all of that.
            client.write_all(&vec![b'y'; 100 << 20]).map_err(|error| error.kind())
        });
        let mut found = || {
            loop {
                match talk.read(now) {
                    Found::Nothing => std::thread::yield_now(),
                    found @ (Found::Line(_) | Found::TooLong | Found::Gone) => break found,
                }
            }
        };
        assert_eq!(found(), Found::Line(vec![b'x'; LINE_BYTES - 1]));
        assert_eq!(found(), Found::TooLong);
        assert!(talk.read.len() <= LINE_BYTES + CHUNK, "{} bytes are kept", talk.read.len());
        drop(talk);
        assert!(write.join().unwrap().is_err());
    }

    #[test]
    fn who_reads_nothing_is_waited_for_until_a_deadline() {
        let (_client, mut talk) = pair();
        let now = Moment::ZERO;
        talk.answer(vec![b'x'; 4 << 20], false, now);
        assert!(talk.write(now), "it is not gone");
        assert_eq!((talk.state, talk.deadline()), (State::Writing, Some(now + READ_TIME)));
    }
}
