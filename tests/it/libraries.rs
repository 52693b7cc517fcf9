//! Where plugins are found, and what becomes of their files while the daemon runs.

use std::fs::{self, File};
use std::path::Path;

use polyport_tests::Launch;
#[cfg(target_os = "linux")]
use polyport_tests::mounts::mounted;
use polyport_tests::plugins::{Bytes, compile_c, fixture, spec};
use polyport_tests::tool::make_pipe;

use crate::polyport;

#[test]
fn a_plugin_is_found_by_every_way_there_is_to_name_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let library = Bytes::of("echo").write(dir.path().join("libpolyport_my_own.so"));
    let flag = polyport().arg("--plugin-dir").arg(dir.path()).listen("127.0.0.1:0=my-own");
    let variable = polyport().env("POLYPORT_PLUGIN_PATH", dir.path()).listen("127.0.0.1:0=my-own");
    let path = polyport().listen(spec("127.0.0.1:0", &library));
    let configured = polyport().config(&format!(
        "plugin_dirs = [\"{}\"]\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"my-own\"\n",
        dir.path().display()
    ));
    for launch in [flag, variable, path, configured, relative(&library)] {
        launch.serve().client(0).expect_echo(b"found");
    }
    polyport()
        .listen("127.0.0.1:0=my-own")
        .refused(78)
        .expect_stderr(&["the plugin cannot be found", "no such plugin"]);
}

/// The directory of the file is where relative paths start, not the working directory.
fn relative(library: &Path) -> Launch {
    let launch = polyport();
    let plugins = launch.dir().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(library, plugins.join("libpolyport_my_own.so")).unwrap();
    launch.config(
        "plugin_dirs = [\"plugins\"]\n[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"my-own\"\n\
         [[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"plugins/libpolyport_my_own.so\"\n",
    )
}

#[test]
fn the_first_directory_that_has_the_plugin_wins() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let renamed = |name: &[u8; 5]| Bytes::of("echo").identity_with(32, name);
    renamed(b"first").write(first.path().join("libpolyport_mine.so"));
    renamed(b"later").write(second.path().join("libpolyport_mine.so"));
    let launch = polyport().env("POLYPORT_PLUGIN_PATH", second.path());
    let launch = launch.arg("--plugin-dir").arg(first.path()).listen("127.0.0.1:0=mine");
    let daemon = launch.serve();
    assert!(daemon.process.stdout().contains("  first: Answers"), "{}", daemon.process.stdout());
}

#[test]
fn a_plugin_that_was_found_by_name_and_is_refused_is_told_apart_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = Bytes::of("echo").identity_with(16, &2_u16.to_ne_bytes());
    let file = file.write(dir.path().join("libpolyport_echo.so"));
    let launch = polyport().arg("--plugin-dir").arg(dir.path()).listen("127.0.0.1:0=echo");
    let title = format!("listener `echo`: the plugin {} cannot be loaded", file.display());
    launch.refused(78).expect_stderr(&[&title, "plugin ABI 2."]);
}

/// P7: the file that is mapped is a private copy.
#[test]
fn a_library_may_be_overwritten_or_removed_while_the_daemon_runs() {
    let dir = tempfile::tempdir().unwrap();
    let library = Bytes::of("echo").write(dir.path().join("mine.so"));
    let daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    let client = daemon.client(0);
    client.expect_echo(b"before");
    // In place, as `cp` does it: of a mapped file every page would be gone.
    File::create(&library).unwrap();
    client.expect_echo(&[b'x'; 9000]);
    fs::remove_file(&library).unwrap();
    client.expect_echo(b"after");
    // What has not run before is paged in now.
    drop(daemon.stop());
}

#[test]
fn two_listeners_with_one_library_share_nothing_but_its_code() {
    let daemon = polyport()
        .listen("127.0.0.1:0=lossy,loss=100%,name=all")
        .listen("127.0.0.1:0=lossy,loss=0%,name=none")
        .serve();
    daemon.client(0).send(b"lost");
    daemon.client(1).expect_echo(b"kept");
    let served = daemon.stop();
    assert_eq!((served.counted("all", "dropped_total"), served.counted("none", "dropped_total")), (1, 0));
    assert_eq!((served.counted("all", "answered_total"), served.counted("none", "answered_total")), (0, 1));
}

/// A symbol that two libraries export is each one's own: neither is bound to what the other brought.
#[test]
fn libraries_that_export_the_same_symbol_keep_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = polyport();
    for name in ["first", "second"] {
        let flag = format!("-DNAME=\"{name}\"");
        let Some(library) = compile_c(&fixture("name"), &[&flag], dir.path(), name) else { return };
        launch = launch.listen(spec("127.0.0.1:0", &library));
    }
    let daemon = launch.serve();
    assert_eq!(
        (daemon.client(0).ask(b"who?"), daemon.client(1).ask(b"who?")),
        (b"first".into(), b"second".into())
    );
}

