//! The page of exercises, `examples/docs/textbook.md`: every command and every script of it is run as a reader would, and
//! prints what the page shows.
//!
//! On the page a server is left in the background by `&`, and numbered as a shell numbers its jobs. What it prints at its start
//! and at its end may be left out; everything else is compared, but for what [`normal`] says.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::LazyLock;

use polyport_tests::launch::Launch;
use polyport_tests::network::{Network, WIRE};
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::{skip, tool};
use polyport_tests::wait;
use regex::Regex;
use rustix::process::Signal;
use tempfile::TempDir;

const PROGRAMS: [(&str, &str); 5] = [
    ("polyport", env!("CARGO_BIN_EXE_polyport-under-test")),
    ("polyport-request", env!("CARGO_BIN_EXE_polyport-request-under-test")),
    ("polyport-cast", env!("CARGO_BIN_EXE_polyport-cast-under-test")),
    ("polyport-mtu", env!("CARGO_BIN_EXE_polyport-mtu-under-test")),
    ("polyport-spoof", env!("CARGO_BIN_EXE_polyport-spoof-under-test")),
];

#[test]
fn every_exercise_has_its_command_its_script_and_something_to_look_at() {
    let exercises = page();
    let numbers: Vec<usize> = exercises.iter().map(|exercise| exercise.number).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    for Exercise { title, text, steps, scripts, .. } in &exercises {
        let runs = |program: &str| steps.iter().filter(|step| step.command.starts_with(program)).count();
        assert!(runs("polyport run ") >= 1, "{title}: no server");
        assert!(!scripts.is_empty(), "{title}: no script");
        assert_eq!(runs("python3 "), scripts.len(), "{title}: a script that is not run");
        assert!(text.contains("Look at "), "{title}: nothing to look at");
    }
}

#[test]
fn echoes_losses_and_named_ports_print_what_the_page_shows() {
    run(1..=4);
}

#[test]
fn forgeries_duplicates_and_bound_addresses_print_what_the_page_shows() {
    run(5..=8);
}

#[test]
fn fragments_options_and_groups_print_what_the_page_shows() {
    run(9..=12);
}

/// One exercise of the page.
struct Exercise {
    number: usize,
    title: String,
    text: String,
    /// Name and text.
    scripts: Vec<(String, String)>,
    steps: Vec<Step>,
}

/// A line that is typed, and what the page shows below it.
struct Step {
    command: String,
    shown: String,
}

