//! What was sent against what arrived, by the books of a daemon from before and after. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use polyport_protocol::SECOND;
use polyport_terminal::Escaped;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::{Asked, Books, Row, SERVING};

/// What `uptime_s` may be too low by, seconds: it has no fractions.
const SLACK: u64 = 2;

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
    // Of two rows with one address the first one counts, so it goes in last.
    let rows = books.rows.iter().enumerate().rev();
    let places: HashMap<SocketAddr, usize> =
        rows.filter_map(|(place, row)| Some((row.bind.parse().ok()?, place))).collect();
    let place = |target: &SocketAddr| {
        let ip = target.ip().to_canonical();
        // A socket of the daemon has one family: that of all addresses of IPv6 hears no IPv4.
        let any = if ip.is_ipv4() { [0; 4].into() } else { IpAddr::from([0_u16; 8]) };
        // The target itself may have a zone, without which a link-local address is another one.
        let fitting = [*target, SocketAddr::new(ip, target.port()), SocketAddr::new(any, target.port())];
        fitting.iter().find_map(|address| places.get(address).copied()).ok_or_else(|| {
            let some: Vec<String> =
                books.rows.iter().take(5).map(|row| Escaped(row.bind.as_bytes()).to_string()).collect();
            format!("the daemon serves no `{target}`; it serves {}", some.join(", "))
        })
    };
    targets.iter().map(place).collect()
}

/// Whether each target is served.
///
/// # Errors
/// Names a target that no row is about, or an address whose handler gets nothing now.
pub fn served(targets: &[SocketAddr], books: &Books) -> Result<(), String> {
    let rows = places(targets, books)?.into_iter().filter_map(|place| books.rows.get(place));
    match rows.into_iter().find(|row| row.state != SERVING) {
        None => Ok(()),
        Some(row) => Err(format!(
            "`{}` of listener `{}` is {}, not {SERVING}: what comes there gets to no handler; see `polyport status`",
            Escaped(row.bind.as_bytes()),
            Escaped(row.listener.as_bytes()),
            Escaped(row.state.as_bytes())
        )),
    }
}

