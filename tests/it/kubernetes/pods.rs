//! What the containers of the manifests do where nothing may be written and nothing is allowed: `pod.sh` makes such a place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use polyport_tests::launch::Launch;
use polyport_tests::network::{Host, Network};
use polyport_tests::plugins::repository;
use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::{root, skip, tool};
use polyport_tests::{Client, DEADLINE, wait};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{POLYPORT, Rendered, lay_out, run, text, texts, with_components};

const LOAD: &str = env!("CARGO_BIN_EXE_polyport-load-under-test");

/// A container that runs on a host.
pub(super) struct Pod<'a> {
    host: &'a Host,
    pub(super) process: Process,
    /// Of its first process.
    pid: String,
    user: String,
    environment: BTreeMap<String, String>,
    dir: TempDir,
    version: u32,
    _launch: Launch,
}

impl<'a> Pod<'a> {
    /// The daemon of a manifest, which serves.
    #[track_caller]
    pub(super) fn serving(host: &'a Host, rendered: &Rendered, service: &str) -> Option<Self> {
        let mut pod = Self::of(host, rendered, "polyport", POLYPORT, service, &BTreeMap::new())?;
        let serves = pod.process.wait_for_stdout("serving; ");
        assert!(serves, "{}{}", pod.process.stdout(), pod.process.stderr());
        // The process of unshare(1) has one child.
        let outer = pod.process.pid().as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        children.trim().clone_into(&mut pod.pid);
        Some(pod)
    }

    /// A container of a manifest, with these values in place of variables of its own.
    #[track_caller]
    fn of(
        host: &'a Host,
        rendered: &Rendered,
        name: &str,
        program: &str,
        service: &str,
        variables: &BTreeMap<String, String>,
    ) -> Option<Self> {
        if !root("it makes a root for a container")
            || ["setpriv", "nsenter"].into_iter().any(|it| tool(it).is_none())
        {
            return None;
        }
        let unshare = tool("unshare")?;
        let tried = run(&unshare, &["--mount", "--pid", "--fork", "true"].map(AsRef::as_ref));
        if tried.code() != Some(0) {
            skip(&format!("no namespaces can be made here: {}", tried.stderr.trim()));
            return None;
        }
        let container = rendered.container(name);
        let dir = tempfile::tempdir().unwrap();
        let [place, configuration] = ["root", "configuration"].map(|name| dir.path().join(name));
        for directory in [&place, &configuration] {
            fs::create_dir(directory).unwrap();
        }
        if let Some(configured) = rendered.one("ConfigMap")["data"]["polyport.toml"].as_str() {
            lay_out(&configuration, 0, configured);
        }
        let user = rendered.pod()["securityContext"]["runAsUser"].to_string();
        let expanded = |word: &str| {
            let of =
                |text: String, (name, value): (&String, &String)| text.replace(&format!("$({name})"), value);
            variables.iter().fold(word.to_owned(), of)
        };
        let words = [texts(&container["command"]), texts(&container["args"])].concat();
        let environment: BTreeMap<String, String> = container["env"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|variable| (text(&variable["name"]).to_owned(), text(&variable["value"]).to_owned()))
            .collect();
        let mut launch = host.launch(unshare).args(&["--mount", "--pid", "--fork", "--kill-child", "sh"]);
        let script = repository().join("tests/it/kubernetes/pod.sh");
        launch = launch.arg(script).arg(place).arg(program).arg(configuration).args(&[service, &user]);
        launch = words.iter().fold(launch, |launch, word| launch.arg(expanded(word)));
        launch.command().env_remove("RUNTIME_DIRECTORY").env_remove("XDG_CONFIG_HOME").envs(&environment);
        let process = Process::spawn(launch.command());
        Some(Self { host, process, pid: String::new(), user, environment, dir, version: 0, _launch: launch })
    }

    /// What `kubectl exec` would say.
    pub(super) fn exec(&self, words: &[&str]) -> Finished {
        Process::spawn(&mut self.entering(words)).finish()
    }

