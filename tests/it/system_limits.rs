//! Limits of the system: what cannot be had is refused with the number that is needed, or reported.

use std::net::{IpAddr, Ipv4Addr};

use polyport_tests::plugins::{built, spec};
use polyport_tests::tool::tool;
use polyport_tests::{Daemon, Launch, ports, wait};

use crate::control::json;
use crate::polyport;

/// R37: a plan that needs more descriptors than there may be never starts by halves.
#[test]
fn too_few_descriptors_are_an_error_that_says_how_many_are_needed() {
    let first = ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 200, 6000);
    let launch = polyport().listen(format!("127.0.0.1:{first}-{}=echo", first + 199));
    // Who may raise hard limits would just do so.
    let Some(launch) = through_shell(launch, "ulimit -n 100", "sys_resource") else { return };
    launch
        .refused(71)
        .expect_stderr(&["200 addresses need 264 file descriptors, and the limit is 100", "ulimit -n 264"]);
}

#[test]
fn a_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let first = ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 200, 6500);
    let launch = polyport().listen(format!("127.0.0.1:{first}-{}=echo", first + 199));
    let Some(launch) = through_shell(launch, "ulimit -S -n 100", "sys_resource") else { return };
    launch.serve().client(0).expect_echo(b"more than the soft limit");
}

/// Who has sessions leaves descriptors for everything else, and says so.
#[test]
fn sessions_get_the_descriptors_that_are_left_and_not_one_more() {
    let library = spec("127.0.0.1:0", &built("example-relay"));
    let launch = polyport().listen(format!("{library},name=relay,to=127.0.0.1:9")).listen("127.0.0.1:0=echo");
    let Some(launch) = through_shell(launch, "ulimit -n 71", "sys_resource") else { return };
    let daemon = launch.serve();
    for _ in 0..8 {
        daemon.client(0).send(b"a new client");
    }
    daemon.client(1).expect_echo(b"next door");
    let served = daemon.stop();
    let out = &served.finished.stdout;
    assert_eq!(served.sent("relay sessions", "opened"), 5, "{out}");
    assert_eq!(served.sent("relay sessions", "limit"), 3, "{out}");
    served
        .finished
        .expect_stderr(&["`sessions` is 16384, and 5 file descriptors of 71 are left for them", "ulimit -n"]);
}

/// Addresses that come while it serves take descriptors away from sessions, and give them back when they go.
#[test]
fn what_is_left_for_sessions_follows_the_addresses_that_come_and_go() {
    let library = spec("127.0.0.1:0", &built("example-relay"));
    let launch = polyport().listen(format!("{library},name=relay,to=127.0.0.1:9"));
    let Some(launch) = through_shell(launch, "ulimit -n 75", "sys_resource") else { return };
    let mut daemon = launch.serve();
    daemon.process.wait_for_stderr("10 file descriptors of 75 are left for them");
    let first = ports::free_range(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 7, 6200);
    json(&daemon, &["add", &format!("127.0.0.1:{first}-{}=echo", first + 6)]);
    daemon.process.wait_for_stderr("3 file descriptors of 75 are left for them");
    let opened = |daemon: &Daemon| json(daemon, &["status"])["entries"][0]["sessions"].clone();
    let ask = |n: u64| {
        (0..n).for_each(|_| daemon.client(0).send(b"a new client"));
        let received = || json(&daemon, &["status"])["entries"][0]["counts"]["received"].as_u64();
        wait::until("all have come", || received() >= Some(n));
    };
    ask(5);
    assert_eq!((&opened(&daemon)["open"], &opened(&daemon)["opened"]), (&3.into(), &3.into()));
    // More than there are left are refused by their number, and there is room for others.
    let removed = json(&daemon, &["remove", "echo"]);
    assert_eq!((&removed["removed"], &removed["adjusted"]), (&7.into(), &0.into()), "{removed}");
    ask(6);
    wait::until("the room is there again", || opened(&daemon)["open"].as_u64() > Some(3));
    drop(daemon.kill());
}

/// R39: the kernel cuts a buffer without a word, so the daemon has to say it.
#[test]
fn a_smaller_receive_buffer_than_was_asked_for_is_reported_once_for_all_ports() {
    let launch = polyport().config(
        "[[listen]]\nname = \"greedy\"\nbind = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nplugin = \"echo\"\n\
         recv_buffer = \"512MiB\"\n",
    );
    // Who may administer the network gets what it asks for.
    let Some(launch) = through_shell(launch, ":", "net_admin") else { return };
    let daemon = launch.serve();
    daemon.client(1).expect_echo(b"with less");
    let finished = daemon.stop().finished;
    finished.expect_stderr(&["listener greedy: recv_buffer: asked for 536870912 bytes, got ", "rmem_max"]);
    assert_eq!(finished.stderr.matches("recv_buffer").count(), 1, "{}", finished.stderr);
}

/// Puts a launch behind a command of the shell, and as root takes a capability away; none without the tool.
fn through_shell(mut launch: Launch, before: &str, capability: &str) -> Option<Launch> {
    let command = launch.command();
    let program = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let drop = if rustix::process::geteuid().is_root() {
        format!("{} --bounding-set -{capability} --inh-caps -{capability}", tool("setpriv")?.display())
    } else {
        "env".to_owned()
    };
    let script = format!("{before} && exec {drop} \"$0\" \"$@\"");
    Some(args.iter().fold(launch.replaced_by("sh").arg("-c").arg(script).arg(program), Launch::arg))
}
