//! The load tester: an open model, exact books, honest latencies.
//!
//! ```text
//!   args -> config -> plan (when, to whom) ------+
//!                                                v
//!   address (of a name) --> targets       part, schedule
//!   engine: handshake, then each worker          v
//!     warm-up -> load -> drain:  transceiver -- outbox (trains) --> sockets
//!                                            |   ^
//!          ledger (stream, ring, ids, icmp) <+   +-- inbox (trains, stamps), decoded; ICMP
//!                     histogram             <+
//!                                            |  the books of all workers, added up
//!                    summary -> threshold, report, json
//! ```
//!
//! - The planned time of a datagram follows from its number alone, so a slow server or a slow tester cannot move the
//!   schedule. Latency is measured from the plan, and again from the actual sending; the difference is this program's
//!   own lag, and is shown.
//! - A worker is a thread with flows of its own: their ports, their part of the schedule, their books. Nothing is shared
//!   while the load runs but a few counters to show. What is due is sent and what waits is received in one pass, without
//!   allocation.
//! - Every planned datagram is sent or not sent for a reason; every one sent is ok, late, an error, lost, or pending at
//!   an abort; every one received is in exactly one class. Nothing is printed unless the sums hold.
//! - [`capacity`] runs it many times, with the rates that [`search`] asks for.
//! - The books ([`ledger`], [`stream`], [`ring`], [`ids`], [`class`], [`icmp`], [`reorder`], [`behind`]) are pure: times and
//!   datagrams are arguments.

pub mod address;
pub mod args;
pub mod arrivals;
pub mod behind;
pub mod books;
pub mod bounds;
pub mod capacity;
pub mod class;
pub mod command;
pub mod compare;
pub mod config;
pub mod density;
pub mod distributions;
pub mod drain;
pub mod engine;
pub mod events;
pub mod feed;
pub mod forms;
pub mod frame;
pub mod generator;
pub mod gso;
pub mod handshake;
pub mod hdr;
pub mod histogram;
pub mod host;
pub mod icmp;
pub mod identity;
pub mod ids;
pub mod imbalance;
pub mod inbox;
pub mod intervals;
pub mod ipdv;
pub mod json;
pub mod lanes;
pub mod ledger;
pub mod ledger_config;
pub mod live;
mod lock;
pub mod loss_runs;
pub mod merge;
pub mod mix;
pub mod not_sent;
pub mod one_way;
pub mod outbox;
pub mod output;
pub mod pacing;
pub mod page;
pub mod part;
pub mod pin;
pub mod plan;
mod poisson;
pub mod profile;
pub mod progress;
pub mod received;
pub mod recorded;
pub mod reorder;
pub mod report;
pub mod restore;
pub mod ring;
pub mod schedule;
pub mod search;
pub mod shard;
pub mod sockets;
pub mod stamp;
pub mod stamps;
pub mod start;
pub mod stream;
pub mod summary;
pub mod template;
pub mod threshold;
pub mod told;
pub mod transceiver;
pub mod turn;
pub mod unit;
pub mod view;
pub mod worker;
pub mod written;

use std::time::Duration;

use polyport_terminal::{Exit, Interrupt, Style, remark};

use self::books::witness::Witness;
use self::engine::Audience;
use self::events::Events;
use self::generator::RunReport;
use self::json::{ConfigReport, LoadReport};
use self::view::View;
use self::view::board::Board;
use crate::outcome::{self, ExitError, Outcome, deliver};

/// The program: runs a load, prints the result, and says how it went. `command` is the command line without its first
/// word, for the result.
///
/// # Errors
/// See [`args::Args::config`] and [`engine::run`].
pub fn run(args: &args::Args, command: &[String]) -> Outcome {
    if let Some(command) = &args.command {
        return command::run(command);
    }
    let mut config = args.config()?;
    args.capacity.check(&config)?;
    let output = &args.shown.forms;
    output.files.check()?;
    let interrupt = outcome::interrupt()?;
    if let Some(settings) = args.recording() {
        return recorded::play(&config, &settings, &args.shown.thresholds, output.json, &interrupt);
    }
    if config.handshake {
        address::settle(&mut config, args.shown.quiet, &interrupt)?;
    }
    let witness = config.books.as_deref().map(|socket| Witness::call(socket, &config.targets)).transpose()?;
    let view = view(args, &interrupt)?;
    if args.capacity.is_wanted() {
        return capacity::run(&args.capacity, &config, &interrupt, args.shown.quiet, output.json, view);
    }
    let generator = |started| RunReport::new(&config, command.to_vec(), started);
    let events =
        output.json_stream.then(|| Events::new(generator(Duration::ZERO), ConfigReport::new(&config)));
    let audience = match (&view, events) {
        (Some(view), _) => Audience::View(&view.board),
        (None, Some(events)) => Audience::Events { quiet: args.shown.quiet, events: Box::new(events) },
        (None, None) if args.shown.quiet => Audience::Nobody,
        (None, None) => Audience::Lines,
    };
    let summary = engine::run(&config, &interrupt, audience);
    // What is said from here on stays.
    drop(view);
    let mut summary = summary?;
    // Without a witness the figures are still worth to be shown.
    let told = witness.map_or(Ok(()), |witness| witness.testify(&mut summary));
    let judgements: Vec<_> =
        args.shown.thresholds.iter().map(|threshold| threshold.judge(&summary)).collect();
    let report = LoadReport::new(&config, &summary, &judgements, vec![generator(summary.started)]);
    // What cannot be written must not take the rest with it.
    let written = output.files.write(&report, &summary);
    if output.json {
        deliver(crate::json::line(&report)?)?;
    } else if output.json_stream {
        events::end(report)?;
    } else {
        let tables = report::Tables { ports: args.shown.per_port, flows: args.shown.per_flow };
        deliver(report::text(&config, &summary, &judgements, tables, Style::stdout()).trim_end())?;
    }
    let style = Style::stderr();
    report::warnings(&config, &summary)
        .iter()
        .for_each(|warning| remark(format!("{} {warning}", style.yellow("warning:"))));
    written?;
    told?;
    Ok(if summary.aborted {
        Exit::Interrupted
    } else if summary.is_unanswered() {
        return Err(ExitError::new(Exit::NoReply, report::unanswered(&summary)));
    } else if judgements.iter().all(|judged| judged.met) {
        Exit::Ok
    } else {
        Exit::Threshold
    })
}

/// The live view, where it is wanted and there is a terminal for it.
fn view(args: &args::Args, interrupt: &Interrupt) -> Result<Option<View>, ExitError> {
    // Events on standard output and a picture would be in each other's way.
    if args.shown.quiet || args.shown.no_tui || args.shown.forms.json_stream || !View::has_room() {
        return Ok(None);
    }
    View::start(Board::new(&args.shown.thresholds), interrupt)
        .map_err(|error| ExitError::new(Exit::Io, format!("the terminal: {error}: use --no-tui")))
}
