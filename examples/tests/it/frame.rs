//! `polyport-frame` against the vectors of the specification.

use std::io::Write;
use std::process::{Command, Stdio};

use polyport_tools::frame::json::FrameReport;
use serde_json::Value;

use crate::support::{object, run};

const VECTORS: &str = include_str!("../../../protocol/vectors/vectors.jsonl");

fn frames() -> impl Iterator<Item = Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|v: &Value| v["hex"].is_string())
}

fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap()
}

#[test]
fn every_vector_has_the_class_it_expects() {
    let mut count = 0;
    for vector in frames() {
        let mut arguments = vec!["decode", "--json", "--hex", text(&vector, "hex")];
        if let Some(key) = vector["key"].as_str() {
            arguments.extend(["--key", key]);
        }
        let run = run("frame", &arguments);
        let object = object::<FrameReport>(&run.out);
        assert_eq!(object["class"], vector["expect"], "{}", text(&vector, "name"));
        assert_eq!(object["length"], vector["len"]);
        assert_eq!(run.code, if vector["expect"] == "ok" { 0 } else { 65 }, "{}", text(&vector, "name"));
        let all: String =
            object["fields"].as_array().unwrap().iter().map(|field| text(field, "hex")).collect();
        assert_eq!(all, text(&vector, "hex"), "every octet is explained");
        count += 1;
    }
    assert_eq!(count, 34, "a vector was lost");
}