    fn entering(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--net", "--root", "--wd"]);
        command.args([
            "env",
            "PATH=/app:/usr/bin:/bin",
            "setpriv",
            "--reuid",
            &self.user,
            "--regid",
            &self.user,
        ]);
        command.args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]);
        command.args(words).envs(&self.environment);
        command
    }

    /// What a probe of the container is answered: a status code; 0 if nobody answers.
    fn probed(&self, rendered: &Rendered, probe: &str) -> u16 {
        let get = &rendered.container("polyport")[probe]["httpGet"];
        let ports = rendered.container("polyport")["ports"].as_array().unwrap();
        let port =
            ports.iter().find(|port| port["name"] == get["port"]).unwrap()["containerPort"].as_u64().unwrap();
        let asked = format!("GET {} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n", text(&get["path"]));
        let answer = self.host.inside(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).ok()?;
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.write_all(asked.as_bytes()).ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.split(' ').nth(1)?.parse().ok()
        });
        answer.unwrap_or(0)
    }

    /// Another configuration, as the kubelet brings it.
    fn change(&mut self, configuration: &str) {
        self.version += 1;
        lay_out(&self.dir.path().join("configuration"), self.version, configuration);
    }

    /// Sends SIGTERM as the kubelet does when the pause is over, and fails unless the end is a good one and comes before it would
    /// be killed.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "how long the end takes is what is tested")]
    fn end(self, rendered: &Rendered) {
        let pause =
            rendered.container("polyport")["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let whole = rendered.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        let pid = rustix::process::Pid::from_raw(self.pid.parse().unwrap()).unwrap();
        let began = Instant::now();
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let finished = self.process.finish();
        finished.expect_code(0);
        assert!(began.elapsed() < Duration::from_secs(whole - pause), "{:?}", began.elapsed());
        assert!(finished.stdout.contains("\nserved:\n"), "{}", finished.stdout);
    }
}

fn echoes(host: &Host, address: &str) {
    host.inside(|| Client::of(address.parse().unwrap()).expect_echo(b"from a client"));
}

#[test]
fn a_pod_without_rights_is_ready_serves_and_ends_in_time() {
    for folder in ["base", "per-node"] {
        let Some(rendered) = Rendered::of(folder) else { return };
        let Some(host) = Host::alone() else { return };
        let Some(pod) = Pod::serving(&host, &rendered, "127.0.0.1") else { return };
        wait::until("it is ready", || pod.probed(&rendered, "readinessProbe") == 200);
        assert_eq!(pod.probed(&rendered, "livenessProbe"), 200);
        for address in ["127.0.0.1:7000", "[::1]:7000"] {
            echoes(&host, address);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", pod.pid)).unwrap();
        for line in [
            "Uid:\t65532\t65532\t65532\t65532",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "{line}:\n{status}");
        }
        for place in ["/", "/etc/polyport", "/app", "/usr"] {
            let written = pod.exec(&["sh", "-c", "echo >\"$1/file\"", "sh", place]);
            assert_ne!(written.code(), Some(0), "{place} can be written to");
        }
        pod.exec(&["sh", "-c", "echo >/run/polyport/file"]).expect_code(0);
        assert!(!pod.process.stderr().contains("\"level\":\"error\""), "{}", pod.process.stderr());
        pod.end(&rendered);
    }
}

#[test]
fn a_reload_follows_the_link_that_the_kubelet_swaps() {
    let Some(rendered) = Rendered::of("base") else { return };
    let Some(host) = Host::alone() else { return };
    let Some(mut pod) = Pod::serving(&host, &rendered, "127.0.0.1") else { return };
    let more = "\n[[listen]]\nname = \"more\"\nbind = \"127.0.0.1:7004\"\nplugin = \"echo\"\n";
    let configuration = format!("{}{more}", rendered.configuration());
    pod.change(&configuration);
    let reloaded = pod.exec(&["polyport", "reload"]);
    assert!(reloaded.expect_code(0).stdout.starts_with("reloaded: 1 address added"), "{}", reloaded.stdout);
    echoes(&host, "127.0.0.1:7004");

    pod.change(&configuration.replace("echo", "ekko"));
    let refused = pod.exec(&["polyport", "reload"]);
    refused.expect_code(78).expect_stderr(&["ekko", "everything is served as before"]);
    wait::until("it is ready all the same", || pod.probed(&rendered, "readinessProbe") == 200);
    for address in ["127.0.0.1:7000", "127.0.0.1:7004"] {
        echoes(&host, address);
    }

    pod.change(rendered.configuration());
    pod.exec(&["polyport", "reload"]).expect_code(0);
    pod.end(&rendered);
}

