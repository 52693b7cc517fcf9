//! Thousands of addresses, listeners and metrics: how many series there are does not grow with them.

use std::collections::BTreeMap;

use polyport_tests::network::Host;
use polyport_tests::{Client, wait};

use super::{name_of, scrape, serve};
use crate::polyport;

fn count(all: &BTreeMap<String, f64>, name: &str) -> usize {
    all.keys().filter(|series| name_of(series) == name).count()
}

fn limit(all: &BTreeMap<String, f64>, name: &str) -> f64 {
    all[&format!("polyport_metrics_limit_reached_total{{limit=\"{name}\"}}")]
}

/// As many series as for one port. On a host of its own, where so many ports are free in a row; a process may often have 20,000 descriptors.
#[test]
fn nineteen_thousand_ports_of_one_range_are_one_series_each() {
    const RANGE: &str = "127.0.0.1:10000-28999";
    const PORTS: f64 = 19_000.0;
    let Some(host) = Host::alone() else { return };
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let (daemon, at) = serve(launch.listen(format!("{RANGE}=echo,recv_buffer=4KiB")));
    let labels = format!("{{listener=\"echo\",address=\"{RANGE}\",plugin=\"echo\"");
    // A call that was timed adds series, and whether one was is left to chance.
    let counted = |all: &BTreeMap<String, f64>| {
        all.keys().filter(|series| !name_of(series).starts_with("polyport_handler_call_duration")).count()
    };
    let of_many = host.inside(|| {
        let all = scrape(at);
        assert_eq!(all[&format!("polyport_addresses{labels},state=\"serving\"}}")], PORTS);
        assert_eq!(count(&all, "polyport_received_datagrams_total"), 1);
        assert!(all.len() < 130, "{} series", all.len());
        assert_eq!(limit(&all, "ranges"), 0.0);
        // What comes to the last one is counted for all of them.
        Client::of(([127, 0, 0, 1], 28_999).into()).expect_echo(b"the last one");
        let all = scrape(at);
        assert_eq!(all[&format!("polyport_replied_datagrams_total{labels}}}")], 1.0);
        counted(&all)
    });
    drop(daemon.stop());
    let (daemon, at) = serve(polyport().listen("127.0.0.1:0=echo"));
    assert_eq!(of_many, counted(&scrape(at)));
    drop(daemon.stop());
}

/// Tables beyond the first thousand addresses are told together, and nothing is lost of their sum.
#[test]
fn of_three_thousand_listeners_a_thousand_have_series_of_their_own() {
    const LISTENERS: usize = 3000;
    let tables: String = (0..LISTENERS)
        .map(|n| format!("[[listen]]\nname = \"l{n}\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\nrecv_buffer = \"4KiB\"\n"))
        .collect();
    let (daemon, at) = serve(polyport().config(&tables));
    daemon.client(0).expect_echo(b"one of its own");
    for row in [1000, LISTENERS - 1] {
        daemon.client(row).expect_echo(b"one of the others");
    }
    let name = "polyport_received_datagrams_total";
    let others = format!("{name}{{listener=\"(others)\",address=\"(others)\",plugin=\"(others)\"}}");
    wait::until("all are counted", || scrape(at).get(&others) == Some(&2.0));
    let all = scrape(at);
    assert_eq!(count(&all, name), 1001);
    let sum: f64 = all.iter().filter(|(series, _)| name_of(series) == name).map(|(_, n)| n).sum();
    assert_eq!(sum, 3.0);
    assert!(limit(&all, "ranges") >= 1.0);
    // Each `lossy` has a dozen metrics of its own, which are bounded as well.
    let of_plugins = all.keys().filter(|series| series.starts_with("polyport_plugin_")).count();
    assert_eq!(of_plugins, 10_000);
    assert!(limit(&all, "plugin_metrics") >= 1.0);
    assert!(all.len() < 60_000, "{} series", all.len());
    drop(daemon.stop());
}
