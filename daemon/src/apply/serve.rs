//! Serving a plan until somebody asks to stop.

use polyport_terminal::{Exit, Hangup, Output};

use super::banner;
use super::prepare::prepare;
use super::refused::Refused;
use super::reload::{Again, Reloading};
use super::running::Running;
use super::sources::Sources;
use crate::config::Reading;
use crate::reactor::{Flow, Shortcuts};

/// Serves a plan until a signal asks to stop. No reader of `output` is waited for meanwhile. `hangup` has the
/// configuration read `again`, and the libraries.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve(
    reading: Reading,
    sources: &Sources,
    output: &Output,
    hangup: Hangup,
    again: Again,
) -> Result<Exit, Refused> {
    let reloading = Reloading::new(hangup, again, sources.clone(), output.clone());
    run(reading, sources, output, Some(reloading), Shortcuts::default())
}

/// Serves as [`serve`] does, but for reloads, with only these of the ways that save time: for benchmarks, which measure what each of
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
    run(reading, sources, output, None, shortcuts)
}

fn run(
    reading: Reading,
    sources: &Sources,
    output: &Output,
    mut reloading: Option<Reloading>,
    shortcuts: Shortcuts,
) -> Result<Exit, Refused> {
    let mut running = Running::start_confined(prepare(reading, sources)?, output)?;
    running.reactor.set_shortcuts(shortcuts);
    output.say(banner::table(&running));
    output.serve();
    // A signal may have come before there was anything to change.
    let mut flow = Ok(Flow::Attend);
    let exit = loop {
        match flow {
            Ok(Flow::Continue) => {}
            Ok(Flow::Attend) => {
                if !reloading.as_mut().is_none_or(|reloading| reloading.attend(&mut running)) {
                    break Exit::Ok;
                }
            }
            Ok(Flow::Stop) => break Exit::Ok,
            Ok(Flow::Fatal) => break Exit::Software,
            Err(error) => {
                log::error!("waiting for datagrams failed: {error}");
                break Exit::Os;
            }
        }
        flow = running.reactor.turn();
    };
    running.reactor.stop();
    if let Some(reloading) = &reloading {
        reloading.end(&mut running);
    }
    output.say(banner::final_report(&running).trim_end_matches('\n'));
    if output.lost() > 0 {
        output.say(format_args!("  lines of the log left out {}", output.lost()));
    }
    Ok(exit)
}
