//! What the responder counts.

use std::ffi::CString;

use polyport_plugin::{Counter, Gauge, Setup};
use polyport_protocol::DecodeError;

use crate::cache::Tally;

macro_rules! counters {
    ($($field:ident: $help:literal;)*) => {
        /// One counter an event, each named as its field with `_total` behind. Frames with flag W count as
        /// `warm_up` only ([P-14]), unless they are malformed or meet a limit.
        #[derive(Debug)]
        pub struct Counters {
            $(#[doc = $help] pub $field: Counter,)*
            malformed: [Counter; DecodeError::ALL.len()],
            cache_entries: Gauge,
            cache_bytes: Gauge,
            streams: Gauge,
        }

        impl Counters {
            /// Asks the host for all of them.
            pub fn new(setup: &mut Setup<'_>) -> Self {
                Self {
                    $($field: counter(setup, concat!(stringify!($field), "_total"), $help),)*
                    malformed: DecodeError::ALL.map(|class| {
                        let name = format!("malformed_{}_total", class.name());
                        counter(setup, &name, "Datagrams of this class of SPEC.md section 6")
                    }),
                    cache_entries: setup.gauge(c"cache_entries", c"Replies kept"),
                    cache_bytes: setup.gauge(c"cache_bytes", c"Bytes of payload of the replies kept"),
                    streams: setup.gauge(c"streams", c"Streams with statistics"),
                }
            }
        }
    };
}

counters! {
    requests: "REQUEST frames";
    probes: "PROBE frames";
    events: "EVENT frames";
    warm_up: "REQUEST, PROBE and EVENT frames with flag W";
    responses: "RESPONSE frames sent";
    probe_acks: "`PROBE_ACK` frames sent";
    errors: "ERROR frames sent";
    versions: "VERSION frames sent";
    executed: "Requests executed";
    duplicates_answered: "Duplicates answered from the reply cache";
    duplicates_dropped: "Duplicates dropped because the request was in progress";
    id_conflicts: "Requests whose id was used with another content";
    cache_busy: "Requests refused because the reply cache was full of work in progress";
    cache_expired: "Replies no longer kept because their time was up";
    cache_evicted_entries: "Replies evicted because `cache_entries` was reached";
    cache_evicted_bytes: "Replies evicted because `cache_bytes` was reached";
    cache_evicted_peer: "Replies evicted because their peer had reached `cache_per_peer`";
    cache_not_kept: "Replies longer than `cache_bytes`";
    streams_forgotten: "Streams whose statistics were forgotten because the table was full";
    windows_forgotten: "Replay windows forgotten because the table was full";
    cookies_valid: "Requests with a valid cookie";
    cookies_invalid: "Requests with a cookie that is not valid";
    cookies_sent: "Replies with a cookie";
    challenged: "Requests with AUTH that were not executed because they had no COOKIE made since the start";
    replies_too_long: "Replies refused with ERROR 17, 18 or 19 because they were longer than the peer may get";
    options_left_out: "Options and error texts left out of replies for want of room";
    errors_suppressed: "ERROR and VERSION frames not sent because their prefix had reached `errors_per_second`";
    loop_denied: "Frames not answered because of their source address or port";
    group_ignored: "Requests to a group not answered";
    group_answered: "Requests to a group answered";
    group_errors: "ERROR frames not sent because the request came to a group";
}

impl Counters {
    /// Counts a malformed datagram by its class.
    pub fn malformed(&self, class: DecodeError) {
        if let Some(counter) = self.malformed.get(class.index()) {
            counter.add(1);
        }
    }

    /// Shows the state of the tables after a batch.
    pub fn tables(&self, tally: Tally, entries: usize, bytes: usize, streams: usize) {
        self.cache_expired.add(tally.expired);
        self.cache_evicted_entries.add(tally.evicted_entries);
        self.cache_evicted_bytes.add(tally.evicted_bytes);
        self.cache_evicted_peer.add(tally.evicted_peer);
        self.cache_not_kept.add(tally.not_kept);
        self.cache_entries.set(entries as u64);
        self.cache_bytes.set(bytes as u64);
        self.streams.set(streams as u64);
    }
}

fn counter(setup: &mut Setup<'_>, name: &str, help: &str) -> Counter {
    // Names and helps are literals of this file and of the protocol crate: there is no NUL in them.
    let text = |text: &str| CString::new(text).unwrap_or_default();
    setup.counter(&text(name), &text(help))
}
