//! Options with dots in their names: every way to write them, what is said of a mistake and where, and how they are shown.

use polyport_tests::plugins::{built, spec};
use serde_json::Value;

use crate::polyport;

const CONFIG: i32 = 78;

/// A listener with these lines behind its plugin, the first of which is line 4.
fn listen(lines: &str) -> String {
    let library = built("fixture-nested");
    format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = '{}'\n{lines}\n", library.display())
}

#[test]
fn every_spelling_is_the_same_option() {
    let expected = "a null 0 1; 0 0ns 0 1; 0.1 2ms 3 4; 0 80ms 0 1".replacen('a', "a None", 1);
    for lines in [
        "options = { to = 'a', up.loss = '10%', up.delay = '2ms', up.key = 'abc', up.queue.most = 4, down = { delay = '80ms' } }",
        "options = { to = 'a', up = { loss = 0.1, delay = '2ms', key = 'abc', queue = { most = 4 } }, down.delay = '80ms' }",
        "[listen.options]\nto = ['a']\nup.loss = '10%'\nup.delay = '2ms'\nup.key = 'abc'\nup.queue.most = 4\ndown.delay = '80ms'",
        "[listen.options]\nto = 'a'\n[listen.options.up]\nloss = '10%'\ndelay = '2ms'\nkey = 'abc'\n[listen.options.up.queue]\n\
         most = 4\n[listen.options.down]\ndelay = '80ms'",
        "[listen.options]\nto = 'a'\n\"up.loss\" = '10%'\n'up.delay' = '2ms'\nup.key = 'abc'\n\"up.queue\" = { most = 4 }\n\
         'down'.\"delay\" = '80ms'\nreply = {}",
    ] {
        let daemon = polyport().config(&listen(lines)).serve();
        assert_eq!(String::from_utf8_lossy(&daemon.client(0).ask(b"?")), expected, "{lines}");
        drop(daemon.stop());
    }
    let argument = spec("127.0.0.1:0", &built("fixture-nested"));
    let argument =
        format!("{argument},to=a,up.loss=10%,up.delay=2ms,up.key=abc,up.queue.most=4,down.delay=80ms");
    let daemon = polyport().listen(argument).serve();
    assert_eq!(String::from_utf8_lossy(&daemon.client(0).ask(b"?")), expected);
}

/// A set that has no name of its own is beside the others, and a JSON option keeps its table whole.
#[test]
fn a_set_without_a_name_and_a_table_of_json_are_what_they_are() {
    let lines = "[listen.options]\nto = ['a', '[::1]:53']\nloss = '20%'\nqueue.most = 2\nany.up.loss = [1, 'x']\nany.b = 1979-05-27";
    let daemon = polyport().config(&listen(lines)).serve();
    let expected = "a [::1]:53 None {\"b\":\"1979-05-27\",\"up\":{\"loss\":[1,\"x\"]}} 0 1; 0.2 0ns 0 2; 0 0ns 0 1; 0 0ns 0 1";
    assert_eq!(String::from_utf8_lossy(&daemon.client(0).ask(b"?")), expected);
    drop(daemon.stop());
    let of = spec("127.0.0.1:0", &built("fixture-nested"));
    for (options, shown) in [
        ("to=[::1]:53,any=[::1]:53", "[::1]:53 None \"[::1]:53\" 0 1"),
        ("to=\"a,b\",any=[1,2]", "a b None [1,2] 0 1"),
        ("to=[::1]:53,any=\"{\\\"a\\\":[1,2]}\"", "[::1]:53 None {\"a\":[1,2]} 0 1"),
        ("to=a,any=NaN", "a None \"NaN\" 0 1"),
    ] {
        let daemon = polyport().listen(format!("{of},{options}")).serve();
        let answer = daemon.client(0).ask(b"?");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(';').next(), Some(shown), "{options}");
        drop(daemon.stop());
    }
}

