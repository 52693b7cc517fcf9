//! Load tester for UDP services.

use std::process::ExitCode;

use polyport_tools::{load, outcome};

fn main() -> ExitCode {
    outcome::main(|args| load::run(&args))
}
