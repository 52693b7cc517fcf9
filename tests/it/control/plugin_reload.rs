//! The library of one plugin is loaded again, and nothing else is read or changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use polyport_tests::plugins::{Bytes, compile_c, fixture};
use polyport_tests::{Client, Daemon, Launch, wait};
use serde_json::{Value, json};

use super::{Raw, code, command, json, socket};
use crate::polyport;
use crate::reload::heir;
#[cfg(target_os = "linux")]
use crate::reload_addresses::inode_of;

fn listen(name: &str, bind: &str, plugin: &str) -> String {
    format!("[[listen]]\nname = \"{name}\"\nbind = \"{bind}\"\nplugin = \"{plugin}\"\n")
}

/// A directory for the configuration and its libraries, and a daemon to come.
fn launch() -> Launch {
    let launch = polyport();
    fs::create_dir(launch.dir().join("etc")).unwrap();
    launch
}

fn serve(launch: Launch, text: &str) -> Daemon {
    let file = launch.dir().join("etc/polyport.toml");
    fs::write(&file, text).unwrap();
    launch.arg("-c").arg(&file).serve()
}

/// An echo that is another build for each number: bytes behind the end of a library change nothing else.
fn echo(path: &Path, build: u8) {
    let mut bytes = Bytes::of("echo");
    bytes.0.push(build);
    let beside = path.with_extension("new");
    bytes.write(&beside);
    fs::rename(beside, path).unwrap();
}

fn summary(answer: &Value) -> &str {
    answer["summary"].as_str().unwrap()
}

