//! The daemon without some of the ways that only save time, to measure what each of them is worth:
//!
//! ```text
//! cargo build --release --workspace
//! python3 tests/bench/run.py --shapes pingpong --variant 'all=target/release/polyport-ablation' \
//!     --variant 'no one=target/release/polyport-ablation --without one'
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use polyport::reactor::Shortcuts;
use polyport::{apply, config};
use polyport_terminal::{Exit, Output, complain};

#[derive(Debug, Parser)]
struct Arguments {
    /// What is left out
    #[arg(long, value_delimiter = ',')]
    without: Vec<Shortcut>,
    /// As the program has it: `run -c FILE`
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run {
        #[arg(short)]
        config: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shortcut {
    One,
    Prefetch,
}

fn main() -> ExitCode {
    let Arguments { without, command: Command::Run { config, .. } } = Arguments::parse();
    let takes = |shortcut| !without.contains(&shortcut);
    let shortcuts = Shortcuts { one: takes(Shortcut::One), prefetch: takes(Shortcut::Prefetch) };
    let output = match Output::new() {
        Ok(output) => output,
        Err(error) => {
            complain(format_args!("cannot duplicate the descriptors of the output: {error}"));
            return Exit::Os.into();
        }
    };
    let exit = match apply::serve_with(config::load(&config), &apply::Sources::default(), &output, shortcuts)
    {
        Ok(exit) => exit,
        Err(refused) => {
            output.remark(refused.problems.render(false).trim_end());
            refused.exit
        }
    };
    output.finish();
    exit.into()
}