/// Each exercise begins with a heading `## NUMBER. TITLE`, and holds blocks of `console` and `python` alone.
fn page() -> Vec<Exercise> {
    let path = repository().join("examples/docs/textbook.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let exercises = page.split("\n## ").skip(1);
    exercises
        .map(|text| {
            let title = text.lines().next().unwrap();
            let number = title.split_once(". ").and_then(|(number, _)| number.parse().ok());
            let number = number.unwrap_or_else(|| panic!("no number: {title}"));
            let (mut scripts, mut steps) = (Vec::new(), Vec::new());
            for block in text.split("\n```").skip(1).step_by(2) {
                match block.split_once('\n').unwrap() {
                    ("python", script) => scripts.push(named(script)),
                    ("console", console) => steps.extend(console.split("\n$ ").enumerate().map(step)),
                    (language, _) => panic!("{title}: a block of `{language}`, which nobody runs"),
                }
            }
            Exercise { number, title: title.to_owned(), text: text.to_owned(), scripts, steps }
        })
        .collect()
}

/// A script has its name in its first line.
fn named(script: &str) -> (String, String) {
    let name = script.lines().next().and_then(|line| line.strip_prefix("# "));
    (name.expect("the name of a script").to_owned(), script.to_owned() + "\n")
}

fn step((index, text): (usize, &str)) -> Step {
    let text = if index == 0 { text.strip_prefix("$ ").expect("a command comes first") } else { text };
    let (command, shown) = text.split_once('\n').unwrap_or((text, ""));
    Step { command: command.to_owned(), shown: shown.to_owned() }
}

fn run(numbers: RangeInclusive<usize>) {
    if ["python3", "sh"].into_iter().any(|name| tool(name).is_none()) {
        return;
    }
    for exercise in page().iter().filter(|exercise| numbers.contains(&exercise.number)) {
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        if exercise.text.contains("/etc/services") && !services.contains("radius-acct") {
            skip("this machine has no services database");
            continue;
        }
        let Some(reader) = Reader::new(&exercise.scripts) else { return };
        reader.follow(exercise);
    }
}

/// Somebody who follows the page, on a host as it describes it.
struct Reader {
    network: Network,
    dir: TempDir,
    path: String,
}

impl Reader {
    fn new(scripts: &[(String, String)]) -> Option<Self> {
        let network = Network::new()?;
        network.here.ip(&["route", "add", "default", "via", "10.77.0.2"]);
        // An address that is still looked for on the link cannot be bound yet.
        wait::until("the link-local address is there", || network.here.inside(has_link_local));
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("bin");
        fs::create_dir(&programs).unwrap();
        for (name, built) in PROGRAMS {
            symlink(built, programs.join(name)).unwrap();
        }
        for (name, text) in scripts {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        Some(Self { network, dir, path })
    }

    fn follow(&self, exercise: &Exercise) {
        let mut jobs: BTreeMap<u32, Job> = BTreeMap::new();
        for Step { command, shown } in &exercise.steps {
            let place = format!("{}\n$ {command}", exercise.title);
            if let Some(server) = command.strip_suffix(" &") {
                let job = self.start(server);
                if !shown.is_empty() {
                    compare(&place, shown, job.process.stdout());
                }
                let number = jobs.last_key_value().map_or(1, |(number, _)| number + 1);
                jobs.insert(number, job);
            } else if let Some((word, number)) = command.split_once(" %") {
                let job = jobs.remove(&number.parse().unwrap()).expect("a job of this number");
                if word == "kill" {
                    job.process.signal(Signal::TERM);
                }
                let printed = job.rest();
                if word == "wait" || !shown.is_empty() {
                    compare(&place, shown, &printed);
                }
            } else {
                let mut launch = self.shell(&format!("exec 2>&1; {command}"));
                let finished = Process::spawn(launch.command()).finish();
                compare(&place, shown, &finished.stdout);
            }
        }
        assert!(jobs.is_empty(), "{}: a server is left behind", exercise.title);
    }

    /// A server in the background, which serves or listens.
    fn start(&self, command: &str) -> Job {
        let mut launch = self.shell(&format!("exec 2>&1; exec {command}"));
        let mut process = Process::spawn(launch.command());
        let ready = if command.contains("--listen --") { "listening at" } else { "serving; Ctrl-C stops" };
        assert!(process.wait_for_stdout(ready), "{command} does not serve:\n{}", process.stdout());
        let told = process.stdout().len();
        Job { process, told, _launch: launch }
    }

    /// The process is a shell only until it becomes the program.
    fn shell(&self, command: &str) -> Launch {
        let mut launch = self.network.here.launch("sh").arg("-c").arg(command).env("PATH", &self.path);
        launch.command().current_dir(self.dir.path());
        launch
    }
}

/// A program in the background.
struct Job {
    process: Process,
    /// Bytes that it printed until it was ready.
    told: usize,
    _launch: Launch,
}

impl Job {
    /// What it prints from then on to its end.
    fn rest(self) -> String {
        let told = self.told;
        self.process.finish().stdout.split_off(told)
    }
}

/// Whether the interface has a link-local address, and all its addresses are known to be nobody else's.
fn has_link_local() -> bool {
    // `linux/if_addr.h`.
    const IFA_F_TENTATIVE: u32 = 0x40;
    let table = fs::read_to_string(Path::new("/proc/thread-self/net/if_inet6")).unwrap_or_default();
    let own: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let own: Vec<_> = own.iter().filter(|fields| fields.last() == Some(&WIRE)).collect();
    let settled =
        |flags: &str| u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & IFA_F_TENTATIVE == 0);
    own.iter().any(|fields| fields[0].starts_with("fe80")) && own.iter().all(|fields| settled(fields[4]))
}

#[track_caller]
fn compare(place: &str, shown: &str, printed: &str) {
    let (expected, found) = (normal(shown), normal(printed));
    assert!(
        expected == found,
        "{place}\nthe page shows:\n{shown}\nand it printed:\n{printed}\n{expected:#?}\n{found:#?}"
    );
}

/// Lines without what is another each time: what the system chose, times, and how often a client asked until it was answered,
/// and what a busy machine does to a server. Answers of several come in any order.
fn normal(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // Lines that only a busy machine adds.
    let is_of_load =
        |line: &&str| line.trim_start().starts_with("slow calls ") || line.contains(": the handler took ");
    let text = text.lines().filter(|line| !is_of_load(line)).collect::<Vec<_>>().join("\n");
    for line in text.trim().lines() {
        let mut line = line.to_owned();
        for (varies, instead) in VARIES.iter() {
            line = varies.replace_all(&line, *instead).into_owned();
        }
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let waits = line.to_lowercase().starts_with("waiting up to");
        if !(waits && lines.last().is_some_and(|last| *last == line)) {
            lines.push(line);
        }
    }
    for run in
        lines.chunk_by_mut(|one, other| [one, other].iter().all(|line| line.starts_with("answer from ")))
    {
        run.sort();
    }
    lines
}

static VARIES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let all = [
        // Ports from which systems choose for who asks for none.
        (r"(:|, )(3[2-9]\d{3}|[45]\d{4}|6[0-5]\d{3})\b", "${1}PORT"),
        (r"fe80::[0-9a-f:]+%\d+", "fe80::ID%INDEX"),
        (r"(?i)^(waiting up to) [0-9.]+ s", "$1 TIME s"),
        (r"^after [0-9.]+ ms and \d+ transmissions?", "after TIME and N transmissions"),
        (r"^sandbox: .*", "sandbox: LAYERS"),
        (r"^[0-9-]+T[0-9:.]+Z ", "TIME "),
        // Where the plugin lies.
        (r"^( +\w+) [0-9.]+: (built in|/.*)$", "$1 VERSION: PLACE"),
        (r"^polyport [0-9.]+:", "polyport VERSION:"),
        // The account of a server, however often it was asked.
        (r"\b(received|replied|consumed|dropped|replies|sent|on_purpose|\w+_total) \d+", "$1 N"),
        // What the system grants who asks for nothing.
        (r"^(SO_RCVBUF|SO_SNDBUF)\s+\d+\s+\d+$", "$1 SIZE SIZE"),
    ];
    all.map(|(varies, instead)| (Regex::new(varies).unwrap(), instead)).into()
});

#[test]
fn what_differs_is_found() {
    let same = |one, other| normal(one) == normal(other);
    assert!(same("after 0.2 ms and 1 transmission", "after 7.25 ms and 3 transmissions"));
    assert!(same("answer from a\nanswer from b\nend", "answer from b\nanswer from a\nend"));
    assert!(same(
        "x\nWaiting up to 0.1 s for a reply\ny",
        "x\nWaiting up to 0.1 s for a reply\nWaiting up to 0.2 s for a reply\ny"
    ));
    assert!(!same("a\nb", "b\na") && !same("a", "a\nb") && !same("127.0.0.1:1060", "127.0.0.1:1061"));
    assert!(!same("SO_RCVBUF 65536 (asked 65536) 1", "SO_RCVBUF 4096 (asked 65536) 1"));
}
