//! Telling a service manager how things go (`sd_notify(3)`): serving, reloading, ending, and that the loop turns.
//!
//! Nothing here waits for the manager. What its socket does not take at once is sent again later, in order.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use polyport_terminal::{Waker, aside};
use rustix::time::{ClockId, clock_gettime};

/// Messages that wait for room in the manager's socket: more than a start, a reload and an end have together. Then the oldest
/// goes.
const MOST_WAITING: usize = 16;
/// How often what waits is sent again, at least.
const AGAIN: Duration = Duration::from_secs(1);
/// A sign of life comes no more often than this, however short the time is that a manager names.
const SHORTEST: Duration = Duration::from_millis(10);

/// The way to the manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    to: Option<Manager>,
    /// Signs of life are wanted this often.
    every: Option<Duration>,
    /// It is time for one, or for what waits.
    due: Arc<AtomicBool>,
    /// Another process tells how things go.
    is_silent: Cell<bool>,
    /// Ends the thread that says when it is time.
    pulse: OnceCell<Sender<()>>,
}

#[derive(Debug)]
struct Manager {
    address: SocketAddr,
    socket: UnixDatagram,
    is_connected: Cell<bool>,
    /// What it did not take was told.
    has_warned: Cell<bool>,
    waiting: RefCell<VecDeque<String>>,
}

impl Notifier {
    /// To `socket`, as `NOTIFY_SOCKET` has it. Signs of life are sent at half of `watchdog`. That it cannot be had is told once.
    pub(super) fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let Some(name) = socket else { return Self::default() };
        match Manager::at(name) {
            Ok(manager) => {
                let every = watchdog.map(|time| (time / 2).max(SHORTEST));
                Self { to: Some(manager), every, ..Self::default() }
            }
            Err(error) => {
                log::warn!("the service manager is not told how things go: NOTIFY_SOCKET: {error}");
                Self::default()
            }
        }
    }

    /// From now on [`Self::attend`] is to be called whenever `waker` has woken the loop: the thread that loop runs on sends the signs
    /// of life itself, so there are none while it is in a handler that does not return.
    ///
    /// # Errors
    /// Those of `pthread_create(3)`.
    pub(super) fn start(&self, waker: impl FnOnce() -> io::Result<Waker>) -> io::Result<()> {
        if self.to.is_none() {
            return Ok(());
        }
        let (pulse, ended) = mpsc::channel::<()>();
        let (mut waker, due) = (waker()?, Arc::clone(&self.due));
        let every = self.every.unwrap_or(AGAIN).min(AGAIN);
        aside("notify", move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                due.store(true, Ordering::Relaxed);
                waker.wake();
            }
        })?;
        self.pulse.set(pulse).unwrap_or(());
        Ok(())
    }

    /// The loop turns.
    pub(super) fn attend(&self) {
        let Some(manager) = &self.to else { return };
        if self.due.swap(false, Ordering::Relaxed) {
            manager.send_waiting();
            if self.every.is_some() && !self.is_silent.get() {
                manager.send_once("WATCHDOG=1\n");
            }
        }
    }

    /// All of `scope` is served, for the first time or after a reload. `more` stands behind it.
    pub(super) fn ready(&self, scope: &str, more: &str) {
        self.tell(|| format!("READY=1\nSTATUS=serving {scope}{more}\n"));
    }

    /// As [`Self::ready`], of a process that has taken over from the one that the manager knows.
    pub(super) fn ready_instead(&self, scope: &str) {
        let pid = std::process::id();
        self.tell(|| format!("READY=1\nMAINPID={pid}\nSTATUS=serving {scope}\n"));
    }

    /// Another process has taken over: it is the one to watch, and nothing more is told from here. The manager may listen to this
    /// one only, so this one says it.
    pub(super) fn hand_over(&self, pid: Option<u32>) {
        if let Some(pid) = pid {
            self.tell(|| format!("MAINPID={pid}\n"));
        }
        self.is_silent.set(true);
    }

    /// A reload has begun.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        self.tell(|| {
            let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            format!("RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=reading the configuration again\n")
        });
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.tell(|| "STOPPING=1\nSTATUS=ending: what is due is still sent\n".to_owned());
    }

    fn tell(&self, message: impl FnOnce() -> String) {
        let Some(manager) = self.to.as_ref().filter(|_| !self.is_silent.get()) else { return };
        let mut waiting = manager.waiting.borrow_mut();
        if waiting.len() == MOST_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(message());
        drop(waiting);
        manager.send_waiting();
    }
}

