//! Serving a plan until somebody asks to stop.

use std::rc::Rc;

use polyport_terminal::{Exit, Hangup, Inquiry, Output};

use super::banner;
use super::control::{self, Control, LogLevel};
use super::given;
use super::makers;
use super::manager::Manager;
use super::metrics::{self, Metrics};
use super::notifier::Notifier;
use super::prepare::prepare;
use super::refused::Refused;
use super::reload::{Again, Reloading};
use super::running::Running;
use super::sources::Sources;
use super::status;
use crate::broker::Maker;
use crate::config::Reading;
use crate::reactor::{Flow, InheritedSocket, Shortcuts};

/// Serves a plan until a signal asks to stop. No reader of `output` is waited for meanwhile. `hangup` has the
/// configuration read `again`, and the libraries; `inquiry` has the log told how it goes. The control socket of the plan sets
/// `log_level`, and its metrics are told by HTTP. The service `manager` has sockets for it, perhaps, and wants to be told how it goes.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve(
    reading: Reading,
    sources: &Sources,
    output: &Output,
    (hangup, inquiry): (Hangup, &Inquiry),
    again: Again,
    log_level: LogLevel,
    manager: Manager,
) -> Result<Exit, Refused> {
    let notifier = Rc::new(Notifier::new(manager.notify.as_deref(), manager.watchdog));
    let reloading = Reloading::new(hangup, again, sources.clone(), output.clone(), Rc::clone(&notifier));
    let asked = Some((reloading, inquiry, log_level));
    run(reading, sources, output, asked, (manager.given, &notifier), Shortcuts::default())
}

/// Serves as [`serve`] does, but for reloads and the control socket, with only these of the ways that save time: for benchmarks, which measure what each of
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
    run(reading, sources, output, None, (Vec::new(), &Notifier::default()), shortcuts)
}

fn run(
    reading: Reading,
    sources: &Sources,
    output: &Output,
    asked: Option<(Reloading, &Inquiry, LogLevel)>,
    (given, notifier): (Vec<InheritedSocket>, &Notifier),
    shortcuts: Shortcuts,
) -> Result<Exit, Refused> {
    let mut prepared = prepare(reading, sources)?;
    let endpoint = if asked.is_some() { control::bind(&mut prepared)? } else { None };
    let bound = if asked.is_some() { metrics::bind(&prepared)? } else { None };
    // Who is never asked for another plan makes no sockets later.
    let maker = if asked.is_some() { makers::start(&prepared) } else { Maker::Here };
    let first = given::maker(&prepared.plan, given)?;
    let mut running = Running::start_confined(prepared, output, (first, maker))?;
    running.reactor.set_shortcuts(shortcuts);
    let (mut asked, mut control) = match asked {
        Some((reloading, inquiry, log_level)) => {
            let control =
                endpoint.map(|endpoint| Control::start(endpoint, &running, log_level)).transpose()?;
            (Some((reloading, inquiry)), control)
        }
        None => (None, None),
    };
    let mut metrics = bound.map(|bound| Metrics::start(bound, &running, output)).transpose()?;
    notifier
        .start(|| running.waker.another())
        .map_err(|error| Refused::by_system(&running.prepared.plan, &no_thread(&error)))?;
    output.say(banner::table(&running));
    output.serve();
    notifier.ready(&banner::scope(&running.prepared.plan), "");
    // A signal may have come before there was anything to change.
    let mut flow = Ok(Flow::Attend);
    let exit = loop {
        match flow {
            Ok(Flow::Continue) => {}
            Ok(Flow::Attend) => {
                notifier.attend();
                if let (Some(control), Some((reloading, _))) = (&mut control, &mut asked) {
                    control.attend(&mut running, reloading);
                }
                if let (Some(metrics), Some((reloading, _))) = (&mut metrics, &asked) {
                    metrics.attend(&running, reloading, control.as_ref());
                }
                if let Some((reloading, inquiry)) = &mut asked {
                    if inquiry.take() {
                        status::tell(&mut running);
                    }
                    // While it ends there is nothing to be reloaded any more.
                    let goes_on = running.reactor.is_ending() || reloading.attend(&mut running);
                    if !goes_on {
                        notifier.stopping();
                        if !running.end() {
                            break Exit::Ok;
                        }
                    }
                }
            }
            Ok(Flow::Stop) => {
                notifier.stopping();
                if !running.end() {
                    break Exit::Ok;
                }
            }
            Ok(Flow::Ended) => break Exit::Ok,
            Ok(Flow::Fatal) => break Exit::Software,
            Err(error) => {
                log::error!("waiting for datagrams failed: {error}");
                break Exit::Os;
            }
        }
        flow = running.reactor.turn();
    };
    drop(metrics);
    running.reactor.stop();
    Reloading::note_removed(&mut running);
    if let Some((reloading, _)) = &asked {
        reloading.end(&mut running);
    }
    output.say(banner::final_report(&running).trim_end_matches('\n'));
    if output.lost() > 0 {
        output.say(format_args!("  lines of the log left out {}", output.lost()));
    }
    // Who waits for the end by the control socket is told when all of it is written.
    drop(control);
    Ok(exit)
}

fn no_thread(error: &std::io::Error) -> String {
    format!("the thread that has the service manager told of the daemon cannot be started: {error}")
}