#[test]
fn lines_of_stdin_are_judged_one_by_one() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_polyport-frame"))
        .args(["decode", "--stdin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let vectors: Vec<Value> = frames().filter(|vector| vector["key"].is_null()).collect();
    let input: String = vectors.iter().map(|vector| format!("{}\n", text(vector, "hex"))).collect();
    let mut stdin = child.stdin.take().unwrap();
    // What is no datagram comes first, and keeps none of the others from being judged.
    let long = "00".repeat(65_508);
    let writer = std::thread::spawn(move || {
        stdin.write_all(&[b"not hex\n\n\xff\n", format!("{long}\n{input}").as_bytes()].concat()).unwrap();
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Value> = out.lines().map(object::<FrameReport>).collect();
    let told: Vec<(&str, u64)> =
        objects.iter().map(|object| (text(object, "class"), object["line"].as_u64().unwrap())).collect();
    let mut expected = vec![("not_hex", 1), ("not_hex", 3), ("too_long", 4)];
    expected.extend(vectors.iter().map(|vector| text(vector, "expect")).zip(5..));
    assert_eq!(told, expected);
    for bad in &objects[..3] {
        assert!(bad["length"].is_null() && bad["frame"].is_null() && bad["reason"].is_string(), "{bad}");
    }
    let err = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = err.lines().collect();
    assert!(
        matches!(lines[..], [a, b, c] if a.starts_with("error: line 1: `n` at character 1")
        && b == "error: line 3: the line is no text"
        && c == "error: line 4: 65508 octets are no datagram: UDP over IPv4 carries at most 65507"),
        "{err}"
    );
    assert_eq!(output.status.code(), Some(65));
}

#[test]
fn what_no_datagram_carries_is_refused_however_it_comes() {
    let told = "65508 octets are no datagram: UDP over IPv4 carries at most 65507";
    run("frame", &["encode", "--pad-to", "65508"]).fails(65, told);
    let longest = run("frame", &["encode", "--pad-to", "65507"]);
    assert_eq!((longest.code, longest.out.trim().len()), (0, 2 * 65_507));
    let path = std::env::temp_dir().join(format!("polyport-frame-long-{}", std::process::id()));
    std::fs::write(&path, vec![0; 65_508]).unwrap();
    let file = path.to_str().unwrap();
    run("frame", &["decode", "--file", file])
        .fails(65, "too long for a datagram: UDP over IPv4 carries at most");
    let judged = run("frame", &["decode", "--json", "--file", file]);
    assert_eq!((judged.code, &object::<FrameReport>(&judged.out)["class"]), (65, &"too_long".into()));
    std::fs::write(&path, vec![0; 65_507]).unwrap();
    run("frame", &["decode", "--file", file]).fails(65, "the frame of 65507 octets is refused: not_ours");
    std::fs::remove_file(&path).unwrap();
    let judged = run("frame", &["decode", "--json", "--hex", "0e5"]);
    let object = object::<FrameReport>(&judged.out);
    assert_eq!((judged.code, &object["class"], &object["line"]), (65, &"not_hex".into(), &Value::Null));
    assert_eq!(object["reason"], "the number of hex digits is odd");
}

#[test]
fn numbers_of_64_bits_survive_readers_of_json() {
    let most = u64::MAX.to_string();
    let built = run("frame", &["encode", "--seq", &most, "--timestamp", &most]);
    let judged = run("frame", &["decode", "--json", "--hex", built.out.trim()]);
    let object = object::<FrameReport>(&judged.out);
    assert_eq!(object["frame"]["seq"], most);
    assert_eq!(object["frame"]["timestamp"], most);
}

#[test]
fn the_human_form_names_fields_and_ends_with_the_class() {
    let vector = frames().find(|vector| vector["name"] == "response-stats-times").unwrap();
    let run = run("frame", &["decode", "--hex", text(&vector, "hex")]);
    assert_eq!((run.code, run.out.lines().last()), (0, Some("class: ok")), "{run:?}");
    for part in
        ["RESPONSE", "R reply, S wants RSTAT, T wants TIMES", "received at 1000 ns", "retransmission 1"]
    {
        run.prints(part);
    }
    run.prints("reply 6 of the stream, 7 requests seen");
}

#[test]
fn frames_are_built_as_the_vectors_have_them() {
    let common = ["--stream-id", "cafef00d", "--timestamp", "123456789", "--request-id", "0123456789abcdef"];
    let cases: [(&str, &[&str]); 6] = [
        ("request-min", &["--seq", "7", "--payload", "ping"]),
        ("probe-1200", &["--kind", "probe", "--pad-to", "1200"]),
        ("error-busy", &["--kind", "error", "--seq", "7", "--code", "16", "--option", "retry-after=1500"]),
        ("grease-elective", &["--seq", "7", "--flags", "X", "--option", "0x5a=deadbe", "--payload", "ping"]),
        (
            "auth-sip",
            &["--seq", "7", "--payload-hex", "70696e67", "--key", "000102030405060708090a0b0c0d0e0f"],
        ),
        (
            "response-stats-times",
            &[
                "--kind",
                "response",
                "--flags",
                "st",
                "--attempt",
                "1",
                "--seq",
                "7",
                "--option",
                "times=1000,1500",
                "--option",
                "rstat=6,7,127",
                "--payload",
                "pong",
            ],
        ),
    ];
    for (name, arguments) in cases {
        let vector = frames().find(|vector| vector["name"] == name).unwrap();
        let run = run("frame", &[&["encode"], &common[..], arguments].concat());
        assert_eq!((run.out.trim(), run.code), (text(&vector, "hex"), 0), "{name}");
    }
}

#[test]
fn keys_come_from_files_and_faults_are_one_line() {
    let vector = frames().find(|vector| vector["name"] == "auth-hmac").unwrap();
    let path = std::env::temp_dir().join(format!("polyport-frame-key-{}", std::process::id()));
    std::fs::write(&path, format!("{}\n", text(&vector, "key"))).unwrap();
    // Else it says that others may read it.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = path.to_str().unwrap();
    let good = run("frame", &["decode", "--hex", text(&vector, "hex"), "--key-file", file]);
    let wrong_id =
        run("frame", &["decode", "--hex", text(&vector, "hex"), "--key-file", file, "--key-id", "3"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(good.code, 0, "{good:?}");
    wrong_id.fails(65, "bad_auth");
    run("frame", &["decode", "--hex", text(&vector, "hex"), "--key-file", file]).fails(65, "key file");
    run("frame", &["decode", "--hex", "0e5"]).fails(65, "odd");
    run("frame", &["decode", "--hex", &text(&vector, "hex")[..80]]).fails(65, "40 octets is refused: short");
    run("frame", &["encode", "--option", "room=255", "--pad-to", "70000"]).fails(65, "70000");
    assert_eq!(run("frame", &["decode"]).code, 64);
    assert_eq!(run("frame", &["encode", "--kind", "0x8a"]).code, 64);
    assert_eq!(run("frame", &["--version"]).code, 0);
    run("frame", &["--help"]).prints("Examples:");
}
