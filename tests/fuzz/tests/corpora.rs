//! The corpora as inputs of ordinary tests: each file as it is, and slightly changed in ways that repeat.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

use polyport_fuzz::{
    captures, configuration, identity, impair, library, plot, protocol, replies, responder, stamp, values,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The name of a corpus, the function, changes tried of each file.
type Target = (&'static str, fn(&[u8]), u32);

/// The targets of this crate.
const TARGETS: &[Target] = &[
    ("protocol_decode", protocol::datagram, 50),
    ("responder_requests", responder::requests, 5),
    ("stamp_packets", stamp::packets, 50),
    ("client_replies", replies::requests, 20),
    ("client_path_mtu", replies::path_mtu, 20),
    ("configuration", configuration::toml, 20),
    ("listen_specs", configuration::specs, 20),
    ("identity", identity::file, 20),
    ("library", library::file, 200),
    ("decision_logs", plot::log, 20),
    ("option_values", values::text, 100),
    ("impair_files", impair::files, 100),
    ("captures", captures::file, 60),
];
/// Targets with the code that they look into; their corpora are tried there.
const ELSEWHERE: &[&str] = &["exchange_outputs", "control_messages", "recording"];

#[test]
fn every_input_holds_as_it_is_and_changed() {
    for (name, target, changes) in TARGETS {
        let files = corpus(name);
        assert!(files.len() > 3, "{name}: {} inputs", files.len());
        for file in files {
            // Shown with a failure: this input, and the number of the change.
            println!("{}", file.display());
            let bytes = fs::read(&file).unwrap();
            target(&bytes);
            for seed in 0..u64::from(*changes) {
                println!("change {seed}");
                target(&changed(&bytes, &mut StdRng::seed_from_u64(seed)));
            }
        }
    }
}

/// Flips, drops, doubles or cuts, a few times.
fn changed(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..6_u32) {
        let at = rng.random_range(0..=bytes.len());
        let to = (at + rng.random_range(1..9_usize)).min(bytes.len());
        match rng.random_range(0..5_u32) {
            0 => bytes.insert(at, rng.random()),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.extend_from_within(at..to),
            3 => bytes.truncate(bytes.len() - (to - at)),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8_u32),
            _ => {}
        }
    }
    bytes
}

#[test]
fn each_corpus_has_a_target_and_each_target_a_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known: Vec<_> = TARGETS.iter().map(|(name, ..)| *name).chain(ELSEWHERE.iter().copied()).collect();
    known.sort_unstable();
    assert_eq!(names(&here.join("corpus")), known);
    assert_eq!(names(&here.join("libfuzzer/targets")), known);
    let manifest = fs::read_to_string(here.join("libfuzzer/Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
}

/// All that is committed is small: what a fuzzer has found beyond it stays where it was found.
#[test]
fn the_corpora_are_small() {
    let names: Vec<_> = TARGETS.iter().map(|(name, ..)| *name).chain(ELSEWHERE.iter().copied()).collect();
    let files: Vec<_> = names.into_iter().flat_map(corpus).collect();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 300 << 10, "{} files of {bytes} bytes", files.len());
}

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> =
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
