//! Results that were changed by chance or on purpose, through every form that `polyport-load` gives a result. They are refused, or shown
//! without harm: no panic, nothing that a terminal obeys, and files that other programs read.

use std::fs;
use std::path::Path;

use polyport_terminal::{Exit, Style};
use polyport_tools::json;
use polyport_tools::load::compare::{Method, Run, compare};
use polyport_tools::load::json::LoadReport;
use polyport_tools::load::merge::merge;
use polyport_tools::load::output::FileArgs;
use polyport_tools::load::report::{self, Tables};
use polyport_tools::load::written::{self, Written};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::server::Server;
use crate::tester::run;

/// Words that mean something to a terminal, to XML, to HTML, to JSON, to `OpenMetrics`, or to no reader at all.
const WORDS: [&str; 16] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{90}\u{9c}",
    "\u{0}\u{1}\u{8}\u{7f}",
    "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}",
    "\u{fffe}\u{ffff}\u{fdd0}\u{10ffff}\u{e0001}",
    "a\r\nb\n# EOF\nc 1",
    "\"} 1\npolyport_load_evil{x=\"",
    "\\\"\\\\\\n",
    "]]>--><!--<![CDATA[&lt;&#0;",
    "</style></svg></td><script>alert(1)</script><img src=http://192.0.2.1/>",
    "\" onload=\"alert(1)\" '",
    "",
    " ",
    "{{{}}} {0} %s %n $(id) `id`",
    "../../../etc/passwd",
    "\u{301}\u{1f468}\u{200d}\u{1f469}",
];

fn measured() -> Value {
    let server = Server::start(|request| {
        if request.number % 7 != 3 {
            request.send(&request.response());
        }
    });
    let line = format!(
        "{} --rate 500/s -d 600ms --interval 100ms --warmup 0s --no-handshake --timeout 5s -q --json --threshold ok>=1 \
         --threshold p99<5s --percentiles 50,99.9",
        server.address
    );
    let ran = run(&line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

/// Whether a text has nothing in it that a terminal would obey or nobody sees, but for line ends.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    let bidirectional =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let evil = text.chars().find(|c| (c.is_control() && *c != '\n') || bidirectional(*c) || *c == '\u{feff}');
    assert_eq!(evil, None, "{what}: {text}");
}

/// What [`harmless_forms`] made of a file.
struct Forms {
    folder: tempfile::TempDir,
    accepted: usize,
    refused: usize,
}

impl Forms {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), accepted: 0, refused: 0 }
    }

    /// Reads a text as a result, and if it is one, makes every form of it.
    fn try_all(&mut self, text: &[u8]) {
        let path = self.folder.path().join("result.json");
        fs::write(&path, text).unwrap();
        match written::read(&path) {
            Ok(written) => {
                self.accepted += 1;
                forms(self.folder.path(), &written);
            }
            Err(error) => {
                self.refused += 1;
                assert_eq!(error.exit, Exit::BadInput);
                let said = error.to_string();
                assert_harmless("refusal", &said);
                assert!(said.contains("result.json: ") && said.len() < 4096, "{said}");
            }
        }
    }
}

/// Every form of a result.
fn forms(folder: &Path, written: &Written) {
    let Written { report, config, summary } = written;
    let tables = Tables { ports: true, flows: true };
    assert_harmless("show", &report::text(config, summary, &report.thresholds, tables, Style::PLAIN));
    for warning in report::warnings(config, summary) {
        assert_harmless("warning", &warning);
    }
    let at = |name: &str| Some(folder.join(name));
    let files = FileArgs {
        html: at("html"),
        svg: at("svg"),
        csv: at("csv"),
        hdr_log: at("hlog"),
        junit: at("xml"),
        openmetrics: at("prom"),
    };
    files.write(report, summary).unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for name in ["html", "svg", "xml"] {
        let text = read(name);
        assert_harmless(name, &text);
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
        let document = roxmltree::Document::parse_with_options(&text, options)
            .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        let foreign = document.descendants().find(|node| {
            ["script", "img", "a", "link", "iframe"].iter().any(|tag| node.tag_name().name() == *tag)
                || node.attributes().any(|attribute| attribute.name().starts_with("on"))
        });
        assert!(foreign.is_none(), "{name}: {foreign:?}");
        // XML 1.0 section 2.2.
        assert!(!text.contains(['\u{fffe}', '\u{ffff}']), "{name}");
    }
    let rows = read("csv");
    assert_harmless("csv", &rows.replace('\r', ""));
    let columns = rows.lines().next().unwrap().split(',').count();
    assert!(rows.lines().all(|row| row.split(',').count() == columns), "{rows}");
    assert_harmless("hlog", &read("hlog"));
    let gauges = read("prom");
    assert_harmless("prom", &gauges);
    for line in gauges.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("polyport_load_") && !line.starts_with("polyport_load_evil"), "{line}");
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
    }
    assert!(gauges.lines().position(|line| line == "# EOF") == Some(gauges.lines().count() - 1), "{gauges}");
    let twice = [("one".to_owned(), report.clone()), ("other".to_owned(), report.clone())];
    for mixed in [false, true] {
        match merge(&twice, mixed) {
            Ok(sum) => {
                let text = json::line(&sum).unwrap();
                assert_harmless("merge", &text);
                let again: LoadReport = serde_json::from_str(&text).unwrap();
                Written::new(again).unwrap_or_else(|error| panic!("a sum is a result: {error}: {text}"));
            }
            Err(error) => assert_harmless("refused merge", &written::escaped(&error)),
        }
    }
    let run = || Run { intervals: summary.intervals.clone(), length: report.length() };
    let method = Method { confidence: 0.99, tolerance: 0.05, seed: 1 };
    match compare(&run(), &run(), method) {
        Ok(compared) => {
            assert_harmless("compare", &compared.text());
            assert!(!compared.regression, "a run is not worse than itself: {}", compared.text());
            assert_harmless("compare", &json::line(&compared).unwrap());
        }
        Err(error) => assert!(error.contains("intervals"), "{error}"),
    }
}

