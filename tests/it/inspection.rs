//! `polyport plugin list` and `polyport plugin inspect`: what is known of a library before it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::Launch;
use polyport_tests::plugins::{Bytes, built, compile_c, fixture};
use polyport_tests::process::Finished;
#[cfg(target_os = "linux")]
use polyport_tests::tool::tool;
use serde_json::{Value, json};

use crate::polyport;

/// `polyport plugin inspect`, about to be started.
fn inspect(plugin: impl AsRef<std::ffi::OsStr>) -> Launch {
    polyport().args(&["plugin", "inspect"]).arg(plugin)
}

/// The object that it prints.
fn object(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// The library `strange`, which does `what` at a place of `where`; none without a C compiler.
fn strange(dir: &Path, place: &str, what: &str, flags: &[&str]) -> Option<PathBuf> {
    let all = [format!("-DWHERE={place}"), format!("-DDO={what}")];
    let all: Vec<&str> = all.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    compile_c(&fixture("strange"), &all, dir, &format!("lib{place}_{what}").to_lowercase())
}

/// An executable alone, so that its plugins are those that are built in.
fn alone(dir: &Path) -> Launch {
    let program = dir.join("polyport");
    // By another process: a file that this one has open for writing cannot be started while another test forks.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_polyport-under-test")).arg(&program).status();
    assert!(copied.unwrap().success());
    Launch::new(program)
}

/// The file is read as the linker would set it: what it says is what the same table says when it is linked in.
#[test]
fn what_is_read_from_a_file_is_what_the_table_has() {
    let dir = tempfile::tempdir().unwrap();
    for table in polyport_shipped::PLUGINS {
        let name: String =
            table.ident.name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let from_file = object(inspect(built(&name)).arg("--json").run().expect_code(0));
        let linked = alone(dir.path()).args(&["plugin", "inspect", &name, "--json"]).run();
        let linked = object(linked.expect_code(0));
        assert!(!from_file["options"].as_array().unwrap().is_empty(), "{name}");
        for key in ["options", "functions", "name", "version", "about", "abi", "layout", "toolchain", "panic"]
        {
            assert_eq!(from_file[key], linked[key], "{name}: {key}");
        }
        assert_eq!((&from_file["built_in"], &linked["built_in"]), (&json!(false), &json!(true)));
        assert_eq!((&from_file["panic"], &from_file["loadable"]), (&json!("unwind"), &json!(true)));
        let compilers = from_file["compilers"].as_array().unwrap();
        assert!(
            compilers.iter().any(|line| line.as_str().unwrap().starts_with("rustc version ")),
            "{compilers:?}"
        );
        let needs = from_file["needs"].as_array().unwrap();
        assert!(needs.iter().any(|name| name.as_str().unwrap().starts_with("libc.")), "{needs:?}");
    }
}

/// The expected options of `strange`.
#[cfg(target_os = "linux")]
fn strange_options() -> Value {
    let option = |name: &str, kind: &str, default: Value, range: Value, help: &str| json!({ "name": name, "type": kind, "default": default, "range": range, "help": help });
    let none = Value::Null;
    json!([
        option("switch", "boolean", json!("true"), none.clone(), "On or off"),
        option("count", "integer", json!("7"), json!("1 to 9"), "How many"),
        option("factor", "number", none.clone(), none.clone(), "A number"),
        option("share", "ratio", json!("25%"), json!("0% to 50%"), "A share"),
        option("wait", "duration", json!("15ms"), json!("0 to 1h"), "A time"),
        option("room", "size", json!("64KiB"), json!("1KiB to 1GiB"), "A size"),
        option("text", "text", json!(""), none.clone(), "A text"),
        option("colour", "word", json!("red"), none.clone(), "A word"),
        option("peer", "address", none.clone(), none.clone(), "An address"),
        option("more", "any value", none.clone(), none.clone(), "Anything"),
        option("key", "text", none.clone(), none, "A secret"),
    ])
}

/// However it was linked and whatever was taken out of it.
#[cfg(target_os = "linux")]
#[test]
fn a_library_of_c_is_read_however_it_was_linked() {
    let dir = tempfile::tempdir().unwrap();
    let Some(strip) = tool("strip") else { return };
    let linked: [&[&str]; 4] = [
        &[],
        &["-Wl,-z,pack-relative-relocs"],
        &["-Wl,--hash-style=sysv", "-Wl,-z,noseparate-code"],
        &["-s"],
    ];
    for flags in linked {
        let Some(library) = strange(dir.path(), "0", "TELL", flags) else { return };
        let seen = object(inspect(&library).arg("--json").run().expect_code(0));
        let mut options = seen["options"].clone();
        for option in options.as_array_mut().unwrap() {
            option
                .as_object_mut()
                .unwrap()
                .retain(|key, _| ["name", "type", "default", "range", "help"].contains(&key.as_str()));
        }
        assert_eq!(options, strange_options(), "{flags:?}");
        assert_eq!(seen["options"][7]["choices"], json!(["red", "blue"]));
        assert_eq!(seen["options"][6]["remarks"], json!(["a file that it reads"]));
        assert_eq!(seen["options"][10]["remarks"], json!(["secret"]));
        assert_eq!(seen["functions"], json!(["create", "destroy", "on_batch", "check"]));
        assert_eq!(seen["other_exports"], json!(["another_symbol"]));
        assert_eq!((&seen["toolchain"], &seen["panic"]), (&json!("C"), &Value::Null));
        assert_eq!(seen["stripped"], json!(flags == ["-s"]), "{flags:?}");
        assert!(seen["glibc"].as_str().unwrap().starts_with("2."), "{seen}");
        let bytes = fs::read(&library).unwrap();
        assert_eq!(seen["file"]["bytes"], json!(bytes.len()));
        if let Some(sha256sum) = tool("sha256sum") {
            let printed = Command::new(sha256sum).arg(&library).output().unwrap().stdout;
            let expected = String::from_utf8(printed).unwrap();
            assert_eq!(seen["file"]["sha256"].as_str().unwrap(), &expected[..64]);
        }
    }
    // Without section headers it can be loaded, and nobody finds the options.
    let library = strange(dir.path(), "0", "TELL", &[]).unwrap();
    let bare = Bytes(fs::read(&library).unwrap()).with(40, &[0; 8]).with(58, &[0; 6]);
    let bare = bare.write(dir.path().join("bare.so"));
    let text = inspect(&bare).run().expect_code(0).stdout.clone();
    assert!(text.contains("known only when it runs (--run): its file has no section headers"), "{text}");
    let seen = object(inspect(&bare).arg("--json").run().expect_code(0));
    assert_eq!((&seen["options"], &seen["loadable"]), (&Value::Null, &json!(true)));
    drop(strip);
}

/// For a person: each option is a line with its type, bounds, default and help.
#[test]
fn the_text_says_all_that_the_object_says() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = strange(dir.path(), "0", "TELL", &[]) else { return };
    let text = inspect(&library).run().expect_code(0).stdout.clone();
    for words in [
        "strange 0.1.0: Has options of every type\n",
        "  loadable   yes\n",
        "count   integer 1 to 9",
        "colour  red | blue",
        "A text (a file that it reads)",
        "exports    polyport_plugin_v1, and besides another_symbol\n",
        "functions  create destroy on_batch check\n",
        "metrics    known only when it runs (--run), as the facts that it wants\n",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

/// What would be refused is looked into all the same, and the reason is that of the daemon.
#[test]
fn a_library_that_would_be_refused_says_why_and_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let other_abi =
        Bytes::of("echo").identity_with(16, &2_u16.to_ne_bytes()).write(dir.path().join("abi.so"));
    let open = Bytes::of("echo").write(dir.path().join("open.so"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let text = dir.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o644)).unwrap();
    for (library, why, is_known) in [
        (&other_abi, "speaks plugin ABI 2.", true),
        (&open, "may be written by anybody", true),
        (&text, "not a shared library", false),
    ] {
        let seen = object(inspect(library).arg("--json").run().expect_code(78));
        let refused = seen["why_not"].as_str().unwrap();
        assert!(refused.contains(why) && seen["loadable"] == json!(false), "{seen}");
        assert_eq!(seen["name"] == json!("echo"), is_known, "{seen}");
        assert_eq!(seen["options"].is_array(), is_known, "{seen}");
        // In the same words as the start that it foresees.
        let start = polyport().listen(polyport_tests::plugins::spec("127.0.0.1:0", library)).refused(78);
        start.expect_stderr(&[refused]);
        let text = inspect(library).run().expect_code(78).stdout.clone();
        assert!(text.contains("  loadable  ") && text.contains("  no: "), "{text}");
    }
    inspect("no-such").run().expect_code(78).expect_stderr(&["no such plugin; looked in "]);
    // A pipe without a writer is not waited for.
    let pipe = dir.path().join("pipe.so");
    if polyport_tests::tool::make_pipe(&pipe) {
        inspect(&pipe).run().expect_code(78);
    }
}

/// I8: nothing runs that nobody asked for.
#[test]
fn no_code_runs_unless_it_is_asked_for() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let told = dir.path().join("told");
    for place in ["CONSTRUCTOR", "CREATE", "CHECK", "DESTROY"] {
        let Some(library) = strange(dir.path(), place, "TELL", &[]) else { return };
        let launch = || inspect(&library).env("STRANGE_FILE", &told).arg("--json");
        launch().run().expect_code(0);
        let list = alone(outside.path()).args(&["plugin", "list", "--plugin-dir"]).arg(dir.path());
        list.env("STRANGE_FILE", &told).run().expect_code(0);
        assert!(!told.exists(), "{place}");
        let seen = object(launch().arg("--run").run().expect_code(0));
        assert!(told.exists(), "{place}");
        fs::remove_file(&told).unwrap();
        let run = &seen["run"];
        assert_eq!(run["wants"], json!(["hop_limit", "time"]), "{run}");
        assert_eq!(
            run["metrics"],
            json!([
                { "name": "odd_total", "kind": "counter", "help": "How often it was odd" },
                { "name": "oddness", "kind": "gauge", "help": "How odd it is" },
            ])
        );
        assert_eq!((&run["failed"], &run["step"]), (&Value::Null, &json!("done")));
    }
}

