//! What does not end, or is out of all proportion, is refused at once and in words; what does not come can be interrupted.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Run, closed, command, finish, run};

/// What reading takes that stops where it should: filling the memory takes longer.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Runs a client that must not take long.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the wait is what is tested")]
fn at_once(binary: &str, arguments: &str) -> Run {
    let start = Instant::now();
    let ended = run(binary, &arguments.split(' ').collect::<Vec<_>>());
    assert!(start.elapsed() < AT_ONCE, "{binary} {arguments}: {:?}", start.elapsed());
    ended
}

/// A file of this test alone; the test removes it.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("polyport-endless-{name}-{}", std::process::id()))
}

/// A18.
#[test]
fn a_key_file_without_an_end_is_refused_by_every_client_that_takes_one() {
    let sparse = path("sparse");
    File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    fs::set_permissions(&sparse, Permissions::from_mode(0o600)).unwrap();
    let listening = format!("--listen --count 1 239.255.77.9:{}", closed().port());
    for file in [Path::new("/dev/zero"), &sparse] {
        let file = file.display();
        for (binary, arguments) in [
            ("request", "127.0.0.1:9"),
            ("cast", "--ppt 239.255.77.9:9"),
            ("cast", &listening),
            ("mtu", "127.0.0.1:9"),
            ("load", "127.0.0.1:9"),
            ("frame", "decode --hex 00"),
            ("frame", "encode"),
        ] {
            let told = format!("cannot read the key file {file}: longer than 16384 octets");
            let ended = at_once(binary, &format!("{arguments} --key-file {file}"));
            assert!(ended.code == 65 && ended.err.contains(&told), "{binary} {arguments}: {ended:?}");
        }
    }
    fs::remove_file(&sparse).unwrap();
}

