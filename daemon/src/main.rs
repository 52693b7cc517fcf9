//! The program `polyport`: see `polyport --help` and the README.

use std::process::ExitCode;

fn main() -> ExitCode {
    polyport::cli::run(std::env::args_os(), &polyport_shipped::PLUGINS).into()
}
