//! A connection by which another daemon takes over: a thread of its own hears what that one says, and the loop hands over the
//! sockets, a portion at a time. Until the other one has said that the sockets are its own, whatever happens to it leaves everything
//! as it was.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Duration;

use polyport_terminal::{Waker, aside};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::peer;
use super::talk::Moment;
use super::wire::{TAKE_OVER, TAKE_OVER_LAST_WORD, Taker};

/// Bytes of a line of the other daemon: its words, if it gives up, are the longest.
const LINE_BYTES: usize = 16 << 10;

/// A clock that only goes forward.
type Now = Arc<dyn Fn() -> Moment + Send + Sync>;

/// What the loop is told.
#[derive(Debug)]
pub enum Step {
    /// It begins.
    Begun(Taking),
    /// What was sent has arrived; something else is to follow.
    Next(usize),
    /// Nothing is to be read any more.
    Commit,
    /// The other daemon has everything.
    Mine,
    /// It does not come to it.
    GivenUp(String),
}

/// What the thread is told.
#[derive(Debug)]
enum Told {
    /// A portion was sent, and this is left of its line.
    Sent(Vec<u8>),
    /// Nothing is read any more.
    Yours,
}

/// The other daemon.
#[derive(Debug)]
pub struct Taking {
    /// Its connection, which does not block.
    pub stream: Arc<UnixStream>,
    /// Its process, if the system says it.
    pub pid: Option<u32>,
}

/// The loop's end.
#[derive(Debug)]
pub struct Hand {
    steps: Receiver<Step>,
    told: Sender<Told>,
}

impl Hand {
    /// What comes next, if it is there.
    pub fn step(&self) -> Option<Step> {
        match self.steps.try_recv() {
            Ok(step) => Some(step),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Step::GivenUp("the thread that hears the other daemon has ended".to_owned()))
            }
        }
    }

    /// A portion was sent, but for the rest of its line.
    pub fn sent(&self, rest: Vec<u8>) {
        self.told.send(Told::Sent(rest)).unwrap_or(());
    }

    /// It was said that nothing is read any more.
    pub fn yours(&self) {
        self.told.send(Told::Yours).unwrap_or(());
    }
}

/// A take-over that the loop was asked for.
#[derive(Debug)]
pub(super) struct Pending {
    steps: Sender<Step>,
    told: Receiver<Told>,
    waker: Waker,
}

/// Makes both ends.
pub(super) fn prepare(waker: Waker) -> (Hand, Pending) {
    let (steps, of_loop) = mpsc::channel();
    let (told, of_thread) = mpsc::channel();
    (Hand { steps: of_loop, told }, Pending { steps, told: of_thread, waker })
}

/// Starts the thread, which first writes `line`.
pub(super) fn begin(
    pending: Pending,
    stream: UnixStream,
    line: Vec<u8>,
    (now, end): (Now, Sender<()>),
) -> io::Result<()> {
    let Pending { steps, told, waker } = pending;
    let pid = peer::pid_of(&stream);
    let thread = Listening {
        stream: Arc::new(stream),
        steps,
        told,
        waker,
        heard: Vec::new(),
        until: now() + TAKE_OVER,
        now,
        _end: end,
    };
    aside("take-over", move || thread.run(&line, pid)).map(drop)
}

/// What the thread has.
struct Listening {
    stream: Arc<UnixStream>,
    steps: Sender<Step>,
    told: Receiver<Told>,
    waker: Waker,
    heard: Vec<u8>,
    now: Now,
    until: Moment,
    /// Whoever waits for the end of all threads sees that this one has not ended.
    _end: Sender<()>,
}

impl Listening {
    fn run(mut self, line: &[u8], pid: Option<u32>) {
        let taking = Taking { stream: Arc::clone(&self.stream), pid };
        let began = self.write(line);
        self.tell(Step::Begun(taking));
        let over = match began.and_then(|()| self.hand_over()) {
            Ok(step) => step,
            Err(error) => {
                // From here on the other daemon can say nothing more: what it has said by now decides.
                self.stream.shutdown(Shutdown::Both).unwrap_or(());
                if self.has_said_mine() { Step::Mine } else { Step::GivenUp(Self::words(&error)) }
            }
        };
        self.tell(over);
    }

