//! `polyport-mtu` against the daemon, over three hops whose ways there and back differ.
//!
//! ```text
//!              10.78.1.0/24           10.78.2.0/24, there          10.78.4.0/24
//!   client .1 -------------- .2 near .1 ------------- .2 far .2 ------------------ .1 server
//!                                    .1 ------------- .2
//!                                     10.78.3.0/24, back
//! ```

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use polyport_net::{PathMtuDiscovery, SocketOptions, UdpSocket};
use polyport_protocol::MILLISECOND;
use polyport_protocol::client::MtuConfig;
use polyport_terminal::Interrupt;
use polyport_tests::Daemon;
use polyport_tests::network::Host;
use polyport_tools::clock::Clock;
use polyport_tools::driver::{Driver, End};
use polyport_tools::mtu::json::{BackLimitReport, BoundReport, Direction, MtuReport};
use polyport_tools::mtu::{Method, SurveyConfig, longest, survey};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Long enough for an answer on a busy machine; a miss more costs time and no truth.
const TIMER: u64 = 400 * MILLISECOND;

struct Path {
    client: Host,
    server: Host,
    routers: [Host; 2],
}

impl Path {
    /// A path that takes datagrams of `there` octets one way and of `back` the other. Without `icmp` the routers say
    /// nothing about those that are longer.
    fn new(there: u32, back: u32, icmp: bool) -> Option<Self> {
        let [client, near, far, server] = [Host::alone()?, Host::alone()?, Host::alone()?, Host::alone()?];
        for router in [&near, &far] {
            router.inside(|| {
                for (name, value) in [
                    ("ipv4/ip_forward", "1"),
                    ("ipv6/conf/all/forwarding", "1"),
                    ("ipv4/conf/all/rp_filter", "0"),
                    ("ipv4/conf/default/rp_filter", "0"),
                ] {
                    fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
                }
            });
        }
        let (there, back) = (there.to_string(), back.to_string());
        for (number, mtu, (one, its, one_end), (other, other_name, other_end)) in [
            ("1", "1500", (&client, "near", "1"), (&near, "client", "2")),
            ("2", &there, (&near, "there", "1"), (&far, "there", "2")),
            ("3", &back, (&near, "back", "1"), (&far, "back", "2")),
            ("4", "1500", (&far, "server", "2"), (&server, "far", "1")),
        ] {
            one.wire(its, other, other_name);
            for (host, link, end) in [(one, its, one_end), (other, other_name, other_end)] {
                host.ip(&["link", "set", link, "mtu", mtu, "up"]);
                host.ip(&["address", "add", &format!("10.78.{number}.{end}/24"), "dev", link]);
                host.ip(&["address", "add", &format!("fd78:{number}::{end}/64"), "dev", link, "nodad"]);
            }
        }
        for (host, to, via) in [
            (&client, ["default", "default"], ["10.78.1.2", "fd78:1::2"]),
            (&server, ["default", "default"], ["10.78.4.2", "fd78:4::2"]),
            (&near, ["10.78.4.0/24", "fd78:4::/64"], ["10.78.2.2", "fd78:2::2"]),
            (&far, ["10.78.1.0/24", "fd78:1::/64"], ["10.78.3.1", "fd78:3::1"]),
        ] {
            for (to, via) in to.into_iter().zip(via) {
                host.ip(&["route", "add", to, "via", via]);
            }
        }
        if !icmp {
            // What the routers themselves send has no route; what they forward has.
            for (router, v4, v6) in
                [(&near, "10.78.1.0/24", "fd78:1::/64"), (&far, "10.78.4.0/24", "fd78:4::/64")]
            {
                router.ip(&["rule", "add", "iif", "lo", "to", v4, "blackhole"]);
                router.ip(&["-6", "rule", "add", "iif", "lo", "to", v6, "blackhole"]);
            }
        }
        Some(Self { client, server, routers: [near, far] })
    }

