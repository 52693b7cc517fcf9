//! What of a log is drawn.

use polyport_protocol::Nanos;

use super::decision::{Decision, Direction};
use super::span::{Offset, after};

/// Clients, directions and a window of time; by default all of the log.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these clients: as the log names them, or an address for all of its ports. Empty: all.
    pub clients: Vec<String>,
    /// Only these directions. Empty: all.
    pub directions: Vec<Direction>,
    /// Not what was before, counted from the first decision of the log.
    pub since: Option<Nanos>,
    /// Not what was then or later.
    pub until: Option<Nanos>,
}

impl Selection {
    /// Whether a decision is about one of the clients and directions.
    #[must_use]
    pub fn takes(&self, decision: &Decision<'_>) -> bool {
        let client =
            self.clients.is_empty() || self.clients.iter().any(|wanted| is_named(decision.client, wanted));
        client && (self.directions.is_empty() || self.directions.contains(&decision.direction))
    }

    /// The window, its end not included.
    #[must_use]
    pub fn window(&self) -> (Offset, Offset) {
        (self.since.map_or(Offset::MIN, after), self.until.map_or(Offset::MAX, after))
    }

    /// Whether a moment is in the window.
    #[must_use]
    pub fn shows(&self, at: Offset) -> bool {
        let (since, until) = self.window();
        since <= at && (at < until || self.until.is_none())
    }
}

/// Whether a client of the log is the wanted one, or has its address.
fn is_named(client: &str, wanted: &str) -> bool {
    let bare = |host: &str| host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).map(str::to_owned);
    let host = client.rsplit_once(':').map(|(host, _)| bare(host).unwrap_or_else(|| host.to_owned()));
    client == wanted || host.is_some_and(|host| host == bare(wanted).unwrap_or_else(|| wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_its_address_with_or_without_a_port() {
        for (client, wanted) in [
            ("192.0.2.1:5000", "192.0.2.1:5000"),
            ("192.0.2.1:5000", "192.0.2.1"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::1]"),
            ("[fe80::1%eth0]:5000", "fe80::1%eth0"),
            ("2001:db8::1", "2001:db8::1"),
            ("shared", "shared"),
        ] {
            assert!(is_named(client, wanted), "{client} {wanted}");
        }
        for (client, wanted) in [
            ("192.0.2.1:5000", "192.0.2.1:500"),
            ("192.0.2.10:5000", "192.0.2.1"),
            ("[2001:db8::1]:5000", "2001:db8::"),
            ("shared", ""),
        ] {
            assert!(!is_named(client, wanted), "{client} {wanted}");
        }
    }

    #[test]
    fn a_window_has_its_beginning_and_not_its_end() {
        let window = Selection { since: Some(5), until: Some(9), ..Selection::default() };
        let shown = [4, 5, 8, 9].map(|at| window.shows(at));
        assert_eq!(shown, [false, true, true, false]);
        let all = Selection::default();
        assert!([Offset::MIN, -1, 0, Offset::MAX].iter().all(|at| all.shows(*at)));
    }
}
