//! The program `polyport`, built once more as a binary of this package: see the manifest.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyport::cli::run(std::env::args_os(), &polyport_shipped::PLUGINS).into()
}
