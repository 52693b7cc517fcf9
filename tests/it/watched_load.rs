//! The live view of `polyport-load` as a user has it, with a daemon that answers.

use std::process::Command;

use polyport_tests::daemon::Daemon;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::polyport;
use crate::screen::Screen;

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-load-under-test");

/// One that answers, and one that loses some.
fn echoes() -> Daemon {
    polyport()
        .listen("127.0.0.1:0=echo,name=alpha")
        .listen("127.0.0.1:0=lossy,name=bravo,loss=20%,seed=1")
        .serve()
}

/// A load of them that ends when it is told to.
fn command(daemon: &Daemon, words: &str) -> String {
    let targets = daemon.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("'{PROGRAM}' --expect echo --rate 200/s -d 10m --warmup 0 --timeout 200ms {words} {targets}")
}

/// The numbers of a line with this name.
fn numbers(screen: &str, name: &str) -> Vec<u64> {
    let line = screen.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Whether it is a shell's terminal again: lines are edited and echoed, the cursor is seen, and it is the usual screen.
#[track_caller]
fn expect_given_back(screen: &Screen) {
    let line = screen.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{pane_tty}"]);
    let (flags, tty) = line.trim().rsplit_once(' ').unwrap();
    assert_eq!(flags, "0 1", "neither another screen nor a hidden cursor");
    let Some(stty) = tool("stty") else { return };
    let modes = Command::new(stty).args(["-F", tty, "-a"]).output().unwrap();
    let modes = String::from_utf8(modes.stdout).unwrap();
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
}

#[test]
fn a_load_is_watched_at_80x24_and_ended_with_its_summary() {
    let daemon = echoes();
    let words = "--threshold 'loss<1%' --threshold 'p99<50s'";
    let Some(screen) = Screen::start((80, 24), &command(&daemon, words)) else { return };
    let text = screen.until("losses", |text| {
        text.contains("FAIL loss<1%") && text.contains("ok p99<50s") && text.contains('█')
    });
    assert!(text.starts_with("polyport-load  200/s (constant)  2 targets, 127.0.0.1:"), "{text}");
    assert!(text.contains("LOAD ") && text.contains(" of 10m"), "{text}");
    for line in ["rate/s", "loss", "p50", "p99", "lag p99", "tester    lag p50", "rtt       p50"] {
        assert!(text.lines().any(|shown| shown.starts_with(line)), "{line}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.lines().nth(23).unwrap().starts_with("q end  ? help  p pause"), "{text}");
    let sums = numbers(&text, "sent ");
    assert_eq!(sums.len(), 6, "{text}");
    assert_eq!(sums[0], sums[1..].iter().sum::<u64>(), "the books add up while it runs: {text}");
    // The one that loses stands first.
    let bravo = daemon.addresses()[1].to_string();
    screen.until("the worst target first", |text| {
        let heading = text.lines().position(|line| line.contains("by loss")).unwrap_or(0);
        text.lines().nth(heading + 1).is_some_and(|row| row.contains(&bravo))
    });
    screen.press("s");
    screen.until("another order", |text| text.contains("by p99"));
    assert!(text.contains("one column: 15.0s"), "a load of ten minutes finds room: {text}");
    screen.press("-");
    screen.until("shorter columns", |text| text.contains("one column: 5.00s"));
    screen.press("+");
    screen.press("+");
    screen.until("longer columns", |text| text.contains("one column: 60.0s"));
    screen.press("?");
    screen.until("help", |text| text.contains("KEYS") && text.contains("FIGURES"));
    screen.press("C-l");
    screen.press("Escape");
    screen.until("back", |text| text.contains("LAST SECOND"));
    screen.press("p");
    screen.until("it stands still", |text| text.contains("PAUSED"));
    screen.press("p");
    screen.until("it goes on", |text| !text.contains("PAUSED"));
    screen.press("q");
    screen.until("the end", |text| text.contains("code 130"));
    // It may be longer than the screen, and its lines wider: with what has left above, and wrapped lines joined.
    let text = screen.tmux(&["capture-pane", "-p", "-J", "-S", "-100"]);
    for words in ["interrupted", "rtt (from plan)", " planned ", "FAIL  loss<1%"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("LAST SECOND"), "{text}");
    expect_given_back(&screen);
    drop(daemon.stop());
}

#[test]
fn it_follows_the_size_of_its_terminal() {
    let daemon = echoes();
    let Some(screen) = Screen::start(
        (200, 50),
        &command(&daemon, "--flow '200:10m,5..9:1m'").replace("--rate 200/s -d 10m", ""),
    ) else {
        return;
    };
    let text = screen.until("losses", |text| text.contains("now 200/s") && text.contains('█'));
    for title in [
        "TARGETS by loss",
        "SENT",
        "OK",
        "LATE",
        "ERROR",
        "LOSS",
        "P50",
        "P99",
        "MAX",
        "from plan, whole run",
    ] {
        assert!(text.contains(title), "{title}: {text}");
    }
    screen.tmux(&["resize-window", "-x", "20", "-y", "5"]);
    screen.until("it fits", |text| text.contains("LOAD") && text.contains("loss") && text.contains("q end"));
    screen.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    screen.until("it fits again", |text| text.contains("LAST SECOND") && text.contains("by loss"));
    screen.press("C-c");
    screen.until("the end", |text| text.contains("code 130"));
    drop(daemon.stop());
}

#[test]
fn the_terminal_is_given_back_at_any_end() {
    let daemon = echoes();
    for (signal, code, has_summary) in
        [(Signal::TERM, 130, true), (Signal::INT, 130, true), (Signal::HUP, 129, false)]
    {
        let Some(screen) = Screen::start((80, 24), &command(&daemon, "")) else { return };
        screen.until("it is there", |text| text.contains("LAST SECOND"));
        kill_process(screen.pid_of_program(), signal).unwrap();
        let text = screen.until("the end", |text| text.contains(&format!("code {code}")));
        assert!(!text.contains("LAST SECOND"), "{text}");
        assert_eq!(text.contains("rtt (from plan)"), has_summary, "{signal:?}: {text}");
        expect_given_back(&screen);
    }
    // An error, after the handshake was seen: nobody is there.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!("'{PROGRAM}' --timeout 1s {}", silent.local_addr().unwrap());
    let Some(screen) = Screen::start((80, 24), &line) else { return };
    screen.until("the handshake", |text| text.contains("HANDSHAKE 0 of 1 targets have answered"));
    let text = screen.until("the end", |text| text.contains("code 69"));
    assert!(text.contains("1 of 1 targets do not answer"), "{text}");
    expect_given_back(&screen);
    drop(daemon.stop());
}

/// A shell in which a load was watched, and has just been told to stop.
fn stopped_in_a_shell(daemon: &Daemon) -> Option<Screen> {
    let shell = format!("{} --norc --noprofile -i", tool("bash")?.display());
    let screen = Screen::start((120, 30), &shell)?;
    screen.tmux(&["send-keys", "-l", &command(daemon, "")]);
    screen.press("Enter");
    screen.until("it is there", |text| text.contains("LAST SECOND"));
    screen.press("C-z");
    Some(screen)
}

#[test]
fn it_stops_and_goes_on_as_a_shell_has_it() {
    let daemon = echoes();
    let Some(screen) = stopped_in_a_shell(&daemon) else { return };
    let text = screen.until("the shell is back", |text| text.contains("Stopped"));
    assert!(!text.contains("LAST SECOND"), "{text}");
    // In the background it neither draws nor is stopped for it.
    screen.tmux(&["send-keys", "-l", "bg; sleep 1; jobs; fg"]);
    screen.press("Enter");
    screen.until("it is back", |text| text.contains("LAST SECOND"));
    screen.press("q");
    let text = screen.until("the shell again", |text| text.contains("rtt (from plan)"));
    assert!(text.contains("Running"), "{text}");
    drop(daemon.stop());
}

#[test]
fn what_is_typed_at_the_shell_keeps_it_neither_busy_nor_from_it_when_it_is_back() {
    let daemon = echoes();
    let Some(screen) = stopped_in_a_shell(&daemon) else { return };
    screen.until("the shell is back", |text| text.contains("Stopped"));
    let said = regex::Regex::new("pid=([0-9]+)").unwrap();
    screen.tmux(&["send-keys", "-l", "bg; echo pid=$!"]);
    screen.press("Enter");
    let text = screen.until("it goes on", |text| said.is_match(text));
    let pid: u32 = said.captures(&text).unwrap()[1].parse().unwrap();
    let before = worked(pid, "keys");
    // Nothing but this is typed while the shell waits, so that it is there to be read.
    screen.tmux(&["send-keys", "-l", "sleep 2; echo sl''ept"]);
    screen.press("Enter");
    screen.tmux(&["send-keys", "-l", "echo ty''ped"]);
    screen.press("Enter");
    screen.until("the shell has what was typed", |text| text.contains("slept") && text.contains("typed"));
    let took = worked(pid, "keys") - before;
    assert!(took < 10, "{took} hundredths of a second of work while nothing is typed for it");
    screen.tmux(&["send-keys", "-l", "fg"]);
    screen.press("Enter");
    screen.until("it is back", |text| text.contains("LAST SECOND"));
    screen.press("p");
    screen.until("it hears again", |text| text.contains("PAUSED"));
    screen.press("q");
    screen.until("the shell again", |text| text.contains("rtt (from plan)"));
    drop(daemon.stop());
}

/// Hundredths of a second that a thread has worked (proc(5)).
fn worked(pid: u32, name: &str) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap());
    let of_name = |stat: String| {
        let (start, rest) = stat.rsplit_once(')')?;
        start.ends_with(&format!("({name}")).then(|| rest.split_whitespace().map(str::to_owned).collect())
    };
    let fields: Vec<String> = stats.filter_map(of_name).next().unwrap();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn it_outlives_a_hangup_that_it_was_started_to_ignore() {
    let daemon = echoes();
    let load = format!("trap '' HUP; {}", command(&daemon, ""));
    let Some(screen) = Screen::start((80, 24), &load) else { return };
    screen.until("it is there", |text| text.contains("LAST SECOND"));
    kill_process(screen.pid_of_program(), Signal::HUP).unwrap();
    screen.press("p");
    screen.until("it is still there", |text| text.contains("PAUSED"));
    screen.press("q");
    screen.until("the summary", |text| text.contains("rtt (from plan)") && text.contains("code 130"));
    drop(daemon.stop());
}

#[test]
fn where_it_is_not_wanted_or_has_no_terminal_there_are_lines() {
    let daemon = echoes();
    let line = |text: &str| {
        let words = ["load  sent ", "/s)  loss ", "p50 ", "p99 "];
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    let load = command(&daemon, "--interval 100ms");
    for command in [
        load.replace("--interval", "--no-tui --interval"),
        format!("env TERM=dumb {load}"),
        // A pager would take the terminal; as pagers do, it outlives Ctrl-C.
        format!("{load} | (trap '' INT; exec cat)"),
    ] {
        let Some(screen) = Screen::start((150, 24), &command) else { return };
        let text = screen.until("a line of progress", line);
        assert!(!text.contains("LAST SECOND"), "{command}: {text}");
        screen.press("C-c");
        screen.until("the summary", |text| text.contains("rtt (from plan)"));
    }
    let short = load.replace("-d 10m", "-d 400ms");
    let mut words = Command::new("sh");
    words.args(["-c", &short]);
    let finished = Process::spawn(&mut words).finish();
    finished.expect_code(0);
    assert!(line(&finished.stderr) && !finished.stderr.contains('\u{1b}'), "{}", finished.stderr);
    drop(daemon.stop());
}

#[test]
fn the_result_goes_to_its_file_while_the_view_has_the_terminal() {
    let daemon = echoes();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("result.json");
    let colour = regex::Regex::new("\u{1b}\\[(3[1-7]|38;5;)").unwrap();
    for (before, is_coloured) in [("env -u NO_COLOR", true), ("env NO_COLOR=1", false)] {
        // Keys come from the terminal all the same.
        let load = command(&daemon, "--json --seed 18446744073709551615");
        let load = format!("{before} {load} > '{}' < /dev/null", path.display());
        let Some(screen) = Screen::start((80, 24), &load) else { return };
        screen.until("it is there", |text| text.contains("LAST SECOND") && text.contains('█'));
        let shown = screen.tmux(&["capture-pane", "-e", "-p"]);
        assert_eq!(colour.is_match(&shown), is_coloured, "{shown:?}");
        screen.press("q");
        screen.until("the end", |text| text.contains("code 130"));
        let result: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(result["aborted"], true, "{result}");
    }
    drop(daemon.stop());
}

#[test]
fn a_search_shows_its_trials_and_what_it_has_found() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let words = "--find-max 'loss<1%,final=60s,sum=60s' --min-rate 50/s --max-rate 400/s --max-lag 5s";
    let load = command(&daemon, words).replace("--rate 200/s -d 10m", "").replace("200ms", "6s");
    let Some(screen) = Screen::start((100, 30), &load) else { return };
    let text = screen.until("a trial", |text| text.lines().any(|line| line.starts_with("trial   1")));
    assert!(text.contains("TRIALS") && text.contains("search    trial "), "{text}");
    screen.until("a bracket", |text| text.contains("loss<1%: ") && text.contains(" .. "));
    screen.press("q");
    let text = screen.until("the end", |text| text.contains("code 130"));
    assert!(text.lines().any(|line| line.starts_with("trial   1")), "the trials stay: {text}");
    expect_given_back(&screen);
    drop(daemon.stop());
}

#[test]
fn the_picture_of_the_manual_shows_the_screen_that_there_is() {
    let folder = polyport_tests::plugins::repository().join("examples/docs/pictures");
    let picture = std::fs::read_to_string(folder.join("load-live.svg")).unwrap();
    let words = regex::Regex::new("<text[^>]*>([^<]*)</text>").unwrap();
    let words: Vec<String> = words
        .captures_iter(&picture)
        .map(|found| found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
        .collect();
    let daemon = echoes();
    let Some(screen) = Screen::start((100, 30), &command(&daemon, "")) else { return };
    let text = screen.until("it is there", |text| text.contains("LAST SECOND") && text.contains('█'));
    let names = ["rate/s", "lag p99", "LAST SECOND", "RTT FROM PLAN, WHOLE RUN", "polyport-load", "LOAD"];
    for name in names {
        assert!(text.contains(name), "{name}: {text}");
        assert!(words.iter().any(|shown| shown.contains(name)), "{name}: {words:?}");
    }
    let keys = text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains(&keys), "{keys}: {shown}");
    drop(daemon.stop());
}
