//! What keeps a datagram from leaving: routes and firewalls, each with its sentence and its code in every client.

use std::path::Path;
use std::process::Command;

use crate::support::{Run, command, finish, pipes, skip};

/// Clients, with what makes them end soon.
const CLIENTS: [(&str, &[&str]); 7] = [
    ("request", &["-q"]),
    ("request", &["-q", "--connect"]),
    ("request", &["-q", "--raw"]),
    ("request", &["-q", "--raw", "--unconnected"]),
    ("mtu", &[]),
    ("cast", &[]),
    ("load", &["--i-own-the-target", "--timeout", "1ms"]),
];

/// Runs a client on a host of its own, with loopback and what `setup` adds; none where no such host can be made.
fn alone(setup: &str, binary: &str, arguments: &[&str]) -> Option<Run> {
    let mut unshare = Command::new("unshare");
    let script = format!("ip link set lo up || exit 99; {setup}\nexec \"$@\"");
    unshare.args(["--net", "sh", "-c", &script, "sh"]);
    let client = command(binary, arguments);
    unshare.arg(client.get_program()).args(client.get_args());
    let run = finish(pipes(&mut unshare).spawn().unwrap());
    if run.code == 99 || run.err.contains("unshare") {
        skip(&format!("no host can be made here: {}", run.err.trim()));
        return None;
    }
    Some(run)
}

#[test]
fn each_kind_of_route_has_its_sentence_and_its_code() {
    let setup = "set -e; ip route add blackhole 192.0.2.0/24; ip route add prohibit 198.51.100.0/24
        ip -6 route add blackhole 2001:db8:1::/48; ip -6 route add prohibit 2001:db8:2::/48
        ip route add unreachable 203.0.113.0/25; set +e";
    for (target, code, words) in [
        ("192.0.2.1:7", 69, "a blackhole route swallows it: see `ip route get 192.0.2.1`"),
        ("[2001:db8:1::1]:7", 69, "a blackhole route swallows it: see `ip route get 2001:db8:1::1`"),
        ("198.51.100.1:7", 77, "a prohibit route or a firewall forbids it: see `ip route get 198.51.100.1`"),
        ("[2001:db8:2::1]:7", 77, "a prohibit route or a firewall forbids it"),
        ("203.0.113.1:7", 69, "there is no route; see `ip route get 203.0.113.1`"),
        ("203.0.113.200:7", 69, "there is no route; see `ip route get 203.0.113.200`"),
        ("[2001:db8:3::1]:7", 69, "there is no route; see `ip route get 2001:db8:3::1`"),
    ] {
        for (client, options) in CLIENTS {
            let Some(run) = alone(setup, client, &[options, &[target]].concat()) else { return };
            run.fails(code, words);
            assert!(!run.err.contains("polyport-cast"), "{run:?}");
        }
    }
    // The client for broadcasts does not point to itself.
    let Some(run) = alone(setup, "cast", &["255.255.255.255:7"]) else { return };
    run.fails(69, "there is no route");
    assert!(!run.err.contains("polyport-cast"), "{run:?}");
}

#[test]
fn a_firewall_of_this_host_is_named() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/it/firewall.py");
    let firewall = format!("python3 '{}' drop || exit 98", script.display());
    for (client, options) in CLIENTS {
        let target = if client == "cast" { "127.255.255.255:7" } else { "127.0.0.1:7" };
        let arguments = [options, &[target]].concat();
        let Some(mut run) = alone(&firewall, client, &arguments) else { return };
        if run.code == 98 {
            // A kernel without nf_tables: the errno is what a client sees of one.
            let calls = "inject=sendto,sendmsg,sendmmsg:error=EPERM";
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e", calls]);
            let client = command(client, &arguments);
            strace.arg(client.get_program()).args(client.get_args());
            run = finish(pipes(&mut strace).spawn().unwrap());
        }
        run.fails(77, "a firewall of this host drops it: see `nft list ruleset`");
    }
}

#[test]
fn a_link_local_source_lends_its_interface() {
    let setup = "set -e; ip link add way index 20 type veth peer name back
        ip link set way addrgenmode none; ip link set back addrgenmode none; ip link set back up; ip link set way up
        for look in $(seq 1000); do ip -o link show way | grep -q 'state UP' && break; sleep 0.01; done
        ip -6 address add fe80::7/64 dev way nodad; ip -6 address add fe80::8/64 dev way nodad; set +e";
    for (from, target) in [
        ("fe80::7%way", "[fe80::8]:9"),
        ("[fe80::7%way]:5000", "[fe80::8]:9"),
        ("fe80::7", "[fe80::8%20]:9"),
        (":5000", "[fe80::8%20]:9"),
    ] {
        for way in [&[][..], &["--raw"]] {
            let line = [way, &["-q", "--from", from, target]].concat();
            let Some(run) = alone(setup, "request", &line) else { return };
            // By the way it says so: had it come from elsewhere, it would not be believed.
            run.fails(69, "nobody listens at [fe80::8%20]:9");
        }
    }
}
