//! Load tester for UDP services.

use std::process::ExitCode;

use polyport_examples::{exit, load};

fn main() -> ExitCode {
    exit::main(|args| load::run(&args))
}
