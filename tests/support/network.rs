//! Hosts made for a test, and removed with it: network namespaces, two on one wire or one alone.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::launch::Launch;
use crate::tool::{skip, tool};

/// Both have the interface [`WIRE`], two IPv4 and two IPv6 addresses on it, and a route to all groups.
///
/// | host | IPv4 | IPv6 |
/// |---|---|---|
/// | `here` | 10.77.0.1, 10.77.0.3 | `fd77::1`, `fd77::3` |
/// | `there` | 10.77.0.2, 10.77.0.4 | `fd77::2`, `fd77::4` |
#[derive(Debug)]
pub struct Network {
    /// Where daemons run.
    pub here: Host,
    /// Where clients are.
    pub there: Host,
}

/// A host, which is a network namespace. Dropping it removes it.
#[derive(Debug)]
pub struct Host {
    ip: PathBuf,
    name: String,
}

/// The name of the interface on each end.
pub const WIRE: &str = "eth0";

impl Network {
    /// Makes the hosts; none, and a visible word, where that is not permitted.
    #[must_use]
    #[track_caller]
    pub fn new() -> Option<Self> {
        let (here, there) = (Host::alone()?, Host::alone()?);
        here.wire(WIRE, &there, WIRE);
        for (host, addresses) in [(&here, [1, 3]), (&there, [2, 4])] {
            host.ip(&["link", "set", WIRE, "up"]);
            for number in addresses {
                host.ip(&["address", "add", &format!("10.77.0.{number}/24"), "brd", "+", "dev", WIRE]);
                host.ip(&["address", "add", &format!("fd77::{number}/64"), "dev", WIRE, "nodad"]);
            }
            host.ip(&["route", "add", "224.0.0.0/4", "dev", WIRE]);
        }
        Some(Self { here, there })
    }
}

impl Host {
    /// A host with loopback and nothing else: every port is free there, and no address can be reached. None, and a
    /// visible word, where that is not permitted.
    #[must_use]
    #[track_caller]
    pub fn alone() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let ip = tool("ip")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("polyport-{}-{number}", std::process::id());
        let output = Command::new(&ip).args(["netns", "add", &name]).output().expect("ip(8) can be started");
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            skip(&format!("no network namespace can be made here: {}", why.trim()));
            return None;
        }
        let host = Self { ip, name };
        host.ip(&["link", "set", "lo", "up"]);
        Some(host)
    }

    /// The name of its network namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `program`, about to be started on this host.
    #[must_use]
    pub fn launch(&self, program: impl AsRef<OsStr>) -> Launch {
        // The process of ip(8) becomes the program: signals and exit codes are the program's own.
        Launch::new(&self.ip).arg("netns").arg("exec").arg(&self.name).arg(program)
    }

    /// Does something on this host: sockets made there stay there.
    #[track_caller]
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // A namespace belongs to a thread, and this one ends with the call.
        let result = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("who made a namespace may enter it");
                body()
            });
            thread.join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Lays a wire to another host, between interfaces that get these names.
    #[track_caller]
    pub fn wire(&self, name: &str, other: &Self, other_name: &str) {
        self.ip(&["link", "add", name, "type", "veth", "peer", "name", other_name, "netns", &other.name]);
    }

    /// Runs `ip ARGS` on this host.
    #[track_caller]
    pub fn ip(&self, args: &[&str]) {
        let output = Command::new(&self.ip).args(["-n", &self.name]).args(args).output();
        let output = output.expect("ip(8) can be started");
        assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `ip ARGS` on this host; false if that is refused.
    #[must_use]
    #[track_caller]
    pub fn try_ip(&self, args: &[&str]) -> bool {
        let output = Command::new(&self.ip).args(["-n", &self.name]).args(args).output();
        output.expect("ip(8) can be started").status.success()
    }

    /// Runs `tc ARGS` on this host; false without that tool.
    #[must_use]
    #[track_caller]
    pub fn tc(&self, args: &[&str]) -> bool {
        let Some(tc) = tool("tc") else { return false };
        let output = Command::new(tc).args(["-n", &self.name]).args(args).output();
        let output = output.expect("tc(8) can be started");
        assert!(output.status.success(), "tc {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        true
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Also while a panic unwinds, where another one must not start.
        Command::new(&self.ip).args(["netns", "del", &self.name]).status().ok();
    }
}
