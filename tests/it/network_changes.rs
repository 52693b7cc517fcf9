//! The network comes and goes, and a daemon that serves goes on by itself when it is there again: R33, R34, R36.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use polyport_tests::kernel::received;
use polyport_tests::network::{Host, Network, WIRE};
use polyport_tests::tool::{skip, tool};
use polyport_tests::{DEADLINE, Daemon, wait};

/// A client on the other host, which asks whether or not there is a way.
struct Asker {
    name: &'static str,
    socket: UdpSocket,
    server: SocketAddr,
}

/// Between two attempts.
const STEP: Duration = Duration::from_millis(50);
/// Attempts until it fails: those of the deadline.
const ATTEMPTS: u128 = DEADLINE.as_millis() / STEP.as_millis();

impl Asker {
    #[track_caller]
    fn new(host: &Host, name: &'static str, server: &str) -> Self {
        let server: SocketAddr = server.parse().unwrap();
        let local = if server.is_ipv4() { "10.77.0.2:0" } else { "[fd77::2]:0" };
        let socket = host.inside(|| UdpSocket::bind(local).unwrap());
        socket.set_read_timeout(Some(STEP)).unwrap();
        Self { name, socket, server }
    }

    /// Asks once. The network may refuse.
    fn ask(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).ok();
    }

    /// Asks until there is an answer to just that, and fails after the deadline. What others were asked before may be
    /// answered first.
    #[track_caller]
    fn expect_answer(&self, text: &str) {
        for _ in 0..ATTEMPTS {
            self.ask(text);
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
                if from == self.server && &buffer[..len] == text.as_bytes() {
                    return;
                }
            }
        }
        panic!("{}: no answer to {text:?} within {DEADLINE:?}", self.name);
    }
}

/// A daemon with a listener on an address of each family, and one on all of them.
#[track_caller]
fn serve(network: &Network) -> (Daemon, [Asker; 4]) {
    let launch = network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch
        .listen("10.77.0.1:5000=echo,name=v4")
        .listen("0.0.0.0:5001=echo,name=any4")
        .listen("[fd77::1]:5000=echo,name=v6")
        .listen("[::]:5001=echo,name=any6")
        .serve();
    let askers = [
        Asker::new(&network.there, "v4", "10.77.0.1:5000"),
        Asker::new(&network.there, "any4", "10.77.0.1:5001"),
        Asker::new(&network.there, "v6", "[fd77::1]:5000"),
        Asker::new(&network.there, "any6", "[fd77::1]:5001"),
    ];
    (daemon, askers)
}

/// Lets the daemon meet `change` with requests that it has received and not answered yet, and fails if it does not come to
/// rest then, or if it does not serve everybody after `back`.
#[track_caller]
fn expect_return(daemon: Daemon, askers: &[Asker], change: impl FnOnce(), back: impl FnOnce()) {
    const REQUESTS: usize = 10;
    askers.iter().for_each(|asker| asker.expect_answer("before"));
    daemon.process.freeze();
    askers.iter().for_each(|asker| (0..REQUESTS).for_each(|_| asker.ask("meanwhile")));
    wait::until("requests that wait", || (0..2).all(|row| daemon.queue(row).waiting > 0));
    change();
    daemon.process.thaw();
    (0..2).for_each(|row| daemon.wait_until_drained(row));
    // More that will not be answered, some of which do not even get here.
    askers.iter().for_each(|asker| asker.ask("nobody hears this"));
    wait::until("a daemon that waits", || daemon.is_asleep());
    back();
    askers.iter().for_each(|asker| asker.expect_answer("after"));
    let served = daemon.stop();
    for name in ["v4", "any4"] {
        let (dropped, sent) = (served.sent(name, "dropped"), served.sent(name, "sent"));
        assert!(dropped > 0 && sent >= 2, "{}", served.line(name));
    }
}

/// R33, the first half. A link that goes down takes its IPv6 addresses along.
#[test]
fn a_link_that_comes_back_is_served_again() {
    let Some(network) = Network::new() else { return };
    let (daemon, askers) = serve(&network);
    let here = &network.here;
    let down = || here.ip(&["link", "set", WIRE, "down"]);
    let up = || {
        here.ip(&["link", "set", WIRE, "up"]);
        here.ip(&["address", "replace", "fd77::1/64", "dev", WIRE, "nodad"]);
    };
    expect_return(daemon, &askers, down, up);
}

