//! What the clients say of themselves: short with `-h`, and with headings, examples and exit codes with `--help`.

use super::support::run;

/// Each client and its subcommands.
const COMMANDS: [(&str, &[&str]); 14] = [
    ("cast", &[]),
    ("frame", &[]),
    ("frame", &["decode"]),
    ("frame", &["encode"]),
    ("load", &[]),
    ("load", &["report"]),
    ("load", &["report", "show"]),
    ("load", &["report", "merge"]),
    ("load", &["report", "compare"]),
    ("load", &["report", "html"]),
    ("mtu", &[]),
    ("plot", &[]),
    ("request", &[]),
    ("spoof", &[]),
];

#[test]
fn help_has_examples_and_every_exit_code_and_fits_a_screen() {
    for (binary, words) in COMMANDS {
        let long = run(binary, &[words, &["--help"]].concat());
        assert_eq!(long.code, 0, "{long:?}");
        let (_, end) = long.out.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{binary} {words:?}"));
        assert!(end.contains(&format!("\n  polyport-{binary} ")) || end.starts_with("  polyport-"), "{end}");
        assert!(end.contains("\nExit codes: 0 ") && end.contains("64 usage") && end.contains("74"), "{end}");
        for line in long.out.lines() {
            assert!(line.chars().count() <= 100, "{binary} {words:?}: {line}");
        }
    }
}

#[test]
fn options_stand_under_headings() {
    // These two only have subcommands.
    let groups: [(&str, &[&str]); 2] = [("frame", &[]), ("load", &["report"])];
    for (binary, words) in COMMANDS.iter().filter(|command| !groups.contains(command)) {
        let short = run(binary, &[*words, &["-h"]].concat());
        let long = run(binary, &[*words, &["--help"]].concat());
        assert!(short.out.lines().count() < long.out.lines().count(), "{binary} {words:?}");
        assert!(!short.out.contains("Exit codes"), "{binary} {words:?}");
        // All that no heading has is what every program has.
        let (_, rest) = short.out.split_once("\nOptions:\n").unwrap();
        let (plain, headed) = rest.split_once("\n\n").unwrap();
        for line in plain.lines().filter(|line| line.trim_start().starts_with('-')) {
            assert!(line.contains("--help") || line.contains("--version"), "{binary}: {line}");
        }
        assert!(headed.contains("Output:\n"), "{binary} {words:?}: {headed}");
    }
}

#[test]
fn a_wrong_command_line_is_told_in_words() {
    for (binary, arguments, told) in [
        ("request", &["--timeout", "soon", "127.0.0.1:9"][..], "expected a duration such as"),
        ("request", &["--timeout", "0", "127.0.0.1:9"], "a time above zero"),
        ("load", &["--timout", "1", "127.0.0.1:9"], "'--timeout'"),
        ("cast", &["--intervall", "1", "239.1.1.1:9"], "'--interval'"),
        ("mtu", &["127.0.0.1"], "the port is missing"),
        ("plot", &[], "<LOG>"),
        ("frame", &["decode"], "--hex <HEX>"),
        ("spoof", &["now"], "unexpected argument 'now'"),
    ] {
        let run = run(binary, arguments);
        assert!(run.code == 64 && run.err.contains(told), "{binary}: {run:?}");
    }
    let zone = run("request", &["--raw", "[fe80::1%no-such]:9"]);
    zone.fails(68, "is there an interface `no-such`");
}

/// Without a unit a time is of seconds, in all clients.
#[test]
fn a_bare_number_is_of_seconds() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let waited = run("request", &["--raw", "--timeout", "0.05", &address]);
    waited.fails(69, "no reply");
    assert!(waited.out.contains("Waiting up to 0.05 s for a reply"), "{waited:?}");
    let heard = run("cast", &["--listen", "--for", ".05", "127.255.255.255:9999"]);
    heard.fails(69, "heard 0 of 1");
    run("mtu", &["--timer", "0.05", &address]).fails(69, "no answer from");
    let load = ["-d", "0.1", "--warmup", "0", "--drain", "0.1", "--no-handshake", "--json", "-q", &address];
    let run = run("load", &load);
    assert_eq!(run.code, 69, "{run:?}");
    let object: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(object["config"]["duration_ns"], 100_000_000);
}
