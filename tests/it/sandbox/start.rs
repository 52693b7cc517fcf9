//! Each layer is said at the start and is there; it is off by a word, and refused where it is demanded and cannot be had.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use polyport_tests::network::Host;
use polyport_tests::plugins::{Bytes, spec};
use polyport_tests::tool::{root, skip, tool};
use polyport_tests::{Client, Daemon, Launch};

use super::{
    CONFIG, EACCES, NOBODY, OS, PERMISSION, deeds, expect, expect_status, has_every_layer, line, status,
    tracer, whole_line,
};
use crate::polyport;

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
    // Root's copies of the libraries were removed while that was still allowed; the control socket is there.
    let left = fs::read_dir(daemon.dir().join("run")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["control.sock"]);
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

/// What the operator allows stands in the line as well, since it is what an intruder would have.
#[test]
fn what_is_allowed_beyond_the_usual_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    let group = rustix::process::getegid().as_raw();
    let sandbox = format!("network=open,group={group},read=/etc,write={path}");
    let daemon = polyport().arg("--sandbox").arg(sandbox).listen("127.0.0.1:0=echo").serve();
    let line = whole_line(&daemon);
    let expected = format!("; group {group}; network open; reads /etc; writes {path}");
    assert!(line.ends_with(&expected), "{line}");
    let finished = daemon.stop().finished;
    assert!(!finished.stderr.contains("warn: "), "{}", finished.stderr);
    let twice = polyport().args(&["--sandbox", "network=open", "--sandbox", "network=closed"]);
    let daemon = twice.listen("127.0.0.1:0=echo").serve();
    assert!(!whole_line(&daemon).contains("network"));
    daemon.stop().finished.expect_stderr(&["warn: --sandbox says `network` twice: the last one counts"]);
}

/// `check` binds nothing and becomes nobody, and says what `run` would meet.
#[test]
fn a_check_warns_of_rights_that_a_start_will_miss() {
    let dir = tempfile::tempdir().unwrap();
    let record = |path: &str| format!("127.0.0.1:0=listener,record=pcapng,file={path}");
    let check = || polyport().arg("check");
    let missing = dir.path().join("none/heard.pcapng").display().to_string();
    let told = format!("there is no directory {}", dir.path().join("none").display());
    check().listen(record(&missing)).run().expect_code(0).expect_stderr(&[&told]);
    let refused = polyport().listen(record(&missing)).refused(CONFIG);
    assert!(!refused.stderr.contains("sandbox"), "it has nothing to do with it: {}", refused.stderr);
    let there = dir.path().join("heard.pcapng").display().to_string();
    assert_eq!(check().listen(record(&there)).run().expect_code(0).stderr, "");
    if rustix::process::geteuid().is_root() {
        let finished = check().arg("--sandbox").arg("user=nobody").listen(record(&there)).run();
        let told = format!("listener listener: nobody cannot make {there}: it may not ");
        finished.expect_code(0).expect_stderr(&[&told]);
        if let Some(launch) = as_nobody() {
            let launch = launch.args(&["check", "--sandbox", "user=root"]).listen("127.0.0.1:0=echo");
            launch.run().expect_code(0).expect_stderr(&[
                "sandbox: only root can serve as root (CAP_SETUID and CAP_SETGID), and this is nobody: ",
                "`polyport run` by this user will be refused",
            ]);
        }
    }
}
