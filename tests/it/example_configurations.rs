//! The configurations in `examples/config`: each is checked and planned without a word, and what its head says to type is typed, on a
//! host of its own with what it needs. Every listener is spoken to as its plugin answers, and the end by SIGTERM is a good one.
//!
//! The head of a file is its first lines: a sentence, `Needs: ...`, and commands as `#     $ COMMAND` with what they print below. `&` leaves a
//! command in the background, where it is waited for until it has printed what is shown; `...` stands for any lines. `POLYPORT_WRITE_DOCS=1 cargo test -p polyport-tests --test it
//! example_configurations` writes the table of their `README.md` anew.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use polyport_tests::launch::Launch;
use polyport_tests::network::Network;
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::{root, tool};
use polyport_tests::{Client, wait};
use regex::Regex;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use crate::sandbox::has_every_layer;

const PROGRAMS: [(&str, &str); 4] = [
    ("polyport", env!("CARGO_BIN_EXE_polyport-under-test")),
    ("polyport-request", env!("CARGO_BIN_EXE_polyport-request-under-test")),
    ("polyport-cast", env!("CARGO_BIN_EXE_polyport-cast-under-test")),
    ("polyport-quic", env!("CARGO_BIN_EXE_polyport-quic")),
];

const TEXTBOOK: &[&str] = &["echo", "lossy", "responder"];
const GROUPS: &[&str] = &["broadcast", "multicast", "recorder"];
const MANY: &[&str] = &["echo-farm"];
const IN_FRONT: &[&str] = &["dns-bad-network", "failover", "game-satellite", "quic-lte"];
const MEASURED: &[&str] = &["stamp", "syslog"];
const GUARDED: &[&str] = &["internet", "least-privilege"];
const OPERATED: &[&str] = &["activation", "prometheus", "several-files", "take-over"];
const OWN: &[&str] = &["own-plugin"];

#[test]
fn the_textbook_is_answered() {
    follow_all(TEXTBOOK);
}

#[test]
fn groups_and_broadcasts_are_heard() {
    follow_all(GROUPS);
}

#[test]
fn ten_thousand_ports_answer() {
    follow_all(MANY);
}

#[test]
fn relays_stand_in_front_of_what_their_heads_start() {
    follow_all(IN_FRONT);
}

#[test]
fn reflectors_and_collectors_do_what_their_senders_expect() {
    follow_all(MEASURED);
}

#[test]
fn what_strangers_may_reach_has_every_layer() {
    if has_every_layer() && root("one of them binds port 7 and becomes another user") {
        follow_all(GUARDED);
    }
}

#[test]
fn operators_change_watch_and_follow() {
    follow_all(OPERATED);
}

#[test]
fn a_handler_in_c_is_built_by_the_command_of_its_head() {
    follow_all(OWN);
}

/// Somebody adds a file: it is in a test above and in the table, or this fails.
#[test]
fn every_file_is_followed_and_the_table_has_its_sentence() {
    let followed = [TEXTBOOK, GROUPS, MANY, IN_FRONT, MEASURED, GUARDED, OPERATED, OWN].concat();
    let files = names();
    assert_eq!(followed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), files);
    assert_eq!(followed.len(), files.len(), "one is followed twice");

    let path = folder().join("README.md");
    let mut page = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- configurations -->\n", "<!-- end -->\n");
    let start = page.find(begin).expect("its begin") + begin.len();
    let length = page[start..].find(end).expect("its end");
    let rows = files.iter().map(|name| {
        let Example { sentence, needs, .. } = Example::read(name);
        format!("| [{name}.toml]({name}.toml) | {sentence} | {needs} |\n")
    });
    let table = format!("| file | what it is | needs |\n| --- | --- | --- |\n{}", rows.collect::<String>());
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        page.replace_range(start..start + length, &table);
        fs::write(&path, &page).unwrap();
    }
    let written = &page[start..start + page[start..].find(end).unwrap()];
    assert_eq!(written, table, "the head of this file says how to write it anew");
}

fn folder() -> PathBuf {
    repository().join("examples/config")
}

/// The files, without `.toml`.
fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.filter_map(|entry| Some(name(entry.unwrap()).strip_suffix(".toml")?.to_owned())).collect()
}

/// A file, and what its head says.
struct Example {
    file: String,
    sentence: String,
    needs: String,
    steps: Vec<Step>,
}

/// A line that is typed, and what is shown below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