#[test]
fn a_mistake_is_pointed_at_at_its_own_key_or_value() {
    let line = |options: &str| format!("options = {{ to = 'a', {options} }}");
    let cases = [
        (line("up.los = '1%'"), "4:26", "the plugin has no option `up.los`", "did you mean `up.loss`?"),
        (line("up = { los = '1%' }"), "4:30", "the plugin has no option `up.los`", "did you mean `up.loss`?"),
        (line("ups = { loss = '1%' }"), "4:23", "the plugin has no option `ups`", "did you mean `up`?"),
        (line("ups.loss = '1%'"), "4:23", "the plugin has no option `ups`", "did you mean `up`?"),
        (line("most = 1"), "4:23", "no option `most`", "did you mean `queue.most` or `up.queue.most` or"),
        (line("up.queue = 1"), "4:26", "it is the beginning of `up.queue.most`", "write up.queue.most = ..."),
        (
            line("up = '10%'"),
            "4:23",
            "the plugin has no option `up`: it is the beginning of `up.loss`, `up.delay`, `up.key`, `up.queue.most`",
            "write up.loss = ..., or up = { loss = ... }",
        ),
        (
            line("up.strange = 1"),
            "4:26",
            "`up.strange`",
            "the options of `up` are up.loss, up.delay, up.key,",
        ),
        (
            line("strange = 1"),
            "4:23",
            "`strange`",
            "its options are to, seed, any, share, loss, delay, key, queue.*, up.*,",
        ),
        (
            line("seed = { a = 1 }"),
            "4:30",
            "option `seed`: expected an integer, got a table",
            "seed = 7: Makes",
        ),
        (
            line("up.loss = { a = 1 }"),
            "4:33",
            "option `up.loss`: expected a share",
            "up.loss = \"2.5%\": Share",
        ),
        (line("seed = 1979-05-27"), "4:30", "option `seed`: expected an integer, got a date", "seed = 7"),
        (line("up = { loss = '110%' }"), "4:37", "option `up.loss`: ", "up.loss = \"2.5%\": Share of"),
        (
            line("up.queue.most = 10"),
            "4:39",
            "option `up.queue.most`: 10 is out of bounds: 1 to 9",
            "up.queue.most = 7",
        ),
        (
            line("down = { delay = '13ms' }"),
            "4:40",
            "refuses the option `down.delay`: 13 brings bad luck",
            "",
        ),
        (line("delay = '13ms'"), "4:31", "refuses the option `delay`: 13 brings bad luck", ""),
        (
            "[listen.options]\nto = 'a'\n[listen.options.up]\ndelay = '13ms'".into(),
            "7:9",
            "the option `up.delay`",
            "",
        ),
        (
            "[listen.options]\nto = 'a'\n[listen.options.pu]\ndelay = '13ms'".into(),
            "6:17",
            "`pu`",
            "did you mean `up`?",
        ),
        (line("up.queue.most = 99999999999999999999"), "4:39", "invalid value for `up.queue.most`", ""),
        (
            line("up.loss = 0.1, \"up.loss\" = 0.2"),
            "4:38",
            "the option `up.loss` is given twice",
            "first here",
        ),
    ];
    for (lines, place, message, help) in cases {
        let refused = polyport().config(&listen(&lines)).refused(CONFIG);
        refused.expect_stderr(&[&format!(".toml:{place}"), message, help]);
        assert_eq!(refused.stderr.matches("error: ").count(), 1, "{lines}: {}", refused.stderr);
    }
    // Two spellings that TOML knows to be one.
    for lines in [line("up.loss = 0.1, up = { delay = '1ms' }"), line("up.loss = 0.1, up.loss = 0.2")] {
        polyport()
            .config(&listen(&lines))
            .refused(CONFIG)
            .expect_stderr(&["the text is not valid TOML", "duplicate key"]);
    }
}

/// Problems of the command line have their places there as well.
#[test]
fn a_mistake_on_the_command_line_is_pointed_at() {
    let of = spec("127.0.0.1:0", &built("fixture-nested")) + ",to=a";
    for (options, marked, message) in [
        ("up.los=1%", "up.los", "did you mean `up.loss`?"),
        ("up=10%", "up", "it is the beginning of `up.loss`"),
        ("up.loss=110%", "110%", "option `up.loss`"),
        ("up.delay=13ms", "13ms", "refuses the option `up.delay`"),
        ("up.loss=1%,up.loss=2%", "up.loss", "`up.loss` is given twice"),
        ("options.up.loss=1%,up.loss=2%", "up.loss", "`up.loss` is given twice"),
    ] {
        let refused = polyport().listen(format!("{of},{options}")).refused(CONFIG);
        refused.expect_stderr(&[message, &format!("  {}", "^".repeat(marked.len()))]);
    }
}