/// The places of all values in a result.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let at = format!("{at}/{}", escaped(key));
                places(member, &at, all);
                all.push(at);
            }
        }
        Value::Array(values) => {
            for (place, member) in values.iter().enumerate() {
                let at = format!("{at}/{place}");
                places(member, &at, all);
                all.push(at);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_text_of_a_result_is_escaped_in_every_form() {
    let (result, mut forms) = (measured(), Forms::new());
    let mut all = Vec::new();
    places(&result, "", &mut all);
    all.retain(|at| result.pointer(at).unwrap().is_string());
    // Words of a command, of a machine, of a threshold: any words are words. The others are read as something else, and refused.
    let (words, others): (Vec<&String>, Vec<&String>) = all.iter().partition(|at| {
        let free = ["/runs/0/command/", "/runs/0/host/", "/runs/0/program", "/thresholds/", "/program"];
        free.iter().any(|free| at.starts_with(free))
    });
    assert!(words.len() > 10 && others.len() > 10, "{words:?} {others:?}");
    // Each place has another word, and gets the next but three the next time.
    for shift in (0..WORDS.len()).step_by(4) {
        for judged in [false, true] {
            let mut changed = result.clone();
            for (place, at) in
                words.iter().enumerate().filter(|(_, at)| judged || !at.starts_with("/thresholds/"))
            {
                *changed.pointer_mut(at).unwrap() = WORDS[(place + shift) % WORDS.len()].into();
            }
            forms.try_all(changed.to_string().as_bytes());
        }
    }
    assert_eq!((forms.accepted, forms.refused), (WORDS.len() / 2, 0));
    for (at, word) in others.into_iter().zip(WORDS.iter().cycle()) {
        let mut changed = result.clone();
        *changed.pointer_mut(at).unwrap() = (*word).into();
        forms.try_all(changed.to_string().as_bytes());
    }
    assert!(forms.refused >= 10, "{} {}", forms.accepted, forms.refused);
    for map in ["classes", "errors", "icmp", "loss_runs", "reorder_density"] {
        for word in WORDS {
            let mut changed = result.clone();
            changed[map].as_object_mut().unwrap().insert(word.to_owned(), json!(1));
            forms.try_all(changed.to_string().as_bytes());
        }
    }
}

/// Changes by chance of each result.
const CHANGES: u64 = 200;

#[test]
fn a_result_that_was_changed_by_chance_is_refused_or_shown() {
    let (result, mut forms) = (measured(), Forms::new());
    let mut all = Vec::new();
    places(&result, "", &mut all);
    let numbers = [
        json!(-1),
        json!(0),
        json!(1),
        json!((1_u64 << 53) - 1),
        json!(1_u64 << 53),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(0.5),
    ];
    for seed in 0..CHANGES {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut changed = result.clone();
        for _ in 0..rng.random_range(1..=2) {
            let Some(place) = changed.pointer_mut(all.choose(rng).unwrap()) else { continue };
            let was = place.take();
            *place = match (rng.random_range(0..12), was) {
                (0, _) => Value::Null,
                (1, _) => json!([]),
                (2, _) => json!({ *WORDS.choose(rng).unwrap(): numbers.choose(rng).unwrap() }),
                (3, was) => json!([was, was, was]),
                (_, Value::Array(mut values)) => {
                    values.extend(values.clone());
                    values.into()
                }
                (_, Value::String(_)) => json!(WORDS.choose(rng).unwrap()),
                (_, Value::Bool(is)) => json!(!is),
                (_, Value::Number(_)) => numbers.choose(rng).unwrap().clone(),
                (_, was) => was,
            };
        }
        let mut text = changed.to_string().into_bytes();
        // Some are torn as well.
        match rng.random_range(0..12) {
            0 => text.truncate(rng.random_range(0..text.len())),
            1 => {
                let at = rng.random_range(0..text.len());
                text[at] = rng.random();
            }
            _ => {}
        }
        forms.try_all(&text);
    }
    assert!(forms.accepted >= 10 && forms.refused >= 60, "{} {}", forms.accepted, forms.refused);
}

#[test]
fn what_is_too_deep_too_great_or_grows_when_it_is_read_is_refused() {
    let result = measured();
    let text = result.to_string();
    let with = |pointer: &str, value: Value| {
        let mut changed = result.clone();
        *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        changed.to_string()
    };
    // As it is written, which no reader of numbers would keep.
    let raw = |pointer: &str, number: &str| with(pointer, json!("HERE")).replace("\"HERE\"", number);
    // A MiB of zeros deflated, so that it can stand behind itself.
    let mut mebibyte = Vec::with_capacity(1 << 16);
    flate2::Compress::new(flate2::Compression::best(), false)
        .compress_vec(&vec![0; 1 << 20], &mut mebibyte, flate2::FlushCompress::Full)
        .unwrap();
    let bomb = |mebibytes: usize| {
        let deflated = [[0x78, 0xda].as_slice(), &mebibyte.repeat(mebibytes)].concat();
        let length = u32::try_from(deflated.len()).unwrap().to_be_bytes();
        data_encoding::BASE64.encode(&[[0x1c, 0x84, 0x93, 0x14].as_slice(), &length, &deflated].concat())
    };
    let ports = result["ports"][0].clone();
    let half = json!((1_u64 << 53) - 1);
    let two = |value: &Value| {
        let mut one = value.clone();
        one["dup_up"] = half.clone();
        one["rtt_from_plan"] = Value::Null;
        one["histogram"] = Value::Null;
        json!([one.clone(), one])
    };
    let cases = [
        ("deep", format!("{{\"format\":{}", "[".repeat(1 << 20)), "no result of this version"),
        (
            "deep in the result",
            text.replacen("\"runs\":[", &format!("\"runs\":[{}", "[".repeat(1 << 20)), 1),
            "",
        ),
        ("1e308", raw("/counts/planned", "1e308"), "invalid type: floating point"),
        ("1e999", raw("/counts/planned", "1e999"), "number out of range"),
        ("a long number", raw("/counts/planned", &"9".repeat(1 << 20)), "number out of range"),
        ("NaN", raw("/counts/planned", "NaN"), "no result of this version"),
        ("negative", raw("/counts/planned", "-1"), "-1"),
        ("2^64", raw("/counts/planned", "18446744073709551616"), "floating point"),
        ("sum", with("/ports", two(&ports)), "the sum of its `ports` reaches 2^53"),
        ("200 MiB", with("/histograms/lag", json!(bomb(200))), "it has more than 248872 octets"),
        ("8 GiB", with("/histograms/lag", json!(bomb(8192))), "no histogram of ours has more"),
        (
            "many values",
            with("/config/pin", json!([]))
                .replace("\"pin\":[]", &format!("\"pin\":[0{}]", ",0".repeat(10_000_000))),
            "values",
        ),
        ("twice", text.replacen('{', "{\"format\":3,", 1), "duplicate field"),
        ("no text", "\u{0}".repeat(1000), "no result of this version"),
        ("nothing", String::new(), "no result of this version"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.json");
    for (name, text, why) in cases {
        fs::write(&path, text).unwrap();
        // As a process: what it takes would end this one as well.
        let limited = "ulimit -v 2000000; exec \"$0\" report show \"$1\" --html \"$2\"";
        let ran: crate::tester::Ran = std::process::Command::new("sh")
            .args(["-c", limited, env!("CARGO_BIN_EXE_polyport-load")])
            .args([&path, &folder.path().join("page.html")])
            .output()
            .unwrap()
            .into();
        assert!(ran.code == 65 && ran.stderr.contains(why), "{name}: {} {:.400}", ran.code, ran.stderr);
        assert!(ran.stderr.len() < 4096 && ran.stdout.is_empty(), "{name}: {:.400}", ran.stderr);
        assert_harmless(name, &ran.stderr);
    }
}
