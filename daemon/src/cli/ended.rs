//! What a command has to say, and how it ends.

use std::io;
use std::sync::Arc;

use polyport_terminal::{Exit, Output, Severity, complain};

use super::log_level;
use super::logging::{self, LogArgs};
use crate::apply;
use crate::config::Problems;

/// Runs a command whose log and remarks are written by threads, and waits for what they still have to write.
pub(super) fn with_output(log: &LogArgs, command: impl FnOnce(&Output, apply::LogLevel) -> Exit) -> Exit {
    let output = match Output::shaped(log.shape()) {
        Ok(output) => output,
        Err(error) => {
            complain(format_args!("cannot duplicate the descriptors of the output: {error}"));
            return Exit::Os;
        }
    };
    let output = if log.quiet { output.hushed() } else { output };
    output.print_panics();
    if let Err(error) = apply::tell_of_crashes() {
        output.remark_of(
            Severity::Warn,
            format_args!("warn: a crash will not say which plugin did it: {error}"),
        );
    }
    let log_level = Arc::new(log_level::init(log, &output));
    let exit = command(&output, log_level);
    output.finish();
    exit
}

/// `exit`, unless what was asked for could not be written.
pub(super) fn ended(written: io::Result<()>, exit: Exit) -> Exit {
    match written {
        Ok(()) => exit,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
}

pub(super) fn rendered(problems: &Problems, output: &Output) -> String {
    problems.render(logging::is_coloured(output)).trim_end_matches('\n').to_owned()
}
