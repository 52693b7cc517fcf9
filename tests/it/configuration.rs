//! A configuration that is wrong: every mistake at its place, in words, before anything is served.

use std::net::{Ipv4Addr, UdpSocket};

use polyport_abi::{ABI_MAJOR, ABI_MINOR};
use polyport_tests::Launch;
use polyport_tests::plugins::{built, spec};
use polyport_tests::ports::free_range;
use polyport_tests::process::Finished;
use serde_json::{Value, json};

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
        .config("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = { lost = \"10%\" }\n");
    let path = path(&launch);
    launch.refused(CONFIG).expect_stderr(&[&format!("{path}:4:13"), "unknown", "lost", "loss"]);
}

#[test]
fn a_bad_value_of_an_option_is_pointed_at_with_what_is_expected() {
    for (value, expected) in [("\"150%\"", "150%"), ("\"much\"", "much"), ("true", "a share such as")] {
        let launch = polyport().config(&format!(
            "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ loss = {value} }}\n"
        ));
        let path = path(&launch);
        let refused = launch.refused(CONFIG);
        refused.expect_stderr(&[&format!("{path}:4:20"), "option `loss`", expected, "help: loss = \"2.5%\""]);
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
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let good = format!("[[listen]]\nbind = [\"{taken}\", \"127.0.0.1:0\"]\nplugin = \"echo\"\n");
    let finished = polyport().arg("check").config(&good).run();
    assert_eq!(finished.expect_code(0).stdout.lines().next(), Some("ok: 1 listener on 2 addresses"));

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

/// The object that `check --json` prints, which is all that it prints.
fn object(finished: &Finished) -> Value {
    assert_eq!(finished.stdout.lines().count(), 1, "{}", finished.stdout);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn check_with_json_says_what_is_wrong_and_where() {
    let launch = polyport().arg("check").arg("--json").config(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n\
         options = { lost = \"1%\", loss = \"200%\" }\n",
    );
    let path = path(&launch);
    let finished = launch.run();
    finished.expect_code(CONFIG);
    assert_eq!(finished.stderr, "");
    let told = object(&finished);
    assert_eq!((&told["ok"], &told["problems_total"]), (&json!(false), &json!(2)));
    assert_eq!(told["configuration"], json!({ "source": "file", "file": path, "named_by": "-c" }));
    let problems = told["problems"].as_array().unwrap();
    let places: Vec<_> = problems.iter().map(|p| (p["line"].as_u64(), p["column"].as_u64())).collect();
    assert_eq!(places, [(Some(4), Some(13)), (Some(4), Some(33))], "{told}");
    assert!(problems.iter().all(|p| p["file"] == path.as_str()));
    assert_eq!(
        (&problems[0]["code"], &problems[1]["code"]),
        (&json!("unknown-option"), &json!("bad-option"))
    );
    assert_eq!(problems[0]["help"], "did you mean `loss`?");
    // As many as can be looked at, and how many there are.
    let many: String = (0..1100).map(|number| format!("key{number} = 1\n")).collect();
    let told = object(polyport().arg("check").arg("--json").config(&many).run().expect_code(CONFIG));
    assert_eq!((told["problems"].as_array().unwrap().len(), &told["problems_total"]), (1000, &json!(1100)));
}

#[test]
fn check_with_json_says_what_would_be_served() {
    let launch = polyport().arg("check").arg("--json").config(
        "include = \"more.toml\"\n[[listen]]\nname = \"a\"\nbind = [\"127.0.0.1:7000-7003\", \"[::1]:7\"]\nplugin = \"echo\"\n",
    );
    let (main, more) = (path(&launch), launch.dir().join("more.toml"));
    std::fs::write(&more, "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\n").unwrap();
    let finished = launch.run();
    let mut told = object(finished.expect_code(0));
    let plugins = told.as_object_mut().unwrap().remove("plugins").unwrap();
    assert_eq!(
        told,
        json!({
            "ok": true,
            "configuration": { "source": "file", "file": main, "named_by": "-c" },
            "included": [more],
            "listeners": [
                { "name": "a", "plugin": "echo", "bind": ["127.0.0.1:7000-7003", "[::1]:7"], "sockets": 5 },
                { "name": "lossy", "plugin": "lossy", "bind": ["127.0.0.1:0"], "sockets": 1 },
            ],
            "sockets": 6,
            "bound": false,
            "problems": [],
            "problems_total": 0,
        })
    );
    let names: Vec<_> = plugins.as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["echo", "lossy"]);
    assert!(plugins[0]["path"].as_str().unwrap().ends_with("libpolyport_echo.so"), "{plugins}");
    let told = object(polyport().args(&["check", "--json", "-q"]).run().expect_code(0));
    assert_eq!(told["configuration"], json!({ "source": "built-in" }));
    let told =
        object(polyport().args(&["check", "--json", "--listen", "127.0.0.1:0=echo"]).run().expect_code(0));
    assert_eq!(told["configuration"], json!({ "source": "listen" }));
}

const BUSY: i32 = 75;

#[test]
fn check_binds_all_addresses_if_asked_and_lets_go_of_them() {
    let first = free_range(&[Ipv4Addr::LOCALHOST.into()], 8, 8_300);
    let held = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let text = format!(
        "[[listen]]\nname = \"many\"\nbind = \"127.0.0.1:{first}-{}\"\nplugin = \"echo\"\n",
        first + 7
    );
    let check = |args: &[&str]| polyport().args(&["check", "--bind"]).args(args).config(&text).run();
    // A second time: nothing of the first is left.
    for _ in 0..2 {
        let finished = check(&[]);
        let told = &finished.expect_code(0).stdout;
        assert!(told.contains("\n  bound: 8 addresses, and let go of\n"), "{told}");
    }
    assert_eq!(object(check(&["--json"]).expect_code(0))["bound"], true);
    // Of a range each address that is taken is named.
    let (one, other) = (held(first + 2), held(first + 5));
    let refused = check(&[]);
    refused.expect_code(BUSY);
    for taken in [&one, &other] {
        let address = taken.local_addr().unwrap();
        refused.expect_stderr(&[
            &format!("listener `many`: cannot open UDP {address}: "),
            "Address already in use",
        ]);
    }
    assert_eq!(refused.stderr.matches("error: ").count(), 2, "{}", refused.stderr);
    let told = object(check(&["--json"]).expect_code(BUSY));
    assert_eq!((&told["ok"], &told["problems_total"]), (&json!(false), &json!(2)));
    assert_eq!((&told["problems"][1]["line"], &told["problems"][1]["code"]), (&json!(3), &json!("bind")));
    // Without being asked it binds nothing.
    polyport().arg("check").config(&text).run().expect_code(0);
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
        "--log-format",
        "--grace",
        "--help",
        "--version",
        "POLYPORT_CONFIG",
        "POLYPORT_LOG",
        "POLYPORT_LOG_FORMAT",
        "SIGUSR1",
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