impl Manager {
    fn at(name: &OsStr) -> io::Result<Self> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let manager = Self {
            address,
            socket,
            is_connected: Cell::default(),
            has_warned: Cell::default(),
            waiting: RefCell::default(),
        };
        // Early: when rights are given up, the way there may be closed.
        match manager.connect() {
            Ok(()) => Ok(manager),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", name.display()))),
        }
    }

    fn connect(&self) -> io::Result<()> {
        self.socket.connect_addr(&self.address)?;
        self.is_connected.set(true);
        Ok(())
    }

    /// What could not be sent stays, as long as there may be room later.
    fn send_waiting(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(message) = waiting.front() {
            if !self.send_once(message) {
                break;
            }
            waiting.pop_front();
        }
    }

    /// Whether the manager has it.
    fn send_once(&self, message: &str) -> bool {
        let sent = if self.is_connected.get() { Ok(()) } else { self.connect() };
        let Err(error) = sent.and_then(|()| self.socket.send(message.as_bytes())) else { return true };
        if error.kind() != io::ErrorKind::WouldBlock {
            // A manager that begins again has another socket at the same place.
            self.is_connected.set(false);
        }
        if !self.has_warned.replace(true) {
            log::warn!(
                "the service manager does not take what it is told (NOTIFY_SOCKET): {error}; it is tried again"
            );
        }
        false
    }
}

/// The address that a value of `NOTIFY_SOCKET` means: a path, or with `@` a name that is in no file system.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'/', _)) => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is neither an absolute path nor `@` and a name, the only ones that are supported",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn pair() -> (tempfile::TempDir, UnixDatagram, Notifier) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str()), Some(Duration::from_secs(2)));
        (dir, manager, notifier)
    }

    #[test]
    fn what_finds_no_room_comes_later_and_in_order_and_nobody_waits() {
        let (_dir, manager, notifier) = pair();
        let way = notifier.to.as_ref().unwrap();
        while way.send_once("x") {}
        notifier.reloading();
        notifier.ready("2 listeners", "");
        assert!(way.has_warned.get());
        let mut buffer = [0; 16];
        while manager.recv(&mut buffer).is_ok_and(|length| length == 1) {}
        notifier.due.store(true, Ordering::Relaxed);
        notifier.attend();
        assert!(received(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        assert_eq!(received(&manager), "READY=1\nSTATUS=serving 2 listeners\n");
        assert_eq!(received(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn a_sign_of_life_is_sent_when_it_is_time_and_only_then() {
        let (_dir, manager, notifier) = pair();
        notifier.attend();
        assert_eq!(manager.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_manager_that_is_not_there_costs_nothing_but_what_waits_is_bounded() {
        let nowhere = Notifier::new(Some(OsStr::new("/nowhere/notify")), None);
        nowhere.ready("nothing", "");
        assert!(nowhere.to.is_none());
        let (dir, manager, notifier) = pair();
        drop(manager);
        std::fs::remove_file(dir.path().join("notify")).unwrap();
        for _ in 0..2 * MOST_WAITING {
            notifier.stopping();
        }
        assert_eq!(notifier.to.as_ref().unwrap().waiting.borrow().len(), MOST_WAITING);
        // It begins again at the same place.
        let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notifier.ready("all", "");
        assert!(received(&manager).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn names_are_paths_or_abstract() {
        assert!(address(OsStr::new("/run/notify")).unwrap().as_pathname().is_some());
        assert!(address(OsStr::new("vsock:2:1")).is_err() && address(OsStr::new("")).is_err());
        #[cfg(target_os = "linux")]
        assert!(address(OsStr::new("@polyport")).unwrap().as_pathname().is_none());
    }
}
