//! From one plan to the next while everything that both have goes on (I5).

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use polyport::apply::{Changed, Prepared, Running, prepare};
use polyport::config;
use polyport_tests::client::Client;

/// How long an answer may take: whatever wakes the loop up is there before it is asked to turn.
const SOON: Duration = Duration::from_secs(10);

fn plan(listen: &[String]) -> Prepared {
    match prepare(config::from_listen_args(listen), &[]) {
        Ok(prepared) => prepared,
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

fn start(listen: &[String]) -> (Running, Vec<SocketAddr>) {
    let running = Running::start(plan(listen)).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
    let locals = running.reactor.reports().map(|report| report.local).collect();
    (running, locals)
}

/// What `client` hears after the loop has turned once for what was sent before.
fn turn_and_hear(running: &mut Running, client: &Client) -> Vec<u8> {
    running.reactor.turn().unwrap();
    client.receive_within(SOON).expect("an answer")
}

fn sent(running: &Running, name: &str) -> u64 {
    let mut reports = running.reactor.reports().filter(|report| &**report.name == name);
    reports.next().map_or(0, |report| report.counters.sent)
}

fn local(running: &Running, name: &str) -> SocketAddr {
    let mut reports = running.reactor.reports().filter(|report| &**report.name == name);
    reports.next().expect("it is served").local
}

/// What `--listen` says for any port of an address of each family.
fn listen(v4: &[&str], v6: &[&str]) -> Vec<String> {
    let v4 = v4.iter().map(|rest| format!("127.0.0.1:0={rest}"));
    v4.chain(v6.iter().map(|rest| format!("[::1]:0={rest}"))).collect()
}

#[test]
fn who_stays_is_not_touched_and_who_changes_keeps_what_waits_in_its_socket() {
    let old = listen(&["echo,name=a", "echo,name=b"], &["echo,name=c"]);
    let new = listen(&["echo,reply=length,name=b", "echo,name=a", "echo,name=d"], &[]);
    let (mut running, locals) = start(&old);
    let [a, b] = [0, 1].map(|row| Client::of(locals[row]));
    a.send(b"before");
    assert_eq!(turn_and_hear(&mut running, &a), b"before");
    b.send(b"seven..");
    let changed = running.change(plan(&new)).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
    let expected = Changed { kept: 1, changed: 1, added: 1, removed: 1, after_restart: Vec::new() };
    assert_eq!(changed, expected);
    let answer = turn_and_hear(&mut running, &b);
    assert!(answer.starts_with(b"7") || answer == b"Your data was 7 bytes long", "{answer:?}");
    a.send(b"after");
    assert_eq!(turn_and_hear(&mut running, &a), b"after");
    assert_eq!(sent(&running, "a"), 2, "the same listener");
    let d = Client::of(local(&running, "d"));
    d.send(b"new");
    assert_eq!(turn_and_hear(&mut running, &d), b"new");
    UdpSocket::bind(locals[2]).expect("its address is free again");
    let nothing = running.change(plan(&new)).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
    assert_eq!(nothing, Changed { kept: 3, ..Changed::default() });
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let (mut running, locals) = start(&listen(&["echo,name=a", "echo,name=b"], &[]));
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = "listener,record=pcapng,file=/no/such/directory/heard.pcapng,name=b";
    let mut busy = listen(&["echo,name=a"], &["echo,name=new"]);
    busy.push(format!("{}=echo,name=x", taken.local_addr().unwrap()));
    // An address that somebody else has; a handler that refuses to be made, in the place of one that serves.
    for other in [busy, listen(&["echo,name=a", nowhere], &["echo,name=new"])] {
        let error = running.change(plan(&other)).expect_err("refused");
        assert!(!error.problems.is_empty(), "{other:?}");
        for (row, name) in ["a", "b"].into_iter().enumerate() {
            let client = Client::of(locals[row]);
            client.send(b"as before");
            assert_eq!(turn_and_hear(&mut running, &client), b"as before", "{name}");
        }
        assert_eq!(running.reactor.reports().count(), 2);
    }
    assert_eq!((sent(&running, "a"), sent(&running, "b")), (2, 2), "the same listeners");
}

#[test]
fn what_a_reactor_is_told_once_is_named() {
    let (mut running, _) = start(&["127.0.0.1:0=echo".to_owned()]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("polyport.toml");
    let text =
        "seed = 7\n[limits]\nslow_batch = \"20ms\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";
    std::fs::write(&file, text).unwrap();
    let next = prepare(config::load(&file), &[]).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let changed = running.change(next).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
    assert_eq!((changed.kept, changed.after_restart), (1, vec!["limits", "seed"]));
}