/// The daemon with the first three places for its private copies below a file system mounted so, and `last` as the
/// fourth; `/run` too, since `/run/polyport` is one of the places, and the machine's own is none of this test's business.
#[cfg(target_os = "linux")]
fn staged(options: &str, mounted_at: &Path, last: &Path) -> Option<Launch> {
    let launch =
        mounted(options, &[mounted_at, Path::new("/run")], env!("CARGO_BIN_EXE_polyport-under-test"))?;
    let launch = launch.env("RUNTIME_DIRECTORY", mounted_at).env("XDG_RUNTIME_DIR", mounted_at);
    // The places of the control socket are the same, and not looked at here.
    Some(launch.env("TMPDIR", last).env("POLYPORT_CONTROL", "off").listen("127.0.0.1:0=echo"))
}

/// Where nothing may be mapped to be run, nothing may be written, or nothing fits, no private copy is made: the next
/// place is taken (A21), and nothing is left in those that did not serve.
#[cfg(target_os = "linux")]
#[test]
fn a_place_that_does_not_serve_is_passed_over() {
    for options in ["noexec,mode=0755", "ro,mode=0755", "size=64k,mode=0755", "nr_inodes=1,mode=0755"] {
        let (unfit, fit) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let Some(launch) = staged(options, unfit.path(), fit.path()) else { return };
        let daemon = launch.serve();
        daemon.client(0).expect_echo(b"from the last place");
        let copies = entries(fit.path());
        assert_eq!(copies.len(), 1, "{options}: {copies:?}");
        assert!(entries(&fit.path().join(&copies[0])).contains(&"echo-0.1.0-g1.so".to_owned()), "{options}");
        let there = format!("/proc/{}/root{}", daemon.pid(), unfit.path().display());
        for stage in entries(Path::new(&there)) {
            let left = entries(&Path::new(&there).join(stage));
            assert_eq!(left, ["lock"], "{options}: of what did not fit nothing is left");
        }
        drop(daemon.stop());
        assert_eq!(entries(fit.path()), Vec::<String>::new());
    }
}

/// C9: where no directory takes a private copy, it lies in memory.
#[cfg(target_os = "linux")]
#[test]
fn without_any_place_the_private_copies_lie_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for options in ["noexec,mode=0755", "ro,mode=0755", "size=64k,mode=0755"] {
        let Some(launch) = staged(options, dir.path(), dir.path()) else { return };
        let daemon = launch.listen("127.0.0.1:0=lossy,loss=0%").serve();
        daemon.client(0).expect_echo(b"from memory");
        daemon.client(1).expect_echo(b"and so does another");
        let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
        for name in ["echo-0.1.0", "lossy-0.1.0"] {
            assert!(maps.contains(&format!("/memfd:{name} (deleted)")), "{options}: {maps}");
        }
        drop(daemon.stop());
    }
}

#[test]
fn private_copies_are_gone_after_a_clean_stop() {
    let mut launch = polyport().listen("127.0.0.1:0=echo");
    // Kept beyond the daemon's own directory, to be looked at afterwards.
    let kept = tempfile::tempdir().unwrap();
    launch.command().env("RUNTIME_DIRECTORY", kept.path()).env("POLYPORT_CONTROL", "off");
    let daemon = launch.serve();
    let stages = entries(kept.path());
    let prefix = format!("polyport-{}.", daemon.process.pid().as_raw_nonzero());
    assert!(stages.len() == 1 && stages[0].starts_with(&prefix), "{stages:?}");
    let mut staged = entries(&kept.path().join(&stages[0]));
    staged.sort();
    assert_eq!(staged, ["echo-0.1.0-g1.so", "lock"]);
    drop(daemon.stop());
    assert_eq!(entries(kept.path()), Vec::<String>::new());
}

#[test]
fn private_copies_of_a_killed_daemon_are_removed_by_the_next_start_and_those_of_a_living_one_are_kept() {
    let shared = tempfile::tempdir().unwrap();
    let place = || polyport().env("RUNTIME_DIRECTORY", shared.path()).env("POLYPORT_CONTROL", "off");
    let serve = || place().listen("127.0.0.1:0=echo").serve();
    let living = serve();
    let killed = serve();
    let mut before = entries(shared.path());
    assert_eq!(before.len(), 2);
    drop(killed.kill());
    let after_kill = entries(shared.path());
    assert_eq!(after_kill.len(), 2, "a killed process cannot clean up");
    let next = serve();
    let after = entries(shared.path());
    assert_eq!(after.len(), 2, "{before:?} {after:?}");
    before.retain(|name| after.contains(name));
    assert_eq!(before.len(), 1, "that of the living one: {before:?}");
    living.client(0).expect_echo(b"still here");
    next.client(0).expect_echo(b"and here");
}