    /// Says what it came to.
    fn hand_over(&mut self) -> io::Result<Step> {
        loop {
            match self.line()? {
                Taker::Next(arrived) => {
                    self.tell(Step::Next(arrived));
                    match self.wait_for_loop()? {
                        Told::Sent(rest) => self.write(&rest)?,
                        Told::Yours => return Err(io::ErrorKind::InvalidData.into()),
                    }
                }
                Taker::Commit => {
                    self.tell(Step::Commit);
                    self.wait_for_loop()?;
                    self.until = (self.now)() + TAKE_OVER_LAST_WORD;
                }
                Taker::Mine => return Ok(Step::Mine),
                Taker::GiveUp(words) => {
                    self.stream.shutdown(Shutdown::Both).unwrap_or(());
                    return Ok(Step::GivenUp(words));
                }
            }
        }
    }

    fn tell(&mut self, step: Step) {
        self.steps.send(step).unwrap_or(());
        self.waker.wake();
    }

    fn wait_for_loop(&self) -> io::Result<Told> {
        let left = self.until.saturating_sub((self.now)());
        self.told.recv_timeout(left).map_err(|_| io::ErrorKind::TimedOut.into())
    }

    /// The next line.
    fn line(&mut self) -> io::Result<Taker> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let rest = self.heard.split_off(end + 1);
                let line = std::mem::replace(&mut self.heard, rest);
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.heard.len() > LINE_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.wait(PollFlags::IN)?;
            match self.hear() {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads what is there.
    fn hear(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 1024];
        match (&*self.stream).read(&mut bytes) {
            Ok(n) => {
                self.heard.extend_from_slice(bytes.get(..n).unwrap_or_default());
                Ok(n)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the last that was said, of what nobody has looked at, is that the sockets have another owner.
    fn has_said_mine(&mut self) -> bool {
        while self.hear().is_ok_and(|n| n > 0) {}
        let mut lines = self.heard.split(|byte| *byte == b'\n');
        lines.any(|line| serde_json::from_slice(line).is_ok_and(|said: Taker| said == Taker::Mine))
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&*self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(PollFlags::OUT)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let left = self.until.saturating_sub((self.now)());
        let timeout = Timespec::try_from(left.max(Duration::from_millis(1))).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), flags)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn words(error: &io::Error) -> String {
        let ended = [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        if error.kind() == io::ErrorKind::TimedOut {
            "the other daemon was not ready in time".to_owned()
        } else if ended.contains(&error.kind()) {
            "the other daemon has ended".to_owned()
        } else {
            format!("the other daemon says what is not understood: {error}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair {
        other: UnixStream,
        hand: Hand,
        _ends: Receiver<()>,
        _wakes: UnixStream,
    }

    fn pair() -> Pair {
        let (other, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let (wakes, waker) = UnixStream::pair().unwrap();
        let (hand, pending) = prepare(Waker::to_stream(waker));
        let (end, ends) = mpsc::channel();
        begin(pending, stream, b"answer\n".to_vec(), (Arc::new(|| Moment::ZERO), end)).unwrap();
        Pair { other, hand, _ends: ends, _wakes: wakes }
    }

    fn step(hand: &Hand) -> Step {
        hand.steps.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn who_hangs_up_before_its_last_word_has_nothing() {
        let Pair { mut other, hand, .. } = pair();
        assert!(matches!(step(&hand), Step::Begun(_)));
        other.write_all(b"{\"next\":0}\n").unwrap();
        assert!(matches!(step(&hand), Step::Next(0)));
        hand.sent(b"rest\n".to_vec());
        other.write_all(b"\"commit\"\n").unwrap();
        assert!(matches!(step(&hand), Step::Commit));
        hand.yours();
        let mut said = [0; 12];
        other.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"answer\nrest\n");
        drop(other);
        assert!(matches!(step(&hand), Step::GivenUp(_)));
    }

    #[test]
    fn the_last_word_counts_also_if_nobody_looked_at_it_in_time() {
        let Pair { mut other, hand, .. } = pair();
        assert!(matches!(step(&hand), Step::Begun(_)));
        // Nothing that belongs there, and behind it the word.
        other.write_all(b"garbage\n\"mine\"\n").unwrap();
        assert!(matches!(step(&hand), Step::Mine));
    }
}
