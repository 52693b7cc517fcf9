//! SIGHUP: the configuration and the libraries are read again, and everything is served by them, or everything as before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use polyport_tests::daemon::Daemon;
#[cfg(target_os = "linux")]
use polyport_tests::plugins::Bytes;
use polyport_tests::plugins::{compile_c, fixture};
use polyport_tests::tool::make_pipe;
#[cfg(target_os = "linux")]
use polyport_tests::tool::root;
use polyport_tests::{Launch, wait};
use rustix::process::Signal;

use crate::polyport;

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

/// The C plugin `heir` at `path`, put there by a rename as builds do it; none without a C compiler.
pub(crate) fn heir(path: &Path, flags: &[&str]) -> Option<PathBuf> {
    let dir = tempfile::tempdir().unwrap();
    let library = compile_c(&fixture("heir"), flags, dir.path(), "heir")?;
    let beside = path.with_extension("new");
    fs::copy(library, &beside).unwrap();
    fs::rename(&beside, path).unwrap();
    Some(path.to_path_buf())
}

/// A daemon with its configuration in a directory `etc`, and the path of the file.
fn configured(text: &str) -> (Launch, PathBuf) {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("polyport.toml");
    write(&file, text);
    (launch.arg("-c").arg(&file), file)
}

fn listen(name: &str, plugin: &str, options: &str) -> String {
    format!(
        "[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nplugin = \"{plugin}\"\noptions = {{ {options} }}\n"
    )
}

#[test]
fn options_are_taken_by_the_handlers_or_by_new_ones() {
    let text = |reply: &str, loss: &str| {
        listen("echo", "echo", &format!("reply = \"{reply}\""))
            + &listen("lossy", "lossy", &format!("loss = \"{loss}\""))
            + &listen("heard", "listener", &format!("ack = true, leisure = \"0s\", ack_text = \"{reply}\""))
    };
    let (launch, file) = configured(&text("same", "0%"));
    let mut daemon = launch.serve();
    let (echo, lossy) = (daemon.client(0), daemon.client(1));
    echo.expect_echo(b"before");
    lossy.expect_echo(b"before");
    assert!(daemon.reload(1).contains("reloaded: nothing has changed, in "));
    write(&file, &text("length", "100%"));
    let told = daemon.reload(2);
    assert!(
        told.contains("reloaded: 3 addresses changed (1 by a new handler, 2 by new options), in "),
        "{told}"
    );
    assert_eq!(echo.ask(b"after"), b"Your data was 5 bytes long");
    lossy.send(b"lost");
    write(&file, &text("same", "0%"));
    daemon.reload(3);
    echo.expect_echo(b"again");
    lossy.expect_echo(b"again");
    let served = daemon.stop();
    assert_eq!((served.received("echo", "replied"), served.received("lossy", "replied")), (3, 2));
    assert_eq!(served.counted("lossy", "datagrams_total"), 3, "counters go on");
}

/// A file that an option names is read again when it is another one, however it was changed, and only then.
#[test]
fn a_file_that_an_option_names_is_read_again_when_it_was_edited() {
    let (launch, file) = configured("");
    let (steps, beside) = (launch.dir().join("etc/steps"), launch.dir().join("etc/new"));
    write(&steps, "#0 loss=0%\n");
    let options = format!("timeline_file = \"{}\"", steps.display());
    write(&file, &(listen("lossy", "lossy", &options) + &listen("echo", "echo", "")));
    let mut daemon = launch.serve();
    let client = daemon.client(0);
    client.expect_echo(b"before");
    assert!(daemon.reload(1).contains("reloaded: nothing has changed, in "));
    write(&steps, "#0 loss=100%\n");
    let told = daemon.reload(2);
    assert!(told.contains("reloaded: 1 address changed, in "), "{told}");
    let said = format!("listener lossy: `timeline_file`: {} has changed since it was read", steps.display());
    daemon.process.wait_for_stderr_times(&said, 1);
    client.send(b"lost");
    // As editors do it: the file under the name is another one.
    write(&beside, "#0 loss=0%\n");
    fs::rename(&beside, &steps).unwrap();
    daemon.reload(3);
    daemon.process.wait_for_stderr_times(&said, 2);
    client.expect_echo(b"again");
    // What is wrong is not taken, and looked at again with the next reload.
    write(&steps, "#0 loss=much\n");
    assert!(daemon.reload(4).contains("not reloaded: 1 problem"));
    client.expect_echo(b"as before");
    write(&steps, "#0 loss=0%\n#1 loss=100%\n");
    let told = daemon.reload(5);
    assert!(told.contains("reloaded: 1 address changed, in "), "{told}");
    let told = daemon.reload(6);
    assert!(told.contains("reloaded: nothing has changed, in "), "{told}");
    let served = daemon.stop();
    assert_eq!(served.received("lossy", "on_purpose"), 1);
}

