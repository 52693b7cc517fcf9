//! Load tester for UDP services.

use std::process::ExitCode;

use polyport_tools::{load, outcome};

fn main() -> ExitCode {
    let command: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    outcome::main(|args| load::run(&args, &command))
}
