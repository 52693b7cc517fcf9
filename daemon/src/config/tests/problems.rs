//! Each class of problem as it is shown, letter by letter.

use super::super::code;
use super::{LISTEN, codes, shows, toml};

#[test]
fn three_mistakes_in_one_run() {
    let text = "\
seed = \"42\"

[[listen]]
name = \"echo\"
bind = \"127.0.0.1:7000\"
plugn = \"echo\"

[[listen]]
bind = \"127.0.0.1:7000\"
plugin = \"lossy\"
";
    let expected = "\
error: `seed` must be an integer
 --> etc/polyport.toml:1:8
  |
1 | seed = \"42\"
  |        ^^^^ this is a string

error: unknown key `plugn` in [[listen]]
 --> etc/polyport.toml:6:1
  |
6 | plugn = \"echo\"
  | ^^^^^
  |
  = help: did you mean `plugin`?

error: port 7000 of 127.0.0.1 is used twice
 --> etc/polyport.toml:9:8
  |
5 | bind = \"127.0.0.1:7000\"
  |        ---------------- first used here
...
9 | bind = \"127.0.0.1:7000\"
  |        ^^^^^^^^^^^^^^^^ again here
  |
  = help: an address and port belongs to one listener: take another port or another address
";
    shows(text, expected);
}

