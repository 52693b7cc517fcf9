//! From a plan to a running daemon: load the plugins, check their options, bind every address and join
//! its groups, make every handler, and only then serve.

mod banner;
mod groups;
mod prepare;
mod sockets;

pub(crate) use banner::extent;
pub use prepare::{Entry, Prepared, prepare};

use crate::config::{Plan, Problems, Reading};
use crate::exchange::ExchangeLimits;
use crate::reactor::{AddError, Clock, Flow, ListenerSpec, MioIo, OnFault, Reactor};
use polyport_terminal::{Exit, Interrupt, say};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Nothing was started; these are the reasons.
#[derive(Debug)]
pub struct Refused {
    /// All of them.
    pub problems: Problems,
    /// The exit code that says which kind it is.
    pub exit: Exit,
}

impl From<Problems> for Refused {
    fn from(problems: Problems) -> Self {
        Self { problems, exit: Exit::Config }
    }
}

/// Serves a plan until a signal asks to stop.
///
/// # Errors
/// Why nothing was started: every problem of one kind, not only the first.
pub fn serve(reading: Reading, plugin_dirs: &[PathBuf]) -> Result<Exit, Refused> {
    let (plan, prepared) = prepare(reading, plugin_dirs)?;
    let plan = &plan;
    let entries = &prepared.entries;
    let bound = sockets::bind(plan)?;
    let rows = banner::rows(plan, &bound);
    let mut reactor = build(plan, entries, bound)?;
    say(banner::table(plan, entries, &rows));
    let exit = loop {
        match reactor.turn() {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop) => break Exit::Ok,
            Ok(Flow::Fatal) => break Exit::Software,
            Err(error) => {
                log::error!("waiting for datagrams failed: {error}");
                break Exit::Os;
            }
        }
    };
    reactor.stop();
    say(banner::farewell(&reactor).trim_end_matches('\n'));
    Ok(exit)
}

/// Sockets handed to the reactor before the memory of their list is given back.
const FREE_EVERY: usize = 1024;

fn build(plan: &Plan, entries: &[Entry], mut bound: Vec<sockets::Bound>) -> Result<Reactor<MioIo>, Refused> {
    let exchange = ExchangeLimits::default();
    let io = Interrupt::stream().and_then(|stop| MioIo::new(Clock::new(), exchange.slots, stop));
    let io =
        io.map_err(|error| sockets::os_problem(plan, &format!("the event loop cannot be made: {error}")))?;
    let seed = plan.seed.unwrap_or_else(rand::random);
    let mut reactor = Reactor::new(io, plan.limits, exchange, seed);
    reactor.reserve(bound.len());
    let mut problems = plan.problems();
    let names: Vec<Arc<str>> = plan.listen.iter().map(|listen| Arc::from(listen.name.as_str())).collect();
    // Handed over from its end, so that its memory is free for the handlers as they are made.
    bound.reverse();
    while let Some(socket) = bound.pop() {
        if bound.len().is_multiple_of(FREE_EVERY) {
            bound.shrink_to_fit();
        }
        let (Some(listen), Some(entry), Some(name)) =
            (plan.listen.get(socket.entry), entries.get(socket.entry), names.get(socket.entry))
        else {
            continue;
        };
        let local = socket.local;
        let added = reactor.add(ListenerSpec {
            name: Arc::clone(name),
            local,
            socket: socket.socket,
            plugin: Arc::clone(&entry.plugin),
            values: Rc::clone(&entry.values),
            on_fault: match listen.on_fault {
                crate::config::OnFault::Drop => OnFault::Drop,
                crate::config::OnFault::Exit => OnFault::Exit,
            },
        });
        match added {
            Ok(_) => log::info!("listener {name} {local}: served by {}", entry.plugin.identity()),
            Err(AddError::Create(error)) => problems.push(prepare::refusal(listen, &entry.plugin, &error)),
            Err(AddError::Register(error)) => {
                return Err(sockets::os_problem(plan, &format!("listener {name} {local}: {error}")));
            }
        }
    }
    Ok(problems.into_result(reactor)?)
}