/// R33, the second half.
#[test]
fn an_address_that_comes_back_is_served_again() {
    let Some(network) = Network::new() else { return };
    let (daemon, askers) = serve(&network);
    let here = &network.here;
    let addresses = ["10.77.0.1/24", "fd77::1/64"];
    // The last of a network takes the way to its peers along.
    let gone = || here.ip(&["address", "flush", "dev", WIRE, "scope", "global"]);
    let back = || {
        addresses.iter().for_each(|address| here.ip(&["address", "add", address, "dev", WIRE, "nodad"]));
    };
    expect_return(daemon, &askers, gone, back);
}

/// R34: `freebind` serves an address from the moment it is there, however often it comes and goes.
#[test]
fn an_address_that_does_not_exist_yet_can_be_bound() {
    let Some(network) = Network::new() else { return };
    let here = &network.here;
    let launch = || here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let later = ["10.77.0.9/24", "fd77::9/64"];
    for (text, more) in [("10.77.0.9:5000", ""), ("[fd77::9]:5000", ",freebind=false")] {
        let refused = launch().listen(format!("{text}=echo{more}")).refused(71);
        refused.expect_stderr(&["no interface of this host has the address", "freebind = true"]);
    }
    let daemon = launch()
        .config(
            "[[listen]]\nbind = ['10.77.0.9:5000', '[fd77::9]:5000']\nplugin = 'echo'\nname = 'later'\n\
             freebind = true\n",
        )
        .serve();
    let askers = [
        Asker::new(&network.there, "v4", "10.77.0.9:5000"),
        Asker::new(&network.there, "v6", "[fd77::9]:5000"),
    ];
    for round in ["the first time", "the second time"] {
        askers.iter().for_each(|asker| asker.ask("too early"));
        for ip in later {
            here.ip(&["address", "add", ip, "dev", WIRE, "nodad"]);
        }
        askers.iter().for_each(|asker| asker.expect_answer(round));
        for ip in later {
            here.ip(&["address", "del", ip, "dev", WIRE]);
        }
        wait::until("a daemon that waits", || daemon.is_asleep());
    }
    let served = daemon.stop();
    assert!(served.sent("later", "sent") >= 4, "{}", served.line("later"));
}

/// R36: a firewall that drops what leaves says so to the sender (`EPERM`). Every reply is counted, and when the rule goes,
/// everything is as before.
#[test]
fn a_firewall_that_drops_answers_costs_just_these() {
    const DROPPED: u64 = 20;
    let Some(python) = tool("python3") else { return };
    let Some(network) = Network::new() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/firewall.py");
    let firewall = |word| network.here.launch(&python).arg(&script).arg(word).run();
    let (daemon, askers) = serve(&network);
    askers.iter().for_each(|asker| asker.expect_answer("before"));
    for round in ["once", "and again"] {
        let finished = firewall("drop");
        if finished.code() == Some(77) {
            skip(&format!("no firewall can be set up here: {}", finished.stderr));
            return;
        }
        finished.expect_code(0);
        let before = received(&daemon.pid());
        askers.iter().for_each(|asker| (0..DROPPED).for_each(|_| asker.ask("forbidden")));
        let all = before + askers.len() as u64 * DROPPED;
        wait::until("all that was asked", || received(&daemon.pid()) == all);
        wait::until("a daemon that waits", || daemon.is_asleep());
        firewall("accept").expect_code(0);
        askers.iter().for_each(|asker| asker.expect_answer(round));
    }
    let served = daemon.stop();
    for asker in &askers {
        let forbidden = served.sent(asker.name, "forbidden");
        assert_eq!(forbidden, 2 * DROPPED, "{}", served.line(asker.name));
        assert_eq!(served.sent(asker.name, "dropped"), forbidden);
    }
}