impl Example {
    fn read(name: &str) -> Self {
        let file = format!("{name}.toml");
        let text = fs::read_to_string(folder().join(&file)).unwrap();
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).collect();
        let paragraph = |first: usize| {
            let lines = head[first..].iter().take_while(|line| !line.is_empty());
            lines.map(|line| line.trim_start()).collect::<Vec<_>>().join(" ")
        };
        let needs = head.iter().position(|line| line.starts_with(" Needs: ")).expect("what it needs");
        let mut steps: Vec<Step> = Vec::new();
        for line in head.iter().filter_map(|line| line.strip_prefix("     ")) {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().expect("a command comes first").shown.push(line.to_owned()),
            }
        }
        let needs = paragraph(needs).replacen("Needs: ", "", 1);
        Self { sentence: paragraph(0), needs, steps, file }
    }
}

#[track_caller]
fn follow_all(names: &[&str]) {
    for name in names {
        let example = Example::read(name);
        let words = example.steps.iter().flat_map(|step| step.command.split_whitespace());
        let wanted =
            ["cc", "curl", "dig", "dnsmasq", "logger", "nc", "promtool", "systemd-socket-activate", "tshark"];
        let missing = words.filter(|word| wanted.contains(word)).any(|word| tool(word).is_none());
        if missing || tool("python3").is_none() {
            continue;
        }
        let Some(operator) = Operator::new() else { return };
        operator.follow(&example);
    }
}

/// Somebody who follows a head, on a host of its own, in a directory that looks as `examples/config` does.
struct Operator {
    network: Network,
    dir: TempDir,
    path: String,
}

/// What was left in the background.
struct Job {
    process: Process,
    is_daemon: bool,
    launch: Launch,
}

impl Operator {
    fn new() -> Option<Self> {
        let network = Network::new()?;
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["bin", "run", "examples/config/conf.d"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        // A daemon that becomes another user reads its configuration before, and looks at nothing of ours after.
        fs::set_permissions(at("run"), fs::Permissions::from_mode(0o700)).unwrap();
        for (name, built) in PROGRAMS {
            symlink(built, at("bin").join(name)).unwrap();
        }
        symlink(repository().join("plugins"), at("plugins")).unwrap();
        symlink(repository().join("examples/plugins"), at("examples/plugins")).unwrap();
        for part in ["", "conf.d"] {
            for entry in fs::read_dir(folder().join(part)).unwrap() {
                let from = entry.unwrap().path();
                if from.extension().is_some_and(|suffix| suffix == "toml") {
                    fs::copy(&from, at("examples/config").join(part).join(from.file_name().unwrap()))
                        .unwrap();
                }
            }
        }
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap_or_default());
        Some(Self { network, dir, path })
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("examples/config")
    }

    fn follow(&self, example: &Example) {
        let mut jobs: Vec<Job> = Vec::new();
        let mut daemons = 0;
        for Step { command, shown } in &example.steps {
            let place = format!("{}: $ {command}", example.file);
            if let Some(background) = command.strip_suffix(" &") {
                let is_daemon = background.contains("polyport run ");
                if is_daemon && daemons == 0 {
                    self.look_before(&example.file, &place);
                }
                let mut job = self.start(background, &place);
                for line in shown {
                    assert!(job.process.wait_for_stdout(line), "{place}\n{}", job.process.stderr());
                }
                jobs.push(job);
                daemons += usize::from(is_daemon);
                if is_daemon && daemons == 1 {
                    self.ask_each(&example.file, &place);
                }
            } else {
                let mut launch = self.shell(&format!("exec 2>&1; {command}"));
                let printed = Process::spawn(launch.command()).finish().stdout;
                let lines: Vec<&str> = printed.lines().collect();
                let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
                assert!(is_shown(&shown, &lines), "{place}\nshown:\n{shown:#?}\nprinted:\n{lines:#?}");
            }
        }
        assert!(daemons >= 1, "{}: its head starts nothing", example.file);
        let heard = self.end(jobs, &example.file);
        assert!(heard >= 1, "{}: nothing was heard", example.file);
    }

    /// Before anything is bound.
    fn look_before(&self, file: &str, place: &str) {
        let run = |words: &str| {
            let mut launch = self.shell(&format!("exec polyport {words} -c {file}"));
            let finished = Process::spawn(launch.command()).finish();
            finished.expect_code(0);
            assert_eq!(finished.stderr, "", "{place}: polyport {words} has something to say");
            finished.stdout
        };
        let checked: Value = serde_json::from_str(&run("check --json")).unwrap();
        let planned: Value = serde_json::from_str(&run("plan --control off --json")).unwrap();
        assert_eq!(
            (&checked["ok"], &checked["problems_total"]),
            (&true.into(), &0.into()),
            "{place}: {checked}"
        );
        assert_eq!(planned["addresses"], checked["sockets"], "{place}");
        assert_eq!(planned["ok"], true, "{place}: {planned}");
        let listeners = checked["listeners"].as_array().unwrap().len();
        assert_eq!(listeners, self.listeners(file).len(), "{place}: {checked}");
        assert!(run("check").starts_with("ok: "), "{place}");
    }

