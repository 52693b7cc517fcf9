//! `polyport config`: a template that serves, every key explained, a schema that accepts what the program accepts.

use std::fs;

use polyport::config::keys;
use polyport_tests::plugins::repository;
use serde_json::Value;

use crate::polyport;

const USAGE: i32 = 64;
const CONFIG: i32 = 78;

fn told(args: &[&str]) -> String {
    polyport().arg("config").args(args).run().expect_code(0).stdout.clone()
}

const EXAMPLE_DEVICE: &str = "device = \"eth0\"";

/// The template with every setting made; its interface is an example, so that of loopback, which every system has, takes its place.
fn whole(template: &str) -> String {
    let lines = template.lines();
    let made = lines.map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
    let made = made.collect::<Vec<_>>().join("\n") + "\n";
    assert!(made.contains(EXAMPLE_DEVICE), "{made}");
    made.replace(EXAMPLE_DEVICE, "device = \"lo\"")
}

#[test]
fn the_template_is_accepted_as_it_is_and_with_every_setting_made() {
    let template = told(&["template"]);
    let finished = polyport().arg("check").config(&template).run();
    assert!(
        finished.expect_code(0).stdout.starts_with("ok: 1 listener on 1 address\n"),
        "{}",
        finished.stdout
    );
    let finished = polyport().arg("check").config(&whole(&template)).run();
    let text = &finished.expect_code(0).stdout;
    assert!(text.starts_with("ok: 2 listeners on 2 addresses\n"), "{text}{}", finished.stderr);
}

#[test]
fn every_key_is_explained_and_a_mistyped_one_is_answered_with_the_nearest() {
    for place in keys::Place::ALL {
        for key in keys::all(place) {
            let text = told(&["explain", &key.path(place)]);
            assert!(text.starts_with(&format!("{}, ", key.path(place))), "{text}");
            for line in ["  values    ", "  default   ", "  since     "] {
                assert!(text.contains(line), "{text}");
            }
        }
    }
    let all = told(&["explain"]);
    assert!(all.contains("\nIn [listen.reply]:\n") && all.contains("\n  sandbox.landlock  "), "{all}");
    let refused = polyport().args(&["config", "explain", "recv_bufer"]).run();
    refused
        .expect_code(USAGE)
        .expect_stderr(&["there is no key `recv_bufer`", "did you mean `listen.recv_buffer`?"]);
}

#[test]
fn options_of_plugins_are_explained_as_well() {
    let text = told(&["explain", "relay.up.loss"]);
    assert!(text.starts_with("relay.up.loss, in the options of plugin relay: "), "{text}");
    assert!(text.contains("\n  values    ratio") && text.contains("\n  default   "), "{text}");
    for (key, help) in [
        ("relay.up.lass", "did you mean `relay.up.loss`?"),
        ("echo.zzzzzzzz", "`polyport plugin inspect echo` shows its options"),
        ("no-such.zzzzzzzz", "`polyport config explain` lists all keys"),
    ] {
        polyport().args(&["config", "explain", key]).run().expect_code(USAGE).expect_stderr(&[help]);
    }
}

/// A configuration as JSON, as editors see it.
fn json(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&told(&["schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The blocks of TOML in a document.
fn blocks(path: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join(path)).unwrap();
    let all = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    all.filter(|(language, _)| *language == "toml").map(|(_, block)| block.to_owned()).collect()
}

#[test]
fn the_schema_accepts_the_template_and_every_example() {
    let schema = schema();
    let template = told(&["template"]);
    let default = fs::read_to_string(repository().join("daemon/default.toml")).unwrap();
    let mut texts = vec![whole(&template), template, default];
    for page in [
        "daemon/docs/operating.md",
        "daemon/docs/listeners.md",
        "plugins/HANDLERS.md",
        "daemon/docs/configuration.md",
        "daemon/docs/security.md",
    ] {
        texts.extend(blocks(page));
    }
    assert!(texts.len() > 10, "{}", texts.len());
    for text in texts {
        let errors: Vec<String> = schema.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in\n{text}");
    }
}

/// What the schema refuses the program refuses as well; what only the program knows, it leaves to it.
#[test]
fn what_the_schema_refuses_is_refused() {
    const LISTEN: &str = "[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n";
    let schema = schema();
    for wrong in [
        "sed = 1\n",
        "seed = -1\n",
        "include = 1\n",
        "[limits]\nvisit_datagrams = 0\n",
        "[limits]\nspin = 'sometimes'\n",
        "[limits]\nslow_batch = 10\n",
        "[sandbox]\nseccomp = 'maybe'\n",
        "sandbox = 'on'\n",
    ] {
        let text = format!("{wrong}{LISTEN}");
        assert!(!schema.is_valid(&json(&text)), "{text}");
        assert_eq!(polyport().arg("check").config(&text).run().code(), Some(CONFIG), "{text}");
    }
    for wrong in
        ["on_fault = 'drop'\n", "share = 1\n", "sessions = -1\n", "reply = { slip = 1001 }\n", "bnid = 1\n"]
    {
        let text = format!("{LISTEN}{wrong}");
        assert!(!schema.is_valid(&json(&text)), "{text}");
        assert_eq!(polyport().arg("check").config(&text).run().code(), Some(CONFIG), "{text}");
    }
    assert!(!schema.is_valid(&json("[[listen]]\nbind = '127.0.0.1:0'\n")));
}
