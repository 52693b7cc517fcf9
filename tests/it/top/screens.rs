//! In a terminal.

use std::os::unix::fs::symlink;

use polyport_tests::tool::tool;
use rustix::process::{Signal, kill_process};

use super::{PROGRAM, Screen, Traffic, busy, cells, command, order, socket};

#[test]
fn it_is_read_and_used_at_80x24() {
    let daemon = busy().serve();
    let _traffic = Traffic::to((0..3).map(|row| daemon.client(row)).collect());
    let Some(screen) = Screen::start((80, 24), &command(&daemon, "-i 200ms")) else { return };
    let text = screen.until("rates of all", |text| {
        order(text) == ["alpha", "bravo", "charlie"]
            && cells(text, "charlie").get(1).is_some_and(|rate| *rate != "-")
    });
    let pid = daemon.process.pid().as_raw_nonzero();
    assert!(text.starts_with("polyport 0.1.0  pid ") && text.contains(&pid.to_string()), "{text}");
    assert!(text.contains("3 listeners, 3 addresses") && text.contains("< > sort by"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80) && text.contains('█'), "{text}");
    let text = screen.until("drops with their reason", |text| {
        cells(text, "bravo").contains(&"on_purpose") && cells(text, "charlie").contains(&"on_purpose")
    });
    assert!(text.contains("HISTORY") && !cells(&text, "alpha").contains(&"on_purpose"), "{text}");
    screen.press("r");
    screen.until("the order is turned around", |text| order(text) == ["charlie", "bravo", "alpha"]);
    screen.press("n");
    screen.until("ordered by name", |text| order(text) == ["alpha", "bravo", "charlie"]);
    screen.press("Down");
    screen.press("Enter");
    screen.until("the page of the second", |text| {
        text.contains("\nbravo  plugin lossy  1 address: 127.0.0.1:") && text.contains("TRAFFIC")
    });
    let text = screen.until("its drops", |text| text.lines().any(|line| line.starts_with("on_purpose")));
    assert!(text.contains("datagrams in, most") && text.contains("PLUGIN METRICS"), "{text}");
    screen.press("Escape");
    screen.until("the table again", |text| order(text).len() == 3 && text.contains("LISTENER"));
    screen.press("/");
    screen.press("c");
    screen.press("h");
    screen.press("Enter");
    screen
        .until("one is left by the filter", |text| order(text) == ["charlie"] && text.contains("filter: ch"));
    screen.press("?");
    screen.until("help", |text| text.contains("KEYS") && text.contains("COLUMNS"));
    screen.press("C-l");
    screen.press("Escape");
    screen.until("the table, drawn again", |text| order(text) == ["charlie"] && text.contains("HISTORY"));
    screen.press("?");
    screen.until("help again", |text| text.contains("KEYS"));
    screen.press("q");
    let text = screen.until("the end", |text| text.contains("code 0"));
    assert!(!text.contains("KEYS"), "the terminal is as before: {text}");
    drop(_traffic);
    drop(daemon.stop());
}

#[test]
fn it_is_read_at_200x50_with_the_peers_of_a_listener() {
    let daemon = busy().serve();
    let traffic = Traffic::to((0..3).map(|row| daemon.client(row)).collect());
    let Some(screen) = Screen::start((200, 50), &command(&daemon, "-i 200ms --sort name")) else { return };
    let text =
        screen.until("rates of all", |text| cells(text, "charlie").get(3).is_some_and(|rate| *rate != "-"));
    for title in ["PLUGIN", "ADDR", "OUT B/s", "SESS", "P50", "MAX", "FAULTS"] {
        assert!(text.contains(title), "{title}: {text}");
    }
    screen.press("Enter");
    let text = screen.until("its peers", |text| {
        text.contains("TOP PEERS")
            && text.lines().any(|line| line.contains("127.0.0.1:") && line.contains("100.0%"))
    });
    assert!(text.contains("\nalpha  plugin echo") && text.contains("ADDRESSES"), "{text}");
    screen.tmux(&["resize-window", "-x", "20", "-y", "5"]);
    screen.until("it fits", |text| text.contains("polyport 0.1.0") && text.contains("Esc back"));
    screen.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    screen.until("it fits again", |text| text.contains("TRAFFIC"));
    screen.press("C-c");
    screen.until("the end", |text| text.contains("code 0"));
    drop(traffic);
    drop(daemon.stop());
}

