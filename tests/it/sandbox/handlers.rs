//! What a confined handler can do, and what it cannot. That of `deeds.c` does what a datagram says and answers what came of
//! it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use polyport_tests::network::Host;
use polyport_tests::plugins::spec;
use polyport_tests::tool::{root, skip};
use polyport_tests::{Client, Launch};

use super::{CONFIG, EACCES, EPERM, NOBODY, deeds, expect, has_every_layer, tracer, whole_line};
use crate::polyport;

/// R52, R53: what a hostile plugin would try is refused with an errno, in threads of its own too, and nobody suffers.
#[test]
fn a_hostile_handler_gets_an_errno_and_everybody_is_served() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let launch = polyport().listen(spec("127.0.0.1:0", &deeds) + ",name=deeds");
    let daemon = launch.listen("127.0.0.1:0=echo,name=neighbour").serve();
    let client = daemon.client(0);
    for deed in [
        "execve",
        "system",
        "fork",
        "thread",
        "ptrace",
        "mount",
        "unshare",
        "setuid",
        "chmod /etc/hosts",
        "kill 1",
        "udp 53",
        "udp 0",
        "tcp 0",
        "stream /run/somebody",
        "type",
        "owner 1",
        "limit 1",
        "unknown",
        "foreign",
    ] {
        expect(&client, deed, EPERM);
    }
    // The C library takes this for an old kernel, and makes its threads with the older call.
    expect(&client, "clone3", "errno 38");
    for deed in ["kill-self", "limit 0"] {
        expect(&client, deed, "ok");
    }
    daemon.client(1).expect_echo(b"still there");
    let served = daemon.stop();
    assert_eq!((served.counted("deeds", "faults"), served.received("neighbour", "replied")), (0, 1));
}

/// R52: where plugins may open sockets, a port below 1024 is still out of reach, since no capability is left.
#[test]
fn with_an_open_network_sockets_are_made_but_no_port_of_root_is_bound() {
    if !has_every_layer() {
        return;
    }
    let Some(host) = Host::alone() else { return };
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let launch = launch.listen(spec("127.0.0.1:7000", &deeds)).arg("--sandbox").arg("network=open");
    let daemon = launch.serve();
    let address = daemon.addresses()[0];
    host.inside(|| {
        let client = Client::of(address);
        expect(&client, "udp 0", "ok");
        expect(&client, "tcp 0", "ok");
        expect(&client, "udp 53", EACCES);
        expect(&client, "tcp 53", EACCES);
        expect(&client, "stream /run/somebody", EPERM);
    });
    drop(daemon.stop());
}

/// R53: from the first handler to the last datagram, none of the shipped plugins meets a refused call.
#[test]
fn no_shipped_plugin_calls_what_is_refused() {
    let Some(strace) = tracer() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (log, heard) = (dir.path().join("trace"), dir.path().join("recordings"));
    fs::create_dir(&heard).unwrap();
    let launch = Launch::new(strace).arg("-D").arg("-f").arg("-o").arg(&log);
    let launch = launch.arg(env!("CARGO_BIN_EXE_polyport-under-test")).arg("-vv");
    let recording = format!(
        "record=pcapng,rotate=128KiB,keep=2,report=1s,ack=true,leisure=1ms,file={}",
        heard.join("heard.pcapng").display()
    );
    let daemon = launch
        .listen("127.0.0.1:0=echo")
        .listen("127.0.0.1:0=lossy,delay=1ms,jitter=1ms,duplicate=50%,late=10%")
        .listen(format!("127.0.0.1:0=listener,name=recorder,{recording}"))
        .listen("127.0.0.1:0=listener,name=log,record=log")
        .listen("127.0.0.1:0=responder")
        .listen("127.0.0.1:0=discard,tos=true")
        .listen("127.0.0.1:0=stamp,mode=stateful")
        .serve();
    let [echo, lossy, recorder] = [0, 1, 2].map(|row| daemon.client(row));
    echo.expect_echo(b"echo");
    echo.expect_echo(&vec![7; 20_000]);
    echo.send_numbered(200);
    echo.expect_numbered(200);
    assert_eq!(lossy.ask(b"late"), b"late");
    daemon.client(3).send(b"a line");
    daemon.client(4).send(b"no request");
    daemon.client(5).send(b"for nobody");
    assert_eq!(daemon.client(6).ask(&[0; 44]).len(), 44);
    // More than a file holds: what is put aside is renamed.
    for _ in 0..12 {
        assert_eq!(recorder.ask(&vec![1; 30_000]), b"ack");
    }
    drop(daemon.stop());
    let trace = fs::read_to_string(&log).unwrap();
    let (_, confined) = trace.rsplit_once("seccomp(SECCOMP_SET_MODE_FILTER").expect("it was confined");
    let refused: Vec<_> = confined
        .lines()
        .filter(|line| [" EPERM", " EACCES", " ENOSYS"].iter().any(|errno| line.contains(errno)))
        // The C library makes a thread by clone instead.
        .filter(|line| !line.contains("clone3"))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(confined.contains("rename") && confined.contains("timerfd_settime"), "{confined}");
    let mut recordings: Vec<_> = fs::read_dir(&heard)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    recordings.sort();
    assert_eq!(recordings, ["heard.1.pcapng", "heard.2.pcapng", "heard.pcapng"]);
}

