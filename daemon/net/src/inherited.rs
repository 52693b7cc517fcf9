//! What a service manager has left for this process: sockets that it has bound (`sd_listen_fds(3)`), and where it wants to be told
//! how things go (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
#![expect(unsafe_code, reason = "the environment names descriptors by their numbers, and is to forget them")]

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the environment of this process has said; nothing it starts, and no library in it, finds it there again.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The descriptors that are for this process, close-on-exec by now, in their order.
    pub sockets: Vec<InheritedSocket>,
    /// There are some, but for this other process (`LISTEN_PID`).
    pub for_another: Option<String>,
    /// `NOTIFY_SOCKET`.
    pub notify: Option<OsString>,
    /// After how long without a sign of life the manager gives this process up.
    pub watchdog: Option<Duration>,
}

/// A descriptor that this process was started with. It may be anything.
#[derive(Debug)]
pub struct InheritedSocket {
    /// Its number.
    pub number: RawFd,
    /// Its name in `LISTEN_FDNAMES`; `unknown` where there is no such list.
    pub name: String,
    /// Itself.
    pub fd: OwnedFd,
}

/// The first of them, as the protocol has it.
const FIRST: RawFd = 3;

/// The variables of the protocol; those after the first three are forgotten only.
const LISTEN: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];
const NOTIFY: &str = "NOTIFY_SOCKET";

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes what there is, the first time; later there is nothing. To be called before threads are started: with others beside this
/// one the environment cannot be changed, and stays.
///
/// # Errors
/// `InvalidInput`, with words: a number is none, there are as many names as descriptors not, or a descriptor is not there.
pub fn take_inherited() -> io::Result<Inherited> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Inherited::default());
    }
    let for_another = env::var(LISTEN[0]).ok().filter(|pid| pid.parse() != Ok(process::id()));
    let checked = if for_another.is_some() { Ok(()) } else { are_inherited() };
    // Whatever is wrong with them: they are not for what this process starts.
    let listed = checked.and_then(|()| sd_notify_sockets(for_another.is_some()));
    let notify = env::var_os(NOTIFY).filter(|path| !path.is_empty());
    let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
    if is_alone() {
        for name in LISTEN.into_iter().chain([NOTIFY, "WATCHDOG_PID", "WATCHDOG_USEC"]) {
            // SAFETY: no other thread of this process is there to read the environment meanwhile.
            unsafe { env::remove_var(name) };
        }
    }
    Ok(Inherited { sockets: listed?, for_another, notify, watchdog })
}

fn sd_notify_sockets(none: bool) -> io::Result<Vec<InheritedSocket>> {
    if none {
        return Ok(Vec::new());
    }
    let named = sd_notify::listen_fds_with_names()?;
    let socket = |(number, name)| {
        // SAFETY: `are_inherited` has seen that it is open and that nobody in this process has opened it; the caller comes
        // here once, so nobody else takes it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        InheritedSocket { number, name, fd }
    };
    Ok(named.map(socket).collect())
}

/// Whether every descriptor that the environment counts was there when the program began: what it has opened itself since is
/// close-on-exec, and what `execve(2)` has left is not.
fn are_inherited() -> io::Result<()> {
    if env::var_os(LISTEN[0]).is_none() {
        return Ok(());
    }
    let count = env::var(LISTEN[1]).ok().and_then(|count| count.parse::<u16>().ok());
    let Some(count) = count else {
        return match env::var_os(LISTEN[1]) {
            None => Ok(()),
            Some(_) => Err(wrong("LISTEN_FDS is not a number of descriptors")),
        };
    };
    for number in (FIRST..).take(count.into()) {
        // SAFETY: asks for the flags of a number, which may be none.
        let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
        if flags < 0 || flags & libc::FD_CLOEXEC != 0 {
            return Err(wrong(&format!("LISTEN_FDS counts descriptor {number}, and nobody has given it")));
        }
    }
    Ok(())
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Whether this is the only thread of the process, as far as the system tells.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_manager_there_is_nothing() {
        // The variables are those of whoever runs the tests; threads run beside this one, so they stay.
        let inherited = take_inherited().unwrap();
        assert!(inherited.sockets.is_empty(), "{inherited:?}");
    }
}