/// All of its listeners get the new build between two batches; what another library has become meanwhile, and what the
/// configuration says by now, is for a reload.
#[test]
fn a_new_build_serves_all_its_listeners_and_nothing_else_is_touched() {
    const BUILDS: [&str; 3] = ["two", "three", "four"];
    let launch = launch();
    let (library, other) = (launch.dir().join("etc/libheir.so"), launch.dir().join("etc/libmine.so"));
    if heir(&library, &["-DNAME=\"one\""]).is_none() {
        return;
    }
    echo(&other, 0);
    let text = listen("a", "127.0.0.1:0", "./libheir.so")
        + &listen("b", "127.0.0.1:0", "./libheir.so")
        + &listen("mine", "127.0.0.1:0", "./libmine.so");
    let daemon = serve(launch, &text);
    let clients = [0, 1, 2].map(|row| daemon.client(row));
    assert_eq!((clients[0].ask(b"?"), clients[1].ask(b"?")), (b"one 1 0".into(), b"one 1 0".into()));
    clients[2].expect_echo(b"mine");
    #[cfg(target_os = "linux")]
    let before: Vec<_> = daemon.addresses().iter().map(|address| inode_of(address.port())).collect();
    fs::write(daemon.dir().join("etc/polyport.toml"), text + &listen("late", "127.0.0.1:0", "echo")).unwrap();
    echo(&other, 1);
    // Twenty at a time on the way, from the first build to the last.
    let is_over = Arc::new(AtomicBool::new(false));
    let traffic = [0, 1, 2].map(|row| {
        let (client, is_over) = (daemon.client(row), Arc::clone(&is_over));
        thread::spawn(move || {
            let mut asked = 0;
            while !is_over.load(Ordering::Relaxed) {
                let texts: Vec<_> = (0..20).map(|n| format!("{asked:>32} {n:>32}").into_bytes()).collect();
                texts.iter().for_each(|text| client.send(text));
                texts.iter().for_each(|text| assert_eq!(client.receive(), *text));
                asked += texts.len();
            }
            asked
        })
    });
    for (n, name) in BUILDS.into_iter().enumerate() {
        heir(&library, &[&format!("-DNAME=\"{name}\"")]).unwrap();
        let told = json(&daemon, &["plugin", "reload", "heir"]);
        let library = format!("heir 0.1.0 generation {}", n + 2);
        assert_eq!(summary(&told), format!("2 addresses changed, 1 library new ({library})"));
        assert_eq!((&told["replaced"], &told["libraries"]), (&json!(2), &json!([library])), "{told}");
        for client in &clients[..2] {
            let said = String::from_utf8(client.ask(b"?")).unwrap();
            // What the first one has counted was handed on, and why it was made is a reload.
            assert!(said.starts_with(&format!("{name} ")) && said.ends_with(" 2"), "{said}");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let asked = traffic.map(|thread| thread.join().unwrap());
    assert!(asked.iter().all(|asked| *asked >= 20), "{asked:?}");
    #[cfg(target_os = "linux")]
    {
        let now: Vec<_> = daemon.addresses().iter().map(|address| inode_of(address.port())).collect();
        assert_eq!(now, before, "the same sockets");
    }
    assert_eq!(json(&daemon, &["status"])["listeners"], 3);
    // The rest of what was written is taken by a reload.
    let told = json(&daemon, &["reload"]);
    assert_eq!((&told["added"], &told["replaced"]), (&json!(1), &json!(1)), "{told}");
    assert!(told["libraries"].to_string().contains("echo 0.1.0 generation 2"), "{told}");
    let served = daemon.stop();
    for (name, asked, by_hand) in [("a", asked[0], 4), ("b", asked[1], 4), ("mine", asked[2], 1)] {
        let expected = u64::try_from(asked + by_hand).unwrap();
        let counted = (served.received(name, "received"), served.received(name, "replied"));
        assert_eq!(counted, (expected, expected), "{name}");
    }
}

/// An unchanged file, one that is what it was before, and a plugin by each of its names.
#[test]
fn a_file_that_holds_what_serves_is_told_so_and_one_that_held_it_before_is_that_build() {
    let launch = launch();
    let library = launch.dir().join("etc/libheir.so");
    if heir(&library, &["-DNAME=\"one\""]).is_none() {
        return;
    }
    let daemon = serve(launch, &listen("a", "127.0.0.1:0", "./libheir.so"));
    let client = daemon.client(0);
    assert_eq!(client.ask(b"?"), b"one 1 0");
    let path = library.to_str().unwrap();
    for name in ["heir", "./libheir.so", path] {
        let told = command(&daemon, &["plugin", "reload", name]);
        let words = "reloaded: nothing has changed: its file holds the build that serves, in ";
        assert!(told.expect_code(0).stdout.starts_with(words), "{name}: {}", told.stdout);
    }
    heir(&library, &["-DNAME=\"two\""]).unwrap();
    assert!(summary(&json(&daemon, &["plugin", "reload", path])).contains("generation 2"));
    assert_eq!(client.ask(b"?"), b"two 2 2");
    heir(&library, &["-DNAME=\"one\""]).unwrap();
    assert!(summary(&json(&daemon, &["plugin", "reload", path])).contains("generation 1"));
    assert_eq!(client.ask(b"?"), b"one 3 2");
    drop(daemon.stop());
}

/// Whatever is wrong is told in words, everything serves on, and nothing of it is taken by the next request either.
#[test]
fn what_cannot_be_loaded_is_told_and_nothing_is_changed() {
    let launch = launch();
    let etc = launch.dir().join("etc");
    let library = etc.join("libheir.so");
    if heir(&library, &["-DNAME=\"one\""]).is_none() {
        return;
    }
    let daemon =
        serve(launch, &(listen("a", "127.0.0.1:0", "./libheir.so") + &listen("b", "127.0.0.1:0", "lossy")));
    let clients = [0, 1].map(|row| daemon.client(row));
    let mut asked = 0;
    let mut refused = |exit: i32, words: &[&str]| {
        let finished = command(&daemon, &["plugin", "reload", "heir"]);
        finished.expect_code(exit).expect_stderr(words);
        // Another request does not take the build that was refused either.
        json(&daemon, &["set", "b", "loss=0%"]);
        asked += 1;
        assert_eq!(clients[0].ask(b"?"), format!("one {asked} 0").into_bytes());
        clients[1].expect_echo(b"as before");
    };
    let as_before = "not reloaded: 1 problem; everything is served as before";
    fs::set_permissions(&library, Permissions::from_mode(0o777)).unwrap();
    refused(78, &["may be written by anybody", as_before]);
    heir(&library, &["-DNAME=\"two\"", "-DREFUSES"]).unwrap();
    refused(78, &["listener `a`: plugin heir 0.1.0 refuses: not with me", as_before]);
    fs::write(&library, "no library").unwrap();
    refused(78, &["listener `a`: the plugin ", "libheir.so cannot be loaded", as_before]);
    fs::remove_file(&library).unwrap();
    refused(78, &["cannot be read: No such file", as_before]);
    command(&daemon, &["plugin", "reload", "nobody"])
        .expect_code(65)
        .expect_stderr(&["no listener is served by a plugin `nobody`"]);
    command(&daemon, &["plugin", "reload"]).expect_code(64);
    let mut raw = Raw::of(&socket(daemon.dir()));
    let ask =
        |params: Value| json!({"jsonrpc":"2.0","id":1,"method":"plugin-reload","params":params}).to_string();
    let unknown = raw.ask(ask(json!({"plugin":"nobody"})).as_bytes());
    assert_eq!(code(&unknown), -32_012);
    assert_eq!(code(&raw.ask(ask(json!({})).as_bytes())), -32_602);
    let broken = raw.ask(ask(json!({"plugin":"heir"})).as_bytes());
    assert_eq!((code(&broken), &broken["error"]["data"]["total"]), (-32_010, &json!(1)));
    heir(&library, &["-DNAME=\"three\""]).unwrap();
    json(&daemon, &["plugin", "reload", "heir"]);
    assert!(clients[0].ask(b"?").starts_with(b"three "));
    drop(daemon.stop());
}

/// Two libraries of one name are told apart by their paths; what is built in has none.
#[test]
fn a_name_of_two_libraries_is_refused_and_so_is_what_is_built_in() {
    let launch = launch();
    let (one, two) = (launch.dir().join("etc/libone.so"), launch.dir().join("etc/libtwo.so"));
    if heir(&one, &["-DNAME=\"one\""]).is_none() {
        return;
    }
    heir(&two, &["-DNAME=\"two\""]).unwrap();
    let daemon = serve(
        launch,
        &(listen("a", "127.0.0.1:0", "./libone.so") + &listen("b", "127.0.0.1:0", "./libtwo.so")),
    );
    command(&daemon, &["plugin", "reload", "heir"]).expect_code(78).expect_stderr(&[
        "several plugins are called `heir`: ",
        "/libone.so, ",
        "/libtwo.so",
        "name one by its path",
    ]);
    heir(&two, &["-DNAME=\"three\""]).unwrap();
    json(&daemon, &["plugin", "reload", two.to_str().unwrap()]);
    assert_eq!(
        (daemon.client(0).ask(b"?"), daemon.client(1).ask(b"?")),
        (b"one 1 0".into(), b"three 1 2".into())
    );
    drop(daemon.stop());
    // An executable alone, beside which no library is found.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("polyport");
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_polyport-under-test"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let daemon = polyport().replaced_by(&program).listen("127.0.0.1:0=echo").serve();
    command(&daemon, &["plugin", "reload", "echo"])
        .expect_code(78)
        .expect_stderr(&["plugin echo 0.1.0 is built in: it has no file that could be loaded"]);
    daemon.client(0).expect_echo(b"as before");
    drop(daemon.stop());
}

/// One handler for all addresses of a listener is not changed while it serves, by this as little as by a reload.
#[test]
fn a_handler_of_a_whole_listener_needs_a_restart_and_says_so() {
    let launch = launch();
    let library = launch.dir().join("etc/libgathers.so");
    let etc = library.parent().unwrap();
    let Some(built) = compile_c(&fixture("gathers"), &[], etc, "gathers") else { return };
    fs::rename(&built, &library).unwrap();
    let daemon = serve(launch, &listen("all", "127.0.0.1:0", "./libgathers.so"));
    let mut bytes = Bytes(fs::read(&library).unwrap());
    bytes.0.push(1);
    let beside = bytes.write(library.with_extension("new"));
    fs::rename(beside, &library).unwrap();
    command(&daemon, &["plugin", "reload", "./libgathers.so"]).expect_code(78).expect_stderr(&[
        "has one handler for all addresses, which is not changed while it serves",
        "by a restart",
    ]);
    drop(daemon.stop());
}

/// As after a reload: what served before comes back where the new build breaks at once.
#[test]
fn a_build_that_breaks_at_once_gives_its_place_back() {
    let launch = launch();
    let library = launch.dir().join("etc/libheir.so");
    if heir(&library, &["-DNAME=\"good\""]).is_none() {
        return;
    }
    let daemon = serve(launch, &listen("heir", "127.0.0.1:0", "./libheir.so"));
    let client = daemon.client(0);
    assert_eq!(client.ask(b"?"), b"good 1 0");
    heir(&library, &["-DNAME=\"bad\"", "-DDIES"]).unwrap();
    // Sent all the time, so that one of them is the first thing that the new one sees, well within its second.
    let is_over = Arc::new(AtomicBool::new(false));
    let sender = {
        let (client, is_over) = (Client::of(daemon.addresses()[0]), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                client.send(b"!");
                drop(client.receive_within(Duration::from_millis(5)));
            }
        })
    };
    json(&daemon, &["plugin", "reload", "heir"]);
    wait::until("the answer of the one before, made again", || {
        client.send(b"?");
        let answer = client.receive_within(Duration::from_millis(50));
        answer.is_some_and(|answer| answer.starts_with(b"good") && answer.ends_with(b" 1"))
    });
    is_over.store(true, Ordering::Relaxed);
    sender.join().unwrap();
    let served = daemon.stop();
    let stderr = &served.finished.stderr;
    assert!(stderr.contains("heir 0.1.0 (generation 1) serves again"), "{stderr}");
}
