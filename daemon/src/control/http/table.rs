//! Every series that `/metrics` has, but for those of plugins: the page `daemon/docs/metrics.md` and the text are made of it.
//!
//! Names follow the conventions of Prometheus: the unit at the end, seconds and bytes, `_total` behind a number that only grows.

use super::family::{Family, Kind, Number, Source, counter, gauge, seconds};
use super::figures::Listener;

/// Labels of a bind address or range.
const RANGE: &[&str] = &["listener", "address", "plugin"];
const RANGE_REASON: &[&str] = &["listener", "address", "plugin", "direction", "reason"];
const RANGE_STATE: &[&str] = &["listener", "address", "plugin", "state"];
const RANGE_WHY: &[&str] = &["listener", "address", "plugin", "reason"];
const LISTENER: &[&str] = &["listener", "plugin"];
const NONE: &[&str] = &[];

fn whole(n: Option<u64>) -> Option<Number> {
    n.map(Number::Whole)
}

/// What the daemon tells of itself, in the order of the page.
pub const FAMILIES: &[Family] = &[
    counter(
        "polyport_received_datagrams_total",
        RANGE,
        "Datagrams taken from the sockets; = replied + consumed + dropped (direction in) + kept",
        Source::Counts(|c| c.received),
    ),
    counter(
        "polyport_received_bytes_total",
        RANGE,
        "Payload bytes taken from the sockets",
        Source::Counts(|c| c.received_bytes),
    ),
    counter(
        "polyport_replied_datagrams_total",
        RANGE,
        "Received datagrams that were answered",
        Source::Counts(|c| c.replied),
    ),
    counter(
        "polyport_consumed_datagrams_total",
        RANGE,
        "Received datagrams that the handler took without an answer",
        Source::Counts(|c| c.consumed),
    ),
    gauge(
        "polyport_kept_datagrams",
        RANGE,
        "Received datagrams that wait for the next handler, since the one before broke",
        Source::Counts(|c| c.kept),
    ),
    counter(
        "polyport_queued_datagrams_total",
        RANGE,
        "Datagrams that handlers wanted to send; = sent + dropped (direction out) + waiting",
        Source::Counts(|c| c.queued),
    ),
    counter(
        "polyport_sent_datagrams_total",
        RANGE,
        "Datagrams handed to the kernel",
        Source::Counts(|c| c.sent),
    ),
    counter(
        "polyport_sent_bytes_total",
        RANGE,
        "Payload bytes handed to the kernel",
        Source::Counts(|c| c.sent_bytes),
    ),
    gauge(
        "polyport_waiting_datagrams",
        RANGE,
        "Datagrams that leave later, or wait for room in the socket",
        Source::Counts(|c| c.waiting),
    ),
    counter(
        "polyport_dropped_datagrams_total",
        RANGE_REASON,
        "Datagrams that were dropped on the way in or out, by reason; a reason appears with its first drop",
        Source::Drops,
    ),
    counter(
        "polyport_kernel_dropped_datagrams_total",
        RANGE,
        "Datagrams that the kernel dropped at the sockets before the daemon could take them: a full queue, or a wrong checksum. \
         Looked at a second after a visit, and by a slow sweep",
        Source::Counts(|c| c.kernel_drops),
    ),
    counter(
        "polyport_receive_errors_total",
        RANGE,
        "Receive calls that failed",
        Source::Counts(|c| c.receive_errors),
    ),
    counter(
        "polyport_refused_segmented_messages_total",
        RANGE,
        "Messages of several datagrams that the kernel refused; their datagrams were sent one by one",
        Source::Counts(|c| c.segments_refused),
    ),
    gauge(
        "polyport_addresses",
        RANGE_STATE,
        "Addresses by their state: serving, paused, draining, down (its handler broke and is made again), failed (served no more)",
        Source::States,
    ),
    counter(
        "polyport_handler_faults_total",
        RANGE,
        "Calls that broke a handler",
        Source::Counts(|c| c.faults),
    ),
    counter(
        "polyport_handler_restarts_total",
        RANGE,
        "Handlers that were made again after a fault",
        Source::Counts(|c| c.restarts),
    ),
    counter(
        "polyport_handler_errors_total",
        RANGE,
        "Calls of handlers that returned an error",
        Source::Counts(|c| c.handler_errors),
    ),
    counter(
        "polyport_handler_unknown_codes_total",
        RANGE,
        "Calls of handlers that returned a code which the ABI does not know",
        Source::Counts(|c| c.unknown_codes),
    ),
    counter(
        "polyport_handler_slow_calls_total",
        RANGE,
        "Calls of handlers that took longer than slow_batch and were noticed",
        Source::Counts(|c| c.slow_calls),
    ),
    counter(
        "polyport_handler_timers_refused_total",
        RANGE,
        "Timers that a handler did not get, since it has too many",
        Source::Counts(|c| c.timers_refused),
    ),
    counter(
        "polyport_handler_groups_refused_total",
        RANGE,
        "Groups that a handler could not join or leave",
        Source::Counts(|c| c.groups_refused),
    ),
    counter(
        "polyport_reply_prefixes_evicted_total",
        RANGE,
        "Source prefixes whose budget was forgotten for another one, since the table of them was full",
        Source::Counts(|c| c.prefixes_evicted),
    ),
    counter(
        "polyport_tickets_taken_total",
        RANGE,
        "Tickets for a later answer that handlers took",
        Source::Counts(|c| c.tickets_taken),
    ),
    counter(
        "polyport_tickets_used_total",
        RANGE,
        "Tickets that they used",
        Source::Counts(|c| c.tickets_used),
    ),
    counter(
        "polyport_tickets_refused_total",
        RANGE,
        "Tickets that they did not get, since there were too many",
        Source::Counts(|c| c.tickets_refused),
    ),
    Family {
        name: "polyport_handler_call_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: LISTENER,
        text: "How long calls of handlers took: of a sample, one call in 128, each with the same chance; exact to a sixteenth",
        source: Source::Histogram,
    },
    gauge(
        "polyport_handler_call_duration_max_seconds",
        LISTENER,
        "The longest call that is known, of the sample or timed on suspicion",
        Source::Times(|times| Number::Real(seconds(times.longest_ns))),
    ),
    gauge(
        "polyport_sessions_open",
        RANGE,
        "Sessions that there are: sockets that handlers opened",
        Source::Sessions(|s| s.open),
    ),
    counter(
        "polyport_sessions_opened_total",
        RANGE,
        "Sessions that were to be made",
        Source::Sessions(|s| s.opened),
    ),
    counter(
        "polyport_sessions_closed_total",
        RANGE_WHY,
        "Sessions that there are no more, or never were, by reason; a reason appears with its first session",
        Source::SessionEnds,
    ),
    counter(
        "polyport_sessions_refused_total",
        RANGE_WHY,
        "Sessions that were not opened, by reason: limit, port, file",
        Source::SessionRefusals,
    ),
    counter(
        "polyport_session_received_datagrams_total",
        RANGE,
        "Datagrams taken from the sockets of sessions",
        Source::Sessions(|s| s.counts.received),
    ),
    counter(
        "polyport_session_received_bytes_total",
        RANGE,
        "Payload bytes taken from them",
        Source::Sessions(|s| s.counts.received_bytes),
    ),
    counter(
        "polyport_session_sent_datagrams_total",
        RANGE,
        "Datagrams handed to the kernel by sessions",
        Source::Sessions(|s| s.counts.sent),
    ),
    counter(
        "polyport_session_sent_bytes_total",
        RANGE,
        "Payload bytes of them",
        Source::Sessions(|s| s.counts.sent_bytes),
    ),
    gauge(
        "polyport_session_waiting_datagrams",
        RANGE,
        "Datagrams that wait to leave by sessions",
        Source::Sessions(|s| s.counts.waiting),
    ),
    counter(
        "polyport_session_dropped_datagrams_total",
        RANGE_REASON,
        "Datagrams that were dropped at sessions, by reason; a reason appears with its first drop",
        Source::SessionDrops,
    ),
    gauge(
        "polyport_build_info",
        &["version", "commit"],
        "1; the labels say which version runs, and of which commit",
        Source::Said(|scene| [scene.own.version.clone(), scene.own.commit.clone()]),
    ),
    gauge(
        "polyport_uptime_seconds",
        NONE,
        "How long it serves",
        Source::Daemon(|scene| whole(Some(scene.figures.uptime_s))),
    ),
    gauge(
        "polyport_listeners",
        NONE,
        "Listeners of the configuration",
        Source::Daemon(|scene| whole(Some(scene.figures.listener_count))),
    ),
    gauge(
        "polyport_delayed_datagrams",
        NONE,
        "Datagrams of all listeners that leave later; [limits] delayed_datagrams bounds them",
        Source::Daemon(|scene| whole(Some(scene.figures.held.delayed_datagrams))),
    ),
    gauge(
        "polyport_delayed_bytes",
        NONE,
        "Their payload bytes",
        Source::Daemon(|scene| whole(Some(scene.figures.held.delayed_bytes))),
    ),
    gauge(
        "polyport_backlog_bytes",
        NONE,
        "Payload bytes that wait for room in sockets",
        Source::Daemon(|scene| whole(Some(scene.figures.held.backlog_bytes))),
    ),
    gauge(
        "polyport_kept_bytes",
        NONE,
        "Bytes that are kept for handlers that are to be made again",
        Source::Daemon(|scene| whole(Some(scene.figures.held.kept_bytes))),
    ),
    gauge(
        "polyport_tickets",
        NONE,
        "Tickets for later answers that there are",
        Source::Daemon(|scene| whole(Some(scene.figures.held.tickets))),
    ),
    counter(
        "polyport_config_reloads_total",
        &["outcome"],
        "Reloads and sets of options, by outcome: done, or refused with nothing changed",
        Source::Reloads,
    ),
    gauge(
        "polyport_config_last_reload_successful",
        NONE,
        "1 unless the last reload was refused",
        Source::Daemon(|scene| whole(Some(scene.figures.reloads.is_last_done.into()))),
    ),
    gauge(
        "polyport_config_last_reload_success_timestamp_seconds",
        NONE,
        "When the configuration that is served was taken, since 1970",
        Source::Daemon(|scene| Some(Number::Real(scene.figures.reloads.taken_at_s))),
    ),
    counter(
        "polyport_log_lines_lost_total",
        NONE,
        "Lines of the log that were left out, since nobody took them",
        Source::Daemon(|scene| whole(Some(scene.figures.log_lines_lost))),
    ),
    counter(
        "polyport_control_events_total",
        &["event"],
        "What happened at the control socket: connections, requests, and what `control.md` counts when it refuses; none without it",
        Source::Control,
    ),
    counter(
        "polyport_metrics_connections_total",
        NONE,
        "Connections to this page that were accepted",
        Source::Daemon(|scene| whole(Some(scene.own.http.connections))),
    ),
    counter(
        "polyport_metrics_requests_total",
        NONE,
        "Requests that were read",
        Source::Daemon(|scene| whole(Some(scene.own.http.requests))),
    ),
    counter(
        "polyport_metrics_limit_reached_total",
        &["limit"],
        "How often a bound of metrics was met, by limit: connections (refused, since all were busy), evicted (ended for a newer one), \
         slow (a client), pages (too many read /metrics), unanswered (by the loop, in time), ranges (scrapes with more than 1,000 bind addresses and ranges: \
         those behind are told together), plugin_metrics (scrapes with more than 10,000 series or 1,000 names of plugins), call_times \
         (samples of more than 1,024 listeners)",
        Source::Limits,
    ),
    gauge(
        "process_resident_memory_bytes",
        NONE,
        "Memory of the process",
        Source::Daemon(|scene| whole(scene.own.process.resident_bytes)),
    ),
    gauge(
        "process_virtual_memory_bytes",
        NONE,
        "Addresses that the process has",
        Source::Daemon(|scene| whole(scene.own.process.virtual_bytes)),
    ),
    counter(
        "process_cpu_seconds_total",
        NONE,
        "Processor time of the process",
        Source::Daemon(|scene| scene.own.process.cpu_s.map(Number::Real)),
    ),
    gauge(
        "process_start_time_seconds",
        NONE,
        "When the process began, since 1970",
        Source::Daemon(|scene| scene.own.process.start_s.map(Number::Real)),
    ),
    gauge(
        "process_max_fds",
        NONE,
        "Descriptors that the process may have",
        Source::Daemon(|scene| whole(scene.own.process.max_fds)),
    ),
    gauge(
        "process_threads",
        NONE,
        "Threads of the process",
        Source::Daemon(|scene| whole(scene.own.process.threads)),
    ),
];

