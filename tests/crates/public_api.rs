//! What each of these crates offers is the committed list: who changes it sees what others will see.
//!
//! The list is made from the JSON of rustdoc, which is not stable: it has a version, each compiler writes one, and the library that
//! reads it takes one. With a compiler of another the test says so instead.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use polyport_tests::tool::skip;
use public_api::Builder;
use serde_json::Value;

use crate::{SHARED, Shared, cargo, printed, scratch};

/// The version of the JSON that `public-api` of tests/Cargo.toml reads.
const READS: u64 = 57;

const RENEW: &str = "POLYPORT_WRITE_API=1 cargo test -p polyport-tests --test crates public_api";

/// Traits that the compiler finds out, and that no caller of these crates lives on.
const OF_NO_CONCERN: &[&str] = &["Freeze", "UnsafeUnpin", "Unpin", "RefUnwindSafe", "UnwindSafe"];

#[test]
fn what_the_crates_offer_is_what_their_lists_say() {
    let mut wrong = Vec::new();
    for shared in &SHARED {
        if cfg!(not(target_os = "linux")) && shared.package == "polyport-net" {
            skip("the list of polyport-net is that of Linux");
            continue;
        }
        let json = documented(shared);
        let version = format_version(&json);
        if version != Some(READS) {
            skip(&format!(
                "rustdoc writes version {version:?} of its JSON, and public-api reads {READS}: try Rust 1.95, or take the \
                 public-api of this compiler in tests/Cargo.toml and renew the lists by {RENEW}"
            ));
            return;
        }
        let now = offered(&json);
        let list = shared.file("public-api.txt");
        if env::var_os("POLYPORT_WRITE_API").is_some() {
            fs::write(&list, now).unwrap();
            continue;
        }
        let before = fs::read_to_string(&list).unwrap_or_default();
        if before != now {
            wrong.push(format!("{}:\n{}", list.display(), difference(&before, &now)));
        }
    }
    assert!(
        wrong.is_empty(),
        "what is offered has changed; if that is meant, {RENEW}. A line that has gone breaks those who use it, so the next \
         release has another version, and CHANGELOG.md says it.\n{}",
        wrong.join("\n")
    );
}

/// Documents the crate as JSON.
#[track_caller]
fn documented(shared: &Shared) -> PathBuf {
    let target = scratch("public-api");
    let mut cargo =
        cargo(&["rustdoc", "--offline", "--locked", "--lib", "-p", shared.package, "--target-dir"]);
    cargo.arg(&target).args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
    // A stable compiler writes it as well, when it is told that this is meant.
    printed(cargo.env("RUSTC_BOOTSTRAP", "1"));
    target.join("doc").join(shared.package.replace('-', "_")).with_extension("json")
}

fn format_version(json: &Path) -> Option<u64> {
    let whole: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    whole.get("format_version").and_then(Value::as_u64)
}

/// A line for each thing that a user of the crate can name or rely on.
#[track_caller]
fn offered(json: &Path) -> String {
    let api = Builder::from_rustdoc_json(json).omit_blanket_impls(true).omit_auto_derived_impls(true).build();
    let lines: Vec<String> = api.unwrap().items().map(ToString::to_string).collect();
    assert!(lines.len() > 5, "{lines:?}");
    let of_concern = lines.into_iter().filter(|line| !is_of_no_concern(line));
    of_concern.map(|line| line + "\n").collect()
}

/// `impl core::marker::Freeze for ...`, or `impl<T> !core::marker::Unpin for ...`.
fn is_of_no_concern(line: &str) -> bool {
    let of_impl = line.starts_with("impl").then(|| line.split_once(" for ")).flatten();
    of_impl.is_some_and(|(what, _)| {
        OF_NO_CONCERN.iter().any(|name| what.ends_with(&format!("::{name}")) && !what.contains(" polyport_"))
    })
}

/// What has gone, and what has come.
fn difference(before: &str, now: &str) -> String {
    let [before, now] = [before, now].map(|text| text.lines().collect::<BTreeSet<_>>());
    let gone = before.difference(&now).map(|line| format!("- {line}"));
    let come = now.difference(&before).map(|line| format!("+ {line}"));
    let lines: Vec<String> = gone.chain(come).collect();
    if lines.is_empty() { "only the order of the lines".to_owned() } else { lines.join("\n") }
}