    /// A responder, an echo, and an echo whose answers are never cut.
    fn serve(&self) -> Daemon {
        let mut launch = self.server.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
        for (ip, v) in [("10.78.4.1", 4), ("[fd78:4::1]", 6)] {
            launch = launch
                .listen(format!("{ip}:7001=responder,name=responder{v}"))
                .listen(format!("{ip}:7002=echo,name=echo{v}"))
                .listen(format!("{ip}:7003=echo,df=true,name=uncut{v}"))
                .listen(format!("{ip}:7004=lossy,df=true,delay=1ms,name=late{v}"));
        }
        launch.serve()
    }

    fn survey(&self, port: u16, family: Family, method: Method) -> MtuReport {
        let peer: SocketAddr = match family {
            Family::V4 => ([10, 78, 4, 1], port).into(),
            Family::V6 => ([0xFD78, 4, 0, 0, 0, 0, 0, 1], port).into(),
        };
        self.client.inside(move || {
            let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let options = SocketOptions {
                path_mtu_discovery: Some(PathMtuDiscovery::Probe),
                ..SocketOptions::default()
            };
            let socket = UdpSocket::bind(any.parse().unwrap(), &options).unwrap();
            let mut driver = Driver::new(socket, false, Clock::start(), Interrupt::default());
            driver.watch_errors().unwrap();
            let tells_fragments = driver.watch_fragments().unwrap();
            assert!(tells_fragments, "Linux 4.10 and later");
            let search = MtuConfig { probe_timer: TIMER, ..MtuConfig::new(peer, longest(peer)) };
            let config =
                SurveyConfig { search, method, own: any.parse().unwrap(), tells_fragments, verbose: false };
            let mut seed = 0;
            let rng = || {
                seed += 1;
                StdRng::seed_from_u64(seed)
            };
            let (finding, end) = survey(&mut driver, &config, rng).unwrap();
            assert_eq!(end, End::Finished);
            MtuReport::new(&finding)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Family {
    V4,
    V6,
}

/// MTU there and back, with whether it may be more.
type Ways = ((usize, bool), (usize, bool));

#[track_caller]
fn assert_ways(report: &MtuReport, expected: Ways, bound: BoundReport, limit: BackLimitReport) {
    let (there, back) = (report.there.unwrap(), report.back.unwrap_or_else(|| panic!("{report:?}")));
    let ways = ((there.mtu, there.at_least), (back.mtu, back.at_least));
    assert_eq!((ways, report.bound.unwrap(), back.limit), (expected, bound, limit), "{report:?}");
    assert_eq!(report.mtu, Some(there.mtu.min(back.mtu)));
    assert_eq!(report.direction, Direction::Both);
}

/// Asks over both families, and where routers speak once more, when the kernels have learnt what they said.
fn ask(path: &Path, times: usize, check: impl Fn(&Path, Family)) {
    let daemon = path.serve();
    for _ in 0..times {
        for family in FAMILIES {
            check(path, family);
        }
    }
    drop(daemon);
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

#[test]
fn a_narrow_way_there_is_exact_and_the_way_back_at_least_as_wide() {
    let Some(path) = Path::new(1280, 1500, true) else { return };
    ask(&path, 2, |path, family| {
        for (port, method) in
            [(7001, Method::Padded), (7002, Method::Raw), (7003, Method::Raw), (7004, Method::Raw)]
        {
            let report = path.survey(port, family, method);
            let ways = ((1280, false), (1280, true));
            assert_ways(&report, ways, BoundReport::IcmpNextHop, BackLimitReport::Probes);
            assert_eq!((report.black_hole, report.cut_echoes), (Some(false), 0));
        }
    });
}

#[test]
fn a_narrow_way_there_without_icmp_is_a_black_hole_and_an_echo_cannot_tell_which_way() {
    let Some(path) = Path::new(1280, 1500, false) else { return };
    ask(&path, 1, |path, family| {
        let both = path.survey(7001, family, Method::Padded);
        assert_ways(&both, ((1280, false), (1280, true)), BoundReport::Silence, BackLimitReport::Probes);
        let raw = path.survey(7002, family, Method::Raw);
        assert_ways(&raw, ((1280, true), (1280, true)), BoundReport::Silence, BackLimitReport::Either);
        assert_eq!((both.black_hole, raw.black_hole), (Some(true), Some(true)));
    });
}

/// C13.
#[test]
fn a_narrow_way_back_is_told_by_what_does_not_come_and_by_fragments() {
    let Some(path) = Path::new(1500, 1280, true) else { return };
    ask(&path, 2, |path, family| {
        let ways = ((1500, false), (1280, false));
        let both = path.survey(7001, family, Method::Padded);
        assert_ways(&both, ways, BoundReport::LocalEmsgsize, BackLimitReport::Silence);
        let raw = path.survey(7002, family, Method::Raw);
        assert_ways(&raw, ways, BoundReport::LocalEmsgsize, BackLimitReport::Fragments);
        let fragment = if family == Family::V4 { 1276 } else { 1280 };
        assert_eq!(raw.back.unwrap().fragment, Some(fragment));
        assert_eq!((both.black_hole, raw.black_hole), (Some(false), Some(false)));
    });
}

#[test]
fn a_narrow_way_back_without_icmp_is_told_apart_where_answers_say_enough() {
    let Some(path) = Path::new(1500, 1280, false) else { return };
    ask(&path, 1, |path, family| {
        let ways = ((1500, false), (1280, false));
        let both = path.survey(7001, family, Method::Padded);
        assert_ways(&both, ways, BoundReport::LocalEmsgsize, BackLimitReport::Silence);
        let raw = path.survey(7002, family, Method::Raw);
        if family == Family::V4 {
            // Answers without the don't-fragment bit are cut by the router.
            assert_ways(&raw, ways, BoundReport::LocalEmsgsize, BackLimitReport::Fragments);
        } else {
            // Over IPv6 only their sender could cut them, and nobody tells it.
            assert_ways(&raw, ((1280, true), (1280, true)), BoundReport::Silence, BackLimitReport::Either);
        }
    });
}

#[test]
fn answers_that_an_option_keeps_whole_are_never_fragments() {
    let Some(path) = Path::new(1500, 1280, true) else { return };
    ask(&path, 1, |path, family| {
        for port in [7003, 7004] {
            let raw = path.survey(port, family, Method::Raw);
            assert_ways(&raw, ((1280, true), (1280, true)), BoundReport::Silence, BackLimitReport::Either);
        }
    });
}

/// The answers to probes are as long as what their own link takes at most, whatever the path's MTU was said to be.
#[test]
fn a_way_that_has_become_wider_is_seen_although_the_kernels_remember_a_narrow_one() {
    let Some(path) = Path::new(1280, 1280, true) else { return };
    let daemon = path.serve();
    for family in FAMILIES {
        let narrow = path.survey(7001, family, Method::Padded);
        assert_ways(
            &narrow,
            ((1280, false), (1280, true)),
            BoundReport::IcmpNextHop,
            BackLimitReport::Probes,
        );
    }
    for (router, link) in path.routers.iter().flat_map(|router| [(router, "there"), (router, "back")]) {
        router.ip(&["link", "set", link, "mtu", "1500"]);
    }
    for family in FAMILIES {
        let wide = path.survey(7001, family, Method::Padded);
        assert_ways(
            &wide,
            ((1500, false), (1500, true)),
            BoundReport::LocalEmsgsize,
            BackLimitReport::Probes,
        );
    }
    drop(daemon);
}

/// What an interface does not take is dropped by a name, and what comes after it leaves.
#[test]
fn an_answer_too_long_for_the_interface_is_counted() {
    let Some(path) = Path::new(1500, 1500, true) else { return };
    let daemon = path.serve();
    let peer: SocketAddr = "10.78.4.1:7003".parse().unwrap();
    path.client.inside(|| {
        let socket = std::net::UdpSocket::bind("10.78.1.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket.send_to(&[7; 3000], peer).unwrap();
        socket.send_to(&[7; 1472], peer).unwrap();
        let mut buffer = [0; 4096];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 1472);
    });
    let served = daemon.stop();
    assert_eq!(served.sent("uncut4", "too_big"), 1, "{}", served.line("uncut4"));
}