#[test]
fn files_are_out_of_reach_but_for_those_that_somebody_named() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["write", "read", "file", "data", "plugins", "outside"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("old"), "theirs").unwrap();
    }
    let Some(deeds) = deeds(&at("plugins"), &[]) else { return };
    let [write, read, file, data] =
        [at("write"), at("read"), at("file").join("mine"), at("data")].map(|path| path.display().to_string());
    let daemon = polyport()
        .config(&format!(
            "[sandbox]\nwrite = '{write}'\nread = ['{read}']\n[[listen]]\nbind = '127.0.0.1:0'\n\
             plugin = '{}'\noptions = {{ file = '{file}', data = '{data}' }}",
            deeds.display()
        ))
        .serve();
    let client = daemon.client(0);
    let deed = |word: &str, name: &str| format!("{word} {}", at(name).display());
    for (name, reads, writes) in [
        ("write", "ok", "ok"),
        ("file", "ok", "ok"),
        ("read", "ok", EACCES),
        ("data", "ok", EACCES),
        // For reloads.
        ("plugins", "ok", EACCES),
        ("outside", EACCES, EACCES),
    ] {
        expect(&client, &deed("read", &format!("{name}/old")), reads);
        expect(&client, &deed("write", &format!("{name}/old")), writes);
        expect(&client, &deed("write", &format!("{name}/new")), writes);
        expect(&client, &deed("remove", &format!("{name}/old")), writes);
        for word in ["mkdir", "rmdir"] {
            // Where it may not, there is nothing to remove either, and Landlock is not asked.
            let expected = if word == "rmdir" && writes != "ok" { "errno 2" } else { writes };
            expect(&client, &deed(word, &format!("{name}/sub")), expected);
        }
        assert_eq!(at(name).join("new").exists(), writes == "ok", "{name}");
        assert_eq!(at(name).join("old").exists(), writes != "ok", "{name}");
    }
    for (deed, expected) in [
        ("read /etc/hosts", "ok"),
        ("read /proc/self/maps", "ok"),
        ("write /dev/null", "ok"),
        ("read /proc/1/environ", EACCES),
        ("read /etc/shadow", EACCES),
        ("write /etc/hosts", EACCES),
    ] {
        expect(&client, deed, expected);
    }
    drop(daemon.stop());
}

/// A handler is made with the rights it has later, and a refusal says why it cannot do more.
#[test]
fn handlers_are_made_when_everything_is_given_up() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let launch = polyport().config(&format!(
        "[[listen]]\nbind = '127.0.0.1:0'\nplugin = '{}'\noptions = {{ first = 'write {}' }}",
        deeds.display(),
        dir.path().join("new").display()
    ));
    let refused = launch.refused(CONFIG);
    refused.expect_stderr(&[
        "plugin deeds 0.1.0 refuses the option `first`: errno 13",
        "polyport.toml:4:21",
        "help: handlers are made in the sandbox: user ",
        "landlock (ABI",
        "--sandbox write=PATH",
    ]);
    assert!(!dir.path().join("new").exists());
}

/// A recording is made by who serves, and belongs to him.
#[test]
fn a_recording_belongs_to_who_serves() {
    if !has_every_layer() {
        return;
    }
    if !root("only root gives files away") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let serve = || {
        let file = dir.path().join("heard.pcapng");
        let launch = polyport().listen(format!("127.0.0.1:0=listener,record=pcapng,file={}", file.display()));
        launch.arg("--sandbox").arg("user=nobody")
    };
    // The directory is root's: whoever makes the file is not.
    serve()
        .refused(CONFIG)
        .expect_stderr(&["heard.pcapng: Permission denied", "in the sandbox: user nobody"]);
    chown(dir.path(), Some(NOBODY), None).unwrap();
    let daemon = serve().serve();
    daemon.client(0).send(b"heard");
    let served = daemon.stop();
    assert_eq!(served.counted("listener", "recorded_total"), 1);
    let metadata = fs::metadata(dir.path().join("heard.pcapng")).unwrap();
    assert_eq!(metadata.uid(), NOBODY);
}

/// A constructor that starts a thread is as trusted as root; what reaches it is put on, and what does not is said.
#[test]
fn a_thread_that_was_there_before_is_told_of() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &["-DEARLY_THREAD"]) else { return };
    let daemon = polyport().listen(spec("127.0.0.1:0", &deeds)).serve();
    let tasks: Vec<_> = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().collect();
    // The loop, the plugin's own, the one that waits for signals, the one that watches the handlers, that of the control socket,
    // and the two that write the output.
    assert_eq!(tasks.len(), 7);
    for task in tasks {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");
    }
    let served = daemon.stop();
    // A kernel with Landlock's ABI 8 reaches it.
    if !served.finished.stdout.contains("(ABI 8)") {
        let told = "sandbox: landlock of other threads: 1 of them, started by plugins while they were loaded";
        served.finished.expect_stderr(&[told]);
    }
    if rustix::process::geteuid().is_root() {
        served.finished.expect_stderr(&["sandbox: capabilities of other threads: 1 of them"]);
    }
}

/// Without the filter of system calls, Landlock stops what is a matter of files, of TCP and of other processes.
#[test]
fn landlock_alone_stops_programs_tcp_and_signals() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let launch = polyport().listen(spec("127.0.0.1:0", &deeds)).arg("--sandbox").arg("seccomp=off");
    let daemon = launch.serve();
    let client = daemon.client(0);
    expect(&client, "execve", EACCES);
    let line = whole_line(&daemon);
    let abi = line.split_once("landlock (ABI ").and_then(|(_, rest)| rest.split_once(')'));
    let abi: u32 = abi.map_or(0, |(abi, _)| abi.parse().unwrap());
    if abi < 6 {
        return skip(&format!("this kernel does not know TCP and signals: {line}"));
    }
    expect(&client, "tcp 0", EACCES);
    expect(&client, "udp 0", "ok");
    // Of the same user: the test itself.
    expect(&client, &format!("kill {}", std::process::id()), EPERM);
}