#[test]
fn a_datagram_without_an_end_is_refused() {
    let zero = || Stdio::from(File::open("/dev/zero").unwrap());
    for arguments in [&["decode", "--stdin"][..], &["decode", "--stdin", "--json"]] {
        let ended = finish(command("frame", arguments).stdin(zero()).spawn().unwrap());
        ended.fails(65, "line 1: longer than 262028 octets, and so no datagram");
        let told = ended.out.starts_with(r#"{"class":"too_long","#);
        assert_eq!(told, arguments.contains(&"--json"), "{ended:?}");
    }
    at_once("frame", "decode --file /dev/zero")
        .fails(65, "cannot read /dev/zero: it is too long for a datagram");
}

#[test]
fn a_log_without_an_end_of_line_is_refused() {
    let told = "line 1: longer than 1024 octets, and so no line of a decision log";
    at_once("plot", "/dev/zero").fails(65, told);
    at_once("plot", "/dev/null").fails(65, "/dev/null: it is empty");
    let zero = Stdio::from(File::open("/dev/zero").unwrap());
    finish(command("plot", &["-"]).stdin(zero).spawn().unwrap()).fails(65, told);
}

/// The longest datagram in the longest form is read.
#[test]
fn the_longest_line_is_judged() {
    let text = path("longest");
    let line = "00 :".repeat(65_507);
    fs::write(&text, format!("{line}\n{line}")).unwrap();
    let ended =
        finish(command("frame", &["decode", "--stdin"]).stdin(File::open(&text).unwrap()).spawn().unwrap());
    assert_eq!((ended.code, ended.out.matches("class: ").count()), (65, 2), "{}", ended.err);
    fs::write(&text, format!("{line} \n")).unwrap();
    let ended =
        finish(command("frame", &["decode", "--stdin"]).stdin(File::open(&text).unwrap()).spawn().unwrap());
    ended.fails(65, "line 1: longer than 262028 octets");
    fs::remove_file(&text).unwrap();
}

#[test]
fn what_does_not_come_can_be_interrupted() {
    let pipe = path("pipe");
    let Ok(made) = Command::new("mkfifo").arg(&pipe).status() else { return };
    assert!(made.success());
    let file = pipe.to_str().unwrap();
    for (binary, arguments) in [
        ("request", ["127.0.0.1:9", "hello"]),
        ("mtu", ["--json", "127.0.0.1:9"]),
        ("load", ["-q", "127.0.0.1:9"]),
        ("cast", ["--ppt", "239.255.77.9:9"]),
        ("frame", ["decode", "--hex=00"]),
    ] {
        let child = command(binary, &[&arguments[..], &["--key-file", file]].concat()).spawn().unwrap();
        // Once somebody reads, it can be opened.
        let writer = OpenOptions::new().write(true).open(&pipe).unwrap();
        // Not SIGINT: what a shell starts in the background, this test perhaps, ignores that.
        let signal = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(signal.success());
        let ended = finish(child);
        assert_eq!((ended.code, ended.out.contains("answer")), (-1, false), "{binary}: {ended:?}");
        drop(writer);
    }
    fs::remove_file(&pipe).unwrap();
}

#[test]
fn a_key_file_that_others_may_use_is_told_and_nothing_of_a_bad_one_is_shown() {
    let key = path("key");
    let decode = |text: &str, mode: u32| {
        fs::write(&key, text).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        run("frame", &["encode", "--key-file", key.to_str().unwrap()])
    };
    let good = "000102030405060708090a0b0c0d0e0f";
    assert_eq!(decode(good, 0o600).err, "");
    for mode in [0o644, 0o640, 0o620] {
        let told =
            format!("warning: others may use the key file {} (mode 0{mode:o}): chmod go= ", key.display());
        let ended = decode(good, mode);
        assert!(ended.code == 0 && ended.err.starts_with(&told), "{ended:?}");
    }
    decode("0001x2", 0o600).fails(65, "character 5 is no hex digit");
    decode("000", 0o600).fails(65, "odd");
    assert!(!decode("0001x2", 0o600).err.contains("`x`"));
    run("frame", &["encode", "--key", "0001x2"]).fails(65, "--key: character 5 is no hex digit");
    fs::remove_file(&key).unwrap();
}

#[test]
fn what_is_out_of_all_proportion_is_a_wrong_command_line() {
    let ports = format!("127.0.0.1:{}1", "1-65535,".repeat(5000));
    let hosts = (1..=20).map(|host| format!("127.0.0.{host}:1-65535")).collect::<Vec<_>>().join(" ");
    for (binary, arguments, told) in [
        ("load", "-r 1001M/s -d 300ms 127.0.0.1:9", "at most 1000M/s: the schedule counts nanoseconds"),
        ("load", "-r 0.000001/h 127.0.0.1:9", "fewer digits behind the point"),
        ("load", &ports, "has more than 256 parts"),
        ("load", &hosts, "the targets are more than 65535 addresses"),
        ("load", "127.0.0.1:1-65535 --streams 1000", "streams"),
        ("load", "--size 65536 127.0.0.1:9", "65536"),
        ("load", "-d 100000h 127.0.0.1:9", "longer than 100 days"),
        ("load", "--interval 0s 127.0.0.1:9", "a time above zero"),
        ("request", "--pad-to 18446744073709551615 127.0.0.1:9", "no datagram has more than 65507 octets"),
        ("request", "--retries 255 127.0.0.1:9", "255"),
        ("request", &ports, "service"),
        ("mtu", "--max 18446744073709551615 127.0.0.1:9", "no datagram has more than 65507 octets"),
        ("cast", "--count 18446744073709551616 239.255.77.9:9", "number too large"),
        ("cast", "--ttl 256 239.255.77.9:9", "256"),
    ] {
        let ended = at_once(binary, arguments);
        let words: String = ended.err.chars().take(200).collect();
        assert!(
            ended.code == 64 || ended.code == 68 && told == "service",
            "{binary}: {} {words}",
            ended.code
        );
        assert!(ended.err.contains(told), "{binary}: no {told:?} in {words}");
    }
}