    fn start(&self, command: &str, place: &str) -> Job {
        let before = self.sockets();
        let mut launch = self.shell(&format!("exec {command}"));
        let mut process = Process::spawn(launch.command());
        let is_daemon = command.contains("polyport run ");
        // One that a socket starts does not serve before the first datagram.
        if command.starts_with("polyport run ") {
            let serves = process.wait_for_stdout("serving; ");
            assert!(serves, "{place}\n{}{}", process.stdout(), process.stderr());
        } else {
            wait::until("it has a socket", || self.sockets() > before || process.has_ended());
            assert!(!process.has_ended(), "{place} has ended");
        }
        Job { process, is_daemon, launch }
    }

    /// How many UDP sockets there are on the host.
    fn sockets(&self) -> usize {
        let lines =
            |family| fs::read_to_string(format!("/proc/thread-self/net/{family}")).unwrap().lines().count();
        self.network.here.inside(|| lines("udp") + lines("udp6"))
    }

    /// Ends what is left in the background, those first that stand in front; returns how many datagrams the daemons have heard.
    fn end(&self, jobs: Vec<Job>, file: &str) -> u64 {
        let mut heard = 0;
        for mut job in jobs.into_iter().rev() {
            if !job.is_daemon {
                job.process.signal(Signal::TERM);
                drop(job.process.finish());
                continue;
            }
            // One that was started by a socket has said it meanwhile.
            assert!(job.process.wait_for_stdout("serving; "), "{file}: {}", job.process.stderr());
            let ended = job.process.has_ended();
            let daemon = job.launch.served_by(job.process);
            let served = if ended { daemon.ended() } else { daemon.stop_by(Signal::TERM) };
            let bad = |line: &&str| line.contains("warn: ") || line.contains("error: ");
            let logged: Vec<&str> = served.finished.logged().into_iter().filter(bad).collect();
            assert!(logged.is_empty(), "{file}: {logged:#?}");
            let names: Vec<String> =
                self.listeners(file).iter().map(|it| text(it, "name").to_owned()).collect();
            heard += names.iter().map(|name| served.received(name, "received")).sum::<u64>();
        }
        heard
    }

    fn shell(&self, command: &str) -> Launch {
        let launch = self.network.here.launch("sh").arg("-c").arg(command);
        let mut launch = launch.env("PATH", &self.path).env("RUNTIME_DIRECTORY", self.dir.path().join("run"));
        launch.command().current_dir(self.config());
        launch
    }

    /// The tables of the file, and of those beside it that it includes.
    fn listeners(&self, file: &str) -> Vec<Table> {
        let read = |path: &Path| fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
        let whole = read(&self.config().join(file));
        let mut files = vec![whole.clone()];
        if whole.contains_key("include") {
            let entries = fs::read_dir(self.config().join("conf.d")).unwrap();
            files.extend(entries.map(|entry| read(&entry.unwrap().path())));
        }
        let tables = files.iter().filter_map(|table| table.get("listen")?.as_array()).flatten();
        tables.map(|table| table.as_table().unwrap().clone()).collect()
    }

    /// A datagram to each listener, and what its plugin makes of it.
    fn ask_each(&self, file: &str, place: &str) {
        let listeners = self.listeners(file);
        for listener in &listeners {
            for address in addresses(listener) {
                let place = format!("{place}: {} at {address}", text(listener, "name"));
                self.ask(listener, address, &listeners, &place);
            }
        }
    }

