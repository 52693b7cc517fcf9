//! What is answered, and when.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use polyport_terminal::COMMIT;
use polyport_tests::Daemon;
use polyport_tests::plugins::{compile_c, fixture, spec};
use polyport_tests::tool::tool;
use polyport_tests::upstream::Upstream;
use polyport_tests::wait;
use rustix::process::Signal;

use super::{answer, echo, get, get_with, metrics_of, name_of, raw, scrape, serve};
use crate::polyport;

const BUSY: i32 = 75;
const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n";

/// Has the first listener called, one datagram after the other, until one of the calls was timed.
#[track_caller]
fn until_timed(daemon: &Daemon, at: SocketAddr) {
    let client = daemon.client(0);
    wait::until("calls were timed", || {
        (0..200).for_each(|n| client.expect_echo(format!("{n}").as_bytes()));
        scrape(at).keys().any(|series| name_of(series) == "polyport_handler_call_duration_seconds_count")
    });
}

#[test]
fn what_was_counted_is_told_by_range_plugin_and_reason() {
    let launch = polyport().config(
        "[[listen]]\nname = \"a\"\nbind = [\"127.0.0.1:0\", \"[::1]:0\"]\nplugin = \"echo\"\n\
         [[listen]]\nname = \"b\"\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { loss = \"100%\" }\n",
    );
    let (daemon, at) = serve(launch);
    let [first, second, lossy] = [0, 1, 2].map(|row| daemon.addresses()[row]);
    (0..3).for_each(|n| daemon.client(0).send_numbered(n));
    daemon.client(1).expect_echo(b"six");
    daemon.client(2).send(b"lost");
    let received = |address| {
        format!("polyport_received_datagrams_total{{listener=\"a\",address=\"{address}\",plugin=\"echo\"}}")
    };
    let lost = format!(
        "polyport_dropped_datagrams_total{{listener=\"b\",address=\"{lossy}\",plugin=\"lossy\",direction=\"in\",reason=\"on_purpose\"}}"
    );
    wait::until("all are counted", || {
        let all = scrape(at);
        all[&received(first)] == 3.0 && all[&received(second)] == 1.0 && all.get(&lost) == Some(&1.0)
    });
    let all = scrape(at);
    let b = format!("{{listener=\"b\",address=\"{lossy}\",plugin=\"lossy\"");
    assert_eq!(all[&format!("polyport_addresses{b},state=\"serving\"}}")], 1.0);
    assert_eq!(all[&format!("polyport_addresses{b},state=\"failed\"}}")], 0.0);
    assert_eq!(all["polyport_plugin_lossy_datagrams_total{listener=\"b\",plugin=\"lossy\"}"], 1.0);
    let build =
        format!("polyport_build_info{{version=\"{}\",commit=\"{COMMIT}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(all[&build], 1.0);
    assert_eq!((all["polyport_listeners"], all["polyport_config_last_reload_successful"]), (2.0, 1.0));
    assert!(all["process_resident_memory_bytes"] > 1e6 && all["process_cpu_seconds_total"] > 0.0);
    assert!(all["process_start_time_seconds"] > 1.7e9 && all["process_max_fds"] > 10.0);
    // What both sides of the equation count, summed over everything.
    let sum = |name: &str, label: &str| -> f64 {
        let is_meant = |series: &&String| name_of(series) == name && series.contains(label);
        all.iter().filter(|(series, _)| is_meant(series)).map(|(_, value)| value).sum()
    };
    let came = sum("polyport_received_datagrams_total", "");
    let became = ["replied_datagrams_total", "consumed_datagrams_total", "kept_datagrams"];
    let became: f64 = became.iter().map(|name| sum(&format!("polyport_{name}"), "")).sum();
    assert_eq!(came, became + sum("polyport_dropped_datagrams_total", "direction=\"in\""));
    drop(daemon.stop());
}

/// With the sandbox, which is on in all of these tests, under another user, with IPv6.
#[test]
fn it_answers_in_the_sandbox_at_ipv6_and_by_every_way_to_say_where() {
    let mut daemon = echo().env("POLYPORT_METRICS", "[::1]:0").serve();
    let at = metrics_of(&mut daemon);
    assert!(at.is_ipv6() && scrape(at)["polyport_uptime_seconds"] >= 0.0);
    assert!(daemon.process.stdout().contains("seccomp"), "{}", daemon.process.stdout());
    drop(daemon.stop());
    let file = "metrics = \"127.0.0.1:0\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n";
    let mut daemon = polyport().config(file).serve();
    let at = metrics_of(&mut daemon);
    assert_eq!(get(at, "/healthz").body, "ok\n");
    drop(daemon.stop());
    let daemon = polyport().config(file).args(&["--metrics", "off"]).serve();
    let served = daemon.stop();
    assert!(!served.finished.stderr.contains("metrics"), "{}", served.finished.stderr);
}

#[test]
fn the_form_is_the_one_that_is_asked_for() {
    let (daemon, at) = serve(echo());
    let plain = get(at, "/metrics");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        plain.body.contains("\n# TYPE polyport_sent_bytes_total counter\n") && !plain.body.contains("# EOF")
    );
    let open = get_with(at, "/metrics", OPENMETRICS);
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.body.contains("\n# TYPE polyport_sent_bytes counter\n# UNIT polyport_sent_bytes bytes\n"));
    assert!(open.body.ends_with("\n# EOF\n"));
    let refused = get_with(at, "/metrics", "Accept: application/openmetrics-text;q=0, */*\r\n");
    assert!(refused.header("content-type").unwrap().starts_with("text/plain"));
    drop(daemon.stop());
}

