//! The program `polyport-load`, built once more as a binary of this package: see the manifest.

use std::process::ExitCode;

use polyport_tools::{load, outcome};

fn main() -> ExitCode {
    outcome::main(|args| load::run(&args, &[]))
}
