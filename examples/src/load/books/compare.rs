//! What was sent against what arrived, by the books of a daemon from before and after. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use polyport_terminal::Escaped;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::{Books, Counts, Row};

/// What became of datagrams that nobody answers, by the books of the daemon that serves the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BooksReport {
    /// Each address of the daemon that a target led to.
    pub addresses: Vec<AddressReport>,
    /// What of the books does not add up; empty if all does.
    pub doubts: Vec<String>,
}

/// One address: `sent = arrived + lost_in_network + dropped_in_kernel + dropped (all reasons)`, unless the books do not add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressReport {
    /// The listener.
    pub listener: String,
    /// Its address, as the daemon writes it.
    pub bind: String,
    /// The target that led there.
    pub target: Option<SocketAddr>,
    /// Datagrams that left for it.
    pub sent: u64,
    /// Datagrams that the daemon received.
    pub received: u64,
    /// Those of them that its handler got.
    pub arrived: u64,
    /// Datagrams that neither the daemon nor its kernel saw.
    pub lost_in_network: u64,
    /// Datagrams that the kernel dropped because the buffer of the daemon's socket was full.
    pub dropped_in_kernel: u64,
    /// Datagrams that the daemon dropped, by the reason.
    pub dropped: BTreeMap<String, u64>,
}

/// The row of the books that is about each target, in the order of targets.
///
/// # Errors
/// Names a target that no row is about.
pub fn places(targets: &[SocketAddr], books: &Books) -> Result<Vec<usize>, String> {
    let place = |target: &SocketAddr| {
        let fits = |wanted: IpAddr| {
            let wanted = SocketAddr::new(wanted, target.port());
            books.rows.iter().position(|row| row.bind.parse() == Ok(wanted))
        };
        let any = if target.is_ipv4() { [0; 4].into() } else { IpAddr::from([0_u16; 8]) };
        // A socket of all IPv6 addresses may serve those of IPv4 as well.
        fits(target.ip()).or_else(|| fits(any)).or_else(|| fits([0_u16; 8].into())).ok_or_else(|| {
            let some: Vec<String> =
                books.rows.iter().take(5).map(|row| Escaped(row.bind.as_bytes()).to_string()).collect();
            format!("the daemon serves no `{target}`; it serves {}", some.join(", "))
        })
    };
    targets.iter().map(place).collect()
}

/// Compares what was sent to each target with the difference of the books.
///
/// # Errors
/// The books are not of one daemon, or it serves other addresses than before.
pub fn compare(sent: &[(SocketAddr, u64)], before: &Books, after: &Books) -> Result<BooksReport, String> {
    if before.pid != after.pid {
        return Err(format!(
            "the daemon was another one before: process {}, and now {}",
            before.pid, after.pid
        ));
    }
    let targets: Vec<SocketAddr> = sent.iter().map(|(target, _)| *target).collect();
    let mut addresses: BTreeMap<usize, AddressReport> = BTreeMap::new();
    for ((target, sent), place) in sent.iter().zip(places(&targets, before)?) {
        let address = addresses.entry(place).or_default();
        if let Some(other) = address.target.replace(*target) {
            return Err(format!(
                "`{target}` and `{other}` are one address of the daemon, whose books do not tell them apart"
            ));
        }
        address.sent = *sent;
    }
    let mut report = BooksReport::default();
    for (place, address) in addresses {
        let Some(old) = before.rows.get(place) else { continue };
        let same = |row: &&Row| row.bind == old.bind && row.listener == old.listener;
        let now =
            after.rows.iter().find(same).ok_or_else(|| format!("`{}` is not served any more", old.bind))?;
        report.address(&address, old, &now.counts)?;
    }
    Ok(report)
}

impl BooksReport {
    fn address(&mut self, sent: &AddressReport, old: &Row, now: &Counts) -> Result<(), String> {
        let (then, bind) = (&old.counts, Escaped(old.bind.as_bytes()).to_string());
        let grown = |now: u64, then: u64| {
            now.checked_sub(then)
                .ok_or_else(|| format!("`{bind}` counts less than before: it was begun anew meanwhile"))
        };
        let received = grown(now.received, then.received)?;
        let dropped_in_kernel = grown(now.kernel_drops, then.kernel_drops)?;
        let mut dropped = BTreeMap::new();
        for (reason, count) in &now.dropped_in {
            let more = grown(*count, then.dropped_in.get(reason).copied().unwrap_or(0))?;
            if more > 0 {
                dropped.insert(reason.clone(), more);
            }
        }
        let in_daemon = dropped.values().sum::<u64>();
        let mut inside = grown(now.replied, then.replied)? + grown(now.consumed, then.consumed)? + in_daemon;
        // What was kept may have been given to a handler meanwhile.
        inside = (inside + now.kept).saturating_sub(then.kept);
        if inside != received {
            self.doubts
                .push(format!("`{bind}`: received {received}, and of {inside} is said what became of them"));
        }
        let seen = received.saturating_add(dropped_in_kernel);
        if seen > sent.sent {
            self.doubts.push(format!(
                "`{bind}`: {} were sent, and {seen} came: somebody else sends there, or the network makes copies, and as many may be lost \
                 without being missed",
                sent.sent
            ));
        }
        self.addresses.push(AddressReport {
            listener: old.listener.clone(),
            bind: old.bind.clone(),
            received,
            arrived: received.saturating_sub(in_daemon),
            lost_in_network: sent.sent.saturating_sub(seen),
            dropped_in_kernel,
            dropped,
            target: sent.target,
            sent: sent.sent,
        });
        Ok(())
    }
}

