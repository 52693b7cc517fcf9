//! Which addresses are this host's own, in a namespace where they are known and can be changed.

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use polyport_net::{LocalAddresses, LocalPrefix, Reading, wait_readable};

use crate::support::{DEADLINE, is_in_namespace};

#[test]
fn the_addresses_of_the_host_are_read() {
    if !is_in_namespace("addresses::the_addresses_of_the_host_are_read") {
        return;
    }
    ip("address add 10.7.0.1/24 brd + dev pp0");
    ip("address add 10.8.0.1 peer 10.8.0.2/32 dev pp0");
    ip("address add fd78::1 peer fd78::2/128 dev pp0 nodad");
    ip("route add local 192.0.2.0/24 dev lo");
    ip("-6 route add local 2001:db8::/32 dev lo");
    // A transparent proxy's own table.
    ip("route add local default dev lo table 100");
    // As in a VRF, whose routes are in another table too.
    ip("address add 10.9.0.1/24 brd + dev pp1");
    ip("route del local 10.9.0.1 dev pp1 table local");
    ip("route del broadcast 10.9.0.255 dev pp1 table local");
    let (found, reading) = read(&mut LocalAddresses::open().unwrap());
    assert_eq!(reading, Reading::Whole);
    let has = |prefix: &str, broadcast| {
        let (ip, bits) = prefix.split_once('/').unwrap();
        found.contains(&LocalPrefix { ip: ip.parse().unwrap(), bits: bits.parse().unwrap(), broadcast })
    };
    for own in [
        "127.0.0.0/8",
        "::1/128",
        "10.7.0.1/32",
        "10.8.0.1/32",
        "10.9.0.1/32",
        "fd77::1/128",
        "fd78::1/128",
        "192.0.2.0/24",
        "2001:db8::/32",
    ] {
        assert!(has(own, false), "{own}: {found:#?}");
    }
    for broadcast in ["10.7.0.255/32", "10.9.0.255/32", "127.255.255.255/32"] {
        assert!(has(broadcast, true) && !has(broadcast, false), "{broadcast}: {found:#?}");
    }
    let link_local = |prefix: &LocalPrefix| match prefix.ip {
        IpAddr::V6(ip) => ip.is_unicast_link_local() && prefix.bits == 128,
        IpAddr::V4(_) => false,
    };
    assert!(found.iter().any(link_local), "{found:#?}");
    for other in ["10.8.0.2/32", "fd78::2/128", "0.0.0.0/0"] {
        assert!(!has(other, false), "{other}: {found:#?}");
    }
    assert!(found.iter().all(|prefix| !prefix.ip.is_multicast()), "{found:#?}");
}

#[test]
fn changes_are_told_and_routes_to_elsewhere_are_not() {
    if !is_in_namespace("addresses::changes_are_told_and_routes_to_elsewhere_are_not") {
        return;
    }
    let mut addresses = LocalAddresses::open().unwrap();
    // What the kernel still had to tell of the interfaces themselves: their link-local addresses appear a moment later.
    ip("address add 10.7.0.1/24 dev pp0");
    settle(&mut addresses, "10.7.0.1", true);
    for (change, address, is_there) in [
        ("address add 10.7.0.2/24 dev pp0", "10.7.0.2", true),
        ("address del 10.7.0.2/24 dev pp0", "10.7.0.2", false),
        ("address add fd78::9/64 dev pp0 nodad", "fd78::9", true),
        ("address del fd78::9/64 dev pp0", "fd78::9", false),
        ("route add local 192.0.2.9/32 dev lo", "192.0.2.9", true),
        ("route del local 192.0.2.9/32 dev lo", "192.0.2.9", false),
        ("link set pp0 down", "10.7.0.1", true),
        ("address add 10.7.0.5/24 dev lo", "10.7.0.5", true),
    ] {
        ip(change);
        settle(&mut addresses, address, is_there);
    }
    ip("link set pp0 up");
    // Without IPv6 nothing is announced late, as an address is that was looked for on the link first.
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    while wait_readable(&addresses.changes().unwrap(), DEADLINE / 20).unwrap() {
        addresses.take_changes();
    }
    ip("route add 198.51.100.0/24 dev pp0");
    ip("route add 203.0.113.0/24 nexthop dev pp0 nexthop dev pp1");
    let mut told = false;
    while wait_readable(&addresses.changes().unwrap(), DEADLINE / 20).unwrap() {
        told |= addresses.take_changes();
    }
    assert!(!told, "a route to elsewhere is no change of the addresses");
    // So many that some are lost, and nobody knows what they told.
    batch((0..2000).map(|n| format!("route add 198.18.{}.{}/32 dev pp0", n / 250, n % 250)));
    assert!(addresses.take_changes());
}

