//! `polyport plugin new`: what it makes builds, passes its own test and serves, wherever it lies.

use std::fs;
use std::path::Path;
use std::process::Command;

use polyport_tests::plugins::{repository, spec};
use polyport_tests::tool::tool;

use crate::polyport;

/// Runs a command there; it must succeed.
#[track_caller]
fn run(dir: &Path, command: &mut Command) -> String {
    let output = command.current_dir(dir).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}:\n{text}");
    text
}

/// The one cargo that builds this test, with what it has downloaded already.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The settings of this build are not those of the author.
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command
}

/// It answers with a greeting, and drops what is too long.
#[track_caller]
fn greets(library: &Path) {
    let daemon = polyport().listen(format!("{},greeting=good day", spec("127.0.0.1:0", library))).serve();
    assert_eq!(daemon.client(0).ask(b"you"), b"good day you");
    daemon.client(0).send(&[b'x'; 1001]);
    assert_eq!(daemon.client(0).ask(b"again"), b"good day again");
    let served = daemon.stop();
    let name = library.file_stem().unwrap().to_str().unwrap().trim_start_matches("lib");
    assert_eq!(served.counted(name, "dropped_total"), 1);
}

/// It keeps every rule, also where its options are at their bounds.
#[track_caller]
fn keeps_the_rules(library: &Path) {
    let tested = polyport().args(&["plugin", "test", "--seconds", "2"]).arg(library).run();
    assert!(tested.expect_code(0).stdout.contains(" 0 broken"), "{}", tested.stdout);
}