/// R51, P3, P5, P13, P43: each build answers, keeps what the one before has handed over, and nobody misses an answer.
#[test]
fn a_rebuilt_library_answers_and_the_client_loses_nothing() {
    let (launch, _) = configured("");
    let library = launch.dir().join("etc/libheir.so");
    let Some(library) = heir(&library, &["-DNAME=\"one\""]) else { return };
    write(&launch.dir().join("etc/polyport.toml"), &listen("heir", "./libheir.so", ""));
    let mut daemon = launch.serve();
    let client = daemon.client(0);
    let mut asked = 0;
    let mut ask = |name: &str, why: u32| {
        asked += 1;
        assert_eq!(client.ask(b"?"), format!("{name} {asked} {why}").into_bytes());
    };
    ask("one", 0);
    for (round, name) in ["two", "three", "four"].into_iter().enumerate() {
        heir(&library, &[&format!("-DNAME=\"{name}\"")]).unwrap();
        let told = daemon.reload(round + 1);
        let new =
            format!("reloaded: 1 address changed, 1 library new (heir 0.1.0 generation {}), in ", round + 2);
        assert!(told.contains(&new), "{told}");
        (0..3).for_each(|_| ask(name, 2));
    }
    #[cfg(target_os = "linux")]
    {
        let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
        let mut builds: Vec<_> = maps.lines().filter_map(|line| line.split_once("heir-0.1.0-g")).collect();
        builds.sort_by_key(|(_, file)| *file);
        builds.dedup_by_key(|(_, file)| *file);
        assert_eq!(builds.len(), 4, "none is ever unmapped: {maps}");
    }
    // A build that was there before is not loaded once more.
    heir(&library, &["-DNAME=\"two\""]).unwrap();
    let told = daemon.reload(4);
    assert!(told.contains("(heir 0.1.0 generation 2)"), "{told}");
    ask("two", 2);
    let served = daemon.stop();
    assert_eq!((served.received("heir", "received"), served.received("heir", "replied")), (11, 11));
}

/// R45: whatever is wrong is shown at its place, and everything goes on.
#[test]
fn what_cannot_be_done_is_told_and_nothing_is_changed() {
    let (launch, file) = configured("");
    let library = launch.dir().join("etc/libheir.so");
    let Some(library) = heir(&library, &["-DNAME=\"one\""]) else { return };
    let text = listen("heir", "./libheir.so", "") + &listen("lossy", "lossy", "loss = \"0%\"");
    write(&file, &text);
    let mut daemon = launch.serve();
    let (client, lossy) = (daemon.client(0), daemon.client(1));
    let mut asked = 0;
    let mut nth = 0;
    let mut refused = |daemon: &mut Daemon, words: &[&str]| {
        nth += 1;
        let before = daemon.process.stderr().len();
        let told = daemon.reload(nth);
        assert!(told.contains("not reloaded: ") && told.contains("everything is served as before"), "{told}");
        for word in words {
            assert!(daemon.process.stderr()[before..].contains(word), "{word}: {}", daemon.process.stderr());
        }
        asked += 1;
        assert_eq!(client.ask(b"?"), format!("one {asked} 0").into_bytes());
        lossy.expect_echo(b"as before");
    };
    let all_lost = text.replace("0%", "100%");
    write(&file, &(all_lost.clone() + "oops"));
    refused(&mut daemon, &["polyport.toml:11:", "^"]);
    write(&file, &all_lost.replace("100%", "110%"));
    refused(&mut daemon, &["option `loss`", "polyport.toml:10:", "^^^"]);
    write(&file, &(all_lost.clone() + "[limits]\nvisit_datagrams = 32\n"));
    refused(&mut daemon, &["`limits` differs from what the daemon was started with"]);
    write(&file, &all_lost);
    fs::set_permissions(&library, Permissions::from_mode(0o777)).unwrap();
    refused(&mut daemon, &["may be written by anybody"]);
    heir(&library, &["-DNAME=\"two\"", "-DREFUSES"]).unwrap();
    refused(&mut daemon, &["listener `heir`: plugin heir 0.1.0 refuses: not with me"]);
    fs::remove_file(&library).unwrap();
    refused(&mut daemon, &["cannot be read: No such file"]);
    fs::remove_file(&file).unwrap();
    refused(&mut daemon, &["cannot read", "polyport.toml"]);
    drop(daemon.stop());
}

/// A library that cannot serve shows it at once: what served before does so again.
#[test]
fn a_library_that_breaks_at_once_gives_its_place_back() {
    let (launch, file) = configured("");
    let library = launch.dir().join("etc/libheir.so");
    let Some(library) = heir(&library, &["-DNAME=\"good\""]) else { return };
    write(&file, &listen("heir", "./libheir.so", ""));
    let daemon = launch.serve();
    let client = daemon.client(0);
    assert_eq!(client.ask(b"?"), b"good 1 0");
    heir(&library, &["-DNAME=\"bad\"", "-DDIES"]).unwrap();
    // Asked before, so that it is the first thing that the new one sees, well within its second.
    daemon.process.signal(Signal::HUP);
    wait::until("the answer of the one before, made again", || {
        client.send(b"?");
        client
            .receive_within(std::time::Duration::from_millis(50))
            .is_some_and(|answer| answer.starts_with(b"good") && answer.ends_with(b" 1"))
    });
    let served = daemon.stop();
    let stderr = &served.finished.stderr;
    assert!(stderr.contains("heir 0.1.0 (generation 1) serves again"), "{stderr}");
    assert_eq!(served.counted("heir", "faults"), 1);
}

