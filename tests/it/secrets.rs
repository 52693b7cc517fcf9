//! Keys: no error and no log line shows one, whatever is wrong beside it; who else could read or take something is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
#[cfg(target_os = "linux")]
use std::process::Command;

use polyport_tests::process::Process;
use polyport_tests::tool::make_pipe;
use polyport_tests::{Finished, Launch};
use rustix::process::Signal;

use crate::polyport;

const CONFIG: i32 = 78;
const KEY: &str = "5ec4e71f0a5ec4e71f0a5ec4e71f0a5e";

/// Fails if eight digits of the key in a row were written anywhere.
#[track_caller]
fn hides_the_key(finished: &Finished) {
    let text = format!("{}{}", finished.stdout, finished.stderr);
    let shown = (0..=KEY.len() - 8).map(|at| &KEY[at..at + 8]).find(|piece| text.contains(piece));
    assert_eq!(shown, None, "{text}");
}

/// Refuses what `launch` adds to `check`, `check --json` and `run`, and shows no key.
#[track_caller]
fn refused(words: &str, launch: impl Fn(Launch) -> Launch) {
    for (args, code) in [(&["check"][..], CONFIG), (&["check", "--json"], CONFIG), (&["run"], CONFIG)] {
        let finished = launch(args.iter().fold(polyport(), Launch::arg)).refused(code);
        hides_the_key(&finished);
        let text = format!("{}{}", finished.stdout, finished.stderr);
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

/// A16.
#[test]
fn a_mistake_in_a_file_shows_no_key_that_stands_beside_it() {
    let table = |rest: &str| format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\n{rest}\n");
    for (text, words) in [
        (table(&format!("options = {{ auth = \"siphash\", key = \"{KEY} }}")), "not valid TOML"),
        (table(&format!("options = {{ auth = \"siphash\" key = \"{KEY}\" }}")), "not valid TOML"),
        (table(&format!("options = {{ auth = \"siphash\", key \"{KEY}\" }}")), "not valid TOML"),
        (table(&format!("options = {{ key = {KEY}, auth = \"siphash\" }}")), "not valid TOML"),
        (table(&format!("options = {{ auth = \"siphash\", kye = \"{KEY}\" }}")), "no option `kye`"),
        (
            table(&format!("options = {{ auth = \"siphash\", shared_secret = \"{KEY}\" }}")),
            "no option `shared_secret`",
        ),
        (
            table(&format!("options = {{ auth = \"hash\", key = \"{KEY}\" }} # key = \"{KEY}\"")),
            "option `auth`",
        ),
        (table(&format!("kye = \"{KEY}\"")), "unknown key `kye`"),
        (table(&format!("options = {{ \"key={KEY}\" = 1 }}")), "has no option `***`"),
        (table(&format!("options = {{ {KEY} = 1 }}")), "has no option `***`"),
        (table(&format!("[listen.options.\"key={KEY}\"]")), "has no option `***`"),
        (table(&format!("\"key = {KEY}\" = 1")), "unknown key `***`"),
        (format!("\"key={KEY}\" = 1\n{}", table("")), "unknown key `***`"),
        (table(&format!("key = {{ hex = [\"{KEY}\"] }}")), "unknown key `key`"),
        (table(&format!("options = \"key={KEY}\"")), "`options` must be a table"),
        (table(&format!("name = {{ key = \"{KEY}\" }}")), "`name` must be a string"),
        (format!("key = \"{KEY}\"\n{}", table("")), "unknown key `key`"),
        (format!("limits = {{ key = \"{KEY}\" }}\n{}", table("")), "unknown key `key`"),
        // Nobody can say which option of these is a secret.
        (
            format!(
                "listen = [{{ bind = \"127.0.0.1:0\", plugin = \"respnder\", options = {{ key = \"{KEY}\" }} }}]"
            ),
            "no such plugin",
        ),
        (
            format!(
                "listen = [{{ bind = \"127.0.0.1:0\", plugin = \"/dev/null\", options = {{ key = \"{KEY}\" }} }}]"
            ),
            "cannot be loaded",
        ),
        (
            format!(
                "listen = [{{ bind = \"127.0.0.1:0:0\", plugin = \"responder\", options = {{ key = \"{KEY}\" }} }}]"
            ),
            "invalid bind address",
        ),
    ] {
        refused(words, |launch| launch.config(&text));
    }
}

#[test]
fn a_mistake_on_the_command_line_shows_no_key_that_stands_beside_it() {
    for (spec, words) in [
        (format!("127.0.0.1:0=responder,auth=siphash,kye={KEY}"), "no option `kye`"),
        (format!("127.0.0.1:0=responder,auth=siphash,key={KEY},dorp=1"), "no option `dorp`"),
        (format!("127.0.0.1:0=responder,auth=siphash,key:{KEY}"), "expected key=value"),
        (format!("127.0.0.1:0=responder,key={KEY},key={KEY}"), "`key` is given twice"),
        (format!("127.0.0.1:0=responder,key=\"{KEY}"), "the double quote is not closed"),
        (format!("127.0.0.1:0=responder,key:{KEY}=1"), "has no option `***`"),
        (format!("127.0.0.1:0=responder,{KEY}=1,{KEY}=1"), "`***` is given twice"),
        (format!("127.0.0.1:0=responder,{KEY}"), "expected key=value"),
        (format!("127.0.0.1:0=respnder,key={KEY}"), "no such plugin"),
        (format!("127.0.0.1:0,key={KEY}"), "BIND=PLUGIN comes before everything else"),
        (format!("127.0.0.1:0:responder,key:{KEY}"), "is not BIND=PLUGIN"),
    ] {
        refused(words, |launch| launch.listen(&spec));
    }
    // What clap itself refuses.
    let spec = format!("127.0.0.1:0=responder,key={KEY}");
    let beside = format!("key:{KEY}");
    for args in [
        &["run", &spec][..],
        &[&spec],
        &["--lisen", &spec],
        &["check", "--listen", "x", &spec],
        &[KEY],
        &["run", KEY],
        &["check", "--listen", "127.0.0.1:0=responder", &beside],
        &["run", &format!("--key-{KEY}")],
    ] {
        let finished = args.iter().fold(polyport(), Launch::arg).refused(64);
        hides_the_key(finished.expect_stderr(&["error: ", "--help"]));
    }
}

#[test]
fn no_log_line_shows_a_key() {
    let config = format!(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\noptions = {{ auth = \"siphash\", key = \"{KEY}\" }}\n"
    );
    for launch in [
        polyport().arg("-vv").config(&config),
        polyport().arg("-vv").listen(format!("127.0.0.1:0=responder,auth=siphash,key={KEY}")),
        polyport().env("POLYPORT_LOG", "trace").config(&config),
    ] {
        let daemon = launch.serve();
        daemon.client(0).send(b"not even a frame");
        hides_the_key(&daemon.stop().finished);
    }
}

#[test]
fn who_else_could_read_a_key_is_told() {
    let config = format!(
        "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\noptions = {{ auth = \"siphash\", key = \"{KEY}\" }}\n"
    );
    let check = |mode: u32, text: &str| {
        let launch = polyport().arg("check").config(text);
        let path = launch.dir().join("polyport.toml");
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (path.display().to_string(), launch.run())
    };
    for mode in [0o644, 0o640, 0o622] {
        let (path, finished) = check(mode, &config);
        let told = format!("{path} holds a secret, the option `key` of listener responder");
        let remedy = format!("chmod go= {path}");
        finished.expect_code(0).expect_stderr(&[&told, &format!("(mode 0{mode:o})"), &remedy]);
    }
    assert_eq!(check(0o600, &config).1.expect_code(0).stderr, "");
    let open = "[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\n";
    assert_eq!(check(0o644, open).1.expect_code(0).stderr, "", "there is no secret in it");
    let spec = format!("127.0.0.1:0=responder,auth=siphash,key={KEY}");
    let finished = polyport().arg("check").listen(spec).run();
    finished
        .expect_code(0)
        .expect_stderr(&["the option `key` is a secret, and everybody can read a command line"]);
}

/// A17.
#[test]
fn who_shares_a_port_is_told_with_whom() {
    let told = "listener heard: share = true lets any user of this host bind the same port";
    let shared = "127.0.0.1:0=listener,name=heard,share=true";
    polyport().arg("check").listen(shared).run().expect_code(0).expect_stderr(&[told]);
    let daemon = polyport().listen(shared).listen("127.0.0.1:0=echo").serve();
    let finished = daemon.stop().finished;
    assert_eq!(finished.stderr.matches("share = true").count(), 1, "{}", finished.stderr);
    finished.expect_stderr(&[told]);
}

/// A18, of the daemon.
#[test]
fn a_configuration_that_does_not_end_is_refused_and_one_that_does_not_come_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let sparse = dir.path().join("sparse.toml");
    fs::File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    for path in ["/dev/zero".as_ref(), sparse.as_path()] {
        let refused = polyport().arg("check").arg("-c").arg(path).refused(CONFIG);
        refused.expect_stderr(&["cannot read ", "longer than 16777216 bytes"]);
    }
    let pipe = dir.path().join("pipe");
    if !make_pipe(&pipe) {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let mut launch = polyport().arg("-c").arg(&pipe);
        let process = Process::spawn(launch.command());
        // Once there is somebody to read, it reads.
        let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        process.signal(signal);
        assert_eq!(process.finish().code(), None, "it ended by the signal");
        drop(writer);
    }
}

/// An answer that did not arrive is no answer.
#[cfg(target_os = "linux")]
#[test]
fn a_check_whose_answer_cannot_be_written_fails() {
    for args in
        ["check --listen 127.0.0.1:0=echo", "check --json --listen 127.0.0.1:0=ehco", "--help", "--version"]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-under-test"));
        let output = command.args(args.split(' ')).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{args}: {stderr}");
        assert!(
            stderr.contains("cannot write to standard output: No space left on device"),
            "{args}: {stderr}"
        );
    }
}