#[test]
fn a_refused_start_leaves_no_private_copies_behind() {
    let shared = tempfile::tempdir().unwrap();
    let launch = polyport().env("RUNTIME_DIRECTORY", shared.path());
    let refused = launch.listen("127.0.0.1:0=echo").listen("127.0.0.1:0=lossy,loss=2").refused(78);
    refused.expect_stderr(&["option `loss`"]);
    assert_eq!(entries(shared.path()), Vec::<String>::new());
}

#[test]
fn what_others_put_where_private_copies_lie_cannot_hold_the_start_up() {
    let shared = tempfile::tempdir().unwrap();
    let planted = shared.path().join("polyport-1.0");
    fs::create_dir(&planted).unwrap();
    fs::write(shared.path().join("polyport-2.0"), "a file, not a directory").unwrap();
    if !make_pipe(&planted.join("lock")) {
        return;
    }
    let launch = polyport().env("RUNTIME_DIRECTORY", shared.path()).listen("127.0.0.1:0=echo");
    launch.serve().client(0).expect_echo(b"nothing waits for a pipe");
}

fn entries(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// C8: a library that lies beside the plugin is found, wherever the private copy lies, and so is one that this one needs; no
/// name of it is needed inside, and none may be planted by others.
#[cfg(target_os = "linux")]
#[test]
fn a_plugin_may_bring_libraries_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (lib, deep) = (dir.path().join("lib"), dir.path().join("lib/deep"));
    fs::create_dir_all(&deep).unwrap();
    let here = format!("-L{}", lib.display());
    let below = format!("-L{}", deep.display());
    let Some(_) = compile_c(&fixture("deeper"), &[], &deep, "libdeeper") else { return };
    let link = [below.as_str(), "-Wl,--no-as-needed", "-ldeeper", "-Wl,-rpath,$ORIGIN/deep"];
    compile_c(&fixture("brought"), &link, &lib, "libbrought").unwrap();
    let plugins = dir.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let link = [here.as_str(), "-Wl,--no-as-needed", "-lbrought", "-Wl,-rpath,/nowhere:${ORIGIN}/../lib"];
    let library = compile_c(&fixture("borrows"), &link, &plugins, "borrows").unwrap();
    let daemon = polyport().listen(spec("127.0.0.1:0", &library)).serve();
    assert_eq!(daemon.client(0).ask(b"who?"), b"from the deep");
    drop(daemon.stop());
    // Beside it, and nothing else is copied.
    let brought =
        compile_c(&fixture("brought"), &["-DSAID=\"from beside\""], &plugins, "libbrought").unwrap();
    let link = [format!("-L{}", plugins.display()), "-lbrought".to_owned(), "-Wl,-rpath,$ORIGIN".to_owned()];
    let link: Vec<&str> = ["-Wl,--no-as-needed"].into_iter().chain(link.iter().map(String::as_str)).collect();
    let library = compile_c(&fixture("borrows"), &link, &plugins, "borrows").unwrap();
    let launch = || polyport().listen(spec("127.0.0.1:0", &library));
    let daemon = launch().serve();
    // As the plugin itself, it is a private copy.
    File::create(&brought).unwrap();
    assert_eq!(daemon.client(0).ask(b"who?"), b"from beside");
    drop(daemon.stop());
    fs::set_permissions(&brought, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    launch().refused(78).expect_stderr(&["libbrought.so that it brings: ", "chmod"]);
}

/// C8 and C9 together: in memory there is no directory, so what is brought is found by its own name.
#[cfg(target_os = "linux")]
#[test]
fn in_memory_too_a_plugin_may_bring_libraries_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    // Two that need each other in one direction, and a plugin that names the upper one alone.
    let make = |plugin: &str, said: &[&str], soname: bool| {
        let at = dir.path().join(plugin);
        fs::create_dir_all(&at).unwrap();
        let here = format!("-L{}", at.display());
        let named = |name: &'static str| if soname { name } else { "-Wl,--as-needed" };
        compile_c(&fixture("deeper"), &[named("-Wl,-soname,libdeeper.so")], &at, "libdeeper")?;
        let link = [&here, "-Wl,--no-as-needed", "-ldeeper", "-Wl,-rpath,$ORIGIN"];
        let link = [&link[..], &[named("-Wl,-soname,libbrought.so")], said].concat();
        compile_c(&fixture("brought"), &link, &at, "libbrought").unwrap();
        let link = [&here, "-Wl,--no-as-needed", "-lbrought", "-Wl,-rpath,$ORIGIN"];
        compile_c(&fixture("borrows"), &link, &at, "borrows")
    };
    let Some(first) = make("first", &[], true) else { return };
    let launch = || {
        let launch = staged("noexec,mode=0755", copies.path(), copies.path())?;
        Some(launch.listen(spec("127.0.0.1:0", &first)))
    };
    let Some(alone) = launch() else { return };
    let daemon = alone.serve();
    assert_eq!(daemon.client(1).ask(b"who?"), b"from the deep");
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    for name in ["borrows-0.1.0", "libbrought.so", "libdeeper.so"] {
        assert!(maps.contains(&format!("/memfd:{name} (deleted)")), "{maps}");
    }
    drop(daemon.stop());
    // The same library twice is one; another of the same name would be passed over by the linker.
    let same = make("same", &[], true).unwrap();
    let daemon = launch().unwrap().listen(spec("127.0.0.1:0", &same)).serve();
    assert_eq!(
        (daemon.client(1).ask(b"who?"), daemon.client(2).ask(b"who?")),
        (b"from the deep".into(), b"from the deep".into())
    );
    drop(daemon.stop());
    let other = make("other", &["-DSAID=\"from elsewhere\""], true).unwrap();
    let refused = launch().unwrap().listen(spec("127.0.0.1:0", &other)).refused(78);
    refused.expect_stderr(&[
        "libbrought.so, one of the libraries that it brings, differs from one of the same name",
    ]);
    let nameless = make("nameless", &[], false).unwrap();
    let launch = staged("noexec,mode=0755", copies.path(), copies.path()).unwrap();
    launch.listen(spec("127.0.0.1:0", &nameless)).refused(78).expect_stderr(&["-Wl,-soname,libdeeper.so"]);
}

