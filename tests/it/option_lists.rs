//! Options that are lists: from a file, from the command line, and what is said about an element that is wrong.

use std::path::Path;

use polyport_tests::plugins::{compile_c, fixture, spec};

use crate::polyport;

const CONFIG: i32 = 78;

fn listen(library: &Path, options: &str) -> String {
    format!(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = '{}'\n[listen.options]\n{options}\n",
        library.display()
    )
}

#[test]
fn lists_arrive_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("lists"), &[], dir.path(), "lists") else { return };
    let cases = [
        ("to = ['10.0.0.1:53', '192.0.2.9:123']", "10.1:53 192.9:123 1 2 no moods"),
        ("to = '10.0.0.1:53, 192.0.2.9:123'\nweights = []\nmoods = []", "10.1:53 192.9:123 given"),
        ("to = []\nweights = 7\nmoods = ['angry', 'calm']", "7 mood 1 mood 0 given"),
    ];
    for (options, told) in cases {
        let daemon = polyport().config(&listen(&library, options)).serve();
        let client = daemon.client(0);
        client.send(b"?");
        assert_eq!(String::from_utf8_lossy(&client.receive()), told, "{options}");
        drop(daemon.stop());
    }
    let argument = spec("127.0.0.1:0", &library) + ",to=\"10.0.0.1:53,10.0.0.2:53\",weights=9";
    let daemon = polyport().listen(argument).serve();
    let client = daemon.client(0);
    client.send(b"?");
    assert_eq!(client.receive(), b"10.1:53 10.2:53 9 no moods");
}

#[test]
fn an_element_that_is_wrong_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("lists"), &[], dir.path(), "lists") else { return };
    let cases = [
        ("to = ['10.0.0.1:53', 'nowhere']", "5:22", "element 2: "),
        ("to = []\nweights = [3, 10]", "6:15", "element 2: 10 is out of bounds: 1 to 9 is allowed"),
        ("to = []\nmoods = ['glad']", "6:10", "element 1: \"glad\" is none of calm, angry"),
        // A text has no places inside.
        ("to = '10.0.0.1:53,nowhere'", "5:6", "element 2: "),
        ("to = { a = 1 }", "5:6", "expected an address"),
        ("weights = [1]", "3:10", "option `to` must be given: Where to"),
    ];
    for (options, place, message) in cases {
        let refused = polyport().config(&listen(&library, options)).refused(CONFIG);
        refused.expect_stderr(&[&format!(".toml:{place}"), message]);
    }
}

/// Nobody but its author can mend it.
#[test]
fn a_wrong_default_is_named_as_the_fault_of_the_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-DDEFAULT=\"1, 10\""];
    let Some(library) = compile_c(&fixture("lists"), &flags, dir.path(), "lists") else { return };
    let refused = polyport().config(&listen(&library, "to = []")).refused(CONFIG);
    refused.expect_stderr(&[
        "the plugin's own default of `weights` is wrong: element 2: 10 is out of bounds: 1 to 9 is allowed",
        "a fault of this plugin",
    ]);
    // Who gives a value does without it.
    drop(polyport().config(&listen(&library, "to = []\nweights = [2]")).serve().stop());
}
