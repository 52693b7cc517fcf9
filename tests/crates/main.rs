//! The crates that others build on: what they offer, and what is in their packages.
#![cfg(test)]

mod packages;
mod public_api;

use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::plugins::repository;

/// A crate that others build on.
struct Shared {
    package: &'static str,
    /// From the root of the repository.
    dir: &'static str,
}

impl Shared {
    fn file(&self, name: &str) -> PathBuf {
        repository().join(self.dir).join(name)
    }
}

const SHARED: [Shared; 6] = [
    Shared { package: "polyport-value", dir: "plugins/value" },
    Shared { package: "polyport-abi", dir: "plugins/abi" },
    Shared { package: "polyport-protocol", dir: "protocol" },
    Shared { package: "polyport-impair", dir: "plugins/impair" },
    Shared { package: "polyport-net", dir: "daemon/net" },
    Shared { package: "polyport-plugin", dir: "plugins/sdk" },
];

/// The cargo that builds this test, at the root of the repository. With `--offline` it has what it has downloaded already.
fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(repository()).args(words);
    // Flags of this build are not those of these.
    for name in
        ["RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"]
    {
        command.env_remove(name);
    }
    command
}

/// A target directory of its own: the outer cargo may hold that of the tests.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// What it prints; it must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    // Not by `Process`: a compiler on a busy machine is silent for longer than a program of ours may be.
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
