//! A program that serves.

use std::net::SocketAddr;
use std::path::Path;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::Client;
use crate::process::Process;
use crate::served::Served;

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    /// The process, for signals and output.
    pub process: Process,
    addresses: Vec<SocketAddr>,
    dir: TempDir,
}

impl Daemon {
    pub(crate) fn new(process: Process, dir: TempDir) -> Self {
        let addresses = addresses(process.stdout());
        Self { process, addresses, dir }
    }

    /// The addresses of its table, in order; of a range the first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A client of the address in row `row` of its table.
    #[must_use]
    #[track_caller]
    pub fn client(&self, row: usize) -> Client {
        Client::of(self.addresses[row])
    }

    /// The directory of its own.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Processor time used so far, in clock ticks of 10 ms: `utime` and `stime` of proc(5).
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.process.pid().as_raw_nonzero());
        let stat = std::fs::read_to_string(&path).expect("a living process has a stat file");
        // The name in parentheses may hold anything; fields are counted from its end.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    }

    /// Bytes of its memory that belong to no file: `RssAnon` of proc(5).
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn anonymous_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(&path).expect("a living process has a status file");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("since Linux 4.5");
        let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        kib.expect("a number of kB") * 1024
    }

    /// Sends SIGHUP, and waits until it has said what has become of it, for the `nth` time. Returns what it said.
    #[track_caller]
    pub fn reload(&mut self, nth: usize) -> String {
        self.process.signal(Signal::HUP);
        self.process.wait_for_stderr_times("loaded: ", nth);
        let stderr = self.process.stderr();
        stderr.lines().rfind(|line| line.contains("loaded: ")).unwrap_or_default().to_owned()
    }

    /// Interrupts it as Ctrl-C does, and fails unless it ends well and everything adds up.
    #[must_use]
    #[track_caller]
    pub fn stop(self) -> Served {
        self.stop_by(Signal::INT)
    }

    /// Ends it by a signal, and fails unless it ends well and everything adds up.
    #[must_use]
    #[track_caller]
    pub fn stop_by(self, signal: Signal) -> Served {
        self.process.signal(signal);
        self.ended()
    }

    /// Waits for its end, for which it was asked, and fails unless it ends well and everything adds up.
    #[must_use]
    #[track_caller]
    pub fn ended(self) -> Served {
        let finished = self.process.finish();
        finished.expect_code(0);
        Served::read(finished)
    }

    /// Kills it without a chance to clean up, and gives back its directory.
    #[must_use]
    pub fn kill(self) -> TempDir {
        self.process.signal(Signal::KILL);
        let finished = self.process.finish();
        assert_eq!(finished.code(), None, "a killed process has no exit code");
        self.dir
    }
}

/// The column of addresses: the first word of a row that is one, without the end of a range.
fn addresses(stdout: &str) -> Vec<SocketAddr> {
    let address = |word: &str| {
        let first = word.rsplit_once(':').and_then(|(_, ports)| ports.split_once('-'));
        let shorter = first.and_then(|(_, last)| word.strip_suffix(last)?.strip_suffix('-'));
        shorter.unwrap_or(word).parse().ok()
    };
    let rows = stdout.lines().skip_while(|line| !line.contains("LISTENER")).take_while(|l| !l.is_empty());
    rows.filter_map(|row| row.split_whitespace().find_map(address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_table() {
        let table = "polyport 0.1.0: 2 listeners\n\n  LISTENER  ADDRESS  HANDLER  TRY\n  \
                     echo  127.0.0.1:10-19  echo  echo hi | nc -u -w1 127.0.0.1 10\n  \
                     [::1]:10  echo hi | nc -u -w1 ::1 10\n\n  echo: 1.2.3.4:5\n";
        let expected: Vec<SocketAddr> = vec!["127.0.0.1:10".parse().unwrap(), "[::1]:10".parse().unwrap()];
        assert_eq!(addresses(table), expected);
    }
}