/// What Prometheus itself says of both forms.
#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = tool("promtool") else { return };
    let launch = echo()
        .listen("127.0.0.1:0=lossy,loss=50%")
        .listen("127.0.0.1:0=responder")
        .listen("127.0.0.1:0=stamp")
        .listen("127.0.0.1:0=relay,to=192.0.2.1:9");
    let (daemon, at) = serve(launch);
    until_timed(&daemon, at);
    let text = get(at, "/metrics").body;
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}\n{text}");
    drop(daemon.stop());
}

/// The parser of the reference implementation reads the other form to its end.
#[test]
fn the_openmetrics_form_is_complete_and_in_order() {
    let (daemon, at) = serve(echo().listen("127.0.0.1:0=lossy,loss=50%"));
    until_timed(&daemon, at);
    let text = get_with(at, "/metrics", OPENMETRICS).body;
    let mut family = String::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            assert_eq!(lines.peek(), None, "something stands behind the end");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(seen.insert(family.clone()), "{family} comes twice");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {family} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let suffix = name_of(line.rsplit_once(' ').unwrap().0).strip_prefix(&family);
            assert!(["", "_total", "_sum", "_count", "_bucket"].contains(&suffix.unwrap()), "{line}");
        }
    }
    // Of a histogram, no bucket has less than the one before it, and the last has all.
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| {
            line.starts_with("polyport_handler_call_duration_seconds_bucket{") && line.contains("\"echo\"")
        })
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(buckets.is_sorted() && buckets.len() == 20, "{buckets:?}");
    let counted = text.lines().find(|line| {
        line.starts_with("polyport_handler_call_duration_seconds_count") && line.contains("\"echo\"")
    });
    assert_eq!(counted.unwrap().rsplit_once(' ').unwrap().1.parse(), Ok(*buckets.last().unwrap()));
    drop(daemon.stop());
}

#[test]
fn only_get_and_head_are_answered_and_only_for_pages_that_there_are() {
    let (daemon, at) = serve(echo());
    let head = answer(&raw(at, b"HEAD /metrics HTTP/1.1\r\nHost: test\r\n\r\n"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let answer = answer(&raw(at, format!("{method} /metrics HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in ["/metric", "/metrics/", "//metrics", "/..%2fmetrics", "/%00"] {
        assert_eq!(get(at, path).status, 404, "{path}");
    }
    let front = get(at, "/");
    assert_eq!((front.status, front.body.as_str()), (200, "/metrics\n/healthz\n/readyz\n"));
    assert_eq!(get(at, "/metrics?x=y").status, 200);
    let old = answer(&raw(at, b"GET /healthz HTTP/1.0\r\n\r\n"));
    assert_eq!((old.status, old.body.as_str()), (200, "ok\n"));
    drop(daemon.stop());
}

#[test]
fn a_taken_address_is_refused_in_words_at_its_place() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let finished = echo().args(&["--metrics", &at.to_string()]).refused(BUSY);
    finished.expect_stderr(&[&format!("metrics at {at}: "), "--metrics ADDR names another address"]);
    let text = format!("metrics = \"{at}\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n");
    let finished = polyport().config(&text).refused(BUSY);
    finished.expect_stderr(&["polyport.toml:1:11", "this address"]);
    for wrong in ["9100", "localhost:9100", "127.0.0.1", "", "127.0.0.1:70000", "http://127.0.0.1:9100"] {
        let text = format!("metrics = \"{wrong}\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n");
        let finished = polyport().config(&text).refused(78);
        finished.expect_stderr(&["polyport.toml:1:11", "expected an address with a port"]);
    }
    echo().args(&["--metrics", "9100"]).refused(64).expect_stderr(&["expected an address with a port"]);
}

#[test]
fn who_can_be_reached_by_others_is_warned() {
    let mut daemon = echo().args(&["--metrics", "0.0.0.0:0"]).serve();
    daemon.process.wait_for_stderr("can be read by everybody who reaches it");
    drop(daemon.stop());
    let (daemon, _) = serve(echo());
    let served = daemon.stop();
    assert!(!served.finished.stderr.contains("everybody"), "{}", served.finished.stderr);
}

/// The thread answers by itself, so that a supervisor hears of a loop that hangs in a handler.
#[test]
fn a_handler_that_hangs_is_unhealthy_in_words_and_others_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("dies"), &["-pthread"], dir.path(), "dies") else { return };
    let (daemon, at) = serve(polyport().listen(spec("127.0.0.1:0", &library) + ",name=mortal"));
    assert_eq!((get(at, "/healthz").status, get(at, "/readyz").status), (200, 200));
    daemon.client(0).send(b"sleep");
    wait::until("it is unhealthy", || get(at, "/healthz").status == 503);
    let words = get(at, "/healthz").body;
    let address = daemon.addresses()[0];
    let said = format!("listener mortal {address} (plugin dies): on_batch has not returned for ");
    assert!(words.starts_with(&said), "{words}");
    for path in ["/metrics", "/readyz"] {
        let answer = get(at, path);
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.starts_with("the loop of the daemon has not answered for 5 s: "), "{answer:?}");
        assert!(answer.body.contains(&said), "{answer:?}");
    }
    drop(daemon.kill());
}

