//! A configuration that is wrong: every mistake at its place, in words, before anything is served.

use polyport_abi::{ABI_MAJOR, ABI_MINOR};
use polyport_tests::Launch;
use polyport_tests::plugins::{built, spec};
use polyport_tests::process::Finished;

use crate::polyport;

const USAGE: i32 = 64;
const CONFIG: i32 = 78;

#[test]
fn three_mistakes_in_a_file_are_shown_with_three_carets() {
    let launch = polyport().config(
        "seed = \"many\"\n\n[[listen]]\nbind = \"127.0.0.1:port:7\"\nplugin = \"echo\"\n\n\
         [[listen]]\nbind = \"127.0.0.1:0\"\nplugim = \"echo\"\n",
    );
    let path = path(&launch);
    let refused = launch.refused(CONFIG);
    refused.expect_stderr(&[&format!("{path}:1:8"), &format!("{path}:4:8"), &format!("{path}:9:1")]);
    assert_eq!(refused.stderr.matches("error: ").count(), 3, "{}", refused.stderr);
    assert_eq!(refused.stderr.matches(" ^").count(), 3, "{}", refused.stderr);
    refused.expect_stderr(&["did you mean `plugin`?"]);
}

#[test]
fn an_unknown_plugin_option_is_pointed_at_with_the_nearest_name() {
    let launch = polyport()
        .config("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { drip = \"10%\" }\n");
    let path = path(&launch);
    launch.refused(CONFIG).expect_stderr(&[&format!("{path}:4:13"), "unknown", "drip", "drop"]);
}

#[test]
fn a_bad_value_of_an_option_is_pointed_at_with_what_is_expected() {
    for (value, expected) in [("\"150%\"", "150%"), ("\"much\"", "much"), ("true", "a share such as")] {
        let launch = polyport().config(&format!(
            "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ drop = {value} }}\n"
        ));
        let path = path(&launch);
        let refused = launch.refused(CONFIG);
        refused.expect_stderr(&[&format!("{path}:4:20"), "option `drop`", expected, "help: drop = \"2.5%\""]);
    }
}

#[test]
fn a_missing_option_is_named_with_its_help() {
    let launch = polyport().listen(spec("127.0.0.1:0", &built("fixture-picky")));
    launch.refused(CONFIG).expect_stderr(&[
        "option `greeting` must be given: What every datagram is answered with",
        "this plugin needs it",
    ]);
}

#[test]
fn what_the_plugin_itself_refuses_is_pointed_at_in_its_own_words() {
    let library = built("fixture-picky").display().to_string();
    let with = |launch: Launch, lucky: i64| {
        launch.config(&format!(
            "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"{library}\"\n\
             options = {{ greeting = \"hi\", lucky = {lucky} }}\n"
        ))
    };
    let check = || polyport().arg("check");
    for (launch, lucky) in [(polyport(), 13), (check(), 13), (polyport(), 17)] {
        let launch = with(launch, lucky);
        let path = path(&launch);
        let refused = launch.run();
        refused.expect_code(CONFIG);
        let words = format!("refuses the option `lucky`: {lucky} brings bad luck");
        refused.expect_stderr(&[&format!("{path}:4:38"), &words, "this option"]);
    }
    // No handler is made for a check.
    with(check(), 17).run().expect_code(0);
}

#[test]
fn a_plugin_with_what_it_needs_serves() {
    let spec = spec("127.0.0.1:0", &built("fixture-picky"));
    let daemon = polyport().listen(format!("{spec},greeting=\"well, hello\",name=picky")).serve();
    assert_eq!(daemon.client(0).ask(b"?"), b"well, hello");
}

