//! Pages that are followed: every command and every file of them, as a reader would type it, and what it prints is compared with what
//! the page shows.
//!
//! A block of `console` holds lines that are typed, behind `$`, and what each prints. `&` leaves a server in the background, numbered as a
//! shell numbers its jobs; what it prints at its start and at its end may be left out. Every other block that names a file in the comment
//! of its first line is that file. Everything is compared, but for what [`normal`] says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::LazyLock;

use polyport_tests::launch::Launch;
use polyport_tests::network::Host;
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use regex::Regex;
use rustix::process::Signal;
use tempfile::TempDir;

const PROGRAMS: [(&str, &str); 8] = [
    ("polyport", env!("CARGO_BIN_EXE_polyport-under-test")),
    ("polyport-request", env!("CARGO_BIN_EXE_polyport-request-under-test")),
    ("polyport-cast", env!("CARGO_BIN_EXE_polyport-cast-under-test")),
    ("polyport-mtu", env!("CARGO_BIN_EXE_polyport-mtu-under-test")),
    ("polyport-spoof", env!("CARGO_BIN_EXE_polyport-spoof-under-test")),
    ("polyport-load", env!("CARGO_BIN_EXE_polyport-load-under-test")),
    ("polyport-frame", env!("CARGO_BIN_EXE_polyport-frame-under-test")),
    ("polyport-plot", env!("CARGO_BIN_EXE_polyport-plot-under-test")),
];

/// What a page has its reader do.
#[derive(Debug)]
pub(crate) enum Step {
    /// A file of this name.
    Write { name: String, text: String },
    /// A line that is typed, and what the page shows below it.
    Type { command: String, shown: String },
}

/// The steps of a page, or of a part of it, in order.
#[track_caller]
pub(crate) fn steps(text: &str) -> Vec<Step> {
    text.split("\n```")
        .skip(1)
        .step_by(2)
        .flat_map(|block| {
            let (language, body) = block.split_once('\n').expect("a block has lines");
            if language == "console" { typed(body) } else { written(body) }
        })
        .collect()
}

fn typed(block: &str) -> Vec<Step> {
    let block = block.strip_prefix("$ ").expect("a command comes first");
    block
        .split("\n$ ")
        .map(|text| {
            let (command, shown) = text.split_once('\n').unwrap_or((text, ""));
            Step::Type { command: command.to_owned(), shown: shown.to_owned() }
        })
        .collect()
}

/// A block that names no file is only looked at.
fn written(block: &str) -> Vec<Step> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:# |// |/\* )([\w-]+\.\w+)").unwrap());
    let name = NAME.captures(block).map(|found| found[1].to_owned());
    name.map(|name| Step::Write { name, text: block.to_owned() + "\n" }).into_iter().collect()
}

/// Somebody who follows a page on a host, in an empty directory.
pub(crate) struct Reader<'host> {
    host: &'host Host,
    dir: TempDir,
    path: String,
    jobs: BTreeMap<u32, Job>,
}

impl<'host> Reader<'host> {
    pub(crate) fn new(host: &'host Host) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let programs = dir.path().join("bin");
        fs::create_dir(&programs).unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::create_dir(dir.path().join("here")).unwrap();
        for (name, built) in PROGRAMS {
            symlink(built, programs.join(name)).unwrap();
        }
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        Self { host, dir, path, jobs: BTreeMap::new() }
    }

    /// The directory in which everything is typed.
    pub(crate) fn here(&self) -> std::path::PathBuf {
        self.dir.path().join("here")
    }

    /// Does everything, and compares what is printed; `normal` makes lines of a text that are the same in every run.
    pub(crate) fn follow(&mut self, title: &str, steps: &[Step], normal: fn(&str) -> Vec<String>) {
        self.write_files(steps);
        for step in steps {
            let Step::Type { command, shown } = step else { continue };
            let place = format!("{title}\n$ {command}");
            if let Some(printed) = self.type_in(command, shown) {
                compare(&place, shown, &printed, normal);
            }
        }
        assert!(self.jobs.is_empty(), "{title}: a server is left behind");
    }