/// R43.
#[test]
fn several_wishes_at_once_are_at_most_two_reloads() {
    let (launch, _) = configured(&listen("echo", "echo", ""));
    let mut daemon = launch.serve();
    for _ in 0..20 {
        daemon.process.signal(Signal::HUP);
    }
    daemon.process.wait_for_stderr("reloaded: nothing has changed");
    daemon.client(0).expect_echo(b"here");
    let served = daemon.stop();
    let stderr = &served.finished.stderr;
    let begun = stderr.matches("reloading (SIGHUP)").count();
    assert!((1..20).contains(&begun), "{stderr}");
}

/// From a pipe it can be read once; it stays what it was, and libraries are read again all the same.
#[test]
fn a_configuration_from_a_pipe_stays_and_libraries_change() {
    let launch = polyport();
    let (pipe, library) = (launch.dir().join("pipe"), launch.dir().join("libheir.so"));
    if heir(&library, &["-DNAME=\"one\""]).is_none() || !make_pipe(&pipe) {
        return;
    }
    let text = listen("heir", "./libheir.so", "");
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        // Waits for a reader.
        move || fs::write(pipe, text).unwrap()
    });
    let mut daemon = launch.arg("-c").arg(&pipe).serve();
    writer.join().unwrap();
    heir(&library, &["-DNAME=\"two\""]).unwrap();
    assert!(daemon.reload(1).contains("(heir 0.1.0 generation 2)"), "{}", daemon.process.stderr());
    assert_eq!(daemon.client(0).ask(b"?"), b"two 1 2");
    drop(daemon.stop());
}

/// A bounded number of what `tests/bench/reloads.py` does a thousand times: nothing is lost, nothing is left open.
#[test]
#[cfg(target_os = "linux")]
fn fifty_reloads_under_traffic_lose_nothing_and_leave_nothing_open() {
    const RELOADS: usize = 50;
    let (launch, file) = configured("");
    let library = launch.dir().join("etc/libmine.so");
    let echo = Bytes::of("echo");
    // Bytes behind the end of a library change nothing but that it is another one.
    let build = |n: usize| {
        let mut bytes = echo.clone();
        bytes.0.extend(n.to_ne_bytes());
        bytes.write(&library);
    };
    build(0);
    let text = |n: usize| {
        listen("mine", "./libmine.so", "") + &listen("lossy", "lossy", &format!("loss = \"0%\", seed = {n}"))
    };
    write(&file, &text(0));
    let mut daemon = launch.serve();
    let clients = [daemon.client(0), daemon.client(1)];
    let descriptors = |daemon: &Daemon| fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let mut before = 0;
    let mut asked = 0;
    for n in 1..=RELOADS {
        build(n);
        write(&file, &text(n));
        daemon.process.signal(Signal::HUP);
        // Sent while it reads, loads and switches.
        for _ in 0..20 {
            clients.iter().for_each(|client| client.expect_echo(b"all the time"));
            asked += 1;
        }
        daemon.process.wait_for_stderr_times("reloaded: 2 addresses changed", n);
        if n == 1 {
            before = descriptors(&daemon);
        }
    }
    assert_eq!(descriptors(&daemon), before);
    daemon.process.wait_for_stderr("50 builds of it are loaded");
    let served = daemon.stop();
    for name in ["mine", "lossy"] {
        assert_eq!(
            (served.received(name, "received"), served.received(name, "replied")),
            (asked, asked),
            "{name}"
        );
    }
}

/// Who serves as another user reads as that user, and is told so.
#[test]
#[cfg(target_os = "linux")]
fn what_the_sandbox_does_not_let_it_read_is_said() {
    if !root("only root becomes somebody else") {
        return;
    }
    let (launch, file) = configured(&listen("echo", "echo", ""));
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut daemon = launch.arg("--sandbox").arg("user=nobody").serve();
    assert!(daemon.reload(1).contains("not reloaded: 1 problem; everything is served as before"));
    let stderr = daemon.process.stderr();
    assert!(
        stderr.contains("Permission denied")
            && stderr.contains("reads its files in the sandbox: user nobody"),
        "{stderr}"
    );
    daemon.client(0).expect_echo(b"as before");
    // What everybody may read is reloaded by nobody as well, new libraries included, whose copies lie in memory then.
    let dir = file.parent().unwrap();
    for path in [daemon.dir(), dir] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let Some(library) = heir(&dir.join("libheir.so"), &["-DNAME=\"mine\""]) else { return };
    write(&file, &listen("echo", library.to_str().unwrap(), ""));
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(
        daemon.reload(2).contains("reloaded: 1 address changed, 1 library new (heir 0.1.0 generation 1)")
    );
    assert_eq!(daemon.client(0).ask(b"?"), b"mine 1 2");
    drop(daemon.stop());
}