impl AddressReport {
    /// Datagrams that did not get to a handler, of those sent.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.arrived)
    }

    /// The line of the summary screen.
    #[must_use]
    pub fn line(&self) -> String {
        let mut dropped = String::new();
        for (reason, count) in &self.dropped {
            dropped.push_str(&format!(", {} {count}", Escaped(reason.as_bytes())));
        }
        format!(
            " books   {} {}: sent {}, received {}, arrived {}; lost in the network {}, in its kernel {}{dropped}",
            Escaped(self.listener.as_bytes()),
            Escaped(self.bind.as_bytes()),
            self.sent,
            self.received,
            self.arrived,
            self.lost_in_network,
            self.dropped_in_kernel
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bind: &str, received: u64) -> Row {
        let counts = Counts { received, consumed: received, ..Counts::default() };
        Row { listener: "ears".to_owned(), bind: bind.to_owned(), counts }
    }

    fn books(rows: Vec<Row>) -> Books {
        Books { pid: 1, rows }
    }

    fn target(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_loss_is_where_it_was() {
        let before = books(vec![row("127.0.0.1:7", 50), row("[::]:8", 1)]);
        let mut after = before.clone();
        after.rows[0].counts = Counts {
            received: 140,
            consumed: 130,
            replied: 0,
            kept: 0,
            kernel_drops: 6,
            dropped_in: [("source_denied".to_owned(), 10)].into(),
        };
        after.rows[1] = row("[::]:8", 41);
        let sent = [(target("127.0.0.1:7"), 100), (target("127.0.0.1:8"), 40)];
        let report = compare(&sent, &before, &after).unwrap();
        let [first, second] = report.addresses.as_slice() else { panic!("{report:?}") };
        assert_eq!(
            (first.received, first.arrived, first.lost_in_network, first.dropped_in_kernel),
            (90, 80, 4, 6)
        );
        assert_eq!((first.dropped["source_denied"], first.lost()), (10, 20));
        assert_eq!(
            (second.sent, second.received, second.lost(), second.target),
            (40, 40, 0, Some(sent[1].0))
        );
        let both = compare(&[sent[1], (target("[::1]:8"), 1)], &before, &after).unwrap_err();
        assert!(both.contains("`[::1]:8` and `127.0.0.1:8` are one address"), "{both}");
        assert_eq!(report.doubts.len(), 0);
        assert_eq!(
            first.line(),
            " books   ears 127.0.0.1:7: sent 100, received 90, arrived 80; lost in the network 4, in its kernel 6, source_denied 10"
        );
    }

    #[test]
    fn books_that_do_not_add_up_are_doubted_or_refused() {
        let before = books(vec![row("127.0.0.1:7", 50)]);
        let sent = [(target("127.0.0.1:7"), 10)];
        let with = |change: fn(&mut Books)| {
            let mut after = before.clone();
            after.rows[0] = row("127.0.0.1:7", 60);
            change(&mut after);
            compare(&sent, &before, &after)
        };
        assert!(with(|_| ()).unwrap().doubts.is_empty());
        let doubts = with(|after| after.rows[0].counts.consumed -= 1).unwrap().doubts;
        assert!(doubts[0].contains("received 10, and of 9 is said"), "{doubts:?}");
        let doubts = with(|after| after.rows[0] = row("127.0.0.1:7", 63)).unwrap().doubts;
        assert!(doubts[0].contains("10 were sent, and 13 came"), "{doubts:?}");
        assert!(with(|after| after.pid = 2).unwrap_err().contains("another one"));
        assert!(with(|after| after.rows[0].counts.received = 9).unwrap_err().contains("begun anew"));
        assert!(with(|after| after.rows.clear()).unwrap_err().contains("not served any more"));
        let unknown = compare(&[(target("127.0.0.1:9"), 1)], &before, &before).unwrap_err();
        assert!(unknown.contains("serves no `127.0.0.1:9`; it serves 127.0.0.1:7"), "{unknown}");
    }
}
