//! What arrived by the books of a daemon, in the figures of a run.

use super::compare::{AddressReport, BooksReport};
use crate::load::stream::Tally;
use crate::load::summary::Summary;

/// Puts what arrived into the figures of a run, in which all that left counts as such.
pub fn enter(summary: &mut Summary, books: BooksReport) {
    let mut total = Tally::default();
    for port in &mut summary.ports {
        let address = books.addresses.iter().find(|address| address.target == Some(port.address));
        let lost = address.map_or(port.tally.ok, AddressReport::lost).min(port.tally.ok);
        port.tally.ok -= lost;
        port.tally.lost_up += lost;
        total.add(&port.tally);
    }
    summary.total = total;
    // By flow and by time the daemon keeps no books.
    (summary.flows, summary.intervals) = (Vec::new(), None);
    summary.books = Some(books);
}

/// Puts into the figures of a run that nobody knows what arrived, and why.
pub fn unknown(summary: &mut Summary, why: String) {
    let mut total = Tally::default();
    for port in &mut summary.ports {
        port.tally.lost_unknown = port.tally.lost_unknown.saturating_add(std::mem::take(&mut port.tally.ok));
        total.add(&port.tally);
    }
    summary.total = total;
    (summary.flows, summary.intervals) = (Vec::new(), None);
    summary.books = Some(BooksReport { addresses: Vec::new(), doubts: vec![why] });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::summary::Port;

    fn summary() -> Summary {
        let port = |number: u16, ok| Port {
            address: ([127, 0, 0, 1], number).into(),
            tally: Tally { sent: ok, ok, ..Tally::default() },
            icmp: 0,
            from_plan: None,
            histogram: None,
        };
        Summary { planned: 30, ports: vec![port(1, 10), port(2, 20)], ..Summary::default() }
    }

    #[test]
    fn what_nobody_knows_of_is_lost_somewhere() {
        let mut summary = summary();
        unknown(&mut summary, "it does not answer".to_owned());
        let Tally { sent, ok, lost_unknown, .. } = summary.total;
        assert_eq!((sent, ok, lost_unknown, summary.total.accounted()), (30, 0, 30, 30));
        assert_eq!(summary.ports[1].tally.lost_unknown, 20);
        assert_eq!(summary.books.unwrap().doubts, ["it does not answer"]);
    }

    #[test]
    fn what_did_not_arrive_is_lost_on_its_way() {
        let mut summary = summary();
        let address = |number: u16, sent, arrived| AddressReport {
            target: Some(([127, 0, 0, 1], number).into()),
            sent,
            arrived,
            ..AddressReport::default()
        };
        // More than were sent are somebody else's.
        let books =
            BooksReport { addresses: vec![address(1, 10, 7), address(2, 20, 25)], doubts: Vec::new() };
        enter(&mut summary, books);
        let Tally { sent, ok, lost_up, .. } = summary.total;
        assert_eq!((sent, ok, lost_up, summary.total.accounted()), (30, 27, 3, 30));
    }
}
