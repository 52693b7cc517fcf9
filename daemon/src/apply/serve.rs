//! Serving a plan until somebody asks to stop.

use std::path::PathBuf;

use polyport_terminal::{Exit, say};

use super::banner;
use super::prepare::prepare;
use super::refused::Refused;
use super::running::Running;
use crate::config::Reading;
use crate::reactor::{Flow, Shortcuts};

/// Serves a plan until a signal asks to stop.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve(reading: Reading, plugin_dirs: &[PathBuf]) -> Result<Exit, Refused> {
    serve_with(reading, plugin_dirs, Shortcuts::default())
}

/// Serves as [`serve`] does, with only these of the ways that save time: for benchmarks, which measure what each of
/// them is worth.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve_with(reading: Reading, plugin_dirs: &[PathBuf], shortcuts: Shortcuts) -> Result<Exit, Refused> {
    let mut running = Running::start_confined(prepare(reading, plugin_dirs)?)?;
    running.reactor.set_shortcuts(shortcuts);
    say(banner::table(&running));
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
    say(banner::final_report(&running).trim_end_matches('\n'));
    Ok(exit)
}