/// The plugin runs in a process of its own.
#[test]
fn a_crash_is_only_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    for (place, step) in
        [("CONSTRUCTOR", "loading"), ("CHECK", "checking"), ("CREATE", "creating"), ("DESTROY", "destroying")]
    {
        for (what, how) in [
            ("CRASH", format!("crashed while {step}: SIGSEGV")),
            ("EXIT", format!("ended the process while {step}, with exit code 0")),
            ("LOOP", format!("did not come back while {step}, within 2s")),
        ] {
            let Some(library) = strange(dir.path(), place, what, &[]) else { return };
            let longest = if what == "LOOP" { "2s" } else { "60s" };
            let seen = inspect(&library).args(&["--run", "--timeout", longest, "--json"]).run();
            let seen = object(seen.expect_code(70));
            let failed = seen["run"]["failed"].as_str().unwrap();
            // A machine that is slow may not come so far in two seconds.
            let slow = what == "LOOP" && failed.starts_with("did not come back while ");
            assert!(slow || failed == how, "{how}: {failed}");
            assert_eq!(seen["options"].as_array().unwrap().len(), 11, "what was known stays known");
        }
    }
    let library = strange(dir.path(), "0", "TELL", &[]).unwrap();
    let refused = inspect(&library).args(&["--run", "--option", "switch=false", "--json"]).run();
    let seen = object(refused.expect_code(70));
    assert_eq!(seen["run"]["failed"], json!("refused while creating: it must be on"));
    let refused = inspect(&library).args(&["--run", "--option", "count=10", "--json"]).run();
    let seen = object(refused.expect_code(70));
    assert_eq!(seen["run"]["failed"], json!("refused while loading: 10 is out of bounds: 1 to 9 is allowed"));
    inspect(&library).args(&["--option", "count=2"]).run().expect_code(64).expect_stderr(&["--run"]);
}

