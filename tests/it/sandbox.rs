//! What the process gives up before it serves: users, capabilities, system calls and files (R52, R53), each said at the
//! start, each off by a word. The handler of `deeds.c` does what a datagram says and answers what came of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::network::Host;
use polyport_tests::plugins::{Bytes, compile_c, fixture, spec};
use polyport_tests::tool::{root, skip, tool};
use polyport_tests::{Client, Daemon, Launch};

use crate::polyport;

const OS: i32 = 71;
const PERMISSION: i32 = 77;
const CONFIG: i32 = 78;
const NOBODY: u32 = 65_534;

const EPERM: &str = "errno 1";
const EACCES: &str = "errno 13";

/// R52: one line says it, and the kernel says the same of every thread.
#[test]
fn what_is_given_up_is_said_and_is_gone() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    daemon.client(0).expect_echo(b"it serves all the same");
    let Some(line) = line(&daemon) else { return };
    assert!(line.ends_with(", no capabilities, no_new_privs, seccomp, landlock (ABI"), "{line}");
    confined(&daemon);
    if root("only root has capabilities to lose") {
        expect_status(&daemon, &[("CapBnd", "0000000000000000")]);
    }
}

/// R52: what is bound with root's rights is served by a user who has none.
#[test]
fn root_binds_and_another_user_serves() {
    let Some(host) = Host::alone() else { return };
    let launch = host.launch(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = launch.listen("127.0.0.1:53=echo").arg("--sandbox").arg("user=nobody").serve();
    let Some(line) = line(&daemon) else { return };
    assert!(line.starts_with("user nobody, no capabilities, no_new_privs, seccomp"), "{line}");
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = passwd.lines().find(|line| line.starts_with("nobody:")).expect("everybody has nobody");
    let ids: Vec<&str> = nobody.split(':').collect();
    let four = |id: &str| [id; 4].join("\t");
    expect_status(&daemon, &[("Uid", &four(ids[2])), ("Gid", &four(ids[3])), ("Groups", ids[3])]);
    confined(&daemon);
    host.inside(|| Client::of("127.0.0.1:53".parse().unwrap()).expect_echo(b"from a port below 1024"));
    // Root's copies of the libraries were removed while that was still allowed.
    assert_eq!(fs::read_dir(daemon.dir().join("run")).unwrap().count(), 0);
    drop(daemon.stop());
}

/// As in a container whose user database knows nobody.
#[test]
fn a_user_without_a_name_serves_with_the_group_that_is_said() {
    if !root("only root becomes somebody else") {
        return;
    }
    let launch = polyport().listen("127.0.0.1:0=echo");
    let daemon = launch.arg("--sandbox").arg("user=3999999999,group=3999999998").serve();
    assert!(whole_line(&daemon).starts_with("user 3999999999, no capabilities"), "{}", whole_line(&daemon));
    let four = |id: &str| [id; 4].join("\t");
    expect_status(&daemon, &[("Uid", &four("3999999999")), ("Gid", &four("3999999998"))]);
    expect_status(&daemon, &[("Groups", "3999999998")]);
    daemon.client(0).expect_echo(b"by a number");
}

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
        .listen("127.0.0.1:0=lossy,delay=1ms,jitter=1ms,duplicate=50%,reorder=10%")
        .listen(format!("127.0.0.1:0=listener,name=recorder,{recording}"))
        .listen("127.0.0.1:0=listener,name=log,record=log")
        .listen("127.0.0.1:0=responder")
        .serve();
    let [echo, lossy, recorder] = [0, 1, 2].map(|row| daemon.client(row));
    echo.expect_echo(b"echo");
    echo.expect_echo(&vec![7; 20_000]);
    echo.send_numbered(200);
    echo.expect_numbered(200);
    assert_eq!(lossy.ask(b"late"), b"late");
    daemon.client(3).send(b"a line");
    daemon.client(4).send(b"no request");
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
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let at = |name: &str| dir.path().join(name);
    for name in ["write", "read", "file", "data", "outside"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("old"), "theirs").unwrap();
    }
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
        "plugin deeds 0.1.0 refuses: errno 13",
        "polyport.toml:4:21",
        "help: handlers are made in the sandbox: user ",
        "landlock (ABI",
    ]);
    assert!(!dir.path().join("new").exists());
}

