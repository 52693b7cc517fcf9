//! Which configuration is meant when nobody names one, and which source is told.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use polyport_tests::{Finished, Launch};
use rustix::process::Signal;
use serde_json::Value;

use crate::polyport;

const CONFIG: i32 = 78;

/// A listener whose name tells which file it is from.
fn listen(name: &str) -> String {
    format!("[[listen]]\nname = \"{name}\"\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\n")
}

fn write(path: &Path, name: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, listen(name)).unwrap();
}

/// `polyport`, about to be started in the directory `here` of its own, with `home` as the user's.
fn started(args: &[&str]) -> Launch {
    let mut launch = polyport().args(args);
    let (here, home) = (launch.dir().join("here"), launch.dir().join("home"));
    for dir in [&here, &home] {
        fs::create_dir_all(dir).unwrap();
    }
    launch.command().current_dir(here).env("HOME", home);
    launch
}

/// The name of the listener, and who named the file.
#[track_caller]
fn checked(launch: Launch) -> (String, String) {
    let finished = launch.run();
    let told: Value = serde_json::from_str(&finished.expect_code(0).stdout).unwrap();
    let configuration = &told["configuration"];
    let by = configuration["named_by"].as_str().or_else(|| configuration["source"].as_str()).unwrap();
    (told["listeners"][0]["name"].as_str().unwrap().to_owned(), by.to_owned())
}

#[test]
fn the_first_place_that_has_a_file_is_taken() {
    const PLACES: [&str; 5] = [
        "flag.toml",
        "variable.toml",
        "here/polyport.toml",
        "xdg/polyport/polyport.toml",
        "home/.config/polyport/polyport.toml",
    ];
    for (without, expected) in [
        (0, ("flag", "-c")),
        (1, ("variable", "POLYPORT_CONFIG")),
        (2, ("here", "working directory")),
        (3, ("xdg", "user")),
        (4, ("home", "user")),
    ] {
        let mut launch = started(&["check", "--json"]);
        let at = |place: &str| launch.dir().join(place);
        for place in PLACES.iter().skip(without) {
            write(&at(place), place.split(['.', '/']).next().unwrap());
        }
        let (flag, variable, xdg) = (at(PLACES[0]), at(PLACES[1]), at("xdg"));
        launch = match without {
            0 => launch.arg("-c").arg(flag).env("POLYPORT_CONFIG", variable),
            1 => launch.env("POLYPORT_CONFIG", variable),
            // An empty variable names nothing.
            _ => launch.env("POLYPORT_CONFIG", ""),
        };
        launch = launch.env("XDG_CONFIG_HOME", if without < 4 { xdg.as_os_str() } else { "".as_ref() });
        assert_eq!(checked(launch), (expected.0.to_owned(), expected.1.to_owned()));
    }
    // Arguments are no file, and go before all of them.
    let launch = started(&["check", "--json", "--listen", "127.0.0.1:0=echo"]);
    write(&launch.dir().join("here/polyport.toml"), "here");
    let launch = launch.env("POLYPORT_CONFIG", "/no/such/file");
    assert_eq!(checked(launch), ("echo".to_owned(), "listen".to_owned()));
}

