//! A plugin in C++: the header takes its initialisers, and what comes of it is a plugin like any other.

use std::env::consts::DLL_SUFFIX;

use polyport_tests::plugins::{compile, fixture, spec};

use crate::polyport;

#[test]
fn a_plugin_in_cpp20_serves() {
    let dir = tempfile::tempdir().unwrap();
    let source = fixture("greeter").with_extension("cpp");
    let library = dir.path().join(format!("greeter{DLL_SUFFIX}"));
    // The fields that a plugin leaves out are zero in C++ as in C, of which -Wextra warns.
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wno-missing-field-initializers"];
    let shared = ["-std=c++20", "-shared", "-fPIC", "-fvisibility=hidden"];
    if !compile("c++", &source, &[&strict[..], &shared].concat(), &library) {
        return;
    }
    let daemon = polyport().listen(spec("127.0.0.1:0", &library) + ",greeting=ahoy").serve();
    let client = daemon.client(0);
    client.send(b"?");
    assert_eq!(client.receive(), b"ahoy");
}
