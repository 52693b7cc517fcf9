//! Taking over from a daemon that serves: asked by its control socket, received by `SCM_RIGHTS`.

use std::fmt;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;

use super::client::{CallError, Client};
use super::peer;
use super::wire::{
    Giver, HandingOver, MOST_DESCRIPTORS, Portion, TAKE_OVER, TAKE_OVER_LAST_WORD, TAKE_OVER_VERSION, Taker,
    code,
};

/// Bytes of a portion: its addresses have 16 KiB, and each may be of a listener of its own, in many groups.
const LINE_BYTES: usize = 4 << 20;
/// Bytes that are received at once.
const CHUNK: usize = 64 << 10;
/// How long a process may take to end, once its connection is closed: thousands of sockets are closed then.
const ENDING: Duration = Duration::from_secs(10);

/// The daemon that is taken over.
#[derive(Debug)]
pub struct Receiving {
    stream: UnixStream,
    /// Tells of its end.
    process: Option<OwnedFd>,
    pid: Option<u32>,
    sockets: usize,
}

/// Why it does not come to it.
#[derive(Debug)]
pub enum Lost {
    /// The other daemon says so, in words.
    Refused(String),
    /// The other daemon has ended.
    Ended,
    /// Something else, which leaves the other daemon as it is.
    Broken(io::Error),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(words) => f.write_str(words),
            Self::Ended => f.write_str("it has ended meanwhile"),
            Self::Broken(error) if error.kind() == io::ErrorKind::WouldBlock => {
                f.write_str("it does not answer in time")
            }
            Self::Broken(error) => write!(f, "{error}"),
        }
    }
}