#[test]
fn syntax_errors_all_at_once() {
    let expected = "\
error: the text is not valid TOML
 --> etc/polyport.toml:1:14
  |
1 | plugin_dirs =
  |              ^ string values must be quoted, expected literal string

error: the text is not valid TOML
 --> etc/polyport.toml:3:1
  |
3 | seed = 2
  | ^^^^ duplicate key

error: the text is not valid TOML
 --> etc/polyport.toml:4:8
  |
4 | [limits
  |        ^ unclosed table, expected `]`
";
    shows("plugin_dirs =\nseed = 1\nseed = 2\n[limits\n", expected);
}

#[test]
fn an_option_among_the_settings_is_shown_its_place() {
    let expected = "\
error: unknown key `delay` in [[listen]]
 --> etc/polyport.toml:4:1
  |
4 | delay = ******
  | ^^^^^
  |
  = help: plugin options belong in options = { delay = ... }; keys of [[listen]]: name, bind, plugin, options, \
join, share, broadcast, freebind, wait, device, tos, ttl, recv_buffer, send_buffer, sessions, chain, allow, deny, on_fault, try, reply
";
    shows(&format!("{LISTEN}delay = \"20ms\"\n"), expected);
}

#[test]
fn unknown_keys_elsewhere() {
    let expected = "\
error: unknown key `colour` at the top level
 --> etc/polyport.toml:1:1
  |
1 | colour = true
  | ^^^^^^
  |
  = help: valid keys: include, plugin_dirs, seed, control, metrics, grace, limits, sandbox, listen

error: unknown key `vist_bytes` in [limits]
 --> etc/polyport.toml:3:1
  |
3 | vist_bytes = 1
  | ^^^^^^^^^^
  |
  = help: did you mean `visit_bytes`?
";
    shows("colour = true\n[limits]\nvist_bytes = 1\n", expected);
}

/// A key in quotes may hold anything.
#[test]
fn keys_that_do_not_look_like_one_are_not_shown() {
    let expected = "\
error: unknown key `***` at the top level
 --> etc/polyport.toml:1:1
  |
1 | ************ = *
  | ^^^^^^^^^^^^
  |
  = help: valid keys: include, plugin_dirs, seed, control, metrics, grace, limits, sandbox, listen

error: unknown key `***` in [[listen]]
 --> etc/polyport.toml:5:1
  |
5 | ************ = *
  | ^^^^^^^^^^^^
  |
  = help: plugin options belong in options = { KEY = ... }; keys of [[listen]]: name, bind, plugin, options, \
join, share, broadcast, freebind, wait, device, tos, ttl, recv_buffer, send_buffer, sessions, chain, allow, deny, on_fault, try, reply
";
    shows(&format!("\"key=SECRET\" = 1\n{LISTEN}\"key=SECRET\" = 1\n"), expected);
    for (table, shown) in [
        ("options = { \"key=SECRET\" = 99999999999999999999 }", "invalid value for `***`"),
        ("options = { a = { \"SECRET\" = 99999999999999999999 } }", "invalid value for `***`"),
        ("options = { a = { b = 99999999999999999999 } }", "invalid value for `a.b`"),
        ("[listen.reply]\n'key SECRET' = 1", "unknown key `***` in [listen.reply]"),
        ("name = { SECRET = 1 }", "`name` must be a string"),
    ] {
        let text = toml(&format!("{LISTEN}{table}\n")).unwrap_err().to_string();
        assert!(text.contains(shown) && !text.contains("SECRET"), "{text}");
    }
}

#[test]
fn a_key_at_the_wrong_place_is_shown_the_right_one() {
    for (text, help) in [
        ("reply = { groups = true }", "belongs into a listener: write [listen.reply] behind its [[listen]]"),
        ("[options]\ndrop = 1", "belongs into a listener: write [listen.options] behind its [[listen]]"),
        ("bind = '127.0.0.1:1'", "`bind` belongs into a table [[listen]]"),
        ("amplification = 2", "belongs into a table [listen.reply] behind the [[listen]] of its listener"),
        ("spin = 'auto'", "`spin` belongs into the table [limits]"),
        ("user = 'nobody'", "`user` belongs into the table [sandbox]"),
    ] {
        let problems = toml(&format!("{text}\n{LISTEN}")).unwrap_err();
        let found = problems.list()[0].help.as_deref();
        assert!(found.is_some_and(|found| found.ends_with(help)), "{text}: {found:?}");
    }
}

#[test]
fn a_table_of_a_listener_above_its_listener_is_told_where_it_belongs() {
    let expected = "\
error: the text is not valid TOML
 --> etc/polyport.toml:3:3
  |
3 | [[listen]]
  |   ^^^^^^ duplicate key
  |
  = help: a table of a listener, such as [listen.reply], comes behind the [[listen]] that it belongs to: move it down
";
    shows(&format!("[listen.reply]\ngroups = true\n{LISTEN}"), expected);
    // Another mistake gets no such help.
    let problems = toml(&format!("{LISTEN}[listen.reply]\ngroups = true\n[[listen]\n")).unwrap_err();
    assert!(problems.list().iter().all(|problem| problem.help.is_none()), "{problems}");
}

#[test]
fn missing_keys() {
    let expected = "\
error: [[listen]] without `bind`
 --> etc/polyport.toml:2:1
  |
2 | [[listen]]
  | ^^^^^^^^^^
  |
  = help: for example bind = \"127.0.0.1:7000\"

error: [[listen]] without `plugin`
 --> etc/polyport.toml:2:1
  |
2 | [[listen]]
  | ^^^^^^^^^^
  |
  = help: for example plugin = \"echo\"
";
    shows("# nothing\n[[listen]]\n", expected);
}

#[test]
fn one_bracket_too_few() {
    let expected = "\
error: `listen` must be an array of tables, each headed [[listen]]
 --> etc/polyport.toml:1:1
  |
1 | [listen]
  | ^^^^^^^^ this is a table
";
    shows("[listen]\nbind = '127.0.0.1:1'\n", expected);
}

#[test]
fn wrong_types() {
    let text = "\
plugin_dirs = \"plugins\"
limits = 3
[[listen]]
name = 1
bind = [\"127.0.0.1:1\", 7000]
plugin = [\"echo\"]
options = 1979-05-27
recv_buffer = true
on_fault = 1.5
";
    let problems = toml(text).unwrap_err();
    let found: Vec<_> =
        problems.list().iter().map(|problem| (problem.title.as_str(), problem.label.as_str())).collect();
    let expected = [
        ("`plugin_dirs` must be an array of strings", "this is a string"),
        ("`limits` must be a table", "this is an integer"),
        ("`name` must be a string", "this is an integer"),
        ("`bind` must be a string or an array of strings", "this is an integer"),
        ("`plugin` must be a string", "this is an array"),
        ("`options` must be a table", "this is a date or time"),
        ("`recv_buffer` must be a size: an integer or a string such as \"64KiB\"", "this is a boolean"),
        ("`on_fault` must be a string", "this is a float"),
    ];
    assert_eq!(found, expected);
    assert!(problems.list().iter().all(|problem| problem.code == code::WRONG_TYPE));
}

#[test]
fn bad_values() {
    let text = "\
plugin_dirs = [\"\"]
seed = -1
[limits]
visit_datagrams = 1025
visit_bytes = \"63KiB\"
turn_datagrams = 0
delayed_bytes = \"3 elephants\"
slow_batch = 10
[[listen]]
name = \"two words\"
bind = []
plugin = \"e cho\"
recv_buffer = \"1GiB\"
send_buffer = 99999999999999999999999999999999999999999
on_fault = \"crash\"
options = { a = 99999999999999999999 }
";
    let problems = toml(text).unwrap_err();
    let found: Vec<_> =
        problems.list().iter().map(|problem| (problem.title.as_str(), problem.label.as_str())).collect();
    let expected = [
        ("invalid value for `plugin_dirs`", "expected a directory"),
        ("invalid value for `seed`", "expected 0 to 18446744073709551615"),
        ("invalid value for `visit_datagrams`", "expected 1 to 1024"),
        ("invalid value for `visit_bytes`", "expected 64KiB to 16MiB"),
        ("invalid value for `turn_datagrams`", "expected 1 to 1048576"),
        (
            "invalid value for `delayed_bytes`",
            "expected a size in bytes such as 1500, 64KiB or 4MiB (units: B, KB, MB, GB, KiB, MiB, GiB)",
        ),
        ("invalid value for `slow_batch`", "a duration needs its unit, such as \"10ms\""),
        ("invalid value for `name`", "expected 1 to 63 characters out of a-z A-Z 0-9 _ . -"),
        ("invalid value for `bind`", "expected at least one address"),
        (
            "invalid value for `plugin`",
            "expected the name of a plugin (a-z A-Z 0-9 _ -) or a path with a / or ending in .so",
        ),
        ("invalid value for `recv_buffer`", "expected 4KiB to 512MiB"),
        ("invalid value for `send_buffer`", "expected 4KiB to 512MiB"),
        ("invalid value for `on_fault`", "expected \"restart\", \"off\" or \"exit\""),
        ("invalid value for `a`", "the integer does not fit into 64 bits"),
    ];
    assert_eq!(found, expected);
    assert!(problems.list().iter().all(|problem| problem.code == code::BAD_VALUE));
}

#[test]
fn a_bad_value() {
    let expected = "\
error: invalid value for `slow_batch`
 --> etc/polyport.toml:2:14
  |
2 | slow_batch = \"2h\"
  |              ^^^^ expected 100\u{b5}s to 60s
";
    shows("[limits]\nslow_batch = \"2h\"\n", expected);
}

#[test]
fn host_names_and_unknown_services() {
    let expected = "\
error: invalid bind address
 --> etc/polyport.toml:3:9
  |
3 | bind = ['web1.test:53', '127.0.0.1:nosuch', '[fe80::1%eth9]:1']
  |         ^^^^^^^^^^^^^^ `web1.test` is neither an address nor an interface of this system
  |
  = help: host names other than localhost are not looked up, since they may change: write the address; `ip addr` (or `ifconfig`) lists the interfaces and their addresses

error: invalid bind address
 --> etc/polyport.toml:3:25
  |
3 | bind = ['web1.test:53', '127.0.0.1:nosuch', '[fe80::1%eth9]:1']
  |                         ^^^^^^^^^^^^^^^^^^ this system knows no UDP service `nosuch`
  |
  = help: write the port number, or install the services database (/etc/services; Debian: netbase)

error: invalid bind address
 --> etc/polyport.toml:3:45
  |
3 | bind = ['web1.test:53', '127.0.0.1:nosuch', '[fe80::1%eth9]:1']
  |                                             ^^^^^^^^^^^^^^^^^^ this system has no interface `eth9`
  |
  = help: `ip link` (or `ifconfig`) lists the interfaces
";
    let text =
        "[[listen]]\nplugin = 'echo'\nbind = ['web1.test:53', '127.0.0.1:nosuch', '[fe80::1%eth9]:1']\n";
    shows(text, expected);
    assert_eq!(codes(&toml(text).unwrap_err()), ["bad-bind", "unknown-service", "unknown-interface"]);
}

#[test]
fn duplicate_names() {
    let expected = "\
error: two listeners are named `a`
 --> etc/polyport.toml:6:8
  |
2 | name = 'a'
  |        --- first here
...
6 | name = 'a'
  |        ^^^ again here
  |
  = help: names are unique; without `name` a listener is named after its plugin
";
    let table = |port: u16| format!("[[listen]]\nname = 'a'\nbind = '127.0.0.1:{port}'\nplugin = 'echo'\n");
    shows(&format!("{}{}", table(1), table(2)), expected);
}

#[test]
fn overlapping_ranges() {
    let expected = "\
error: ports 7050 to 7099 of 127.0.0.1 are used twice
 --> etc/polyport.toml:6:28
  |
2 | bind = '127.0.0.1:7050-7200'
  |        --------------------- first used here
...
6 | bind = ['[::1]:7000-7300', '127.0.0.1:7000-7099', '127.0.0.1:domain']
  |                            ^^^^^^^^^^^^^^^^^^^^^ again here
  |
  = help: an address and port belongs to one listener: take another port or another address

error: port 53 of 127.0.0.1 is used twice
 --> etc/polyport.toml:8:8
  |
6 | bind = ['[::1]:7000-7300', '127.0.0.1:7000-7099', '127.0.0.1:domain']
  |                                                   ------------------ first used here
7 | [[listen]]
8 | bind = '127.0.0.1:53'
  |        ^^^^^^^^^^^^^^ again here
  |
  = help: an address and port belongs to one listener: take another port or another address
";
    let text = "\
[[listen]]
bind = '127.0.0.1:7050-7200'
plugin = 'echo'
[[listen]]
plugin = 'echo'
bind = ['[::1]:7000-7300', '127.0.0.1:7000-7099', '127.0.0.1:domain']
[[listen]]
bind = '127.0.0.1:53'
plugin = 'echo'
";
    shows(text, expected);
}

#[test]
fn an_overlap_behind_a_small_range_is_found() {
    // Sorted by first port, 10-12 lies between the two that overlap at 50.
    let text = "[[listen]]\nplugin = 'x'\nbind = ['[::1]:1-60', '[::1]:10-12', '[::1]:50']\n";
    assert_eq!(codes(&toml(text).unwrap_err()), ["duplicate-bind", "duplicate-bind"]);
}

#[test]
fn too_many_listeners() {
    let expected = "\
error: more than 65536 listeners
 --> etc/polyport.toml:3:30
  |
3 | bind = ['127.0.0.1:1-65535', '[::1]:1-65535']
  |                              ^^^^^^^^^^^^^^^ with these there are 131070 or more
  |
  = help: every address and port is a listener with a socket of its own; run several daemons
";
    shows("[[listen]]\nplugin = 'echo'\nbind = ['127.0.0.1:1-65535', '[::1]:1-65535']\n", expected);
}

#[test]
fn limits_that_contradict_each_other() {
    let expected = "\
error: `visit_datagrams` (64) exceeds `turn_datagrams` (2)
 --> etc/polyport.toml:2:18
  |
2 | turn_datagrams = 2
  |                  ^ the whole
  |
  = help: what is not set in [limits] has its default

error: `backlog_bytes` (67108864) exceeds `backlog_total_bytes` (1048576)
 --> etc/polyport.toml:3:17
  |
3 | backlog_bytes = \"64MiB\"
  |                 ^^^^^^^ the part
4 | backlog_total_bytes = \"1MiB\"
  |                       ------ the whole
  |
  = help: what is not set in [limits] has its default
";
    shows(
        "[limits]\nturn_datagrams = 2\nbacklog_bytes = \"64MiB\"\nbacklog_total_bytes = \"1MiB\"\n",
        expected,
    );
}