#[test]
fn the_container_beside_it_sends_the_signal_when_the_files_are_there() {
    let Some(rendered) = Rendered::of(with_components(&["reload-in-place"]).path()) else { return };
    let Some(host) = Host::alone() else { return };
    let Some(mut pod) = Pod::serving(&host, &rendered, "127.0.0.1") else { return };
    assert_eq!(rendered.pod()["shareProcessNamespace"], true);
    let beside = rendered.container("reload");
    let words = [texts(&beside["command"]), texts(&beside["args"])].concat();
    if !pod.exec(&["sh", "-c", "command -v pidof readlink"]).stdout.contains("pidof") {
        skip("there is no program `pidof`");
        return;
    }
    let mut beside = Process::spawn(&mut pod.entering(&words));
    // It has looked once before the files change.
    let me = beside.pid().as_raw_nonzero();
    wait::until("it waits", || {
        let children = fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
        let shell = children.trim();
        let own = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
        let name = fs::read_to_string(format!("/proc/{}/comm", own.trim())).unwrap_or_default();
        name == "sleep\n"
    });
    for (number, port) in [7005, 7006].into_iter().enumerate() {
        let more = format!("\n[[listen]]\nname = \"more\"\nbind = \"127.0.0.1:{port}\"\nplugin = \"echo\"\n");
        pod.change(&format!("{}{more}", rendered.configuration()));
        pod.process.wait_for_stderr_times("\"message\":\"reloaded: ", number + 1);
        echoes(&host, &format!("127.0.0.1:{port}"));
    }
    assert!(!beside.has_ended(), "{}", beside.stderr());
    pod.end(&rendered);
}

#[test]
fn a_relay_stands_in_front_of_the_service() {
    let [Some(base), Some(relay)] = ["base", "overlays/relay"].map(Rendered::of) else { return };
    let Some(network) = Network::new() else { return };
    let Some(server) = Pod::serving(&network.there, &base, "127.0.0.1") else { return };
    let Some(pod) = Pod::serving(&network.here, &relay, "10.77.0.2") else { return };
    wait::until("it is ready", || pod.probed(&relay, "readinessProbe") == 200);
    let answer = network
        .here
        .inside(|| Client::of(([127, 0, 0, 1], 7000).into()).ask_until_answered(b"through the relay", 20));
    assert_eq!(answer, b"through the relay");
    let status = server.exec(&["polyport", "status"]).stdout;
    let heard = status.lines().find(|line| line.trim_start().starts_with("echo")).unwrap();
    assert!(
        heard.split_whitespace().any(|word| word.parse::<u64>().is_ok_and(|count| count >= 1)),
        "{status}"
    );
    pod.end(&relay);
    server.end(&base);
}

#[test]
fn three_generators_make_one_load_and_their_reports_are_merged() {
    let [Some(base), Some(job)] = ["base", "overlays/load-test"].map(Rendered::of) else { return };
    let Some(network) = Network::new() else { return };
    let Some(server) = Pod::serving(&network.there, &base, "127.0.0.1") else { return };
    let data = job.one("ConfigMap")["data"].as_object().unwrap();
    let mut variables: BTreeMap<String, String> =
        data.iter().map(|(name, value)| (name.clone(), text(value).to_owned())).collect();
    assert_eq!(
        text(&job.container("generator")["envFrom"][0]["configMapRef"]["name"]),
        job.one("ConfigMap")["metadata"]["name"]
    );
    let date = ["-u", "-d", "+15 seconds", "+%Y-%m-%dT%H:%M:%SZ"].map(AsRef::as_ref);
    let start = run("date", &date).stdout.trim().to_owned();
    // As the page has it filled in, and less of it.
    for (name, value) in [("START_AT", start.as_str()), ("RATE", "300/s"), ("DURATION", "3s")] {
        assert!(
            variables.insert(name.to_owned(), value.to_owned()).is_some(),
            "{name} is a variable of load.env"
        );
    }
    let count = job.workload()["spec"]["completions"].as_u64().unwrap();
    let generators: Vec<Pod<'_>> = (0..count)
        .map(|index| {
            variables.insert("JOB_COMPLETION_INDEX".to_owned(), index.to_string());
            Pod::of(&network.here, &job, "generator", LOAD, "10.77.0.2", &variables)
                .expect("the first one came up")
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<String> =
        (0..count).map(|index| dir.path().join(format!("{index}.json")).display().to_string()).collect();
    let mut parts = 0;
    for (pod, file) in generators.into_iter().zip(&files) {
        // Silent until the load is over.
        let finished = pod.process.silent_for(3 * DEADLINE).finish();
        finished.expect_code(0);
        parts += counted(&serde_json::from_str(&finished.stdout).unwrap(), "sent");
        fs::write(file, finished.stdout).unwrap();
    }
    let merged = dir.path().join("all.json").display().to_string();
    let words = [
        &["report", "merge"],
        files.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
        &["-o", &merged],
    ]
    .concat();
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    run(LOAD, &words).expect_code(0);
    let all: Value = read(Path::new(&merged));
    // On a busy machine a generator may be late, and says so instead of sending.
    assert_eq!((counted(&all, "planned"), counted(&all, "sent")), (900, parts));
    assert!(counted(&all, "ok") >= 1, "{all}");
    server.end(&base);
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// A figure of the books of a report.
#[track_caller]
fn counted(report: &Value, name: &str) -> u64 {
    report["counts"][name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}
