//! Serving a plan until somebody asks to stop.

use polyport_terminal::{Exit, Output};

use super::banner;
use super::prepare::prepare;
use super::refused::Refused;
use super::running::Running;
use super::sources::Sources;
use crate::config::Reading;
use crate::reactor::{Flow, Shortcuts};

/// Serves a plan until a signal asks to stop. No reader of `output` is waited for meanwhile.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve(reading: Reading, sources: &Sources, output: &Output) -> Result<Exit, Refused> {
    serve_with(reading, sources, output, Shortcuts::default())
}

/// Serves as [`serve`] does, with only these of the ways that save time: for benchmarks, which measure what each of
/// them is worth.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve_with(
    reading: Reading,
    sources: &Sources,
    output: &Output,
    shortcuts: Shortcuts,
) -> Result<Exit, Refused> {
    let mut running = Running::start_confined(prepare(reading, sources)?, output)?;
    running.reactor.set_shortcuts(shortcuts);
    output.say(banner::table(&running));
    output.serve();
    let exit = loop {
        match running.reactor.turn() {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop) => break Exit::Ok,
            Ok(Flow::Fatal) => break Exit::Software,
            Err(error) => {
                log::error!("waiting for datagrams failed: {error}");
                break Exit::Os;
            }
        }
    };
    running.reactor.stop();
    output.say(banner::final_report(&running).trim_end_matches('\n'));
    if output.lost() > 0 {
        output.say(format_args!("  lines of the log left out {}", output.lost()));
    }
    Ok(exit)
}