/// Without a home there is no place of the user's, and the last is what is built in.
#[test]
fn without_any_file_the_default_is_served() {
    for home in [None, Some(""), Some("not/absolute")] {
        let mut launch = started(&["check", "--json"]);
        launch.command().env_remove("XDG_CONFIG_HOME").env_remove("HOME");
        if let Some(home) = home {
            launch.command().env("HOME", home);
        }
        assert_eq!(checked(launch), ("echo".to_owned(), "built-in".to_owned()), "{home:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_last_place_is_that_of_the_system() {
    const SCRIPT: &str = "mkdir /etc/polyport && printf '%s' \"$1\" > /etc/polyport/polyport.toml && cd / && exec \"$0\" check --json";
    let program = env!("CARGO_BIN_EXE_polyport-under-test");
    let Some(launch) = polyport_tests::mounts::mounted("mode=755", &[Path::new("/etc")], "/bin/sh") else {
        return;
    };
    let mut launch = launch.arg("-c").arg(SCRIPT).arg(program).arg(listen("system"));
    launch.command().env("HOME", "/nonexistent");
    assert_eq!(checked(launch), ("system".to_owned(), "system".to_owned()));
}

#[test]
fn the_source_is_told_by_check_and_at_the_start() {
    let launch = started(&["check"]);
    write(&launch.dir().join("here/polyport.toml"), "here");
    let finished = launch.run();
    let second = finished.expect_code(0).stdout.lines().nth(1).map(str::to_owned);
    assert_eq!(second.as_deref(), Some("  configuration: ./polyport.toml (working directory)"));

    let launch = started(&[]);
    write(&launch.dir().join("here/polyport.toml"), "here");
    let daemon = launch.serve();
    let told = "\nconfiguration: ./polyport.toml (working directory)\n";
    assert!(daemon.process.stdout().contains(told), "{}", daemon.process.stdout());
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    assert!(daemon.process.stdout().contains("\nconfiguration: --listen\n"), "{}", daemon.process.stdout());
    // What was looked at before is in the log of who asks for it.
    let finished = started(&["check", "-v"]).run();
    let looked = "debug: there is no configuration ./polyport.toml";
    assert!(finished.expect_code(0).stderr.contains(looked), "{}", finished.stderr);
}

/// Refused in these words, by `check` and `run` alike; what comes later in the search is not taken in its place.
#[track_caller]
fn refused(make: impl Fn(&Path), words: &[&str]) -> Finished {
    let mut last = None;
    for command in ["check", "run"] {
        let launch = started(&[command]);
        write(&launch.dir().join("config/polyport/polyport.toml"), "later");
        make(launch.dir());
        let finished = launch.refused(CONFIG);
        finished.expect_stderr(words);
        last = Some(finished);
    }
    last.unwrap()
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error() {
    let here = |dir: &Path| dir.join("here/polyport.toml");
    refused(
        |dir| symlink("polyport.toml", here(dir)).unwrap(),
        &["cannot read `./polyport.toml`: Too many levels of symbolic links"],
    );
    refused(
        |dir| symlink("/no/such/file", here(dir)).unwrap(),
        &["cannot read `./polyport.toml`: No such file"],
    );
    refused(
        |dir| fs::create_dir(here(dir)).unwrap(),
        &["`./polyport.toml` is not used", "it is no regular file"],
    );
    refused(|dir| fs::write(here(dir), "nonsense\n").unwrap(), &["./polyport.toml:1:9"]);
}

/// Who starts the program in a directory of others has not asked for what they put there.
#[test]
fn a_file_that_others_could_have_written_is_used_only_by_its_name() {
    let place = |mode_of_file: u32, mode_of_dir: u32| {
        move |dir: &Path| {
            let file = dir.join("here/polyport.toml");
            write(&file, "theirs");
            fs::set_permissions(&file, Permissions::from_mode(mode_of_file)).unwrap();
            fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(mode_of_dir)).unwrap();
        }
    };
    let remedy = "if you trust it, name it: -c ./polyport.toml; or `chmod go-w";
    refused(
        place(0o644, 0o777),
        &[
            "`./polyport.toml` is not used, since nobody has named it",
            "/here may be written to by anybody (mode 0777)",
            remedy,
        ],
    );
    refused(place(0o666, 0o755), &["/here/polyport.toml may be written by anybody (mode 0666)", remedy]);
    for (file, dir) in [(0o644, 0o755), (0o600, 0o700), (0o644, 0o1777)] {
        let launch = started(&["check", "--json"]);
        place(file, dir)(launch.dir());
        assert_eq!(checked(launch), ("theirs".to_owned(), "working directory".to_owned()));
    }
    let launch = started(&["check", "--json", "-c", "polyport.toml"]);
    place(0o666, 0o777)(launch.dir());
    assert_eq!(checked(launch), ("theirs".to_owned(), "-c".to_owned()));
}

#[test]
fn a_reload_reads_from_where_the_start_has_read() {
    let launch = started(&[]);
    let (own, nearer) =
        (launch.dir().join("config/polyport/polyport.toml"), launch.dir().join("here/polyport.toml"));
    let echo = |reply: &str| format!("{}options = {{ reply = \"{reply}\" }}\n", listen("own"));
    write(&own, "own");
    let mut daemon = launch.serve();
    let client = daemon.client(0);
    client.expect_echo(b"as it is");
    // One that would be found first now.
    write(&nearer, "nearer");
    fs::write(&own, echo("length")).unwrap();
    daemon.process.signal(Signal::HUP);
    daemon.process.wait_for_stderr("reloaded: 1 address changed");
    assert_eq!(client.ask(b"12345"), b"Your data was 5 bytes long");
    // It is looked at again in the same way.
    fs::set_permissions(&own, Permissions::from_mode(0o666)).unwrap();
    fs::write(&own, echo("same")).unwrap();
    daemon.process.signal(Signal::HUP);
    daemon.process.wait_for_stderr("not reloaded: 1 problem");
    assert!(
        daemon.process.stderr().contains("is not used, since nobody has named it"),
        "{}",
        daemon.process.stderr()
    );
    assert_eq!(client.ask(b"12345"), b"Your data was 5 bytes long");
}
