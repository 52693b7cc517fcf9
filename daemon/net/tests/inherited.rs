//! What a service manager leaves is taken from the environment, and is not there any more for what the process starts. In a process
//! of its own, without the threads of a test harness.
#![expect(clippy::expect_used, reason = "a test, without the harness by which lints know one")]

use std::env;
use std::os::fd::AsFd;
use std::process::Command;

use polyport_net::take_inherited;

/// Opens descriptors 3 and 4, says that they are for this process, and becomes the program.
const MANAGER: &str = "exec 3</dev/null 4</dev/null; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=one:two; \
                       export NOTIFY_SOCKET=@somewhere WATCHDOG_USEC=3000000 WATCHDOG_PID=$$; exec \"$0\" child";

fn main() {
    if env::args().nth(1).as_deref() == Some("child") {
        child();
        return;
    }
    let me = env::current_exe().expect("a path");
    let status = Command::new("sh").arg("-c").arg(MANAGER).arg(me).status().expect("sh runs");
    assert!(status.success(), "{status}");
}

fn child() {
    let inherited = take_inherited().expect("what was given");
    let names: Vec<_> = inherited.sockets.iter().map(|one| (one.number, one.name.as_str())).collect();
    assert_eq!(names, [(3, "one"), (4, "two")]);
    assert_eq!(inherited.for_another, None);
    assert_eq!(inherited.notify.as_deref().and_then(|path| path.to_str()), Some("@somewhere"));
    assert_eq!(inherited.watchdog.map(|time| time.as_secs()), Some(3));
    // Each is one of its own, open.
    for one in &inherited.sockets {
        one.fd.as_fd().try_clone_to_owned().expect("it is open");
    }
    let shown = Command::new("sh").arg("-c").arg("env; ls /proc/self/fd").output().expect("sh runs");
    let shown = String::from_utf8(shown.stdout).expect("text");
    for word in ["LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"] {
        assert!(!shown.contains(word), "{shown}");
    }
    // The standard streams, and the folder that is listed.
    assert!(!shown.lines().any(|line| line == "4"), "{shown}");
    assert!(take_inherited().expect("once").sockets.is_empty(), "nobody gets them twice");
}