#[test]
fn the_list_says_which_file_a_name_leads_to_and_what_it_is_found_before() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let chosen = Bytes::of("echo").write(first.path().join("libpolyport_echo.so"));
    let beside = Bytes::of("lossy").write(first.path().join("libecho.so"));
    let later = Bytes::of("echo").write(second.path().join("echo.so"));
    fs::hard_link(&chosen, second.path().join("libpolyport_echo.so")).unwrap();
    let bad =
        Bytes::of("echo").identity_with(16, &2_u16.to_ne_bytes()).write(second.path().join("libbad.so"));
    Bytes(b"no library".to_vec()).write(second.path().join("libjunk.so"));
    let outside = tempfile::tempdir().unwrap();
    let list = |more: &[&str]| {
        let launch = alone(outside.path()).args(&["plugin", "list"]).args(more);
        launch.arg("--plugin-dir").arg(first.path()).env("POLYPORT_PLUGIN_PATH", second.path()).run()
    };
    let printed = list(&["--json"]).expect_code(0).stdout.clone();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| lines.iter().find(|line| line["name"] == json!(name)).unwrap();
    let echo = of("echo");
    assert_eq!((&echo["file"], &echo["loadable"]), (&json!(chosen.to_str()), &json!(true)));
    assert_eq!(
        echo["shadows"],
        json!([{ "file": beside.to_str() }, { "file": later.to_str() }, { "built_in": true }])
    );
    let bad_one = of("bad");
    assert_eq!((&bad_one["file"], &bad_one["loadable"]), (&json!(bad.to_str()), &json!(false)));
    assert!(bad_one["why_not"].as_str().unwrap().contains("speaks plugin ABI 2."), "{bad_one}");
    assert_eq!((&of("lossy")["built_in"], &of("lossy")["shadows"]), (&json!(true), &json!([])));
    assert!(lines.iter().all(|line| line["name"] != json!("junk")), "{printed}");
    let text = list(&[]).expect_code(0).stdout.clone();
    let shown = |path: &Path| path.display().to_string();
    for words in [
        format!("  {}\n", shown(&chosen)),
        format!("before {}", shown(&later)),
        "before the one that is built in".to_owned(),
        "refused: plugin echo 0.1.0 speaks plugin ABI 2.".to_owned(),
        "1 library beside them is no plugin".to_owned(),
    ] {
        assert!(text.contains(&words), "{words}:\n{text}");
    }
    // What the daemon loads under the name is what the list says.
    let checked = alone(outside.path()).arg("check").arg("--plugin-dir").arg(first.path());
    let checked = checked.env("POLYPORT_PLUGIN_PATH", second.path()).listen("127.0.0.1:0=echo").run();
    assert!(checked.expect_code(0).stdout.contains(&format!("echo 0.1.0: {}\n", shown(&chosen))));
}
