//! The end of the daemon.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketFlags,
    SocketType, recvmsg, send, socketpair,
};

use super::order::{MOST, Order};
use super::wire::{Failed, PACKET, Wanted};
use crate::reactor::{BindError, Socket};

/// The command of the program that is the broker; `--help` does not show it.
pub const SUBCOMMAND: &str = "socket-broker";

/// The file that runs, also where another one has its path by now.
const PROGRAM: &str = "/proc/self/exe";

/// How long an answer may take. Binding takes microseconds, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that makes sockets.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    /// None: it has ended, or does not answer.
    end: Option<OwnedFd>,
}

impl Broker {
    /// Starts it, with the rights of this process. Of the ports below 1024 it binds these.
    ///
    /// # Errors
    /// Those of `socketpair(2)`, `fork(2)` and `execve(2)`.
    pub fn start(low_ports: &[u16]) -> io::Result<Self> {
        let (end, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(PROGRAM);
        command.arg0(env!("CARGO_PKG_NAME")).arg(SUBCOMMAND).args(low_ports.iter().map(u16::to_string));
        // Signals of the terminal are for the daemon, which tells it by hanging up.
        command.env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, end: Some(end) })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it may still be asked.
    pub(super) fn is_alive(&self) -> bool {
        self.end.is_some()
    }

    /// Has it make sockets.
    pub(super) fn make(&mut self, orders: &[Order]) -> io::Result<Vec<Result<Socket, BindError>>> {
        let made = self.ask(orders);
        if let Err(error) = &made
            && error.raw_os_error() != Some(libc::EMFILE)
        {
            // Whatever comes from it later would be taken for the answer to another question.
            self.end = None;
            let gone = self.child.try_wait().ok().flatten();
            let how = gone.map_or_else(|| error.to_string(), |status| status.to_string());
            return Err(io::Error::other(format!(
                "the process {} that makes sockets for this daemon in its sandbox does not answer ({how}); restart the daemon",
                self.pid()
            )));
        }
        made
    }

    fn ask(&self, orders: &[Order]) -> io::Result<Vec<Result<Socket, BindError>>> {
        let end = self.end.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let wanted: Vec<_> = orders.iter().map(|(addr, options)| Wanted::new(*addr, options)).collect();
        send(end, &serde_json::to_vec(&wanted)?, SendFlags::NOSIGNAL)?;
        let (failed, descriptors) = answer(end)?;
        let mut descriptors = descriptors.into_iter();
        let sockets = orders.iter().enumerate().map(|(number, (addr, options))| {
            match failed.iter().find(|failed| failed.number == number) {
                Some(failed) => Ok(Err(failed.error(*addr))),
                None => {
                    let descriptor = descriptors.next().ok_or(io::ErrorKind::UnexpectedEof)?;
                    Ok(Ok(Socket::made_elsewhere(descriptor, options)?))
                }
            }
        });
        sockets.collect()
    }
}

/// Waits for an answer: what failed, and the sockets of all others.
fn answer(end: &OwnedFd) -> io::Result<(Vec<Failed>, Vec<OwnedFd>)> {
    let patience = Timespec::try_from(PATIENCE).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut fds = [PollFd::new(end, PollFlags::IN)];
    if poll(&mut fds, Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut packet = vec![0; PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = recvmsg(end, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        // The kernel hands over as many as there is room for (`unix(7)`).
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let failed = serde_json::from_slice(packet.get(..received.bytes).unwrap_or_default())?;
    Ok((failed, descriptors))
}

/// Ends it by hanging up, and takes its exit code if it is there at once: a zombie for the rest of the daemon's life
/// is no harm.
impl Drop for Broker {
    fn drop(&mut self) {
        self.end = None;
        self.child.try_wait().ok();
    }
}