impl Receiving {
    /// Asks the daemon that answers at `path`.
    ///
    /// # Errors
    /// Nobody answers, or it refuses.
    pub fn begin(path: &Path) -> Result<Self, CallError> {
        let mut client = Client::connect(path)?;
        // Whoever answers there gets to say what this process serves, and with which sockets.
        if !peer::is_trusted(client.stream()) {
            return Err(CallError::Denied(path.to_path_buf()));
        }
        let asked = client.call::<HandingOver>("take-over", &json!({ "version": TAKE_OVER_VERSION }));
        let (HandingOver { sockets, .. }, _) = asked.map_err(|error| match error {
            CallError::Refused(error) if error.code == code::UNKNOWN_METHOD => {
                let words = "it is of a version that cannot be taken over; stop it, and start this one";
                CallError::Refused(super::wire::Error::new(error.code, words))
            }
            other @ (CallError::Nobody(..)
            | CallError::Denied(_)
            | CallError::Broken(..)
            | CallError::Strange(..)
            | CallError::Refused(_)) => other,
        })?;
        let stream = client.into_stream().into_inner();
        let broken = |error| CallError::Broken(path.to_path_buf(), error);
        stream.set_read_timeout(Some(TAKE_OVER)).map_err(broken)?;
        stream.set_write_timeout(Some(TAKE_OVER)).map_err(broken)?;
        let pid = peer::pid_of(&stream);
        let process = pid.and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Ok(Self { stream, process, pid, sockets })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// How many addresses it serves.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// The next portion, when `arrived` descriptors are here.
    ///
    /// # Errors
    /// There is none.
    pub fn portion(&mut self, arrived: usize) -> Result<(Portion, Vec<OwnedFd>), Lost> {
        match self.ask(&Taker::Next(arrived))? {
            (Giver::Portion(portion), descriptors) if portion.descriptors.len() == descriptors.len() => {
                Ok((portion, descriptors))
            }
            (Giver::Refused(words), _) => Err(Lost::Refused(words)),
            (Giver::Portion(portion), descriptors) => {
                let words = format!(
                    "{} descriptors are said to come, and {} do; the limit of open files may be too low (`ulimit -n`)",
                    portion.descriptors.len(),
                    descriptors.len()
                );
                Err(Lost::Broken(io::Error::other(words)))
            }
            (Giver::Yours, _) => Err(Lost::Broken(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Everything is ready: has the other daemon read nothing more. When this returns, the sockets are this process's alone. True: the
    /// other one has ended before.
    ///
    /// # Errors
    /// It goes on as before, and this process is not to read.
    pub fn commit(mut self) -> Result<bool, Lost> {
        let patience = self.stream.set_read_timeout(Some(2 * TAKE_OVER_LAST_WORD));
        patience.map_err(Lost::Broken)?;
        match self.ask(&Taker::Commit) {
            Ok((Giver::Yours, _)) => {}
            Ok((Giver::Refused(words), _)) => return Err(Lost::Refused(words)),
            Ok((Giver::Portion(_), _)) => return Err(Lost::Broken(io::ErrorKind::InvalidData.into())),
            Err(Lost::Ended) => return Ok(true),
            Err(other) => return Err(other),
        }
        // Whether this can be said decides who has the sockets.
        match self.say(&Taker::Mine).map_err(|error| self.lost(error)) {
            Ok(()) => Ok(false),
            Err(Lost::Ended) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// It does not come to it, in words for the log of the other daemon.
    pub fn give_up(mut self, words: &str) {
        self.say(&Taker::GiveUp(words.to_owned())).unwrap_or(());
    }

    /// Says something, and hears the answer. One that has hung up may have said why: that lies there still, and only where it does not
    /// has the other daemon ended without a word.
    fn ask(&mut self, said: &Taker) -> Result<(Giver, Vec<OwnedFd>), Lost> {
        match self.say(said) {
            Err(error) if !is_hung_up(&error) => Err(Lost::Broken(error)),
            Ok(()) | Err(_) => self.hear(),
        }
    }

    fn say(&mut self, said: &Taker) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        // The standard library ignores SIGPIPE.
        self.stream.write_all(&line)
    }

    /// A line, with the descriptors beside it.
    fn hear(&self) -> Result<(Giver, Vec<OwnedFd>), Lost> {
        let (mut line, mut descriptors) = (Vec::new(), Vec::new());
        let mut chunk = vec![0; CHUNK];
        while line.last() != Some(&b'\n') {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut chunk)];
            let received = match recvmsg(&self.stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other.map_err(|errno| self.lost(errno.into()))?,
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                let words = "the system has no descriptors for all sockets; raise the limit of open files (`ulimit -n`)";
                return Err(Lost::Broken(io::Error::other(words)));
            }
            if received.bytes == 0 {
                return Err(self.lost(io::ErrorKind::UnexpectedEof.into()));
            }
            line.extend_from_slice(chunk.get(..received.bytes).unwrap_or_default());
            if line.len() > LINE_BYTES {
                return Err(Lost::Broken(io::ErrorKind::InvalidData.into()));
            }
        }
        let said = serde_json::from_slice(&line).map_err(|error| Lost::Broken(error.into()))?;
        Ok((said, descriptors))
    }

    /// Whether the other daemon has ended, or has only hung up: then it goes on.
    fn lost(&self, error: io::Error) -> Lost {
        if !is_hung_up(&error) {
            return Lost::Broken(error);
        }
        let Some(process) = &self.process else { return Lost::Broken(error) };
        let timeout = Timespec::try_from(ENDING).ok();
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => Lost::Ended,
            _ => Lost::Refused("it has hung up".to_owned()),
        }
    }
}

/// Whether an error says that nobody is at the other end any more.
fn is_hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A take-over from a process that has ended, after it has said this.
    fn from_one_that_has_ended(last_words: &[u8]) -> (Receiving, Child) {
        let (stream, mut other) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(TAKE_OVER)).unwrap();
        let child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        other.write_all(last_words).unwrap();
        (Receiving { stream, process: Some(process), pid: Some(child.id()), sockets: 1 }, child)
    }

    /// Its last words lie in the stream when nothing can be said to it any more.
    #[test]
    fn who_has_refused_and_ended_is_not_taken_over() {
        let refused = b"{\"refused\":\"it ends itself\"}\n";
        let (receiving, mut child) = from_one_that_has_ended(refused);
        let lost = receiving.commit().unwrap_err();
        assert!(matches!(&lost, Lost::Refused(words) if words == "it ends itself"), "{lost:?}");
        child.wait().unwrap();
        let (mut receiving, mut child) = from_one_that_has_ended(refused);
        let lost = receiving.portion(0).unwrap_err();
        assert!(matches!(&lost, Lost::Refused(words) if words == "it ends itself"), "{lost:?}");
        child.wait().unwrap();
    }

    #[test]
    fn who_has_ended_without_a_word_is_taken_over() {
        let (receiving, mut child) = from_one_that_has_ended(b"");
        assert!(receiving.commit().unwrap());
        child.wait().unwrap();
    }
}