/// What is called as a setting of the listener is one; with `options.` before it, it is the plugin's.
#[test]
fn an_option_that_is_called_as_a_setting_has_a_way_of_its_own() {
    let of = spec("127.0.0.1:0", &built("fixture-nested")) + ",to=a";
    let first = |options: &str| {
        let daemon = polyport().listen(format!("{of},{options}")).serve();
        let answer = String::from_utf8_lossy(&daemon.client(0).ask(b"?")).into_owned();
        drop(daemon.stop());
        answer.split(';').next().unwrap().to_owned()
    };
    assert_eq!(first("options.share=7,options.reply.most=3,options.seed=5"), "a Some(5) null 7 3");
    assert_eq!(first("share=true,options.share=7,reply.ttl=decay"), "a None null 7 1");
    polyport()
        .listen(format!("{of},reply.most=3"))
        .refused(CONFIG)
        .expect_stderr(&["unknown key `most` in [listen.reply]"]);
    polyport().listen(format!("{of},share=7")).refused(CONFIG).expect_stderr(&["must be true or false"]);
    // In a file they are apart.
    let lines = "share = true\n[listen.options]\nto = 'a'\nshare = 7\nreply.most = 3";
    let daemon = polyport().config(&listen(lines)).serve();
    let answer = daemon.client(0).ask(b"?");
    assert!(answer.starts_with(b"a None null 7 3;"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn they_are_shown_by_their_whole_names_and_secrets_are_not() {
    let lines = "options = { to = 'a', up = { loss = '10%', key = 'SECRET' }, down.queue.most = 2 }";
    let daemon = polyport().config(&listen(lines)).serve();
    let finished = daemon.stop().finished;
    finished.expect_code(0);
    for shown in ["to=a", "up.loss=10%", "up.key=(secret)", "down.queue.most=2"] {
        assert!(finished.stdout.contains(shown), "{}", finished.stdout);
    }
    assert!(!format!("{}{}", finished.stdout, finished.stderr).contains("SECRET"), "{}", finished.stdout);
    // A mistake beside a secret shows the line without it; what is no secret is shown.
    let lines = "options = { to = 'a', up = { loss = '110%', key = 'SECRET' } }";
    let refused = polyport().config(&listen(lines)).refused(CONFIG);
    refused.expect_stderr(&["up = { loss = '110%', key = ******** }"]);

    let library = built("fixture-nested");
    let seen = polyport().args(&["plugin", "inspect", "--json"]).arg(&library).run();
    let seen: Value = serde_json::from_str(&seen.expect_code(0).stdout).unwrap();
    let names: Vec<&str> =
        seen["options"].as_array().unwrap().iter().map(|option| option["name"].as_str().unwrap()).collect();
    let expected = [
        "to",
        "seed",
        "any",
        "share",
        "loss",
        "delay",
        "key",
        "queue.most",
        "up.loss",
        "up.delay",
        "up.key",
        "up.queue.most",
        "down.loss",
        "down.delay",
        "down.key",
        "down.queue.most",
        "reply.most",
    ];
    assert_eq!(names, expected);
    let text = polyport().args(&["plugin", "inspect"]).arg(&library).run();
    assert!(text.expect_code(0).stdout.contains("up.queue.most"), "{}", text.stdout);
    let refused =
        polyport().arg("check").arg("--json").config(&listen("options = { to = 'a', up.los = 1 }")).run();
    let told: Value = serde_json::from_str(&refused.expect_code(CONFIG).stdout).unwrap();
    let problem = &told["problems"][0];
    assert!(problem.to_string().contains("the plugin has no option `up.los`"), "{problem}");
}

/// An author's tools take the same names.
#[test]
fn a_plugin_is_tried_and_tested_with_them() {
    let library = built("fixture-nested");
    let tried = |option: &str| {
        let tried = polyport().args(&["plugin", "try"]).arg(&library);
        tried.args(&["--option", "to=a", "--option", option, "--datagram", "?"]).run()
    };
    let seen = tried("up.loss=10%");
    assert!(seen.expect_code(0).stdout.contains("; 0.1 0ns 0 1;"), "{}", seen.stdout);
    let refused = tried("up.los=10%");
    refused.expect_stderr(&["the plugin has no option `up.los` (did you mean `up.loss`?)"]);
    let tested = polyport().args(&["plugin", "test"]).arg(&library);
    let tested = tested.args(&["--option", "to=a", "--option", "up.delay=1ms", "--seconds", "1"]).run();
    tested.expect_code(0);
}
