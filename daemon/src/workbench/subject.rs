//! A plugin that is made to be looked at: in a process of its own, whose parent reads what it prints.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use polyport_terminal::{Exit, say};
use serde_json::json;

use super::sources::Bench;
use crate::exchange::Facts;
use crate::plugin::{Cells, Given, GivenValue, HandlerBudget, Instance, InstanceSpec, Plugin, Values, Why};

/// What each line begins with; a plugin may print lines of its own.
pub(super) const MARK: &str = "polyport-inspect ";
/// The listener's address, which nothing is bound to: the discard port.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Bytes that the instance may ask for. What is granted is not allocated.
const BUDGET: u64 = 1 << 30;

/// Loads a plugin, makes an instance with these options, and destroys it. Prints each step before it is taken.
pub fn examine(bench: &Bench, reference: &str, options: &[(String, String)]) -> Exit {
    match steps(bench, reference, options) {
        Ok(()) => Exit::Ok,
        Err(why) => {
            tell("refused", why);
            Exit::Config
        }
    }
}

fn steps(bench: &Bench, reference: &str, options: &[(String, String)]) -> Result<(), String> {
    tell("loading", "");
    let mut loader = bench.loader();
    let plugin = loader.load(reference).map_err(|refusal| refusal.cause.to_string())?;
    let given: Vec<Given<'_>> =
        options.iter().map(|(name, value)| Given { name, value: GivenValue::Text(value) }).collect();
    let values = Values::check(plugin.options(), &given).map_err(|problems| {
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; ")
    })?;
    tell("checking", "");
    plugin.check(&values).map_err(|error| error.message)?;
    tell("creating", "");
    let (instance, told) = create(&plugin, &values)?;
    tell("made", told);
    tell("destroying", "");
    drop(instance);
    tell("done", "");
    Ok(())
}

/// An instance, and what it has asked the host for.
fn create(plugin: &Arc<Plugin>, values: &Values) -> Result<(Instance, String), String> {
    let mut cells = Cells::default();
    let mut wanted = Facts::NONE;
    let budget = Arc::new(HandlerBudget::new(BUDGET));
    let spec = InstanceSpec {
        listener: &Arc::from("inspected"),
        local: NOWHERE,
        values,
        seed: 0,
        now_ns: 1,
        why: Why::Start,
        secret: [0; 32],
        budget: &budget,
        sessions: &[],
        place: None,
        state: None,
        wakes: None,
    };
    let mut want = |facts: Facts| {
        wanted = wanted.or(facts);
        facts
    };
    let instance = Instance::create(plugin, &spec, &mut cells, &mut want, &mut Vec::new())
        .map_err(|error| error.message)?;
    let metrics = cells.iter().map(|cell| {
        json!({ "name": cell.name, "kind": if cell.is_counter() { "counter" } else { "gauge" }, "help": cell.help })
    });
    let facts = [
        (wanted.tos, "tos"),
        (wanted.hop_limit, "hop_limit"),
        (wanted.local, "local"),
        (wanted.time, "time"),
    ];
    let wants: Vec<&str> = facts.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name).collect();
    let told = json!({ "metrics": metrics.collect::<Vec<_>>(), "wants": wants });
    Ok((instance, told.to_string()))
}

fn tell(step: &str, what: impl Display) {
    say(format_args!("{MARK}{step} {what}"));
}