/// C1: an interface that goes and comes again under its name is another one for the kernel. The listener joins there, however
/// often.
#[test]
fn a_group_is_joined_again_on_an_interface_that_comes_again() {
    const BRIDGE: &str = "wire1";
    let Some(network) = Network::new() else { return };
    let (here, there) = (&network.here, &network.there);
    let plug = || {
        here.ip(&["link", "add", BRIDGE, "type", "veth", "peer", "name", BRIDGE, "netns", there.name()]);
        for (host, address) in [(here, "10.78.0.1/24"), (there, "10.78.0.2/24")] {
            host.ip(&["link", "set", BRIDGE, "up"]);
            host.ip(&["address", "add", address, "dev", BRIDGE]);
            host.ip(&[
                "address",
                "add",
                &address.replace("10.78.0.", "fd78::").replace("/24", "/64"),
                "dev",
                BRIDGE,
                "nodad",
            ]);
        }
        there.ip(&["route", "replace", "239.1.1.9", "dev", BRIDGE]);
    };
    plug();
    let mut daemon = here
        .launch(env!("CARGO_BIN_EXE_polyport-under-test"))
        .config(&format!(
            "[[listen]]\nname = 'four'\nbind = '0.0.0.0:5000'\nplugin = 'listener'\njoin = '239.1.1.9 on {BRIDGE}'\n\
             options = {{ record = 'log' }}\n\
             [[listen]]\nname = 'six'\nbind = '[::]:5000'\nplugin = 'listener'\njoin = 'ff15::9 on {BRIDGE}'\n\
             options = {{ record = 'log' }}\n"
        ))
        .serve();
    for round in 0..3 {
        if round > 0 {
            here.ip(&["link", "del", BRIDGE]);
            daemon.process.wait_for_stderr_times("the interface wire1 is gone", 2 * round);
            plug();
            daemon.process.wait_for_stderr_times("again, on another interface wire1", 2 * round);
        }
        let (four, six) = there.inside(|| {
            let six = UdpSocket::bind("[fd78::2]:0").unwrap();
            let index = rustix::net::netdevice::name_to_index(&six, BRIDGE).unwrap();
            rustix::net::sockopt::set_ipv6_multicast_if(&six, index).unwrap();
            (UdpSocket::bind("10.78.0.2:0").unwrap(), six)
        });
        for (socket, group) in [(four, "239.1.1.9:5000"), (six, "[ff15::9]:5000")] {
            // The first may come before the wire carries anything.
            let (text, heard) = (format!("round {round}"), AtomicBool::new(false));
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !heard.load(Ordering::Relaxed) {
                        socket.send_to(text.as_bytes(), group).ok();
                        thread::park_timeout(STEP);
                    }
                });
                let line = format!("-> {group} multicast on {BRIDGE}, 7 bytes: \"{text}\"");
                let came = daemon.process.try_wait_for_stderr(&line);
                heard.store(true, Ordering::Relaxed);
                assert!(came, "{line}");
            });
        }
    }
    let finished = daemon.stop().finished;
    assert_eq!(
        finished.stderr.matches("again, on another interface wire1").count(),
        4,
        "{}",
        finished.stderr
    );
}

/// C2: a socket that is bound to a group hears it without a word about joining.
#[test]
fn a_group_that_is_bound_is_heard() {
    let Some(network) = Network::new() else { return };
    let launch = || network.here.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = [
        "239.9.9.1:5000=listener,name=bound",
        "0.0.0.0:5000=listener,name=all",
        "239.9.9.2:5000=listener,name=other",
    ]
    .into_iter()
    .fold(launch(), |launch, listen| launch.listen(format!("{listen},share=true")))
    .serve();
    let sender = network.there.inside(|| UdpSocket::bind("10.77.0.2:0").unwrap());
    for _ in 0..3 {
        sender.send_to(b"to the group", "239.9.9.1:5000").unwrap();
    }
    daemon.wait_until_drained(0);
    let served = daemon.stop();
    let heard = |name| served.counted(name, "multicast_total");
    assert_eq!((heard("bound"), heard("all"), heard("other")), (3, 0, 0), "{}", served.finished.stdout);
    // Where no interface is known for the group, that is said.
    network.here.ip(&["route", "del", "224.0.0.0/4", "dev", WIRE]);
    let refused = launch().listen("239.9.9.1:5000=listener").refused(71);
    refused.expect_stderr(&["239.9.9.1", "no route leads to 239.9.9.1", "join = \"239.9.9.1 on INTERFACE\""]);
}
