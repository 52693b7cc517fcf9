//! Flags, variables and keys: whichever says something, the same comes of it; a flag goes before its variable, and that
//! before the file.

use std::fs;

use polyport_tests::plugins::{built, repository};
use polyport_tests::{Finished, Launch};
use regex::Regex;
use serde_json::Value;

use crate::polyport;

const USAGE: i32 = 64;
const CONFIG: i32 = 78;

fn checked(launch: Launch) -> Value {
    let mut told: Value = serde_json::from_str(&launch.run().expect_code(0).stdout).unwrap();
    // Where it was read from is what differs.
    told.as_object_mut().unwrap().remove("configuration");
    told
}

/// One wish three times: by flags, by a variable, and by a file.
struct Row {
    flags: &'static [&'static str],
    variable: (&'static str, &'static str),
    file: &'static str,
}

const ROWS: [Row; 4] = [
    Row {
        flags: &["--listen", "127.0.0.1:0=lossy,loss=10%"],
        variable: ("POLYPORT_LISTEN", "127.0.0.1:0=lossy,loss=10%"),
        file: "[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'lossy'\noptions = { loss = '10%' }\n",
    },
    Row {
        flags: &[
            "--listen",
            "127.0.0.1:1-9=echo",
            "--listen",
            "[::1]:7=listener,ack=true,ack_text=\"a; b\",leisure=0s",
        ],
        variable: (
            "POLYPORT_LISTEN",
            "127.0.0.1:1-9=echo; [::1]:7=listener,ack=true,ack_text=\"a; b\",leisure=0s;\n",
        ),
        file: "[[listen]]\nbind = '127.0.0.1:1-9'\nplugin = 'echo'\n[[listen]]\nbind = '[::1]:7'\nplugin = 'listener'\n\
               options = { ack = true, ack_text = 'a; b', leisure = '0s' }\n",
    },
    Row {
        flags: &["--listen", "127.0.0.1:0=echo", "--sandbox", "off"],
        variable: ("POLYPORT_SANDBOX", "off"),
        file: "sandbox = 'off'\n",
    },
    Row {
        flags: &[
            "--listen",
            "127.0.0.1:0=echo",
            "--sandbox",
            "seccomp=off,landlock=off",
            "--sandbox",
            "network=open",
        ],
        variable: ("POLYPORT_SANDBOX", "seccomp=off,landlock=off;network=open"),
        file: "[sandbox]\nseccomp = 'off'\nlandlock = 'off'\nnetwork = 'open'\n",
    },
];

#[test]
fn flags_variables_and_files_say_the_same() {
    const ECHO: &str = "[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n";
    for Row { flags, variable: (name, value), file } in ROWS {
        let is_whole = name == "POLYPORT_LISTEN";
        let file = if is_whole { file.to_owned() } else { format!("{file}{ECHO}") };
        let others: &[&str] = if is_whole { &[] } else { &["--listen", "127.0.0.1:0=echo"] };
        let by_flags = checked(polyport().args(&["check", "--json"]).args(flags));
        let by_variable = checked(polyport().args(&["check", "--json"]).args(others).env(name, value));
        let by_file = checked(polyport().args(&["check", "--json"]).config(&file));
        assert_eq!((&by_flags, &by_flags), (&by_variable, &by_file), "{name}={value}");
    }
}

/// What a check does not tell shows at the start: the layers of the sandbox, and where plugins are from.
#[test]
fn what_the_sandbox_gives_up_is_the_same_by_all_three() {
    let layers = |launch: Launch| {
        let daemon = launch.serve();
        let text = daemon.process.stdout();
        text.lines()
            .find(|line| line.starts_with("sandbox: "))
            .map(str::to_owned)
            .expect("a line of the sandbox")
    };
    let launch = || polyport().arg("run");
    let echo = |launch: Launch| launch.listen("127.0.0.1:0=echo");
    let off = layers(echo(launch()).arg("--sandbox").arg("off"));
    assert_eq!(off, "sandbox: off");
    assert_eq!(layers(echo(launch()).env("POLYPORT_SANDBOX", "off")), off);
    let file = "sandbox = 'off'\n[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n";
    assert_eq!(layers(launch().config(file)), off);
    // The flag goes before its variable, which goes before the file, key by key.
    let on = layers(echo(launch()));
    assert_ne!(on, off);
    assert_eq!(layers(echo(launch()).env("POLYPORT_SANDBOX", "")), on);
    let mixed = layers(launch().config(file).env("POLYPORT_SANDBOX", "seccomp=on"));
    assert!(mixed.contains(", seccomp") && mixed.contains("landlock off (as configured)"), "{mixed}");
    let flag = launch().config(file).env("POLYPORT_SANDBOX", "nonsense").arg("--sandbox").arg("off");
    assert_eq!(layers(flag), off);
}

