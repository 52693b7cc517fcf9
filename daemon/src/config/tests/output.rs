//! How problems leave: positions, color, JSON, limits of the output, files, problems of later stages.

use std::path::Path;

use super::super::{MAX_SOURCE_BYTES, Problem, code, load};
use super::{LISTEN, codes, shows, toml};

#[test]
fn columns_count_characters_and_line_ends_do_not_show() {
    let expected = "\
error: invalid value for `name`
 --> etc/polyport.toml:1:34
  |
1 | listen = [{ plugin = 'a', name = '\u{e9}\u{e9} \u{e9}', bund = 3 }] # \u{e9}
  |                                  ^^^^^^ expected 1 to 63 characters out of a-z A-Z 0-9 _ . -

error: unknown key `bund` in [[listen]]
 --> etc/polyport.toml:1:42
  |
1 | listen = [{ plugin = 'a', name = '\u{e9}\u{e9} \u{e9}', bund = 3 }] # \u{e9}
  |                                          ^^^^
  |
  = help: did you mean `bind`?

error: invalid value for `seed`
 --> etc/polyport.toml:2:9
  |
2 |     seed =    -1
  |               ^^ expected 0 to 18446744073709551615
";
    let text =
        "listen = [{ plugin = 'a', name = '\u{e9}\u{e9} \u{e9}', bund = 3 }] # \u{e9}\r\n\tseed =\t-1\r\n";
    shows(text, expected);
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let problems = toml("\"\\u001b[2J\" = 1\n").unwrap_err();
    assert_eq!(problems.list()[0].title, "unknown key `***` at the top level");
    assert!(!problems.render(false).contains('\u{1b}'));
    let problems = toml("\"see\\u001bd\" = 1\n").unwrap_err();
    assert_eq!(problems.list()[0].title, "unknown key `see\\u{1b}d` at the top level");
    assert!(!problems.render(false).contains('\u{1b}'));
}

/// A help may repeat what was written, as the interface of a group: here with an escape and a NUL.
#[test]
fn a_help_repeats_no_control_characters_either() {
    let problems = toml("[[listen]]\nplugin = 'echo'\nbind = ':7'\njoin = \"ff02::1%7\\u001b[2J\\u0000\"\n")
        .unwrap_err();
    let shown = problems.render(false);
    assert!(shown.contains("write \"ff02::1 on 7\\u{1b}[2J\\0\""), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\0']), "{shown:?}");
}

#[test]
fn color_is_added_on_request_only() {
    let problems = toml("seed = -1").unwrap_err();
    assert!(problems.render(true).contains("\u{1b}["));
    assert!(!problems.render(false).contains('\u{1b}'));
    assert_eq!(problems.to_string(), problems.render(false));
}

#[test]
fn json_has_a_line_for_each_problem() {
    let text = format!("{LISTEN}{LISTEN}colour = \"\u{e9}\"\n");
    let expected = concat!(
        r#"{"file":"etc/polyport.toml","line":5,"column":8,"code":"duplicate-bind","#,
        r#""message":"port 7000 of 127.0.0.1 is used twice: again here; first used here: etc/polyport.toml:2:8","#,
        r#""help":"an address and port belongs to one listener: take another port or another address"}"#,
        "\n",
        r#"{"file":"etc/polyport.toml","line":7,"column":1,"code":"unknown-key","#,
        r#""message":"unknown key `colour` in [[listen]]","help":"plugin options belong in options = "#,
        r#"{ colour = ... }; keys of [[listen]]: name, bind, plugin, options, join, share, broadcast, freebind, wait, device, tos, ttl, recv_buffer, send_buffer, sessions, chain, allow, deny, on_fault, try, reply"}"#,
        "\n",
    );
    let json = toml(&text).unwrap_err().to_json();
    assert_eq!(json, expected);
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn later_stages_add_problems_with_places_of_the_plan() {
    let plan = toml(&format!("{LISTEN}options = {{ dorp = '10%' }}\n")).unwrap();
    let mut problems = plan.problems();
    problems.clone().into_result(()).unwrap();
    let option = &plan.listen[0].options[0];
    problems
        .push(Problem::new("unknown-option", "`lossy` has no option `dorp`").at(&option.name_span, "here"));
    problems
        .push(Problem::new("no-plugin", "no plugin is called `lossy`").at(&plan.listen[0].plugin.span, ""));
    let expected = "\
error: no plugin is called `lossy`
 --> etc/polyport.toml:3:10
  |
3 | plugin = 'lossy'
  |          ^^^^^^^

error: `lossy` has no option `dorp`
 --> etc/polyport.toml:4:13
  |
4 | options = { dorp = ***** }
  |             ^^^^ here
";
    assert_eq!(problems.into_result(()).unwrap_err().render(false), expected);
}

#[test]
fn a_hundred_problems_are_drawn_and_the_rest_is_counted() {
    let text: String = (0..103).map(|index| format!("key{index} = 1\n")).collect();
    let problems = toml(&text).unwrap_err();
    let shown = problems.render(false);
    assert_eq!(shown.matches("error: ").count(), 100);
    assert!(shown.ends_with("\n\nand 3 more problems\n"));
    assert_eq!(problems.to_json().lines().count(), 103);
    let text: String = (0..1003).map(|index| format!("key{index} = 1\n")).collect();
    assert_eq!(toml(&text).unwrap_err().to_json().lines().count(), 1000);
}

#[test]
fn files_that_cannot_be_read() {
    let problems = load(Path::new("no/such/polyport.toml")).into_result().unwrap_err();
    assert_eq!(
        problems.render(false),
        "error: cannot read `no/such/polyport.toml`: No such file or directory (os error 2)\n \
         |\n = help: check the path and its permissions\n"
    );
    assert!(problems.to_json().starts_with(r#"{"file":null,"line":null,"column":null,"code":"unreadable","#));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin1.toml");
    std::fs::write(&path, b"seed = 1\n# caf\xe9\n").unwrap();
    let problems = load(&path).into_result().unwrap_err();
    assert_eq!(codes(&problems), [code::NOT_UTF8]);
    assert!(problems.render(false).contains("latin1.toml:2:6\n"));

    let problems = load(Path::new("/dev/zero")).into_result().unwrap_err();
    let title = format!("cannot read `/dev/zero`: longer than {MAX_SOURCE_BYTES} bytes");
    assert_eq!(problems.list()[0].title, title);

    let problems = toml(&"#".repeat(MAX_SOURCE_BYTES + 1)).unwrap_err();
    assert_eq!(codes(&problems), [code::TOO_LARGE]);
}