#[test]
fn each_layer_is_off_by_a_word() {
    if !has_every_layer() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deeds) = deeds(dir.path(), &[]) else { return };
    let outside = format!("write {}", dir.path().join("outside").display());
    let none = "0000000000000000";
    for (word, said, seccomp, landlock, privileges) in [
        ("capabilities=off", "; capabilities off (as configured)", "2", EACCES, "1"),
        ("seccomp=off", "; seccomp off (as configured)", "0", EACCES, "1"),
        ("landlock=off", "; landlock off (as configured)", "2", "ok", "1"),
        ("landlock=off,seccomp=off", "; seccomp off (as configured)", "0", "ok", "1"),
        ("off", "off", "0", "ok", "0"),
    ] {
        let launch = polyport().listen(spec("127.0.0.1:0", &deeds)).arg("--sandbox").arg(word);
        let daemon = launch.serve();
        let line = whole_line(&daemon);
        assert!(line.ends_with(said), "{word}: {line}");
        expect_status(&daemon, &[("Seccomp", seccomp), ("NoNewPrivs", privileges)]);
        if rustix::process::geteuid().is_root() {
            let kept = ["capabilities=off", "off"].contains(&word);
            assert_eq!(status(&daemon, "CapEff") != none, kept, "{word}");
        }
        expect(&daemon.client(0), &outside, landlock);
        assert!(!daemon.process.stderr().contains("sandbox"), "nobody is warned of his own wish");
    }
    // The same in a file, and what the command line says comes last.
    let file = |sandbox: &str| {
        polyport().config(&format!("{sandbox}\n[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n"))
    };
    assert_eq!(whole_line(&file("sandbox = 'off'").serve()), "off");
    let daemon = file("sandbox.seccomp = 'off'").arg("--sandbox").arg("seccomp=on,landlock=off").serve();
    assert!(whole_line(&daemon).ends_with(", seccomp; landlock off (as configured)"));
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

/// What a kernel lacks is said, and refused where it is demanded. A tracer plays that kernel.
#[test]
fn a_kernel_without_a_layer_is_told_of() {
    if !has_every_layer() {
        return;
    }
    let Some(strace) = tracer() else { return };
    let old = |calls: &str, errno: &str| {
        let inject = format!("inject={calls}:error={errno}");
        let launch = Launch::new(&strace).args(&["-D", "-f", "-o", "/dev/null", "-e", &inject]);
        launch.arg(env!("CARGO_BIN_EXE_polyport-under-test")).listen("127.0.0.1:0=echo")
    };
    for (layer, call, errno, why) in [
        ("seccomp", "seccomp", "ENOSYS", "this kernel has none"),
        ("landlock", "landlock_create_ruleset", "ENOSYS", "this kernel has none"),
        ("landlock", "landlock_create_ruleset", "EOPNOTSUPP", "it was left out when this kernel was booted"),
    ] {
        let daemon = old(call, errno).serve();
        let line = whole_line(&daemon);
        assert!(line.ends_with(&format!("; {layer} off ({why})")), "{line}");
        daemon.client(0).expect_echo(b"served all the same");
        let served = daemon.stop();
        served.finished.expect_stderr(&[&format!("warn: sandbox: {layer}: {why}")]);
        let refused = old(call, errno).arg("--sandbox").arg(format!("{layer}=on")).refused(OS);
        let demanded = format!("sandbox: {layer} is required, and cannot be had: {why}");
        refused.expect_stderr(&[&demanded, "\"on\" demands the layer"]);
    }
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
    assert_eq!(tasks.len(), 2);
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

#[test]
fn a_user_or_path_that_is_not_there_is_pointed_at() {
    let with = |sandbox: &str| {
        polyport()
            .config(&format!("[sandbox]\n{sandbox}\n[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n"))
    };
    for (sandbox, place, words) in [
        ("user = 'no-such-user'", "2:8", "sandbox: this system has no user no-such-user"),
        ("group = 'no-such-group'", "2:9", "sandbox: this system has no group no-such-group"),
        ("user = 3999999999", "2:8", "say `group` as well"),
        ("write = ['/no/such']", "2:10", "sandbox: /no/such cannot be allowed"),
        ("read = '/no/such'", "2:8", "No such file or directory"),
        ("usr = 'nobody'", "2:1", "did you mean `user`?"),
        ("seccomp = 'yes'", "2:11", "expected \"on\" or \"off\""),
    ] {
        let place = format!("polyport.toml:{place}");
        with(sandbox).refused(CONFIG).expect_stderr(&[&place, words]);
    }
    let refused = polyport().listen("127.0.0.1:0=echo").arg("--sandbox").arg("user=no-such-user");
    refused.refused(CONFIG).expect_stderr(&["--sandbox:1:6", "user=no-such-user", "^^^^ this user"]);
    // Who checks learns it as well.
    let checked =
        polyport().arg("check").listen("127.0.0.1:0=echo").arg("--sandbox").arg("user=no-such-user");
    checked.run().expect_code(CONFIG).expect_stderr(&["this system has no user no-such-user"]);
}

#[test]
fn nobody_serves_confined_and_cannot_become_anybody_else() {
    let Some(launch) = as_nobody() else { return };
    let daemon = launch.listen("127.0.0.1:0=echo").serve();
    let Some(line) = line(&daemon) else { return };
    assert!(line.starts_with("user nobody, no capabilities, no_new_privs, seccomp, landlock"), "{line}");
    confined(&daemon);
    daemon.client(0).expect_echo(b"as nobody");
    drop(daemon.stop());

    let launch = as_nobody().expect("it was possible a moment ago").listen("127.0.0.1:0=echo");
    let refused = launch.arg("--sandbox").arg("user=root").refused(PERMISSION);
    refused.expect_stderr(&["only root can serve as root (CAP_SETUID and CAP_SETGID), and this is nobody"]);
    // Who it is already, it may say.
    let launch = as_nobody().expect("it was possible a moment ago").listen("127.0.0.1:0=echo");
    let same = format!("user={NOBODY},group={NOBODY}");
    launch.arg("--sandbox").arg(same).serve().client(0).expect_echo(b"nobody is nobody");
}

/// As in a container: root without `CAP_SYS_ADMIN`, on a file system that nobody can write.
#[test]
fn it_serves_from_a_root_that_is_read_only() {
    let (Some(unshare), Some(_)) = (tool("unshare"), tool("setpriv")) else { return };
    if !root("only root mounts") {
        return;
    }
    // The directory of its own stays writable, as `/run` does in a container.
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro / || exit 99; shift; \
                  exec setpriv --bounding-set=-sys_admin --inh-caps=-all \"$@\"";
    let launch = Launch::new(unshare).args(&["--mount", "sh", "-c", script, "sh"]);
    let dir = launch.dir().to_path_buf();
    let launch = launch.arg(dir).arg(env!("CARGO_BIN_EXE_polyport-under-test"));
    let daemon = match launch.listen("127.0.0.1:0=echo").arg("--sandbox").arg("user=nobody").try_serve() {
        Ok(daemon) => daemon,
        Err(finished) if finished.code() == Some(99) => {
            return skip(&format!("no mount namespace can be made here: {}", finished.stderr));
        }
        Err(finished) => panic!("{}", finished.stderr),
    };
    let Some(line) = line(&daemon) else { return };
    assert!(line.starts_with("user nobody, no capabilities, no_new_privs, seccomp, landlock"), "{line}");
    daemon.client(0).expect_echo(b"from a container");
    drop(daemon.stop());
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
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), NOBODY);
}