#[test]
fn the_terminal_is_given_back_at_any_end() {
    let daemon = busy().serve();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let Some(screen) = Screen::start((80, 24), &command(&daemon, "-i 200ms")) else { return };
        screen.until("it is there", |text| text.contains("LISTENER"));
        kill_process(screen.pid_of_program(), signal).unwrap();
        let text = screen.until("the end", |text| text.contains(&format!("code {code}")));
        assert!(!text.contains("LISTENER"), "{text}");
        let line = screen.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(line.trim(), "0 1", "neither another screen nor a hidden cursor");
    }
    drop(daemon.stop());
}

#[test]
fn it_stops_and_goes_on_as_a_shell_has_it() {
    let daemon = busy().serve();
    // A shell with jobs: what stops comes back to it.
    let Some(shell) = tool("bash") else { return };
    let Some(screen) = Screen::start((80, 24), &format!("{} --norc --noprofile -i", shell.display())) else {
        return;
    };
    screen.tmux(&["send-keys", "-l", &command(&daemon, "-i 200ms")]);
    screen.press("Enter");
    screen.until("it is there", |text| text.contains("LISTENER"));
    screen.press("C-z");
    let text = screen.until("the shell is back", |text| text.contains("Stopped"));
    assert!(!text.contains("LISTENER"), "{text}");
    screen.tmux(&["send-keys", "-l", "fg"]);
    screen.press("Enter");
    screen.until("it is back", |text| text.contains("LISTENER") && text.contains("charlie"));
    screen.press("q");
    screen.until("the shell again", |text| {
        !text.contains("LISTENER") && text.contains('$') || text.contains('#')
    });
    drop(daemon.stop());
}

#[test]
fn a_daemon_that_hangs_or_goes_is_missed_and_found_again() {
    let daemon = busy().serve();
    let Some(screen) = Screen::start((80, 24), &command(&daemon, "-i 200ms")) else { return };
    screen.until("it is there", |text| text.contains("LISTENER"));
    daemon.process.freeze();
    screen.until("it hangs", |text| text.contains("no answer for "));
    screen.press("?");
    screen.until("keys work all the same", |text| text.contains("KEYS"));
    screen.press("?");
    daemon.process.thaw();
    screen.until("it goes on", |text| text.contains("LISTENER") && !text.contains("no answer"));
    let path = socket(daemon.dir());
    let dir = daemon.kill();
    let text = screen.until("it is gone", |text| text.contains("no answer for "));
    assert!(text.contains("charlie"), "what was known stays: {text}");
    let another = busy().serve();
    // Where the first one was, so that the same place is asked.
    std::fs::remove_file(&path).unwrap_or(());
    symlink(socket(another.dir()), &path).unwrap();
    let pid = another.process.pid().as_raw_nonzero().to_string();
    screen.until("another is there", |text| {
        text.contains(&format!("pid {pid}")) && !text.contains("no answer")
    });
    another.process.freeze();
    screen.until("it hangs", |text| text.contains("no answer for "));
    screen.press("q");
    screen.until("nobody is waited for", |text| text.contains("code 0"));
    another.process.thaw();
    drop((another.stop(), dir));
}

/// They are made by hand (`examples/docs/pictures/terminal.py`): what has changed since must not be shown.

#[test]
fn keys_come_from_the_terminal_and_colours_stay_away_where_they_are_not_wanted() {
    let daemon = busy().serve();
    let _traffic = Traffic::to((0..3).map(|row| daemon.client(row)).collect());
    let colour = regex::Regex::new("\u{1b}\\[(3[1-7]|38;5;)").unwrap();
    for (before, is_coloured) in [("env -u NO_COLOR", true), ("env NO_COLOR=1", false)] {
        let command = format!("{before} {} < /dev/null", command(&daemon, "-i 200ms"));
        let Some(screen) = Screen::start((80, 24), &command) else { return };
        screen.until("drops", |text| cells(text, "charlie").contains(&"on_purpose"));
        let shown = screen.tmux(&["capture-pane", "-e", "-p"]);
        assert_eq!(colour.is_match(&shown), is_coloured, "{shown:?}");
        screen.press("q");
        screen.until("the end", |text| text.contains("code 0"));
    }
}

#[test]
fn a_socket_that_never_answers_holds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let command = format!("'{PROGRAM}' top -i 200ms --control '{}'", path.display());
    let Some(screen) = Screen::start((80, 24), &command) else { return };
    let (held, _) = listener.accept().unwrap();
    screen.until("it is said", |text| text.contains("no answer for "));
    screen.press("q");
    screen.until("the end", |text| text.contains("code 0"));
    drop(held);
}
