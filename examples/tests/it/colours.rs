//! Where colours are welcome, seen with a real pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::support::{command, finish};

const RED: &str = "\u{1b}[31merror:\u{1b}[0m ";
const PLAIN: &str = "error: ";
const TERM: (&str, &str) = ("TERM", "xterm");

/// On a terminal or not, the environment, and how the complaint begins.
type Case = (bool, &'static [(&'static str, &'static str)], &'static str);

/// Both ends of a new pseudo-terminal: what reads like a person, and what a program writes to.
fn terminal() -> (File, OwnedFd) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (person.into(), program)
}

/// What a client that refuses its input writes to standard error, in this environment only.
fn complaint(on_terminal: bool, environment: &[(&str, &str)]) -> String {
    let mut command = command("frame", &["decode", "--hex", "zz"]);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "CI"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    if !on_terminal {
        return finish(command.spawn().unwrap()).err;
    }
    let (mut person, program) = terminal();
    let child = command.stderr(Stdio::from(program)).spawn().unwrap();
    // The last writing end goes with the command, so that reading ends.
    drop(command);
    finish(child);
    let mut seen = Vec::new();
    // Linux ends a terminal that nobody writes to any more with EIO.
    person.read_to_end(&mut seen).unwrap_or(0);
    String::from_utf8(seen).unwrap()
}

#[test]
fn colours_go_to_terminals_that_want_them() {
    let cases: [Case; 7] = [
        (true, &[TERM], RED),
        (true, &[TERM, ("NO_COLOR", "1")], PLAIN),
        (true, &[TERM, ("NO_COLOR", "")], RED),
        (true, &[("TERM", "dumb")], PLAIN),
        (false, &[TERM], PLAIN),
        (false, &[TERM, ("CLICOLOR_FORCE", "1")], RED),
        (false, &[TERM, ("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], PLAIN),
    ];
    for (on_terminal, environment, start) in cases {
        let seen = complaint(on_terminal, environment);
        assert!(seen.starts_with(start), "terminal {on_terminal}, {environment:?}: {seen:?}");
    }
}