#[test]
fn a_new_plugin_in_rust_builds_passes_its_test_and_serves() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("some where").join("hello-you");
    let made = polyport().args(&["plugin", "new", "hello-you", "--path"]).arg(&dir).run();
    let told = made.expect_code(0).stdout.clone();
    let sdk = repository().join("plugins/sdk").canonicalize().unwrap();
    for words in [&*sdk.to_string_lossy(), "cargo test\n", "polyport run -c polyport.toml"] {
        assert!(told.contains(words), "{words}:\n{told}");
    }
    // What the workspace has locked is there without a network; cargo leaves out what is not needed.
    fs::copy(repository().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let tested = run(&dir, cargo().args(["test", "--offline"]));
    assert!(tested.contains("1 passed"), "{tested}");
    run(&dir, cargo().args(["build", "--offline", "--release"]));
    let library = dir.join("target/release").join(format!(
        "{}hello_you{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    // Whatever the umask of who runs the tests.
    run(
        &dir,
        Command::new("chmod").arg("go-w").arg(&library).arg(library.parent().unwrap()).arg("target").arg("."),
    );
    greets(&library);
    keeps_the_rules(&library);
    let inspected = polyport().args(&["plugin", "inspect"]).arg(&library).run();
    assert!(
        inspected.expect_code(0).stdout.starts_with("hello-you 0.1.0: Greets whoever"),
        "{}",
        inspected.stdout
    );
    let serves = polyport().arg("check").arg("-c").arg(dir.join("polyport.toml")).run();
    assert!(serves.expect_code(0).stdout.starts_with("ok: 1 listener"), "{}", serves.stdout);
}

/// What `cargo generate` makes of the template, with its answers: each file without `.liquid`, each name in braces replaced, and its
/// own settings left out.
#[test]
fn the_template_of_cargo_generate_builds_and_passes_its_test() {
    let template = repository().join("examples/plugins/template");
    let settings: toml::Table =
        fs::read_to_string(template.join("cargo-generate.toml")).unwrap().parse().unwrap();
    let asked: Vec<&str> = settings["placeholders"].as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(asked, ["sdk", "suffix"], "each has its answer below");
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("from-template");
    let sdk = format!("{{ path = {:?} }}", repository().join("plugins/sdk").canonicalize().unwrap());
    let answers = [
        ("{{project-name}}", "from-template"),
        ("{{crate_name}}", "from_template"),
        ("{{suffix}}", std::env::consts::DLL_SUFFIX),
        ("{{sdk}}", &sdk),
    ];
    let mut files = Vec::new();
    expand(&template, &dir, &answers, &mut files);
    files.sort();
    assert_eq!(files, [".gitignore", "Cargo.toml", "README.md", "lib.rs", "polyport.toml"]);
    // With nothing but a version, as the default answer has it, it is the crate of a registry.
    let default = settings["placeholders"]["sdk"]["default"].as_str().unwrap();
    let manifest = fs::read_to_string(template.join("Cargo.toml.liquid")).unwrap();
    let by_version: toml::Table = manifest.replace("{{sdk}}", default).parse().unwrap();
    assert!(
        env!("CARGO_PKG_VERSION")
            .starts_with(by_version["dependencies"]["polyport-plugin"].as_str().unwrap())
    );

    fs::copy(repository().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let tested = run(&dir, cargo().args(["test", "--offline"]));
    assert!(tested.contains("1 passed"), "{tested}");
    // And it is what `plugin new` makes.
    let twin = outside.path().join("twin");
    polyport().args(&["plugin", "new", "from-template", "--path"]).arg(&twin).run().expect_code(0);
    for file in [".gitignore", "Cargo.toml", "README.md", "src/lib.rs", "polyport.toml"] {
        let [ours, theirs] = [&dir, &twin].map(|dir| fs::read_to_string(dir.join(file)).unwrap());
        assert_eq!(ours, theirs, "{file}");
    }
}

/// Copies a template as `cargo generate` does.
fn expand(from: &Path, to: &Path, answers: &[(&str, &str)], files: &mut Vec<String>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            expand(&entry.path(), &to.join(name), answers, files);
        } else if name != "cargo-generate.toml" {
            let text = fs::read_to_string(entry.path()).unwrap();
            let filled = answers.iter().fold(text, |text, (what, with)| text.replace(what, with));
            assert!(!filled.contains("{{") && !filled.contains("{%"), "{name}: {filled}");
            let name = name.trim_end_matches(".liquid");
            fs::write(to.join(name), filled).unwrap();
            files.push(name.to_owned());
        }
    }
}

#[test]
fn a_new_plugin_in_c_builds_passes_its_test_and_serves() {
    let (Some(make), Some(_)) = (tool("make"), tool("cc")) else { return };
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("hello-c");
    let made = polyport().args(&["plugin", "new", "hello-c", "--lang", "c", "--path"]).arg(&dir).run();
    let told = made.expect_code(0).stdout.clone();
    assert!(told.contains("make test\n") && told.contains("polyport_plugin.h"), "{told}");
    let strict = "CFLAGS=-O2 -Wall -Wextra -Wpedantic -Werror";
    let tested = run(&dir, Command::new(&make).args([strict, "test"]));
    assert!(tested.ends_with("ok\n"), "{tested}");
    run(&dir, Command::new(&make).arg(strict));
    let library = dir.join(format!("libhello_c{}", std::env::consts::DLL_SUFFIX));
    run(&dir, Command::new("chmod").arg("go-w").arg(&library).arg("."));
    greets(&library);
    keeps_the_rules(&library);
    // Its own test finds what is wrong with it.
    let source = dir.join("hello_c.c");
    let wrong = fs::read_to_string(&source).unwrap().replace("= ' ';", "= '-';");
    fs::write(&source, wrong).unwrap();
    let tested = Command::new(&make).current_dir(&dir).arg("test").output().unwrap();
    assert!(!tested.status.success(), "a test that cannot fail");
    assert!(String::from_utf8_lossy(&tested.stderr).contains("failed: it is a greeting"), "{tested:?}");
}

#[test]
fn nothing_is_overwritten_and_no_name_is_taken_that_could_not_be_one() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("mine");
    fs::create_dir(&dir).unwrap();
    let new = |name: &str| polyport().args(&["plugin", "new", name, "--lang", "c", "--path"]).arg(&dir).run();
    new("mine").expect_code(73).expect_stderr(&["is there already, and nothing is overwritten"]);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    for (name, why) in [
        ("Mine", "lower-case letters"),
        ("../mine", "lower-case letters"),
        ("struct", "a word of Rust or C"),
        ("echo", "is built in"),
        ("polyport-mine", "would be found as `mine`"),
    ] {
        new(name).expect_code(64).expect_stderr(&[why]);
    }
}

/// An installed polyport: an executable outside of any checkout.
#[test]
fn without_a_checkout_the_sdk_must_be_named_and_c_needs_none() {
    let outside = tempfile::tempdir().unwrap();
    let program = outside.path().join("polyport");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_polyport-under-test")).arg(&program).status();
    assert!(copied.unwrap().success());
    let new = |args: &[&str]| {
        let mut launch = polyport_tests::Launch::new(&program).args(&["plugin", "new"]).args(args);
        launch.command().current_dir(outside.path());
        launch
    };
    new(&["hello"]).run().expect_code(78).expect_stderr(&["name one with --sdk DIR", "--lang c"]);
    assert!(!outside.path().join("hello").exists(), "nothing is left of what was refused");
    new(&["hello", "--sdk", "."]).run().expect_code(78).expect_stderr(&["no crate polyport-plugin in ."]);
    new(&["hello", "--sdk"]).arg(repository()).run().expect_code(0);
    let manifest = fs::read_to_string(outside.path().join("hello/Cargo.toml")).unwrap();
    assert!(manifest.contains("plugins/sdk\" }"), "{manifest}");
    new(&["other", "--lang", "c"]).run().expect_code(0);
    let header = fs::read(outside.path().join("other/polyport_plugin.h")).unwrap();
    assert_eq!(header, fs::read(repository().join("plugins/abi/include/polyport_plugin.h")).unwrap());
}