/// The names of the labels of a plugin's metric.
pub(super) const PLUGIN_LABELS: &[&str] = LISTENER;

/// The name of a plugin's metric: letters, digits and `_`, with the plugin before it.
#[must_use]
pub fn plugin_name(listener: &Listener, name: &str) -> String {
    let lawful = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
    };
    format!("polyport_plugin_{}_{}", lawful(&listener.plugin), lawful(name))
}

/// The page of all series, as a table.
#[must_use]
pub fn page() -> String {
    let mut page = "| series | kind | labels | what it is |\n| --- | --- | --- | --- |\n".to_owned();
    for Family { name, kind, labels, text, .. } in FAMILIES {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let line = format!("| `{name}` | {kind} | {} | {text} |\n", labels.join(", "));
        page.push_str(&line);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let lawful = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for family in FAMILIES {
            assert!(lawful(family.name) && family.labels.iter().all(|label| lawful(label)), "{family:?}");
            assert!(
                family.name.starts_with("polyport_") || family.name.starts_with("process_"),
                "{family:?}"
            );
            assert_eq!(family.kind == Kind::Counter, family.name.ends_with("_total"), "{family:?}");
            assert_eq!(FAMILIES.iter().filter(|other| other.name == family.name).count(), 1, "{family:?}");
            assert!(!family.text.contains(['\\', '\n', '|', '"']), "{family:?}");
        }
        let unit = |name: &str| FAMILIES.iter().find(|family| family.name == name).unwrap().unit;
        assert_eq!(unit("process_cpu_seconds_total"), Some("seconds"));
        assert_eq!(unit("polyport_kept_bytes"), Some("bytes"));
        assert_eq!(unit("polyport_sessions_open"), None);
    }

    #[test]
    fn names_of_plugins_become_lawful() {
        let listener = Listener { plugin: "far-away.2".to_owned(), ..Listener::default() };
        assert_eq!(plugin_name(&listener, "Größe {x}"), "polyport_plugin_far_away_2_gr__e__x_");
    }
}