#[test]
fn a_plugin_that_nobody_has_is_refused_with_the_nearest_name() {
    let refused = polyport().listen("127.0.0.1:0=ehco").refused(CONFIG);
    refused.expect_stderr(&["no such plugin; looked in ", "there is a plugin `echo`"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let refused = polyport().arg("-c").arg("/nonexistent/polyport.toml").refused(CONFIG);
    refused.expect_stderr(&["cannot read `/nonexistent/polyport.toml`", "No such file"]);
    polyport().arg("-c").arg("/").refused(CONFIG).expect_stderr(&["cannot read `/`", "directory"]);
}

#[test]
fn check_says_ok_or_everything_that_is_wrong_and_binds_nothing() {
    let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let good = format!("[[listen]]\nbind = [\"{taken}\", \"127.0.0.1:0\"]\nplugin = \"echo\"\n");
    let finished = polyport().arg("check").config(&good).run();
    assert_eq!(finished.expect_code(0).stdout.lines().next(), Some("ok: 1 listener on 2 addresses"));
    let finished = polyport().arg("check").arg("--json").config(&good).run();
    assert_eq!(finished.expect_code(0).stdout, "");

    let finished = polyport().arg("check").arg("--listen").arg("7000=echo").run();
    finished.expect_code(CONFIG).expect_stderr(&["invalid bind address", "write 127.0.0.1:7000"]);
    let finished = polyport().arg("check").run();
    let defaults = if cfg!(target_os = "linux") { "6 listeners on 7" } else { "5 listeners on 6" };
    let first = format!("ok: {defaults} addresses");
    assert_eq!(finished.expect_code(0).stdout.lines().next(), Some(&*first));
}

#[test]
fn check_says_what_a_bind_address_of_several_stands_for() {
    let listen =
        "[[listen]]\nbind = [\"*:1060\", \"127.0.0.1:7\", \"localhost:domain-60\"]\nplugin = \"echo\"\n";
    let finished = polyport().arg("check").config(listen).run();
    let shown = &finished.expect_code(0).stdout;
    let at = |line: &str| shown.lines().position(|other| other == line).unwrap_or(usize::MAX);
    let first = at("  echo      *:1060               0.0.0.0:1060");
    assert_eq!(at("  LISTENER  BIND                 ADDRESS") + 1, first, "{shown}");
    assert!(at("            localhost:domain-60  127.0.0.1:53-60") > first, "{shown}");
    assert!(!shown.contains("127.0.0.1:7\n"), "what is an address already needs no word: {shown}");
    if std::path::Path::new("/proc/net/if_inet6").exists() {
        assert_eq!(at(&format!("{:33}[::]:1060", "")), first + 1, "{shown}");
    }
}

#[test]
fn check_with_json_prints_one_object_a_problem_with_its_place() {
    let launch = polyport().arg("check").arg("--json").config(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n\
         options = { drip = \"1%\", drop = \"200%\" }\n",
    );
    let path = path(&launch);
    let finished = launch.run();
    finished.expect_code(CONFIG);
    assert_eq!(finished.stderr, "");
    let problems: Vec<serde_json::Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<_> = problems.iter().map(|p| (p["line"].as_u64(), p["col"].as_u64())).collect();
    assert_eq!(places, [(Some(4), Some(13)), (Some(4), Some(33))], "{}", finished.stdout);
    assert!(problems.iter().all(|p| p["file"] == path.as_str()));
    let codes: Vec<_> = problems.iter().map(|p| p["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["unknown-option", "bad-option"]);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for args in [&["--lisen", "x"][..], &["serve"], &["-v", "-q"], &["--listen"], &["check", "--nope"]] {
        let launch = args.iter().fold(polyport(), Launch::arg);
        launch.refused(USAGE).expect_stderr(&["error: ", "--help"]);
    }
    let both = polyport().listen("127.0.0.1:0=echo").config("");
    both.refused(USAGE).expect_stderr(&["cannot be used with"]);
}

#[test]
fn help_names_every_option_and_goes_to_standard_output() {
    let finished = polyport().arg("--help").run();
    finished.expect_code(0);
    for word in [
        "run",
        "check",
        "--config",
        "--listen",
        "--plugin-dir",
        "--verbose",
        "--quiet",
        "--help",
        "--version",
        "POLYPORT_CONFIG",
        "POLYPORT_LOG",
        "BIND=PLUGIN[,KEY=VALUE]...",
    ] {
        assert!(finished.stdout.contains(word), "{word} is missing in:\n{}", finished.stdout);
    }
    let check = polyport().arg("check").arg("--help").run();
    assert!(check.stdout.contains("--json"), "{}", check.stdout);
    let version = polyport().arg("--version").run();
    let text = &version.expect_code(0).stdout;
    let start = format!("polyport {} (commit ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&start) && text.ends_with(")\n"), "{text}");
    let abi = format!(", plugin ABI {ABI_MAJOR}.{ABI_MINOR}, {}", std::env::consts::ARCH);
    assert!(text.contains(&abi) && text.contains(std::env::consts::OS), "{text}");
}

#[test]
fn the_command_line_goes_before_the_environment() {
    let launch = || polyport().env("POLYPORT_CONFIG", "/nonexistent/polyport.toml").arg("check");
    let finished = launch().arg("--listen").arg("127.0.0.1:0=echo").run();
    assert_eq!(finished.expect_code(0).stdout.lines().next(), Some("ok: 1 listener on 1 address"));
    launch().run().expect_code(CONFIG).expect_stderr(&["/nonexistent/polyport.toml"]);
}

fn path(launch: &Launch) -> String {
    launch.dir().join("polyport.toml").display().to_string()
}

#[test]
fn a_configuration_without_a_listener_is_refused() {
    for command in ["run", "check"] {
        let finished = polyport().arg(command).config("seed = 1\n").run();
        finished.expect_code(CONFIG).expect_stderr(&["the configuration has no listener", "[[listen]]"]);
    }
}

/// C21: a file that other programs would take by themselves is not passed over in silence.
#[test]
fn a_polyport_toml_beside_that_nobody_names_is_told_of() {
    let beside = |args: &[&str]| {
        let mut launch = polyport().args(args);
        let dir = launch.dir().to_path_buf();
        std::fs::write(dir.join("polyport.toml"), "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n")
            .unwrap();
        launch.command().current_dir(dir);
        launch.run()
    };
    let told = |finished: &Finished| {
        finished.stderr.contains("warn: there is a ./polyport.toml, and it is not used")
    };
    let unnamed = beside(&["check"]);
    assert!(
        told(&unnamed) && unnamed.stderr.contains("`polyport check -c polyport.toml`"),
        "{}",
        unnamed.stderr
    );
    assert!(unnamed.expect_code(0).stdout.starts_with("ok: "), "{}", unnamed.stdout);
    for args in
        [&["check", "-c", "polyport.toml"][..], &["check", "--listen", "127.0.0.1:0=echo"], &["check", "-q"]]
    {
        let finished = beside(args);
        assert!(!told(finished.expect_code(0)), "{args:?}: {}", finished.stderr);
    }
    assert!(!told(&polyport().arg("check").run()), "there is none");
}