/// However many listeners name it: a line for each name.
#[test]
fn at_v_each_name_is_told_with_the_file_it_led_to() {
    let dir = tempfile::tempdir().unwrap();
    let library = Bytes::of("echo").write(dir.path().join("libpolyport_mine.so"));
    let launch = polyport().args(&["check", "-v"]).arg("--plugin-dir").arg(dir.path());
    let launch = launch.listen("127.0.0.1:0=mine").listen("127.0.0.1:0=mine,name=again");
    let finished = launch.listen(spec("127.0.0.1:0", &library)).run();
    let stderr = &finished.expect_code(0).stderr;
    let shown = library.display();
    for (words, times) in [
        (format!("plugin `mine` is echo 0.1.0: {shown}\n"), 1),
        (format!("plugin `{shown}` is echo 0.1.0: {shown}\n"), 1),
        (format!("plugin echo 0.1.0 of {shown} runs as its copy "), 1),
    ] {
        assert_eq!(stderr.matches(&words).count(), times, "{words}: {stderr}");
    }
    let quiet = polyport().arg("check").listen("127.0.0.1:0=echo").run();
    assert!(!quiet.expect_code(0).stderr.contains("runs as its copy"), "{}", quiet.stderr);
}

/// A directory that was given and is not there is most often misspelt.
#[test]
fn directories_without_plugins_are_told_once_or_beside_what_was_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let missing = dir.path().join("missing");
    let with_dirs = |launch: Launch| {
        let launch = launch.arg("--plugin-dir").arg(&missing).env("POLYPORT_PLUGIN_PATH", &file);
        launch.arg("--plugin-dir").arg(dir.path())
    };
    let [first, second] = [(&missing, "No such file or directory"), (&file, "Not a directory")]
        .map(|(path, why)| (path.display().to_string(), why));
    for command in ["check", "run"] {
        let refused = with_dirs(polyport().arg(command)).listen("127.0.0.1:0=ehco").refused(78);
        let [first, second] = [&first, &second].map(|(path, why)| format!("{path} ({why} (os error "));
        refused.expect_stderr(&["no such plugin; looked in ", &first, &second, "there is a plugin `echo`"]);
        assert!(!refused.stderr.contains("not looked for"), "{}", refused.stderr);
    }
    let told = |stderr: &str| {
        for (path, why) in [&first, &second] {
            let line = format!("plugins are not looked for in {path}: {why}");
            assert_eq!(stderr.matches(&line).count(), 1, "{stderr}");
        }
        assert_eq!(stderr.matches("not looked for").count(), 2, "the third is there: {stderr}");
    };
    let twice =
        |launch: Launch| with_dirs(launch).listen("127.0.0.1:0=echo").listen("127.0.0.1:0=echo,name=b");
    told(&twice(polyport().arg("check")).run().expect_code(0).stderr);
    told(&twice(polyport()).serve().stop().finished.stderr);
}

/// A file is read whole before it is looked at.
#[test]
fn a_library_that_is_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("libpolyport_long.so");
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let refused = polyport().listen(spec("127.0.0.1:0", &path)).refused(78);
    refused.expect_stderr(&["longer than 268435456 bytes", "strip(1)"]);
}