/// The socket of the notifications is full long before the last; what was lost is read all the same.
#[test]
fn thousands_of_changes_end_in_the_right_addresses() {
    if !is_in_namespace("addresses::thousands_of_changes_end_in_the_right_addresses") {
        return;
    }
    let mut addresses = LocalAddresses::open().unwrap();
    let every = || (1..=20_u8).flat_map(|third| (1..=250_u8).map(move |last| format!("10.7.{third}.{last}")));
    batch(every().map(|ip| format!("address add {ip}/32 dev pp0")));
    assert!(wait_readable(&addresses.changes().unwrap(), DEADLINE).unwrap());
    assert!(addresses.take_changes());
    while wait_readable(&addresses.changes().unwrap(), DEADLINE / 100).unwrap() {
        addresses.take_changes();
    }
    let mut found = Vec::new();
    addresses.begin();
    let mut parts = 0;
    loop {
        let before = found.len();
        match addresses.read(&mut found).unwrap() {
            Reading::Part => parts += 1,
            Reading::Whole => break,
            Reading::Torn => panic!("nobody changes anything"),
        }
        assert!(found.len() - before < 1000, "a part is no more than some hundred");
    }
    assert!(parts > 10, "{parts} parts");
    for ip in every() {
        let ip = ip.parse().unwrap();
        assert!(found.contains(&LocalPrefix { ip, bits: 32, broadcast: false }), "{ip}");
    }
}

#[test]
fn a_reading_that_is_begun_again_is_whole() {
    let mut addresses = LocalAddresses::open().unwrap();
    let (whole, _) = read(&mut addresses);
    for parts in 0..4 {
        let mut given_up = Vec::new();
        addresses.begin();
        (0..parts).for_each(|_| assert_ne!(addresses.read(&mut given_up).unwrap(), Reading::Torn));
        let (mut again, _) = read(&mut addresses);
        let mut whole = whole.clone();
        whole.sort();
        again.sort();
        assert_eq!(again, whole, "after {parts} parts");
    }
}

/// Interfaces are read and their changes heard once somebody wants it, and only then.
#[test]
fn interfaces_come_and_go() {
    if !is_in_namespace("addresses::interfaces_come_and_go") {
        return;
    }
    let mut addresses = LocalAddresses::open().unwrap();
    let names = |addresses: &LocalAddresses| {
        let links = addresses.links().iter().map(|link| (link.name.clone(), link.multicast));
        let mut names: Vec<_> = links.collect();
        names.sort();
        names
    };
    read(&mut addresses);
    assert_eq!(names(&addresses), []);
    addresses.watch_links().unwrap();
    let at_first = [("lo", false), ("pp0", true), ("pp1", true)].map(|(name, is)| (name.to_owned(), is));
    assert_eq!(names(&addresses), at_first);
    let index = addresses.links().iter().find(|link| link.name == "pp0").unwrap().index;
    assert_eq!(index, polyport_net::interface_index("pp0").unwrap());
    // One without any address.
    for (change, is_there) in [("link add pp8 type veth peer name pp9", true), ("link del pp8", false)] {
        ip(change);
        let mut tries = 0..20;
        loop {
            assert!(tries.next().is_some(), "{change}");
            assert!(
                wait_readable(&addresses.changes().unwrap(), DEADLINE).unwrap(),
                "{change}: no word of it"
            );
            let told = addresses.take_changes();
            read(&mut addresses);
            if told && names(&addresses).contains(&("pp9".to_owned(), true)) == is_there {
                break;
            }
        }
    }
    assert_eq!(names(&addresses), at_first);
}

/// Everything, and how the reading ended.
fn read(addresses: &mut LocalAddresses) -> (Vec<LocalPrefix>, Reading) {
    let mut found = Vec::new();
    addresses.begin();
    loop {
        match addresses.read(&mut found).unwrap() {
            Reading::Part => {}
            reading @ (Reading::Whole | Reading::Torn) => return (found, reading),
        }
    }
}

/// Waits until changes say that `address` is there or gone.
#[track_caller]
fn settle(addresses: &mut LocalAddresses, address: &str, is_there: bool) {
    let ip: IpAddr = address.parse().unwrap();
    for _ in 0..20 {
        assert!(wait_readable(&addresses.changes().unwrap(), DEADLINE).unwrap(), "{address}: no word of it");
        let told = addresses.take_changes();
        let (found, _) = read(addresses);
        if told && found.iter().any(|prefix| prefix.ip == ip) == is_there {
            return;
        }
    }
    panic!("{address} is there: {}", !is_there);
}

#[track_caller]
fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip(8) can be started");
    assert!(status.success(), "ip {arguments}");
}

#[track_caller]
fn batch(lines: impl Iterator<Item = String>) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let text: String = lines.map(|line| line + "\n").collect();
    ip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success());
}
