//! Ports: free ones, and a place where those of the default configuration are free.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use crate::launch::Launch;
#[cfg(target_os = "linux")]
use crate::network::Host;

/// Below the range from which Linux (32768), macOS and the BSDs (49152) choose ports for port 0, so that no
/// socket of another test takes one in between.
const SEARCHED: RangeInclusive<u16> = 20_000..=32_000;

/// The first of `count` ports in a row that are free on each of `ips`, searched from `SEARCHED` + `offset`.
/// Tests that run at the same time use different offsets.
#[must_use]
#[track_caller]
pub fn free_range(ips: &[IpAddr], count: u16, offset: u16) -> u16 {
    let mut first = SEARCHED.start() + offset;
    let mut found = 0;
    while found < count {
        let port = first + found;
        assert!(SEARCHED.contains(&port), "no {count} free ports in a row below {}", SEARCHED.end());
        if ips.iter().all(|ip| UdpSocket::bind(SocketAddr::new(*ip, port)).is_ok()) {
            found += 1;
        } else {
            (first, found) = (port + 1, 0);
        }
    }
    first
}

/// Where the ports of the default configuration are free: on Linux on a host of its own, made for the test; elsewhere on
/// this one, held against other test processes of this user until it is dropped.
#[derive(Debug)]
pub struct DefaultPorts {
    #[cfg(target_os = "linux")]
    host: Host,
    #[cfg(not(target_os = "linux"))]
    _lock: std::fs::File,
}

#[cfg(target_os = "linux")]
impl DefaultPorts {
    /// None, and a visible word, where no host can be made.
    #[must_use]
    #[track_caller]
    pub fn take() -> Option<Self> {
        Some(Self { host: Host::alone()? })
    }

    /// `program`, about to be started there.
    #[must_use]
    pub fn launch(&self, program: impl AsRef<OsStr>) -> Launch {
        self.host.launch(program)
    }

    /// Does something there: sockets made there stay there.
    #[track_caller]
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        self.host.inside(body)
    }
}

#[cfg(not(target_os = "linux"))]
impl DefaultPorts {
    /// Waits for other tests that use them.
    #[must_use]
    pub fn take() -> Option<Self> {
        // A file of another user could not be opened; with them, only the ports themselves decide.
        let user = rustix::process::geteuid().as_raw();
        let path = std::env::temp_dir().join(format!("polyport-tests-default-ports.{user}.lock"));
        let lock = std::fs::File::options().append(true).create(true).open(&path);
        let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        lock.lock().expect("a file can be locked");
        Some(Self { _lock: lock })
    }

    /// `program`, about to be started there.
    #[must_use]
    pub fn launch(&self, program: impl AsRef<OsStr>) -> Launch {
        Launch::new(program)
    }

    /// Does something there.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        body()
    }
}
