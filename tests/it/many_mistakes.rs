//! Thousands of listeners, and each of them wrong: an answer at once, of bounded length.

use std::fmt::Write;

use serde_json::Value;

use crate::polyport;

const CONFIG: i32 = 78;

/// What stands in the table with a number.
type Table = fn(usize) -> String;

/// Many, and fewer where a debug build on a busy machine takes its time for each.
const MANY: usize = 20_000;
const FEWER: usize = 4_000;

/// Kinds of mistakes: how many tables, what is in them, and how many problems that makes.
const KINDS: [(&str, usize, Table, usize); 8] = [
    (
        "unknown key",
        FEWER,
        |n| format!("bind = \"{}\"\nplugin = \"echo\"\nrecv_bufer = 1\n", address(n)),
        FEWER,
    ),
    ("bad address", FEWER, |n| format!("bind = \"nowhere{n}:7\"\nplugin = \"echo\"\n"), FEWER),
    ("unknown service", FEWER, |n| format!("bind = \"127.0.0.1:no-such-{n}\"\nplugin = \"echo\"\n"), FEWER),
    ("address twice", FEWER, |_| "bind = \"127.0.0.1:7\"\nplugin = \"echo\"\n".to_owned(), FEWER - 1),
    (
        "unknown option",
        FEWER,
        |n| format!("bind = \"{}\"\nplugin = \"lossy\"\noptions = {{ lass = 1 }}\n", address(n)),
        FEWER,
    ),
    ("unknown plugins", FEWER, |n| format!("bind = \"{}\"\nplugin = \"ehco{n}\"\n", address(n)), 201),
    ("wrong type", MANY, |n| format!("bind = {n}\nplugin = 7\n"), 2 * MANY),
    ("no TOML", MANY, |n| format!("bind = \"{}\"\nplugin = \"echo\"\nplugin = \"echo\"\n", address(n)), MANY),
];

fn address(number: usize) -> String {
    format!("127.0.{}.1:{}", number / 60_000, 1024 + number % 60_000)
}

/// Where the time grows with the square of the tables, the deadline of the wait is what fails.
#[test]
fn thousands_of_wrong_listeners_are_answered_at_bounded_length() {
    for (kind, tables, table, problems) in KINDS {
        let mut text = String::new();
        (0..tables).for_each(|number| write!(text, "[[listen]]\n{}", table(number)).unwrap());
        let finished = polyport().args(&["check", "--json"]).config(&text).run();
        let told: Value = serde_json::from_str(&finished.expect_code(CONFIG).stdout).unwrap();
        assert_eq!(told["problems_total"], problems, "{kind}");
        assert_eq!(told["problems"].as_array().unwrap().len(), problems.min(1000), "{kind}");
        assert!(finished.stdout.len() < 2 << 20, "{kind}: {}", finished.stdout.len());
    }
    let text = "[[listen]]\nbind = 1\nplugin = 1\n".repeat(MANY);
    let finished = polyport().arg("check").config(&text).run();
    assert!(finished.expect_code(CONFIG).stderr.ends_with("\nand 39900 more problems\n"));
    assert!(finished.stderr.len() < 1 << 20, "{}", finished.stderr.len());
}
