//! What is needed to tell how the daemon does: since when it runs, how large it is, and when that was told last.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::control::http::family::Process;
use crate::reactor::Clock;

/// The log gets one status in this time, ns: however many signals ask for it, the loop does something else as well.
const EVERY_NS: u64 = 1_000_000_000;

/// What is needed to tell how it goes, made when the daemon begins.
#[derive(Debug)]
pub(super) struct Vitals {
    clock: Clock,
    /// The size of the process, opened before the files of the system are out of reach.
    status: Option<File>,
    /// When the log got the last status, ns; 0 is never.
    told_ns: u64,
}

impl Vitals {
    /// Begins to count the time.
    pub(super) fn begin() -> Self {
        Self { clock: Clock::new(), status: File::open("/proc/self/status").ok(), told_ns: 0 }
    }

    /// Nanoseconds since the beginning.
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.mono_ns()
    }

    /// Seconds since the beginning.
    pub(super) fn uptime_s(&self) -> u64 {
        self.clock.mono_ns() / 1_000_000_000
    }

    /// Whether the log may get a status again; then it is noted that it gets one.
    pub(super) fn may_tell(&mut self) -> bool {
        let now_ns = self.clock.mono_ns();
        let may = self.told_ns == 0 || now_ns.saturating_sub(self.told_ns) >= EVERY_NS;
        if may {
            self.told_ns = now_ns;
        }
        may
    }

    /// The resident set of the process, bytes.
    pub(super) fn memory_bytes(&mut self) -> Option<u64> {
        let status = self.status.as_mut()?;
        let mut text = String::new();
        status.rewind().ok()?;
        status.read_to_string(&mut text).ok()?;
        kibibytes(&text, "VmRSS:")
    }
}

/// What tells of the process, opened before the files of the system are out of reach: another thread reads it while the loop works.
#[derive(Debug)]
pub(super) struct ProcessFiles {
    status: Option<Mutex<File>>,
    start_s: f64,
}

impl ProcessFiles {
    /// Opens it. The process has begun a moment ago, as long as it has worked at least.
    pub(super) fn open() -> Self {
        let status = File::open("/proc/self/status").ok().map(Mutex::new);
        let now_s = Duration::from_nanos(Clock::new().unix_ns()).as_secs_f64();
        Self { status, start_s: now_s - cpu_s() }
    }

    /// What it tells.
    pub(super) fn read(&self) -> Process {
        let mut text = String::new();
        if let Some(status) = &self.status {
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            // What cannot be read is not told.
            status.rewind().and_then(|()| status.read_to_string(&mut text)).map(drop).unwrap_or(());
        }
        let max_fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Process {
            resident_bytes: kibibytes(&text, "VmRSS:"),
            virtual_bytes: kibibytes(&text, "VmSize:"),
            cpu_s: Some(cpu_s()),
            max_fds,
            start_s: Some(self.start_s),
            threads: line(&text, "Threads:").and_then(|number| number.parse().ok()),
        }
    }
}

/// Processor time of the process, seconds.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)).as_secs_f64()
}

/// What stands behind a name in `proc_pid_status(5)`.
fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let kib = line(text, name)?.strip_suffix(" kB")?;
    kib.parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_one_in_a_while() {
        let mut vitals = Vitals::begin();
        assert_eq!((vitals.may_tell(), vitals.may_tell()), (true, false));
        vitals.told_ns = 0;
        assert!(vitals.may_tell());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_is_read_again_and_again() {
        let mut vitals = Vitals::begin();
        for _ in 0..2 {
            let bytes = vitals.memory_bytes().unwrap();
            assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
        }
    }
}