#[test]
fn directories_of_plugins_are_the_same_by_all_three() {
    let launch = || {
        let launch = polyport().args(&["check", "--json"]);
        let dir = launch.dir().join("some where");
        fs::create_dir(&dir).unwrap();
        fs::copy(built("echo"), dir.join("libpolyport_mine.so")).unwrap();
        (launch, dir)
    };
    let path = |finished: &Finished| {
        let told: Value = serde_json::from_str(&finished.expect_code(0).stdout).unwrap();
        told["plugins"][0]["path"].as_str().unwrap().to_owned()
    };
    let (flag, dir) = launch();
    let expected = |dir: &std::path::Path| dir.join("libpolyport_mine.so").display().to_string();
    let finished = flag
        .arg("--plugin-dir")
        .arg("/nowhere")
        .arg("--plugin-dir")
        .arg(&dir)
        .listen("127.0.0.1:0=mine")
        .run();
    assert_eq!(path(&finished), expected(&dir));
    let (variable, dir) = launch();
    let dirs = format!("/nowhere::{}", dir.display());
    assert_eq!(
        path(&variable.env("POLYPORT_PLUGIN_DIR", dirs).listen("127.0.0.1:0=mine").run()),
        expected(&dir)
    );
    let (file, dir) = launch();
    let text =
        "plugin_dirs = ['/nowhere', 'some where']\n[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'mine'\n";
    assert_eq!(path(&file.config(text).run()), expected(&dir));
}

#[test]
fn flags_of_yes_and_no_take_the_usual_words() {
    let check = || polyport().args(&["check", "--listen", "127.0.0.1:0=echo"]);
    for yes in ["1", "true", "yes", "on"] {
        assert_eq!(check().env("POLYPORT_QUIET", yes).run().expect_code(0).stdout, "", "{yes}");
    }
    for no in ["0", "false", "no", "off", ""] {
        let told = check().env("POLYPORT_QUIET", no).env("POLYPORT_CHECK_JSON", no).run();
        assert!(told.expect_code(0).stdout.starts_with("ok: 1 listener"), "{no}: {}", told.stdout);
    }
    let told = check().env("POLYPORT_CHECK_JSON", "yes").env("POLYPORT_CHECK_BIND", "yes").run();
    assert!(told.expect_code(0).stdout.contains("\"bound\":true"), "{}", told.stdout);
    check()
        .env("POLYPORT_QUIET", "perhaps")
        .run()
        .expect_code(USAGE)
        .expect_stderr(&["'perhaps'", "--quiet"]);
    let told = check().env("POLYPORT_VERBOSE", "1").run();
    assert!(told.expect_code(0).stderr.contains("debug: "), "{}", told.stderr);
}

#[test]
fn a_flag_goes_before_the_variable_of_another_that_excludes_it() {
    let file = "[[listen]]\nname = 'file'\nbind = '127.0.0.1:0'\nplugin = 'echo'\n";
    let told =
        polyport().args(&["check", "--json"]).config(file).env("POLYPORT_LISTEN", "127.0.0.1:0=lossy").run();
    assert!(told.expect_code(0).stdout.contains("\"name\":\"file\""), "{}", told.stdout);
    let told =
        polyport().args(&["check", "--listen", "127.0.0.1:0=echo", "-v"]).env("POLYPORT_QUIET", "1").run();
    assert!(told.expect_code(0).stdout.starts_with("ok: "), "{}", told.stdout);
    // Two variables are as good as each other.
    let refused =
        polyport().arg("check").env("POLYPORT_LISTEN", "127.0.0.1:0=echo").env("POLYPORT_CONFIG", "x").run();
    refused.expect_code(USAGE).expect_stderr(&["POLYPORT_LISTEN", "cannot be used with", "POLYPORT_CONFIG"]);
    let refused = polyport().args(&["check", "-q", "-v"]).run();
    refused.expect_code(USAGE).expect_stderr(&["'--quiet' cannot be used with '--verbose...'"]);
}

