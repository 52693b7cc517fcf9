//! Samples for the tests.

use std::time::Duration;

use super::model::{Model, OneSample, Sample};
use crate::control::wire::{
    ControlCounts, Counts, Entry, HandlerTime, Level, Peer, Peers, Sessions, Status, VERSION,
};

/// A listener with these counts.
pub(super) fn entry(name: &str, received: u64, sent: u64, drops: &[(&str, u64)]) -> Entry {
    Entry {
        name: name.to_owned(),
        plugin: "echo".to_owned(),
        bind: vec!["127.0.0.1:7000".to_owned()],
        addresses: 1,
        counts: Counts {
            received,
            received_bytes: received * 100,
            sent,
            sent_bytes: sent * 100,
            dropped_in: drops.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
            ..Counts::default()
        },
        ..Entry::default()
    }
}

/// What the process `pid` says `second` seconds after its start.
pub(super) fn sample(pid: u32, second: u64, entries: Vec<Entry>) -> Sample {
    let mut total = Counts::default();
    for entry in &entries {
        total.received += entry.counts.received;
        total.received_bytes += entry.counts.received_bytes;
        total.sent += entry.counts.sent;
        total.sent_bytes += entry.counts.sent_bytes;
        total.kernel_drops += entry.counts.kernel_drops;
        for (reason, n) in &entry.counts.dropped_in {
            *total.dropped_in.entry(reason.clone()).or_default() += n;
        }
    }
    let status = Status {
        polyport: VERSION,
        version: "0.1.0".to_owned(),
        pid,
        uptime_s: second,
        source: "/etc/polyport/polyport.toml".to_owned(),
        sandbox: None,
        log_level: Level::Info,
        listeners: entries.len(),
        addresses: entries.iter().map(|entry| entry.addresses).sum(),
        total,
        offset: 0,
        next: None,
        entries,
        control: ControlCounts::default(),
    };
    Sample { at: Duration::from_secs(second), status, one: None }
}

/// Some listeners that differ, `second` seconds after the start.
pub(super) fn busy(second: u64) -> Sample {
    let n = second;
    let mut games = entry("game-servers", 120_000 * n, 118_000 * n, &[("on_purpose", 2_000 * n)]);
    (games.plugin, games.addresses) = ("lossy".to_owned(), 1000);
    games.bind = vec!["0.0.0.0:27000-27999".to_owned()];
    games.counts.kernel_drops = 300 * n;
    games.time = Some(HandlerTime { samples: 900 * n, p50_ns: 420, p99_ns: 3_100, max_ns: 1_250_000 });
    games.metrics.insert("lost_total".to_owned(), 2_000 * n);
    games.metrics.insert("profile_steps".to_owned(), 3);
    let mut relay = entry("relay", 5_000 * n, 4_900 * n, &[("budget", 40 * n), ("own_address", n)]);
    (relay.plugin, relay.bind) = ("relay".to_owned(), vec!["[::]:5353".to_owned()]);
    relay.counts.faults = 2;
    let counts = Counts { received: 4_900 * n, sent: 5_000 * n, ..Counts::default() };
    relay.sessions = Some(Sessions { opened: 30 * n, open: 212, counts });
    // Its rate changes, so that there is something to see.
    let waves: u64 = (0..=n).map(|second| (second % 12) * 50).sum();
    let echo = entry("echo", waves, waves, &[]);
    let idle = entry("an idle one", 7, 7, &[]);
    sample(4711, second, vec![echo, games, relay, idle])
}

/// Some listeners, and one of them looked at closely.
pub(super) fn closely(second: u64) -> Sample {
    let mut sample = busy(second);
    let address = |port: u64, share: u64| {
        let mut entry = entry("game-servers", share * second, share * second, &[]);
        entry.bind = vec![format!("0.0.0.0:{port}")];
        entry
    };
    let addresses = (0..40).map(|at| address(27_000 + at, 400 - 10 * at)).collect();
    let peer = |address: &str, port, datagrams| Peer {
        address: address.to_owned(),
        port,
        datagrams,
        bytes: datagrams * 100,
        more: 0,
    };
    let peers = vec![
        peer("198.51.100.7", Some(40_000), 300_000),
        peer("2001:db8:85a3:8d3:1319:8a2e:370:7348", None, 200_000),
        peer("203.0.113.9", Some(5_060), 10_000),
    ];
    let peers = Peers {
        listener: "game-servers".to_owned(),
        window_ms: 5_000,
        datagrams: 600_000,
        bytes: 60_000_000,
        peers,
    };
    let at = Duration::from_secs(second);
    sample.one =
        Some(OneSample { name: "game-servers".to_owned(), at, offset: 0, addresses, peers: Some(peers) });
    sample
}

/// What two samples of a busy daemon make, a second apart.
pub(super) fn model() -> Model {
    let mut model = Model::default();
    model.take(busy(1));
    model.take(busy(2));
    model
}
