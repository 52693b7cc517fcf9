//! What the relay counts.

use polyport_plugin::{Counter, Gauge, Setup};

/// Why a datagram of a client got no session, and no other reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No upstream is known, or it cannot be sent to.
    Upstream,
    /// There are as many sessions as may be, here or in the daemon.
    Sessions,
    /// As many began in this second as may.
    Opens,
    /// The ports of the source addresses are used up.
    Port,
    /// No descriptor is left.
    File,
}

/// The counters and gauges of a listener.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    pub(crate) opened: Counter,
    pub(crate) closed_idle: Counter,
    pub(crate) closed_replies: Counter,
    pub(crate) closed_full: Counter,
    pub(crate) closed_broken: Counter,
    pub(crate) failed: Counter,
    pub(crate) moved: Counter,
    refused: [Counter; 5],
    pub(crate) groups: Counter,
    pub(crate) upstream_refused: Counter,
    pub(crate) upstream_unreachable: Counter,
    pub(crate) too_big: Counter,
    pub(crate) upstream_fell: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) unresolved: Gauge,
    pub(crate) upstreams_down: Gauge,
}

/// What goes one way.
#[derive(Debug)]
pub(crate) struct Direction {
    pub(crate) datagrams: Counter,
    pub(crate) bytes: Counter,
}

impl Counters {
    pub(crate) fn new(setup: &mut Setup<'_>) -> Self {
        Self {
            // The cells of the counters that the network has: where nothing happens to datagrams, they are counted here.
            up: Direction {
                datagrams: setup.counter(c"up_datagrams_total", c""),
                bytes: setup.counter(c"up_bytes_total", c""),
            },
            down: Direction {
                datagrams: setup.counter(c"down_datagrams_total", c""),
                bytes: setup.counter(c"down_bytes_total", c""),
            },
            opened: setup.counter(c"opened_total", c"Sessions asked for"),
            closed_idle: setup.counter(c"closed_idle_total", c"Sessions that ended because they were idle"),
            closed_replies: setup
                .counter(c"closed_replies_total", c"Sessions that ended because all was answered"),
            closed_full: setup
                .counter(c"closed_full_total", c"Sessions that ended because another one needed the place"),
            closed_broken: setup.counter(c"closed_broken_total", c"Sessions that ended for another reason"),
            failed: setup.counter(c"failed_total", c"Sessions that could not be made: refused_ says why"),
            moved: setup.counter(
                c"moved_total",
                c"Sessions in place of which another one goes on, to another upstream or by another port",
            ),
            refused: [
                setup.counter(
                    c"refused_upstream_total",
                    c"Datagrams without a session: no upstream is known, or it cannot be sent to",
                ),
                setup.counter(c"refused_sessions_total", c"Datagrams without a session: there are too many"),
                setup.counter(c"refused_opens_total", c"Datagrams without a session: too many begin"),
                setup.counter(c"refused_port_total", c"Datagrams without a session: no port is left"),
                setup.counter(c"refused_file_total", c"Datagrams without a session: no descriptor is left"),
            ],
            groups: setup
                .counter(c"groups_total", c"Datagrams to a group or a broadcast address, which are dropped"),
            upstream_refused: setup
                .counter(c"upstream_refused_total", c"Answers of ICMP that nobody listens there"),
            upstream_unreachable: setup.counter(
                c"upstream_unreachable_total",
                c"Answers of ICMP, or of this host, that there is no way",
            ),
            too_big: setup
                .counter(c"too_big_total", c"Datagrams that are too long for the path and must not be cut"),
            upstream_fell: setup.counter(c"upstream_down_total", c"Times that an upstream went down"),
            sessions: setup.gauge(c"sessions", c"Sessions of clients"),
            unresolved: setup.gauge(c"unresolved", c"Names without an address"),
            upstreams_down: setup.gauge(c"upstreams_down", c"Upstreams that are down"),
        }
    }

    pub(crate) fn refuse(&self, why: Refusal) {
        let [upstream, sessions, opens, port, file] = &self.refused;
        let counter = match why {
            Refusal::Upstream => upstream,
            Refusal::Sessions => sessions,
            Refusal::Opens => opens,
            Refusal::Port => port,
            Refusal::File => file,
        };
        counter.add(1);
    }
}