/// A key in a variable is nobody's to read.
#[test]
fn no_value_of_a_variable_is_shown() {
    let with_key = |launch: Launch| {
        launch.env("POLYPORT_LISTEN", "127.0.0.1:0=responder,auth=hmac,kye=5ec4e71f0a5ec4e7")
    };
    for launch in
        [polyport().args(&["run", "--help"]), polyport().arg("check"), polyport().args(&["check", "--nope"])]
    {
        let finished = with_key(launch).run();
        let text = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!text.contains("5ec4e71f"), "{text}");
    }
    assert_eq!(with_key(polyport().arg("check")).run().code(), Some(CONFIG));
}

#[test]
fn every_flag_has_a_variable_and_the_help_names_it() {
    let flag = Regex::new(r"(?m)^ +(?:-\w, )?--([a-z-]+)").unwrap();
    for (command, own) in [("run", None), ("check", Some("CHECK_"))] {
        let finished = polyport().args(&[command, "--help"]).run();
        let help = &finished.expect_code(0).stdout;
        let flags: Vec<&str> = flag.captures_iter(help).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(flags.len() >= 7, "{flags:?}");
        for flag in flags.into_iter().filter(|flag| *flag != "help") {
            let name = flag.to_uppercase().replace('-', "_");
            let own = own.filter(|_| ["json", "bind"].contains(&flag)).unwrap_or_default();
            let shown = format!("[env: POLYPORT_{own}{name}]");
            assert!(
                help.split_whitespace().collect::<Vec<_>>().join(" ").contains(&shown),
                "{shown}: {help}"
            );
        }
    }
}

/// What is done this time has none: a datagram, an option, a case, a directory that is made, and whether a plugin runs at all.
#[test]
fn of_the_commands_about_plugins_those_flags_have_variables_that_say_how() {
    const WITHOUT: [&str; 13] = [
        "help", "run", "option", "datagram", "hex", "pcap", "stdin", "to", "verbose", "case", "list", "path",
        "within",
    ];
    let flag = Regex::new(r"(?m)^ +(?:-\w, )?--([a-z-]+)").unwrap();
    let rows = fs::read_to_string(repository().join("daemon/docs/configuration.md")).unwrap();
    for command in ["list", "inspect", "try", "test", "new"] {
        let finished = polyport().args(&["plugin", command, "--help"]).run();
        let help = finished.expect_code(0).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let flags: Vec<&str> =
            flag.captures_iter(&finished.stdout).map(|found| found.get(1).unwrap().as_str()).collect();
        for flag in flags.into_iter().filter(|flag| !WITHOUT.contains(flag)) {
            let name = flag.to_uppercase().replace('-', "_");
            let own = if flag == "plugin-dir" {
                String::new()
            } else {
                format!("PLUGIN_{}_", command.to_uppercase())
            };
            let variable = format!("POLYPORT_{own}{name}");
            assert!(help.contains(&format!("[env: {variable}]")), "{variable}: {help}");
            assert!(rows.contains(&format!("`{variable}`")), "{variable} has no row");
        }
    }
}

#[test]
fn variables_of_the_commands_about_plugins_say_what_their_flags_say() {
    let launch = polyport().args(&["plugin", "list"]);
    let dir = launch.dir().join("some where");
    fs::create_dir(&dir).unwrap();
    fs::copy(built("echo"), dir.join("libpolyport_mine.so")).unwrap();
    let dirs = format!("/nowhere::{}", dir.display());
    let told = launch.env("POLYPORT_PLUGIN_DIR", dirs).env("POLYPORT_PLUGIN_LIST_JSON", "yes").run();
    let lines: Vec<Value> =
        told.expect_code(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line.to_string().contains("some where/libpolyport_mine.so")),
        "{lines:?}"
    );
    let play = || polyport().args(&["plugin", "try", "echo", "--datagram", "x"]);
    let told = play().env("POLYPORT_PLUGIN_TRY_FROM", "192.0.2.7:9").run();
    assert!(told.expect_code(0).stdout.contains("192.0.2.7:9"), "{}", told.stdout);
    // A flag goes before its variable.
    let told = play().env("POLYPORT_PLUGIN_TRY_FROM", "nowhere").args(&["--from", "192.0.2.8:9"]).run();
    assert!(told.expect_code(0).stdout.contains("192.0.2.8:9"), "{}", told.stdout);
    play().env("POLYPORT_PLUGIN_TRY_EVERY", "nonsense").run().expect_code(USAGE).expect_stderr(&["--every"]);
}