/// Compares what was sent to each target with the difference of the books.
///
/// # Errors
/// The books are not of one daemon, or it serves other addresses than before.
pub fn compare(sent: &[(SocketAddr, u64)], asked: &Asked, again: &Asked) -> Result<BooksReport, String> {
    let (before, after) = (&asked.books, &again.books);
    if before.pid != after.pid {
        return Err(format!(
            "the daemon was another one before: process {}, and now {}",
            before.pid, after.pid
        ));
    }
    let elapsed = again.begun.saturating_sub(asked.ended) / SECOND;
    if after.uptime_s.saturating_add(SLACK) < before.uptime_s.saturating_add(elapsed) {
        return Err(format!(
            "the daemon was another one before, of the same process number: it served for {} s then, and for {} s {elapsed} s later",
            before.uptime_s, after.uptime_s
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
    let rows: HashMap<_, &Row> = after.rows.iter().rev().map(|row| (row.key(), row)).collect();
    let mut report = BooksReport::default();
    for (place, address) in addresses {
        let Some(old) = before.rows.get(place) else { continue };
        let now = rows
            .get(&old.key())
            .ok_or_else(|| format!("`{}` is not served any more", Escaped(old.bind.as_bytes())))?;
        report.address(&address, old, now)?;
    }
    Ok(report)
}

impl BooksReport {
    fn address(&mut self, sent: &AddressReport, old: &Row, row: &Row) -> Result<(), String> {
        let (then, now, bind) = (&old.counts, &row.counts, Escaped(old.bind.as_bytes()).to_string());
        let grown = |now: u64, then: u64| {
            now.checked_sub(then)
                .ok_or_else(|| format!("`{bind}` counts less than before: it was begun anew meanwhile"))
        };
        let sum = |parts: &[u64]| {
            let all = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
            all.ok_or_else(|| format!("`{bind}`: its counts are beyond what can be counted"))
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
        let in_daemon = sum(&dropped.values().copied().collect::<Vec<_>>())?;
        let handled = [grown(now.replied, then.replied)?, grown(now.consumed, then.consumed)?];
        // What was kept may have been given to a handler meanwhile.
        let inside = sum(&[handled[0], handled[1], in_daemon, now.kept])?.saturating_sub(then.kept);
        if row.state != SERVING {
            let state = Escaped(row.state.as_bytes());
            self.doubts.push(format!("`{bind}` is {state} now: what waits in its socket is counted nowhere"));
        }
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

impl Row {
    /// What an address is known by.
    const fn key(&self) -> (&str, &str) {
        (self.listener.as_str(), self.bind.as_str())
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
    use super::super::control::Counts;
    use super::*;

    fn row(bind: &str, received: u64) -> Row {
        let counts = Counts { received, consumed: received, ..Counts::default() };
        Row { listener: "ears".to_owned(), bind: bind.to_owned(), state: SERVING.to_owned(), counts }
    }

    /// Asked at once, of a daemon that has just begun.
    fn asked(rows: Vec<Row>) -> Asked {
        Asked { begun: 0, ended: 0, books: Books { pid: 1, uptime_s: 0, rows } }
    }

    fn target(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_loss_is_where_it_was() {
        let before = asked(vec![row("127.0.0.1:7", 50), row("0.0.0.0:8", 1)]);
        let mut after = before.clone();
        after.books.rows[0].counts = Counts {
            received: 140,
            consumed: 130,
            replied: 0,
            kept: 0,
            kernel_drops: 6,
            dropped_in: [("source_denied".to_owned(), 10)].into(),
        };
        after.books.rows[1] = row("0.0.0.0:8", 41);
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
        let both = compare(&[sent[1], (target("127.0.0.2:8"), 1)], &before, &after).unwrap_err();
        assert!(both.contains("`127.0.0.2:8` and `127.0.0.1:8` are one address"), "{both}");
        assert_eq!(report.doubts.len(), 0);
        assert_eq!(
            first.line(),
            " books   ears 127.0.0.1:7: sent 100, received 90, arrived 80; lost in the network 4, in its kernel 6, source_denied 10"
        );
    }

    #[test]
    fn books_that_do_not_add_up_are_doubted_or_refused() {
        let before = asked(vec![row("127.0.0.1:7", 50)]);
        let sent = [(target("127.0.0.1:7"), 10)];
        let with = |change: fn(&mut Books)| {
            let mut after = before.clone();
            after.books.rows[0] = row("127.0.0.1:7", 60);
            change(&mut after.books);
            compare(&sent, &before, &after)
        };
        assert!(with(|_| ()).unwrap().doubts.is_empty());
        let doubts = with(|after| after.rows[0].counts.consumed -= 1).unwrap().doubts;
        assert!(doubts[0].contains("received 10, and of 9 is said"), "{doubts:?}");
        let doubts = with(|after| after.rows[0] = row("127.0.0.1:7", 63)).unwrap().doubts;
        assert!(doubts[0].contains("10 were sent, and 13 came"), "{doubts:?}");
        let doubts = with(|after| after.rows[0].state = "draining".to_owned()).unwrap().doubts;
        assert!(doubts[0].contains("`127.0.0.1:7` is draining now"), "{doubts:?}");
        assert!(with(|after| after.pid = 2).unwrap_err().contains("another one"));
        assert!(with(|after| after.rows[0].counts.received = 9).unwrap_err().contains("begun anew"));
        assert!(with(|after| after.rows.clear()).unwrap_err().contains("not served any more"));
        let beyond = with(|after| after.rows[0].counts.kept = u64::MAX).unwrap_err();
        assert!(beyond.contains("beyond what can be counted"), "{beyond}");
        let most = [("a".to_owned(), u64::MAX), ("b".to_owned(), 1)];
        let mut after = before.clone();
        after.books.rows[0].counts.dropped_in = most.into();
        assert!(compare(&sent, &before, &after).unwrap_err().contains("beyond what can be counted"));
        let unknown = compare(&[(target("127.0.0.1:9"), 1)], &before, &before).unwrap_err();
        assert!(unknown.contains("serves no `127.0.0.1:9`; it serves 127.0.0.1:7"), "{unknown}");
    }

    /// The first process of a container has the number 1, and so has the next first one.
    #[test]
    fn a_daemon_that_began_anew_is_another_one() {
        let sent = [(target("127.0.0.1:7"), 0)];
        let at = |second: u64, uptime_s| {
            let mut asked = asked(vec![row("127.0.0.1:7", 0)]);
            (asked.begun, asked.ended, asked.books.uptime_s) = (second * SECOND, second * SECOND, uptime_s);
            asked
        };
        let before = at(100, 20);
        for uptime_s in [28, 30, 31] {
            compare(&sent, &before, &at(110, uptime_s)).unwrap();
        }
        for uptime_s in [0, 9, 27] {
            let error = compare(&sent, &before, &at(110, uptime_s)).unwrap_err();
            assert!(error.contains("another one before"), "{error}");
        }
    }

    #[test]
    fn a_target_that_nobody_serves_now_is_refused_with_its_state() {
        for state in ["paused", "draining", "down", "failed"] {
            let mut books = asked(vec![row("127.0.0.1:7", 0), row("127.0.0.1:8", 0)]).books;
            books.rows[1].state = state.to_owned();
            served(&[target("127.0.0.1:7")], &books).unwrap();
            let error = served(&[target("127.0.0.1:7"), target("127.0.0.1:8")], &books).unwrap_err();
            assert!(error.contains(&format!("`127.0.0.1:8` of listener `ears` is {state}")), "{error}");
        }
    }

    #[test]
    fn a_target_is_found_by_its_address_and_zone_and_by_sockets_of_its_family() {
        let rows = ["[::]:7", "[fe80::1%2]:9", "[fe80::1%3]:9", "0.0.0.0:8", "[::]:8", "[::1]:8"];
        let books = asked(rows.map(|bind| row(bind, 0)).into()).books;
        for (text, bind) in [
            ("[::1]:7", "[::]:7"),
            ("[fe80::1%3]:7", "[::]:7"),
            ("[fe80::1%3]:9", "[fe80::1%3]:9"),
            ("[fe80::1%2]:9", "[fe80::1%2]:9"),
            ("127.0.0.1:8", "0.0.0.0:8"),
            ("[::ffff:127.0.0.1]:8", "0.0.0.0:8"),
            ("[::1]:8", "[::1]:8"),
            ("[::2]:8", "[::]:8"),
        ] {
            let place = places(&[target(text)], &books).unwrap()[0];
            assert_eq!(books.rows[place].bind, bind, "{text}");
        }
        for text in ["127.0.0.1:7", "[fe80::1%4]:9", "[::ffff:127.0.0.1]:7"] {
            places(&[target(text)], &books).expect_err(text);
        }
    }
}
