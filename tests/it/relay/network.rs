//! What happens to datagrams on their way, repeatably.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use polyport_tests::served::Served;
use polyport_tests::upstream::Upstream;
use polyport_tests::{Client, Daemon};

use super::counted;
use crate::polyport;

fn relay(upstream: &Upstream, options: &str) -> Daemon {
    // A port of its own goes into what is decided, so it must be the same in each run.
    let config = format!(
        "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:0'\nplugin = 'relay'\nsessions = 2000\n\
         options = {{ to = '{}', {options} }}\n",
        upstream.address
    );
    polyport().config(&config).serve()
}

/// The book of the network: what came either way was lost, or left once or twice.
#[track_caller]
fn expect_books(served: &Served) {
    for (way, queued) in
        [("up", served.sent("relay sessions", "sent")), ("down", served.sent("relay", "sent"))]
    {
        let [came, lost, full, twice] = ["datagrams", "lost", "queue_full", "duplicated"]
            .map(|what| counted(served, &format!("{way}_{what}_total")));
        assert_eq!(came + twice - lost - full, queued, "{way}: {}", served.finished.stdout);
    }
}

#[test]
fn what_is_lost_and_doubled_adds_up() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(
        &upstream,
        "seed = 7, key = 'order', up.loss = '20%', up.duplicate = '10%', down = { loss_gemodel = '5% 50%', delay = '5ms', jitter = '5ms' }",
    );
    let clients: Vec<Client> = (0..10).map(|_| daemon.client(0)).collect();
    for _ in 0..50 {
        clients.iter().for_each(|client| client.send(b"hello"));
        // So that no buffer overflows.
        drop(clients[0].receive_within(Duration::from_millis(20)));
    }
    let quiet = |client: &Client| while client.receive_within(Duration::from_millis(200)).is_some() {};
    clients.iter().for_each(quiet);
    let served = daemon.stop();
    assert_eq!(counted(&served, "up_datagrams_total"), 500);
    expect_books(&served);
    let [lost, twice] = ["up_lost_total", "up_duplicated_total"].map(|what| counted(&served, what));
    assert!((60..140).contains(&lost) && (15..70).contains(&twice), "{}", served.finished.stdout);
}

/// R35: both ways lose, double and reorder, and nobody gets what another one has asked for.
#[test]
fn lost_and_reordered_answers_are_each_for_their_own_client() {
    const ROUNDS: usize = 30;
    let upstream = Upstream::at("127.0.0.1:0");
    let way = "{ loss = '10%', duplicate = '5%', delay = '5ms', jitter = '5ms' }";
    let daemon = relay(&upstream, &format!("seed = 7, key = 'order', up = {way}, down = {way}"));
    let clients: Vec<Client> = (0..20).map(|_| daemon.client(0)).collect();
    for round in 0..ROUNDS {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{number} {round}").as_bytes());
        }
    }
    let (mut lost, mut reordered) = (false, false);
    for (number, client) in clients.iter().enumerate() {
        let mut rounds = Vec::new();
        while let Some(answer) = client.receive_within(Duration::from_millis(200)) {
            let text = String::from_utf8(answer).unwrap();
            let round = text.strip_prefix(&format!("{number} ")).and_then(|round| round.parse().ok());
            rounds.push(round.unwrap_or_else(|| panic!("client {number} gets {text}")));
        }
        lost |= (0..ROUNDS).any(|round| !rounds.contains(&round));
        reordered |= !rounds.is_sorted();
    }
    assert!(lost && reordered, "the network did what it was to do");
    expect_books(&daemon.stop());
}

/// Two runs, each with a port of its own for client and daemon.
#[test]
fn a_run_repeats_by_its_seed() {
    let upstream = Upstream::at("127.0.0.1:0");
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let file = dir.path().join(name);
        let listen = format!(
            "127.0.0.1:17853=relay,name=relay,to={},seed=7,up.loss=30%,down.loss=10%,down.duplicate=10%,decisions={}",
            upstream.address,
            file.display()
        );
        let daemon = polyport().listen(listen).serve();
        let client = daemon.client(0);
        for n in 0..100_u32 {
            client.send(&n.to_be_bytes());
        }
        while client.receive_within(Duration::from_millis(300)).is_some() {}
        drop(daemon.stop());
        without_time(&file)
    };
    let (one, two) = (run("one.csv"), run("two.csv"));
    assert!(one.len() > 30, "{one:?}");
    assert_eq!(one, two);
}

/// The lines, sorted, without the column that is another in each run.
fn without_time(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| line.split_once(',').unwrap().1.to_owned()).collect();
    lines.sort();
    lines
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long an answer waits is what is tested")]
fn a_delay_is_at_least_what_it_says_each_way() {
    let upstream = Upstream::at("127.0.0.1:0");
    let daemon = relay(&upstream, "up.delay = '30ms', down.delay = '40ms'");
    let client = daemon.client(0);
    client.expect_echo(b"first");
    let begun = Instant::now();
    client.expect_echo(b"second");
    assert!(begun.elapsed() >= Duration::from_millis(70));
    let served = daemon.stop();
    assert_eq!((counted(&served, "up_delayed_total"), counted(&served, "down_delayed_total")), (2, 2));
}

#[test]
fn what_contradicts_is_refused_at_its_option() {
    let refused = |options: &str, texts: &[&str]| {
        let config = format!(
            "[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'relay'\noptions = {{ to = '127.0.0.1:9', {options} }}\n"
        );
        polyport().arg("check").config(&config).refused(78).expect_stderr(texts);
    };
    refused(
        "up.reorder = '5%'",
        &["`up.reorder`", "what is not delayed cannot be overtaken", "polyport.toml:4"],
    );
    refused("down = { loss = '1%', ecn = true }", &["`down.ecn`", "set tos to copy", "polyport.toml:4"]);
    refused("down = { delay = '5ms', jitter = '8ms' }", &["`down.jitter`", "is more than the delay, 5ms"]);
    refused(
        "down.delay = '5ms', timeline = '1s up.loss=1%; 2s down.jitter=8ms'",
        &["`timeline`", "step 2, `2s down.jitter=8ms`: `down.jitter`: is more than the delay, 5ms"],
    );
    refused(
        "timeline = '1s up.loss=1%; 2s up.loss=2%; 3s up.los=3%'",
        &["`timeline`", "step 3", "did you mean `loss`"],
    );
}
