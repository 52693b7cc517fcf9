//! `polyport plan`: what a configuration needs, what is in its way, and what it would change of a daemon that serves.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use polyport_tests::daemon::Daemon;
use polyport_tests::plugins::repository;
use polyport_tests::process::Finished;
use polyport_tests::tool::{root, tool};
use polyport_tests::{Launch, ports};
use regex::Regex;
use serde_json::{Value, json};

use crate::polyport;

const BUSY: i32 = 75;
const PERMISSION: i32 = 77;
const CONFIG: i32 = 78;

/// Runs `polyport plan` with these words.
fn plan(words: &[&str]) -> Finished {
    polyport().args(&[&["plan"][..], words].concat()).run()
}

/// Against nobody.
fn alone(words: &[&str]) -> Finished {
    plan(&[words, &["--control", "off"]].concat())
}

#[track_caller]
fn object(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// What a daemon would become with this configuration.
#[track_caller]
fn against(daemon: &Daemon, text: &str) -> Value {
    let file = daemon.dir().join("next.toml");
    fs::write(&file, text).unwrap();
    let socket = daemon.dir().join("run/control.sock");
    let finished = plan(&["--json", "-c", file.to_str().unwrap(), "--control", socket.to_str().unwrap()]);
    object(finished.expect_code(0))["daemon"].clone()
}

fn serving(text: &str) -> Daemon {
    let launch: Launch = polyport();
    let file = launch.dir().join("polyport.toml");
    fs::write(&file, text).unwrap();
    launch.arg("-c").arg(&file).serve()
}

fn free(count: u16) -> u16 {
    ports::free_range(&["127.0.0.1".parse().unwrap()], count, 0)
}

fn listen(name: &str, bind: &str, plugin: &str, more: &str) -> String {
    format!("[[listen]]\nname = \"{name}\"\nbind = \"{bind}\"\nplugin = \"{plugin}\"\n{more}\n")
}

#[test]
fn it_says_what_a_configuration_needs() {
    let first = free(300);
    let spec = format!("127.0.0.1:{first}-{}=echo", first + 299);
    let finished = alone(&["--json", "--listen", &spec]);
    let told = object(finished.expect_code(0));
    assert_eq!((&told["ok"], &told["addresses"], &told["daemon"]), (&json!(true), &json!(300), &Value::Null));
    let descriptors = &told["needs"]["descriptors"];
    assert_eq!((&descriptors["sockets"], &descriptors["sessions"]), (&json!(300), &json!(0)));
    // 256 MiB are divided among more than 256 listeners, and the kernel counts twice.
    let buffers = told["needs"]["memory"]["receive_buffers"].as_u64().unwrap();
    assert!(buffers > 0 && buffers <= 512 << 20, "{buffers}");
    let text = alone(&["--listen", &spec]);
    let stdout = &text.expect_code(0).stdout;
    for words in
        ["1 listener on 300 addresses", &format!("127.0.0.1:{first}-{}", first + 299), "needs:", "clashes:"]
    {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    // Sessions have descriptors and memory of their own.
    let relay = format!("127.0.0.1:{first}=relay,to=192.0.2.1:9");
    let told = object(alone(&["--json", "--listen", &relay]).expect_code(0));
    assert!(told["needs"]["descriptors"]["sessions"].as_u64() > Some(0), "{told}");
    assert!(told["needs"]["memory"]["sessions"].as_u64() > Some(0), "{told}");
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_as_by_check() {
    let finished = alone(&["--listen", "127.0.0.1:7=lossy,loss=200%"]);
    finished.expect_code(CONFIG).expect_stderr(&["`loss`", "^^^^"]);
    let told = object(alone(&["--json", "--listen", "127.0.0.1:7=nobody"]).expect_code(CONFIG));
    assert_eq!((&told["ok"], &told["problems_total"]), (&json!(false), &json!(1)));
    // Two listeners clash with each other.
    alone(&["--listen", "0.0.0.0:7=echo", "--listen", "127.0.0.1:7=lossy"])
        .expect_code(CONFIG)
        .expect_stderr(&["port 7 of 0.0.0.0 and 127.0.0.1 is used twice"]);
}

#[test]
#[cfg(target_os = "linux")]
fn it_names_who_holds_an_address() {
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let own = std::process::id();
    for spec in [format!("127.0.0.1:{port}=echo,name=a"), format!("0.0.0.0:{port}=echo,name=a")] {
        let finished = alone(&["--json", "--listen", &spec]);
        let told = object(finished.expect_code(BUSY));
        let clash = &told["clashes"][0];
        assert_eq!(
            (&told["ok"], &clash["kind"], &clash["listener"]),
            (&json!(false), &json!("held"), &json!("a"))
        );
        assert_eq!((&clash["holder"]["pid"], &clash["addresses"]), (&json!(own), &json!(1)), "{told}");
    }
    let text = alone(&["--listen", &format!("127.0.0.1:{port}=echo,name=a")]);
    let expected = format!("a: 127.0.0.1:{port}: HELD by process {own} (");
    assert!(text.expect_code(BUSY).stdout.contains(&expected), "{}", text.stdout);
    // Another address of the same port is free, and so is that of the other family.
    for spec in [format!("127.0.0.2:{port}=echo"), format!("[::1]:{port}=echo")] {
        let told = object(alone(&["--json", "--listen", &spec]).expect_code(0));
        let held = told["clashes"].as_array().unwrap().iter().any(|clash| clash["kind"] == "held");
        assert!(!held, "{told}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_port_that_any_program_may_get_is_told_of_and_nothing_is_in_the_way() {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let mut range = range.split_whitespace().map(|port| port.parse::<u16>().unwrap());
    let (low, high) = (range.next().unwrap(), range.next().unwrap());
    // The second to last port is hardly ever reserved, nor is it taken at 127.9.9.9.
    let spec = format!("127.9.9.9:{}-{high}=echo,name=a", high - 1);
    let told = object(alone(&["--json", "--listen", &spec]).expect_code(0));
    let expected = json!({ "kind": "local_port_range", "listener": "a", "bind": [format!("127.9.9.9:{}-{high}", high - 1)],
        "addresses": 2, "range": [low, high] });
    assert_eq!(told["clashes"], json!([expected]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_low_port_takes_a_right() {
    if !root("another user has no rights") {
        return;
    }
    let Some(setpriv) = tool("setpriv") else { return };
    let spec = "127.9.9.9:53=echo,name=dns";
    let told = object(alone(&["--json", "--listen", spec]).expect_code(0));
    let right = &told["needs"]["rights"][0];
    assert_eq!((&right["right"], &right["granted"]), (&json!("CAP_NET_BIND_SERVICE"), &json!(true)));
    let words = ["plan", "--json", "--listen", spec, "--control", "off"];
    let program =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
    let refused = polyport()
        .replaced_by(setpriv)
        .args(&program)
        .arg(env!("CARGO_BIN_EXE_polyport-under-test"))
        .args(&words);
    let told = object(refused.run().expect_code(PERMISSION));
    assert_eq!((&told["ok"], &told["needs"]["rights"][0]["granted"]), (&json!(false), &json!(false)));
}

#[test]
fn against_a_daemon_it_says_what_would_be_added_removed_changed_and_left_alone() {
    let first = free(6);
    let bind = |from: u16, to: u16| format!("127.0.0.1:{}-{}", first + from, first + to);
    let secret = |key: &str| format!("options = {{ auth = \"siphash\", key = \"{}\" }}", key.repeat(16));
    let text = listen("a", &bind(0, 2), "echo", "")
        + &listen("b", "127.0.0.1:0", "lossy", "options = { loss = \"1%\" }")
        + &listen("c", "127.0.0.1:0", "responder", &secret("ab"));
    let daemon = serving(&text);
    let same = against(&daemon, &text);
    assert_eq!(same["unchanged"], json!(5), "{same}");
    assert_eq!(
        [&same["added"], &same["removed"], &same["changed"], &same["settings"]],
        [&json!([]); 4],
        "{same}"
    );
    let next = "grace = \"7s\"\n".to_owned()
        + &listen("a", &bind(1, 3), "echo", "")
        + &listen("b", "127.0.0.1:0", "lossy", "options = { loss = \"5%\" }")
        + &listen("c", "127.0.0.1:0", "responder", &secret("cd"));
    let told = against(&daemon, &next);
    assert_eq!(told["settings"], json!([{ "key": "grace", "from": null, "to": "7s" }]));
    let one = |port: u16| json!([format!("127.0.0.1:{}", first + port)]);
    assert_eq!((&told["added"][0]["bind"], &told["removed"][0]["bind"]), (&one(3), &one(0)), "{told}");
    assert_eq!(told["unchanged"], json!(2));
    let keys = |at: usize| told["changed"][at]["keys"].clone();
    assert_eq!(keys(0), json!([{ "key": "options.loss", "from": "1%", "to": "5%" }]));
    assert_eq!(keys(1), json!([{ "key": "options.key", "from": "(secret)", "to": "(secret)" }]));
    assert!(!told.to_string().contains("abab") && !told.to_string().contains("cdcd"), "{told}");
    // Nothing of it has happened.
    daemon.client(0).expect_echo(b"still");
    assert_eq!(against(&daemon, &text)["unchanged"], json!(5));
}

#[test]
fn what_was_set_while_it_serves_is_seen_and_pages_belong_together() {
    let many: String = (0..600).map(|n| listen(&format!("l{n}"), "127.0.0.1:0", "lossy", "")).collect();
    let daemon = serving(&many);
    let told = against(&daemon, &many);
    assert_eq!((&told["unchanged"], &told["changed"]), (&json!(600), &json!([])), "{told}");
    let socket = daemon.dir().join("run/control.sock");
    let set = ["set", "l599", "loss=3%", "--control", socket.to_str().unwrap()];
    polyport().args(&set).run().expect_code(0);
    let told = against(&daemon, &many);
    assert_eq!(told["unchanged"], json!(599), "{told}");
    assert_eq!(
        told["changed"][0]["keys"],
        json!([{ "key": "options.loss", "from": "3%", "to": null, "was_set": true }])
    );
}

#[test]
fn a_daemon_that_is_named_has_to_be_there() {
    let launch = polyport();
    let nowhere = launch.dir().join("nowhere.sock");
    let words = ["plan", "--listen", "127.0.0.1:0=echo", "--control"];
    launch
        .args(&words)
        .arg(Path::new(&nowhere))
        .run()
        .expect_code(69)
        .expect_stderr(&["no daemon answers on"]);
    // One that nobody names need not be.
    let finished = plan(&["--listen", "127.0.0.1:0=echo"]);
    assert!(finished.expect_code(0).stdout.contains("no daemon was asked"), "{}", finished.stdout);
}

/// The example of the page. Numbers differ from run to run, and which ports the system gives away.
#[test]
fn the_page_shows_what_comes() {
    let page = fs::read_to_string(repository().join("daemon/docs/plan.md")).unwrap();
    let block = page.split("\n```").find_map(|block| block.strip_prefix("console\n$ ")).unwrap();
    let (command, shown) = block.split_once('\n').unwrap();
    let first = free(150);
    let ports = |from: u16, to: u16| format!("127.0.0.1:{}-{}", first + from, first + to);
    let lossy = |loss: &str| {
        format!(
            "[[listen]]\nname = \"far-away\"\nbind = [\"127.0.0.1:0\", \"[::1]:0\"]\nplugin = \"lossy\"\n\
             options = {{ loss = \"{loss}\" }}\n"
        )
    };
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let daemon = serving(&(listen("echo", &ports(0, 99), "echo", "") + &lossy("1%")));
    let next = "grace = \"7s\"\n".to_owned()
        + &listen("echo", &ports(50, 149), "echo", "")
        + &lossy("5%")
        + &listen("ids", &holder.local_addr().unwrap().to_string(), "responder", "");
    let dir = daemon.dir().join("next");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("polyport.toml"), next).unwrap();
    let words: Vec<&str> = command.strip_prefix("polyport ").unwrap().split_whitespace().collect();
    let mut launch = polyport().args(&words).arg("--control").arg(daemon.dir().join("run/control.sock"));
    launch.command().current_dir(&dir);
    let came = launch.run();
    // Inside of a network namespace nobody knows how much memory UDP has.
    let machine = Regex::new("; all UDP sockets of this machine have [^\n]*").unwrap();
    let alike = |text: &str| -> Vec<String> {
        let text = machine.replace_all(text, "").replace(&format!("{}/", daemon.dir().display()), "");
        let text = Regex::new("[0-9]+(\\.[0-9]+)?").unwrap().replace_all(&text, "N").into_owned();
        let text = Regex::new("process N \\([^)]*\\)").unwrap().replace_all(&text, "process N").into_owned();
        let lines =
            text.lines().filter(|line| !line.contains("any program may get") && !line.trim().is_empty());
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(alike(&came.expect_code(BUSY).stdout), alike(shown));
}