    /// A script may stand below the line that runs it.
    fn write_files(&self, steps: &[Step]) {
        for step in steps {
            let Step::Write { name, text } = step else { continue };
            fs::write(self.here().join(name), text).unwrap();
        }
    }

    /// Does everything, and gives back the page with what was printed.
    pub(crate) fn written_anew(&mut self, page: &str) -> String {
        self.write_files(&steps(page));
        let parts =
            page.split("\n```").enumerate().map(|(index, part)| match part.strip_prefix("console\n") {
                Some(block) if index % 2 == 1 => format!("console{}", self.typed_anew(block)),
                _ => part.to_owned(),
            });
        parts.collect::<Vec<_>>().join("\n```")
    }

    fn typed_anew(&mut self, block: &str) -> String {
        let mut anew = String::new();
        for step in typed(block) {
            let Step::Type { command, shown } = step else { continue };
            let printed = self.type_in(&command, &shown).unwrap_or(shown);
            anew += &format!("\n$ {command}");
            let printed = as_installed(&printed);
            anew.extend(printed.trim_matches('\n').lines().map(|line| format!("\n{}", line.trim_end())));
        }
        anew
    }

    /// What it printed, if that is to be compared with what is shown.
    fn type_in(&mut self, command: &str, shown: &str) -> Option<String> {
        if let Some(server) = command.strip_suffix(" &") {
            let job = self.start(server);
            let printed = job.process.stdout().to_owned();
            let number = self.jobs.last_key_value().map_or(1, |(number, _)| number + 1);
            self.jobs.insert(number, job);
            (!shown.is_empty()).then_some(printed)
        } else if let Some((word, number)) = command.split_once(" %") {
            let job = self.jobs.remove(&number.parse().unwrap()).expect("a job of this number");
            if word == "kill" {
                job.process.signal(Signal::TERM);
            }
            let printed = job.rest();
            (word == "wait" || !shown.is_empty()).then_some(printed)
        } else {
            let mut launch = self.shell(&format!("exec 2>&1; {command}"));
            Some(Process::spawn(launch.command()).finish().stdout)
        }
    }

    /// A server in the background, which serves or listens.
    fn start(&self, command: &str) -> Job {
        let mut launch = self.shell(&format!("exec 2>&1; exec {command}"));
        let mut process = Process::spawn(launch.command());
        let ready = match command {
            _ if command.contains("--listen --") => "listening at",
            _ if command.starts_with("polyport tap ") => "tapping ",
            _ if command.starts_with("polyport ") => "serving; Ctrl-C stops",
            _ => "serving",
        };
        assert!(process.wait_for_stdout(ready), "{command} does not serve:\n{}", process.stdout());
        let told = process.stdout().len();
        Job { process, told, _launch: launch }
    }

    /// The process is a shell only until it becomes the program.
    fn shell(&self, command: &str) -> Launch {
        let run = self.dir.path().join("run");
        // A mount is this process's own: no other daemon of the machine is found there.
        let command = format!("mount -t tmpfs none /run; {command}");
        let launch = self.host.launch("sh").arg("-c").arg(command).env("PATH", &self.path);
        let mut launch = launch.env("RUNTIME_DIRECTORY", run).env("XDG_CONFIG_HOME", self.dir.path());
        launch.command().current_dir(self.here());
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

/// Where programs lie at a reader's, who builds in a checkout.
fn as_installed(printed: &str) -> String {
    let ours = repository();
    printed.replace(&*ours.to_string_lossy(), "/home/me/polyport").replace("/target/debug", "/target/release")
}

#[track_caller]
fn compare(place: &str, shown: &str, printed: &str, normal: fn(&str) -> Vec<String>) {
    let (expected, found) = (normal(shown), normal(printed));
    assert!(
        expected == found,
        "{place}\nthe page shows:\n{shown}\nand it printed:\n{printed}\n{expected:#?}\n{found:#?}"
    );
}

/// Lines without what is another each time: what the system chose, times, and how often a client asked until it was answered,
/// and what a busy machine does to a server. Answers of several come in any order.
pub(crate) fn normal(text: &str) -> Vec<String> {
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