#[test]
fn it_is_not_ready_while_a_handler_is_down_or_failed() {
    let library = polyport_tests::plugins::built("fixture-panics");
    let launch = echo().listen(spec("127.0.0.1:0", &library) + ",name=off,on_fault=off");
    let (daemon, at) = serve(launch);
    assert_eq!((get(at, "/readyz").status, get(at, "/readyz").body.as_str()), (200, "ready\n"));
    daemon.client(1).send(b"boom");
    wait::until("it is not ready", || get(at, "/readyz").status == 503);
    let address = daemon.addresses()[1];
    let words = format!("listener off {address} (plugin fixture-panics): 1 failed of 1\n");
    assert_eq!(get(at, "/readyz").body, words);
    assert_eq!(get(at, "/healthz").status, 200, "the others are served");
    let all = scrape(at);
    let labels = format!("{{listener=\"off\",address=\"{address}\",plugin=\"fixture-panics\"");
    assert_eq!(all[&format!("polyport_handler_faults_total{labels}}}")], 1.0);
    assert_eq!(all[&format!("polyport_addresses{labels},state=\"failed\"}}")], 1.0);
    drop(daemon.stop());
}

#[test]
fn what_became_of_reloads_is_told() {
    let text = "metrics = \"127.0.0.1:0\"\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { loss = \"1%\" }\n";
    let launch = polyport().config(text);
    let config = launch.dir().join("polyport.toml");
    let mut daemon = launch.serve();
    let at = metrics_of(&mut daemon);
    let told = || {
        let all = scrape(at);
        let outcome = |outcome: &str| all[&format!("polyport_config_reloads_total{{outcome=\"{outcome}\"}}")];
        (outcome("done"), outcome("refused"), all["polyport_config_last_reload_successful"])
    };
    let taken = || scrape(at)["polyport_config_last_reload_success_timestamp_seconds"];
    assert_eq!(told(), (0.0, 0.0, 1.0));
    let began = taken();
    std::fs::write(&config, "broken").unwrap();
    daemon.reload(1);
    assert_eq!((told(), taken()), ((0.0, 1.0, 0.0), began));
    std::fs::write(&config, text.replace("1%", "2%")).unwrap();
    daemon.reload(2);
    assert_eq!(told(), (1.0, 1.0, 1.0));
    assert!(taken() > began);
    // Where metrics are told is for a restart.
    std::fs::write(&config, text.replace("metrics = \"127.0.0.1:0\"", "metrics = \"127.0.0.1:1\"")).unwrap();
    assert!(daemon.reload(3).contains("not reloaded"), "{}", daemon.process.stderr());
    daemon.process.wait_for_stderr("`metrics`");
    drop(daemon.stop());
}

#[test]
fn sessions_and_what_they_carry_are_told() {
    let upstream = Upstream::at("127.0.0.1:0");
    let launch = polyport().listen(format!("127.0.0.1:0=relay,to={}", upstream.address));
    let (daemon, at) = serve(launch);
    daemon.client(0).expect_echo(b"there and back");
    let labels = format!("{{listener=\"relay\",address=\"{}\",plugin=\"relay\"}}", daemon.addresses()[0]);
    let all = scrape(at);
    for name in [
        "sessions_open",
        "sessions_opened_total",
        "session_sent_datagrams_total",
        "session_received_datagrams_total",
    ] {
        assert_eq!(all[&format!("polyport_{name}{labels}")], 1.0, "{name}");
    }
    drop(daemon.stop());
}

/// Two that ask at once, and many one after the other, while it ends.
#[test]
fn the_end_is_told_and_costs_nobody_anything() {
    let (daemon, at) = serve(echo());
    daemon.client(0).expect_echo(b"before");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(get(at, "/metrics").status, 200)));
        }
    });
    daemon.process.signal(Signal::TERM);
    let served = daemon.ended();
    assert_eq!(served.received("echo", "replied"), 1);
}
