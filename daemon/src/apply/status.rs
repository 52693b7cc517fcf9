//! How it goes: what was counted so far and what waits, as lines of the log.
//!
//! Making it costs a look at every address, some milliseconds for 20,000; the log gets one a second at most.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use polyport_terminal::counted;

use super::books::{Books, Sum};
use super::running::Running;
use crate::metrics::{Counters, DropReason};
use crate::reactor::{Held, SessionBook};

/// Addresses that are named because most has come to them.
const BUSIEST: usize = 5;

/// How a daemon does.
struct Status {
    /// Seconds since it began to bind its addresses.
    uptime_s: u64,
    /// It was asked to end.
    ending: bool,
    /// Memory that it has, bytes: the resident set of `proc_pid_status(5)`. None where the system does not tell.
    memory_bytes: Option<u64>,
    /// Listeners of the configuration, and those that are gone.
    listeners: usize,
    /// Addresses that it serves.
    addresses: usize,
    /// What waits, and what is held for handlers.
    held: Held,
    /// All listeners together, with those that are gone.
    total: Sum,
    /// The addresses to which most has come, the busiest first.
    busiest: Vec<Busy>,
}

/// A busy address.
struct Busy {
    /// The name of its listener.
    name: Arc<str>,
    address: SocketAddr,
    /// The name of the plugin that serves it.
    plugin: Arc<str>,
    counters: Counters,
    /// Datagrams that wait to be sent.
    waiting: u64,
}

impl Status {
    /// Looks at everything.
    fn of(running: &mut Running) -> Self {
        let mut books: Books = running.gone.clone();
        let mut busiest: Vec<(u64, usize)> = Vec::new();
        let mut addresses = 0;
        for (number, report) in running.reactor.reports().enumerate() {
            addresses += 1;
            books.add_report(&report);
            if report.counters.received > 0 {
                busiest.push((report.counters.received, number));
            }
        }
        // Those that leave count, until they are among the ones that are gone.
        running.reactor.leaving_in(0..running.reactor.slots()).for_each(|report| books.add_report(&report));
        busiest.sort_unstable_by_key(|(received, number)| (Reverse(*received), *number));
        busiest.truncate(BUSIEST);
        let mut total = Sum::default();
        books.iter().for_each(|(_, sum)| total += sum);
        let reports: BTreeMap<usize, _> = running
            .reactor
            .reports()
            .enumerate()
            .filter(|(n, _)| busiest.iter().any(|b| b.1 == *n))
            .collect();
        let busiest = busiest.iter().filter_map(|(_, number)| reports.get(number)).map(|report| Busy {
            name: Arc::clone(report.name),
            address: report.local,
            plugin: Arc::clone(report.plugin),
            counters: *report.counters,
            waiting: report.waiting,
        });
        Self {
            uptime_s: running.vitals.uptime_s(),
            ending: running.reactor.is_ending(),
            listeners: books.iter().count(),
            addresses,
            held: running.reactor.held(),
            total,
            busiest: busiest.collect(),
            memory_bytes: running.vitals.memory_bytes(),
        }
    }
}

/// The lines of the log, a bounded number.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, Sum { counters, waiting, sessions: (sessions, by_sessions), .. }) =
            (&self.held, &self.total);
        let listeners = counted(self.listeners, "listener", "listeners");
        let served = counted(self.addresses, "address", "addresses");
        let (version, up) = (env!("CARGO_PKG_VERSION"), span(self.uptime_s));
        write!(f, "polyport {version}, up {up}, {listeners} with {served}")?;
        if let Some(bytes) = self.memory_bytes {
            write!(f, ", {} MiB of memory", bytes >> 20)?;
        }
        if self.ending {
            f.write_str("; it ends")?;
        }
        write!(f, "\n{}; kernel drops {}", counters.conservation(*waiting), counters.kernel_drops)?;
        write!(f, "\nbytes received {}, sent {}", counters.received_bytes, counters.sent_bytes)?;
        write!(f, "; handler faults {}, restarts {}", counters.faults, counters.restarts)?;
        write!(f, "\nwaiting: delayed {} ({} bytes)", held.delayed_datagrams, held.delayed_bytes)?;
        write!(f, ", backlogs {} bytes, tickets {}", held.backlog_bytes, held.tickets)?;
        if sessions.opened > 0 {
            let SessionBook { open, opened, counters: Counters { received, sent, .. }, .. } = sessions;
            write!(
                f,
                "\nsessions open {open}, opened {opened}, received {received}, sent {sent}, waiting {by_sessions}"
            )?;
        }
        for Busy { name, address, plugin, counters, waiting } in &self.busiest {
            let dropped: u64 = DropReason::ALL.iter().map(|reason| counters.dropped(*reason)).sum();
            let Counters { received, replied, sent, .. } = counters;
            write!(f, "\nbusiest: listener {name} {address} (plugin {plugin}): received {received}, ")?;
            write!(f, "replied {replied}, sent {sent}, waiting {waiting}, dropped {dropped}")?;
        }
        Ok(())
    }
}

/// A length of time as people say it.
fn span(seconds: u64) -> String {
    let mut text = String::new();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let mut rest = seconds;
    for (unit, name) in units {
        if rest >= unit || !text.is_empty() {
            write!(text, "{}{name} ", rest / unit).unwrap_or(());
            rest %= unit;
        }
    }
    text + &format!("{rest}s")
}

/// Tells the log how it goes, once a second at most.
pub(super) fn tell(running: &mut Running) {
    if running.vitals.may_tell() {
        let status = Status::of(running).to_string();
        status.lines().for_each(|line| log::info!("status: {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_long_as_it_must_be() {
        assert_eq!([0, 59, 60, 3725, 90_061].map(span), ["0s", "59s", "1m 0s", "1h 2m 5s", "1d 1h 1m 1s"]);
    }
}
