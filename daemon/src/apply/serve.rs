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
use super::prepare::{Prepared, prepare};
use super::refused::Refused;
use super::reload::{Again, Reloading};
use super::running::Running;
use super::sources::Sources;
use super::status;
use super::take_over::{Start, Taking};
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
    (mut manager, start): (Manager, Start),
) -> Result<Exit, Refused> {
    let notifier = Rc::new(Notifier::new(manager.notify.as_deref(), manager.watchdog));
    let reloading = Reloading::new(hangup, again, sources.clone(), output.clone(), Rc::clone(&notifier));
    if start == Start::TakingOver {
        manager.leave_sockets();
    }
    let asked = Some(Asked { reloading, inquiry, log_level, start });
    run(reading, sources, output, asked, (manager.given, &notifier), Shortcuts::default())
}

/// Who may ask for something while it serves.
struct Asked<'a> {
    reloading: Reloading,
    inquiry: &'a Inquiry,
    log_level: LogLevel,
    start: Start,
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
    asked: Option<Asked<'_>>,
    (given, notifier): (Vec<InheritedSocket>, &Notifier),
    shortcuts: Shortcuts,
) -> Result<Exit, Refused> {
    let prepared = prepare(reading, sources)?;
    let start = asked.as_ref().map_or(Start::Afresh, |asked| asked.start);
    let mut taking = Taking::begin(&prepared, start)?;
    let begun = begin(prepared, output, asked, (given, notifier), &mut taking);
    let Begun { mut running, mut asked, mut control, mut metrics } =
        begun.inspect_err(|refused| taking.give_up(refused))?;
    running.reactor.set_shortcuts(shortcuts);
    let table = banner::table(&running);
    let has_taken_over = taking.commit(&mut running)?;
    if let Some(control) = control.as_mut().filter(|_| has_taken_over) {
        control.open();
    }
    output.say(table);
    output.serve();
    let scope = banner::scope(&running.prepared.plan);
    if has_taken_over {
        notifier.ready_instead(&scope);
    } else {
        notifier.ready(&scope, "");
    }
    // A signal may have come before there was anything to change.
    let mut flow = Ok(Flow::Attend);
    let exit = loop {
        match flow {
            Ok(Flow::Continue) => {}
            Ok(Flow::Attend) => {
                notifier.attend();
                if let Some((reloading, _)) = &mut asked {
                    reloading.catch_up(&mut running);
                }
                running.looks.note_turn();
                if let (Some(control), Some((reloading, _))) = (&mut control, &mut asked) {
                    control.attend(&mut running, reloading);
                }
                let files = metrics.as_ref().map(Metrics::listener);
                if let Some(taker) =
                    control.as_mut().and_then(|control| control.hand_over(&mut running, files))
                {
                    notifier.hand_over(taker.pid);
                    metrics = None;
                    if !running.part() {
                        break Exit::Ok;
                    }
                }
                let is_handing_over = control.as_ref().is_some_and(Control::is_handing_over);
                if let (Some(metrics), Some((reloading, _))) = (&mut metrics, &asked) {
                    metrics.attend(&mut running, reloading, control.as_ref());
                }
                running.reactor.keep_leaving(running.looks.goes_on());
                if let Some((reloading, inquiry)) = &mut asked {
                    if inquiry.take() {
                        status::tell(&mut running);
                    }
                    // While it ends there is nothing to be reloaded any more.
                    let is_ending = running.reactor.is_ending();
                    // Of a take-over that was given up, an end that was asked for meanwhile is left.
                    let waits = is_handing_over && !running.interrupt.is_set();
                    let goes_on =
                        is_ending || waits || (reloading.attend(&mut running) && !running.interrupt.is_set());
                    if !goes_on
                        && control.as_mut().is_none_or(|control| control.refuse_hand_over(&mut running))
                    {
                        notifier.stopping();
                        if !running.end() {
                            break Exit::Ok;
                        }
                    }
                }
            }
            Ok(Flow::Stop) => {
                if let Some(control) = &mut control {
                    control.refuse_hand_over(&mut running);
                }
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
    if let Some((reloading, _)) = &mut asked {
        // What was changed counts, though nobody has looked since.
        reloading.catch_up(&mut running);
        reloading.end(&mut running);
    }
    output.say(banner::final_report(&running).trim_end_matches('\n'));
    if output.lost() > 0 {
        output.say(format_args!("  lines of the log left out {}", output.lost()));
    }
    if let Some(control) = &mut control {
        control.leave();
    }
    // Who waits for the end by the control socket is told when all of it is written.
    drop(control);
    Ok(exit)
}

/// What serves, but for the first turn.
struct Begun<'a> {
    running: Running,
    asked: Option<(Reloading, &'a Inquiry)>,
    control: Option<Control>,
    metrics: Option<Metrics>,
}

/// Binds everything, gives up rights, makes the handlers, and starts the threads.
fn begin<'a>(
    mut prepared: Prepared,
    output: &Output,
    asked: Option<Asked<'a>>,
    (given, notifier): (Vec<InheritedSocket>, &Notifier),
    taking: &mut Taking,
) -> Result<Begun<'a>, Refused> {
    let endpoint = match taking.control() {
        Some(shared) => Some(control::share(&mut prepared, shared)?),
        None if asked.is_some() => control::bind(&mut prepared)?,
        None => None,
    };
    let bound = if asked.is_some() { metrics::bind(&prepared, taking.metrics())? } else { None };
    // Who is never asked for another plan makes no sockets later.
    let maker = if asked.is_some() { makers::start(&prepared) } else { Maker::Here };
    let first = taking.maker().map_or_else(|| given::maker(&prepared.plan, given), Ok)?;
    let running = Running::start_confined(prepared, output, (first, maker))?;
    let (asked, control) = match asked {
        Some(Asked { reloading, inquiry, log_level, .. }) => {
            let control =
                endpoint.map(|endpoint| Control::start(endpoint, &running, log_level)).transpose()?;
            (Some((reloading, inquiry)), control)
        }
        None => (None, None),
    };
    let metrics = bound.map(|bound| Metrics::start(bound, &running, output)).transpose()?;
    notifier
        .start(|| running.waker.another())
        .map_err(|error| Refused::by_system(&running.prepared.plan, &no_thread(&error)))?;
    Ok(Begun { running, asked, control, metrics })
}

fn no_thread(error: &std::io::Error) -> String {
    format!("the thread that has the service manager told of the daemon cannot be started: {error}")
}