    fn ask(&self, listener: &Table, address: SocketAddr, all: &[Table], place: &str) {
        const PAYLOAD: &[u8] = b"is it you?";
        // About twenty times what the worst of them takes.
        const PATIENCE: usize = 20;
        let option = |name: &str| listener.get("options").and_then(|options| options.get(name)?.as_str());
        let host = &self.network.here;
        let client = || Client::of(address);
        match text(listener, "plugin") {
            // Groups and broadcasts are sent to by the commands of the head, which know by which interface.
            "listener" if address.ip().is_multicast() => {}
            "listener" if listener.get("options").and_then(|options| options.get("ack")).is_some() => {
                assert_eq!(host.inside(|| client().ask(PAYLOAD)), b"ack", "{place}");
            }
            "listener" => host.inside(|| client().send(PAYLOAD)),
            "echo" if option("reply") == Some("length") => {
                assert_eq!(host.inside(|| client().ask(PAYLOAD)), b"Your data was 10 bytes long", "{place}");
            }
            "echo" | "./libecho_c.so" => {
                assert_eq!(host.inside(|| client().ask(PAYLOAD)), PAYLOAD, "{place}");
            }
            "lossy" => {
                // From another address than the commands of the head: what is lost depends on it and on how often it asked.
                let other = SocketAddr::from(([127, 0, 0, 2], 0));
                let answer =
                    host.inside(|| Client::from(other, address).ask_until_answered(PAYLOAD, PATIENCE));
                assert_eq!(answer, PAYLOAD, "{place}");
            }
            "relay" => {
                let own = all.iter().filter(|it| text(it, "plugin") == "echo").flat_map(addresses);
                let own: Vec<String> = own.map(|address| address.to_string()).collect();
                let to = listener["options"]["to"].to_string();
                // What the commands of the head start speaks a protocol, and they speak it.
                if own.iter().any(|address| to.contains(address)) {
                    let answer = host.inside(|| client().ask_until_answered(PAYLOAD, PATIENCE));
                    assert_eq!(answer, PAYLOAD, "{place}");
                }
            }
            "responder" => {
                let key = option("key").map(|key| {
                    let file = self.dir.path().join("key");
                    fs::write(&file, key).unwrap();
                    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                    format!("--key-file {}", file.display())
                });
                let key = key.unwrap_or_default();
                let answer =
                    self.answer(&format!("polyport-request -q {key} '{address}' 'is it you?'"), place);
                match option("service") {
                    Some("time") => assert!(!answer.is_empty(), "{place}"),
                    _ => assert_eq!(answer, "is it you?\n", "{place}"),
                }
            }
            "stamp" => {
                let sender = repository().join("tests/it/stamp_sender.py");
                let key = option("key").map(|key| format!("--key {key}")).unwrap_or_default();
                let (ip, port, sender) = (address.ip(), address.port(), sender.display());
                let answer = self.answer(&format!("python3 {sender} {ip} {port} --count 1 {key}"), place);
                assert_eq!(answer.lines().count(), 1, "{place}: {answer}");
            }
            other => panic!("{place}: nobody knows what {other} answers"),
        }
    }

    fn answer(&self, command: &str, place: &str) -> String {
        let finished = Process::spawn(self.shell(command).command()).finish();
        assert_eq!(finished.code(), Some(0), "{place}: $ {command}\n{}", finished.stderr);
        finished.stdout
    }
}

/// Without how long it took.
fn normal(line: &str) -> String {
    static TOOK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9]+ ms\b").unwrap());
    TOOK.replace_all(line, "N ms").into_owned()
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table[key].as_str().unwrap_or_else(|| panic!("{key} is no text"))
}

/// The addresses of `bind` as clients of the same host see them; of a range its ends.
fn addresses(listener: &Table) -> Vec<SocketAddr> {
    let bind = &listener["bind"];
    let several = bind.as_array().map_or_else(|| std::slice::from_ref(bind), Vec::as_slice);
    let mut addresses = Vec::new();
    for bind in several.iter().map(|bind| bind.as_str().unwrap()) {
        let (ip, ports) = bind.rsplit_once(':').unwrap();
        let ips: Vec<IpAddr> = match ip.trim_matches(['[', ']']) {
            "" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            "0.0.0.0" => vec![Ipv4Addr::LOCALHOST.into()],
            ip => vec![ip.parse().unwrap()],
        };
        let ends = ports.split('-').map(|port| port.parse::<u16>().unwrap());
        addresses.extend(ends.flat_map(|port| ips.iter().map(move |ip| SocketAddr::new(*ip, port))));
    }
    addresses
}

/// Whether the lines are those that are shown, where `...` stands for any number of them.
fn is_shown(shown: &[&str], lines: &[&str]) -> bool {
    match (shown, lines) {
        ([], rest) => rest.is_empty(),
        (["...", more @ ..], _) => (0..=lines.len()).any(|skipped| is_shown(more, &lines[skipped..])),
        ([first, more @ ..], [line, rest @ ..]) => normal(first) == normal(line) && is_shown(more, rest),
        (_, []) => false,
    }
}

#[test]
fn what_is_not_shown_is_noticed() {
    assert!(is_shown(&["a", "...", "b"], &["a", "b"]) && is_shown(&["..."], &[]));
    assert!(is_shown(&["a", "...", "b"], &["a", "x", "y", "b"]));
    assert!(!is_shown(&["a"], &["a", "b"]) && !is_shown(&["a", "b"], &["a"]) && !is_shown(&[], &["a"]));
}
