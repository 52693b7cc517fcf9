//! Files that include others, while the daemon serves.

use std::fs;
use std::path::PathBuf;

use polyport_tests::Launch;

use crate::polyport;

const CONFIG: i32 = 78;

fn listen(name: &str, reply: &str) -> String {
    format!(
        "[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\noptions = {{ reply = \"{reply}\" }}\n"
    )
}

/// A daemon about to be started, and the directory of what its file includes.
fn configured() -> (Launch, PathBuf) {
    let launch = polyport();
    let etc = launch.dir().join("etc");
    fs::create_dir_all(etc.join("conf.d")).unwrap();
    let text = format!("include = \"conf.d/*.toml\"\n{}", listen("main", "same"));
    fs::write(etc.join("polyport.toml"), text).unwrap();
    (launch.arg("-c").arg(etc.join("polyport.toml")), etc.join("conf.d"))
}

#[test]
fn a_reload_follows_files_that_are_edited_added_and_removed() {
    let (launch, dir) = configured();
    fs::write(dir.join("a.toml"), listen("a", "same")).unwrap();
    let mut daemon = launch.serve();
    let told = "polyport.toml (-c) and 1 file that it includes\n";
    assert!(daemon.process.stdout().contains(told), "{}", daemon.process.stdout());
    let client = daemon.client(1);
    client.expect_echo(b"included");
    fs::write(dir.join("a.toml"), listen("a", "length")).unwrap();
    assert!(daemon.reload(1).contains("reloaded: 1 address changed"));
    assert_eq!(client.ask(b"12345"), b"Your data was 5 bytes long");
    // An added file is seen, and what it asks for that cannot be had is told with its place.
    fs::write(dir.join("b.toml"), listen("b", "same").replace("127.0.0.1:0", "192.0.2.1:7")).unwrap();
    assert!(daemon.reload(2).contains("not reloaded: 1 problem"));
    assert!(daemon.process.stderr().contains("conf.d/b.toml:3:8"), "{}", daemon.process.stderr());
    // One without listeners changes nothing; one with a mistake is told of in its own place.
    fs::write(dir.join("b.toml"), "# nothing\n").unwrap();
    assert!(daemon.reload(3).contains("reloaded: nothing has changed"));
    fs::write(dir.join("b.toml"), "seed = 1\n").unwrap();
    assert!(daemon.reload(4).contains("not reloaded: 1 problem"));
    assert!(daemon.process.stderr().contains("conf.d/b.toml:1:1"), "{}", daemon.process.stderr());
    fs::remove_file(dir.join("b.toml")).unwrap();
    // What moves from one file to another stays as it is.
    fs::rename(dir.join("a.toml"), dir.join("z.toml")).unwrap();
    assert!(daemon.reload(5).contains("reloaded: nothing has changed"));
    assert_eq!(client.ask(b"12345"), b"Your data was 5 bytes long");
    // A file that is gone takes its listener with it.
    fs::remove_file(dir.join("z.toml")).unwrap();
    assert!(daemon.reload(6).contains("reloaded: 1 address removed"));
    drop(daemon.stop());
}

#[test]
fn names_and_addresses_are_unique_over_all_files() {
    let (launch, dir) = configured();
    let file = listen("main", "same").replace(":0", ":4567");
    fs::write(dir.join("a.toml"), &file).unwrap();
    fs::write(dir.join("b.toml"), file.replace("main", "other")).unwrap();
    let refused = launch.refused(CONFIG);
    refused.expect_stderr(&[
        "two listeners are named `main`",
        "conf.d/a.toml:2:8",
        "port 4567 of 127.0.0.1 is used twice",
        "conf.d/b.toml:3:8",
    ]);
}

/// Who else may read a secret is told of the file that has it.
#[test]
fn a_secret_is_told_with_the_file_that_holds_it() {
    use std::os::unix::fs::PermissionsExt;
    let (launch, dir) = configured();
    let file = dir.join("secret.toml");
    let key = "00112233445566778899aabbccddeeff";
    let text = format!(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\noptions = {{ auth = \"hmac\", key = \"{key}\" }}\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let daemon = launch.serve();
    let told = format!("{} holds a secret", file.display());
    assert!(daemon.process.stderr().contains(&told), "{}", daemon.process.stderr());
}
