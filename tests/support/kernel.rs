//! What the kernel counted itself, from proc(5): receive queues and their drops, counters of UDP.

use std::fs;

use crate::daemon::Daemon;
use crate::wait;

/// The receive queue of a UDP socket: a line of `/proc/PID/net/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpQueue {
    /// Bytes of memory that datagrams in it take; 0 when it is empty.
    pub waiting: u64,
    /// Datagrams that did not fit, or had a bad checksum, since the socket was made.
    pub drops: u64,
}

/// The queue of the IPv4 socket with a local port, in the network of a process: a pid, or `self`.
#[must_use]
#[track_caller]
pub fn udp_queue(process: &str, port: u16) -> UdpQueue {
    let path = format!("/proc/{process}/net/udp");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let suffix = format!(":{port:04X}");
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.skip(1).find(|fields| fields.get(1).is_some_and(|local| local.ends_with(&suffix)));
    let row = row.unwrap_or_else(|| panic!("no socket with port {port} in {path}"));
    let (_, waiting) = row[4].split_once(':').expect("tx_queue:rx_queue");
    let waiting = u64::from_str_radix(waiting, 16).expect("a hexadecimal number");
    UdpQueue { waiting, drops: row[12].parse().expect("a number of drops") }
}

/// Bytes of memory that all datagrams take which wait in IPv4 sockets of the network of a process.
#[must_use]
#[track_caller]
pub fn udp_waiting(process: &str) -> u64 {
    let path = format!("/proc/{process}/net/udp");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let queues = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(4)?.split_once(':'));
    queues.map(|(_, waiting)| u64::from_str_radix(waiting, 16).expect("a hexadecimal number")).sum()
}

/// Whether a process waits for something, as `/proc/PID/stat` says.
#[must_use]
#[track_caller]
pub fn is_asleep(process: &str) -> bool {
    sleeps(&fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives"))
}

/// A number of `/proc/PID/net/snmp`, as `Udp` and `InCsumErrors`.
#[must_use]
#[track_caller]
pub fn snmp(process: &str, protocol: &str, name: &str) -> u64 {
    let path = format!("/proc/{process}/net/snmp");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
    let (_, number) = pairs.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {path}"));
    number.parse().expect("a number")
}

/// Datagrams that the processes of a network have received so far, over both families: `Udp` and `Udp6`, `InDatagrams`.
#[must_use]
#[track_caller]
pub fn received(process: &str) -> u64 {
    let path = format!("/proc/{process}/net/snmp6");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let number = table.lines().find_map(|line| line.strip_prefix("Udp6InDatagrams"));
    let number = number.unwrap_or_else(|| panic!("no Udp6InDatagrams in {path}"));
    snmp(process, "Udp", "InDatagrams") + number.trim().parse::<u64>().expect("a number")
}

/// Datagrams that the loopback interface lost before any socket saw them.
#[must_use]
pub fn lost_on_loopback() -> u64 {
    let text = fs::read_to_string("/sys/class/net/lo/statistics/rx_dropped").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

impl Daemon {
    /// Its process id, as a name in `/proc`.
    #[must_use]
    pub fn pid(&self) -> String {
        self.process.pid().as_raw_nonzero().to_string()
    }

    /// The receive queue of its IPv4 socket in row `row` of its table.
    #[must_use]
    #[track_caller]
    pub fn queue(&self, row: usize) -> UdpQueue {
        udp_queue(&self.pid(), self.addresses()[row].port())
    }

    /// Returns when it has taken everything out of that queue.
    #[track_caller]
    pub fn wait_until_drained(&self, row: usize) {
        wait::until("an empty receive queue", || self.queue(row).waiting == 0);
    }

    /// Whether it waits for something, as `/proc/PID/stat` says.
    #[must_use]
    #[track_caller]
    pub fn is_asleep(&self) -> bool {
        is_asleep(&self.pid())
    }

    /// Whether each of its threads waits for something: then each has begun.
    #[must_use]
    #[track_caller]
    pub fn is_asleep_as_a_whole(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it lives");
        // A thread that ends meanwhile is not one that waits.
        tasks
            .flatten()
            .all(|task| fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| sleeps(&stat)))
    }

    /// Memory it occupies, KiB: `VmRSS` of `/proc/PID/status`.
    #[must_use]
    #[track_caller]
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it lives");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process with memory");
        line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    }
}

fn sleeps(stat: &str) -> bool {
    // The name in parentheses may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
}
