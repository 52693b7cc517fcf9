//! From one plan to the next while everything that both have goes on (I5).

use std::fs;
#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use polyport::apply::{Changed, Prepared, Running, Sources, final_report, prepare};
use polyport::config;
#[cfg(target_os = "linux")]
use polyport_terminal::Exit;
use polyport_tests::client::Client;
#[cfg(target_os = "linux")]
use polyport_tests::network::Host;
use rustix::net::sockopt::{socket_broadcast, socket_send_buffer_size};

/// How long an answer may take: whatever wakes the loop up is there before it is asked to turn.
const SOON: Duration = Duration::from_secs(10);

fn plan(listen: &[String]) -> Prepared {
    match prepare(config::from_listen_args(listen), &Sources::default()) {
        Ok(prepared) => prepared,
        Err(problems) => panic!("{}", problems.render(false)),
    }
}

/// The plan of a configuration file.
fn file(text: &str) -> Prepared {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("polyport.toml");
    fs::write(&path, text).unwrap();
    prepare(config::load(&path), &Sources::default())
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

fn change(running: &mut Running, next: Prepared) -> Changed {
    running.change(next).unwrap_or_else(|e| panic!("{}", e.problems.render(false)))
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

/// A handler that refuses to be made.
const NOWHERE: &str = "listener,record=pcapng,file=/no/such/directory/heard.pcapng";

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
    // An address that no other test uses, where there is one: nobody takes it before it is looked at.
    let alone = if cfg!(target_os = "linux") { "127.9.0.1" } else { "[::1]" };
    let mut old = listen(&["echo,name=a", "echo,name=b"], &[]);
    old.push(format!("{alone}:0=echo,name=c"));
    let new = listen(&["echo,reply=length,name=b", "echo,name=a", "echo,name=d"], &[]);
    let (mut running, locals) = start(&old);
    let [a, b] = [0, 1].map(|row| Client::of(locals[row]));
    a.send(b"before");
    assert_eq!(turn_and_hear(&mut running, &a), b"before");
    b.send(b"seven..");
    let changed = change(&mut running, plan(&new));
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
    let report = final_report(&running);
    assert!(report.contains("\n  b  received 1 = replied 1"), "of the new handler: {report}");
    assert!(report.contains("\n  c  received 0"), "who is gone is in the books: {report}");
    let nothing = change(&mut running, plan(&new));
    assert_eq!(nothing, Changed { kept: 3, ..Changed::default() });
}

#[test]
fn a_change_that_fails_changes_nothing() {
    let (mut running, locals) = start(&listen(&["echo,name=a", "echo,name=b"], &[]));
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("{NOWHERE},name=b");
    let mut busy = listen(&["echo,name=a"], &["echo,name=new"]);
    busy.push(format!("{}=echo,name=x", taken.local_addr().unwrap()));
    // An address that somebody else has; a handler that refuses to be made, in the place of one that serves.
    for other in [busy, listen(&["echo,name=a", &nowhere], &["echo,name=new"])] {
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
    let text = "seed = 7\nsandbox = \"off\"\n[limits]\nslow_batch = \"20ms\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";
    let changed = change(&mut running, file(text));
    assert_eq!((changed.kept, changed.after_restart), (1, vec!["limits", "seed", "sandbox"]));
}

#[test]
fn more_may_come_than_there_were() {
    let (mut running, _) = start(&listen(&["echo,name=a"], &[]));
    let new = listen(&["echo,name=a", "echo,name=b", "echo,name=c"], &["echo,name=d"]);
    let changed = change(&mut running, plan(&new));
    assert_eq!(changed, Changed { kept: 1, added: 3, ..Changed::default() });
}

#[test]
fn a_socket_is_set_up_as_its_plan_says_and_a_refused_plan_leaves_it_as_it_was() {
    let set = |running: &Running| {
        let token = running.reactor.reports().next().unwrap().token;
        let socket = running.reactor.socket(token).unwrap();
        (socket_broadcast(socket).unwrap(), socket_send_buffer_size(socket).unwrap())
    };
    let (mut running, _) = start(&listen(&["echo,send_buffer=65536"], &[]));
    let (broadcasts, room) = set(&running);
    assert!(!broadcasts);
    // Linux counts its own books in.
    assert!(room == 65_536 || room == 2 * 65_536, "{room}");
    let refused = format!("{NOWHERE},send_buffer=65536,broadcast=true");
    running.change(plan(&listen(&[&refused], &[]))).expect_err("refused");
    assert_eq!(set(&running), (false, room));
    change(&mut running, plan(&listen(&["echo,send_buffer=65536,broadcast=true"], &[])));
    assert_eq!(set(&running), (true, room));
    change(&mut running, plan(&listen(&["echo,send_buffer=65536"], &[])));
    assert_eq!(set(&running), (false, room), "not asked for any more");
}

/// What the kernel dropped before a change is counted by the listener that was there.
#[cfg(target_os = "linux")] // Only Linux tells what it dropped.
#[test]
fn a_new_handler_counts_no_kernel_drops_of_the_one_before() {
    let (mut running, locals) = start(&listen(&["echo,recv_buffer=4096"], &[]));
    let flood = |n: usize| {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..n).for_each(|_| assert_eq!(client.send_to(&[0; 1000], locals[0]).unwrap(), 1000));
    };
    let token = |running: &Running| running.reactor.reports().next().unwrap().token;
    let drops = |running: &Running| {
        u64::from(running.reactor.socket(token(running)).unwrap().drops().unwrap().expect("they are told"))
    };
    flood(100);
    let before = drops(&running);
    assert!(before > 0, "no queue holds that much");
    change(&mut running, plan(&listen(&["echo,reply=length,recv_buffer=4096"], &[])));
    flood(50);
    let since = drops(&running) - before;
    assert!(since > 0, "the queue is still full");
    running.reactor.stop();
    let counted = running.reactor.reports().next().unwrap().counters.kernel_drops;
    assert_eq!(counted, since);
}

/// Groups of IPv4 that sockets of this thread's host are in, but for the one of all hosts.
#[cfg(target_os = "linux")]
fn groups() -> Vec<Ipv4Addr> {
    let text = fs::read_to_string("/proc/thread-self/net/igmp").unwrap();
    // A line of a group is indented, and begins with the address as the machine keeps it.
    let lines = text.lines().filter(|line| line.starts_with('\t'));
    let numbers = lines.map(|line| u32::from_str_radix(line.split_whitespace().next().unwrap(), 16).unwrap());
    let mut groups: Vec<_> = numbers.map(|number| Ipv4Addr::from(number.to_ne_bytes())).collect();
    groups.retain(|group| *group != Ipv4Addr::new(224, 0, 0, 1));
    groups.sort_unstable();
    groups
}

#[cfg(target_os = "linux")]
#[test]
fn groups_are_joined_and_left_with_the_plan_and_none_with_a_refused_plan() {
    let Some(host) = Host::alone() else { return };
    let plan_of = |plugin: &str, joins: &[&str]| {
        let joins: Vec<_> = joins.iter().map(|rest| format!("'239.255.77.{rest}'")).collect();
        file(&format!("[[listen]]\nbind = '0.0.0.0:0'\n{plugin}\njoin = [{}]\n", joins.join(", ")))
    };
    let is_in = |expected: &[u8], when: &str| {
        let expected: Vec<_> = expected.iter().map(|last| Ipv4Addr::new(239, 255, 77, *last)).collect();
        assert_eq!(groups(), expected, "{when}");
    };
    let echo = "plugin = 'echo'";
    let nowhere =
        "plugin = 'listener'\noptions = { record = 'pcapng', file = '/no/such/directory/heard.pcapng' }";
    host.inside(|| {
        let failed =
            Running::start(plan_of(echo, &["1 on lo", "2 on 999999"])).expect_err("no such interface");
        assert_eq!((failed.exit, failed.problems.list().len()), (Exit::Os, 1));
        is_in(&[], "nothing was started");
        let mut running = Running::start(plan_of(echo, &["1 on lo", "2 on lo"]))
            .unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
        is_in(&[1, 2], "started");
        let changed = change(&mut running, plan_of(echo, &["2 on lo", "3 on lo"]));
        assert_eq!(changed, Changed { changed: 1, ..Changed::default() });
        is_in(&[2, 3], "one left, one joined");
        running.change(plan_of(nowhere, &["3 on lo", "4 on lo"])).expect_err("no handler");
        is_in(&[2, 3], "the handler was refused");
        let failed = running.change(plan_of(echo, &["5 on lo", "6 on 999999"])).expect_err("no interface");
        let text = failed.problems.render(false);
        assert!(text.contains("cannot join 239.255.77.6 on 999999"), "{text}");
        assert_eq!(failed.exit, Exit::Os);
        is_in(&[2, 3], "a group was refused");
    });
}

/// Addresses that have one handler together are touched as a whole, or not at all: the handler knows all of them.
#[test]
fn a_listener_with_one_handler_is_changed_as_a_whole() {
    let census = polyport_tests::plugins::built("census");
    let listen = |addresses: &[&str]| {
        let quoted: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let echo = "[[listen]]\nname = \"echo\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";
        let (plugin, bind) = (census.display(), quoted.join(", "));
        file(&format!("[[listen]]\nname = \"all\"\nbind = [{bind}]\nplugin = \"{plugin}\"\n{echo}"))
    };
    let mut running = Running::start(listen(&["127.0.0.1:0", "[::1]:0"])).unwrap();
    let ask = |running: &mut Running, row: usize| {
        let report = running.reactor.reports().filter(|report| &**report.name == "all").nth(row).unwrap();
        let client = Client::of(report.local);
        client.send(b"n");
        String::from_utf8(turn_and_hear(running, &client)).unwrap()
    };
    assert_eq!([ask(&mut running, 0), ask(&mut running, 1)], ["1 0 2", "2 1 2"]);
    let same = change(&mut running, listen(&["127.0.0.1:0", "[::1]:0"]));
    assert_eq!((same.kept, same.changed), (3, 0));
    assert_eq!(ask(&mut running, 0), "3 0 2", "the same handler");
    let more = change(&mut running, listen(&["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"]));
    assert_eq!((more.kept, more.changed, more.added, more.removed), (1, 2, 1, 0));
    let mut answers: Vec<_> = (0..3).map(|row| ask(&mut running, row)).collect();
    answers.sort();
    assert!(
        answers.iter().enumerate().all(|(at, text)| text.starts_with(&(at + 1).to_string())),
        "{answers:?}"
    );
    assert!(answers.iter().all(|text| text.ends_with(" 3")), "one new handler for all three: {answers:?}");
    let fewer = change(&mut running, listen(&["[::1]:0"]));
    assert_eq!((fewer.kept, fewer.changed, fewer.added, fewer.removed), (1, 1, 0, 2));
    assert_eq!(ask(&mut running, 0), "1 0 1");
    assert!(final_report(&running).contains("all"), "what was counted stays");
}