/// `strace(1)`, where it may start a program; none, and a visible word, where not.
#[track_caller]
fn tracer() -> Option<PathBuf> {
    let strace = tool("strace")?;
    let tried = Command::new(&strace).args(["-o", "/dev/null", "true"]).output().unwrap();
    if !tried.status.success() {
        skip(&format!("strace may not trace here: {}", String::from_utf8_lossy(&tried.stderr).trim()));
        return None;
    }
    Some(strace)
}

/// The handler that does what it is told; none without a C compiler.
fn deeds(dir: &Path, flags: &[&str]) -> Option<PathBuf> {
    compile_c(&fixture("deeds"), flags, dir, "deeds")
}

#[track_caller]
fn expect(client: &Client, deed: &str, outcome: &str) {
    let answer = String::from_utf8(client.ask(deed.as_bytes())).unwrap();
    assert_eq!(answer, outcome, "{deed}");
}

/// What it says of itself at the start.
#[track_caller]
fn whole_line(daemon: &Daemon) -> String {
    let line = daemon.process.stdout().lines().find_map(|line| line.strip_prefix("sandbox: "));
    line.expect("a line about the sandbox").to_owned()
}

/// What it says of itself, up to the number of Landlock's ABI, which is a matter of the kernel; none, and a visible word,
/// where the kernel has not every layer.
#[track_caller]
fn line(daemon: &Daemon) -> Option<String> {
    let line = whole_line(daemon);
    let (before, abi) = line.rsplit_once(' ').expect("several words");
    let abi = abi.strip_suffix(')').and_then(|abi| abi.parse::<u32>().ok());
    if abi.is_none() {
        skip(&format!("this kernel has not every layer: {line}"));
    }
    abi.map(|_| before.to_owned())
}

/// Whether the kernel has every layer; a visible word where not.
#[track_caller]
fn has_every_layer() -> bool {
    line(&polyport().listen("127.0.0.1:0=echo").serve()).is_some()
}

/// A line of `/proc/PID/status`.
#[track_caller]
fn status(daemon: &Daemon, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect("a line of this name").trim().to_owned()
}

#[track_caller]
fn expect_status(daemon: &Daemon, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(status(daemon, name), *value, "{name}");
    }
}

/// No capabilities, no way to new ones, and a filter of system calls.
#[track_caller]
fn confined(daemon: &Daemon) {
    let none = "0000000000000000";
    expect_status(daemon, &[("CapEff", none), ("CapPrm", none), ("CapInh", none), ("CapAmb", none)]);
    expect_status(daemon, &[("NoNewPrivs", "1"), ("Seccomp", "2")]);
}

/// The program as nobody, from copies that nobody can reach: a checkout may lie where others cannot look.
#[track_caller]
fn as_nobody() -> Option<Launch> {
    if !root("only root becomes nobody") {
        return None;
    }
    let setpriv = tool("setpriv")?;
    let id = NOBODY.to_string();
    let launch = Launch::new(setpriv).args(&["--reuid", &id, "--regid", &id, "--clear-groups"]);
    let program = launch.dir().join("polyport");
    fs::copy(env!("CARGO_BIN_EXE_polyport-under-test"), &program).unwrap();
    Bytes::of("echo").write(launch.dir().join("libpolyport_echo.so"));
    fs::set_permissions(launch.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(launch.runtime_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    Some(launch.arg(program))
}
