//! `polyport plan`: what a configuration takes, what is in its way, and what it would change of a daemon that serves.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;
use polyport_terminal::{Escaped, Exit, Output, deliver};
use serde_json::json;

use super::ctl::{existing, exit_of, place};
use super::ended::{ended, rendered, with_output};
use super::logging::LogArgs;
use super::plan_args::PlanArgs;
use crate::apply::{self, BuiltIn, Planned};
use crate::control::wire::{Configuration, ConfigurationParams};
use crate::control::{CallError, Client, OFF};

#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    /// Control socket of the daemon to compare with, or `off`; without it, that of this user's daemon, or of the system's
    #[arg(long, value_name = "PATH|off", env = "POLYPORT_CONTROL", hide_env_values = true)]
    control: Option<PathBuf>,
    /// Print one object: {"ok": true, ...}
    #[arg(long, env = "POLYPORT_PLAN_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// Looks at a configuration, and says what came out.
pub(super) fn plan(args: &Plan, built_in: BuiltIn) -> Exit {
    with_output(&args.log, |output, _| {
        let reading = args.plan.asked().find().read();
        let origin = reading.plan.origin.clone();
        let prepared = match apply::prepare(reading, &args.plan.sources(built_in)) {
            Ok(prepared) => prepared,
            Err(problems) => {
                let refused = apply::Refused::from(problems);
                if args.json {
                    return ended(deliver(apply::refused_json(&refused, &origin)), refused.exit);
                }
                output.remark(rendered(&refused.problems, output));
                return refused.exit;
            }
        };
        let now = match served(args, output) {
            Ok(now) => now,
            Err(exit) => return exit,
        };
        let planned = Planned::of(&prepared, now.as_ref());
        let text = if args.json { planned.json() } else { apply::planned_told(&planned) };
        ended(deliver(text.trim_end_matches('\n')), planned.exit())
    })
}

/// What the daemon serves that is meant; none if there is none. One that is named has to be there.
fn served(args: &Plan, output: &Output) -> Result<Option<Configuration>, Exit> {
    let named = place(args.control.as_ref());
    if named.as_deref() == Some(Path::new(OFF)) {
        return Ok(None);
    }
    let Some(path) = named.clone().or_else(existing) else { return Ok(None) };
    match Client::connect(&path).and_then(|mut client| asked(&mut client)) {
        Ok(now) => Ok(Some(now)),
        // Left behind by one that is gone.
        Err(CallError::Nobody(..)) if named.is_none() => Ok(None),
        Err(error) => {
            output.remark(format_args!("error: {}", Escaped(error.to_string().as_bytes())));
            Err(exit_of(&error))
        }
    }
}

/// All pages of what it serves, of one moment: where it has changed in between, from the beginning again.
fn asked(client: &mut Client) -> Result<Configuration, CallError> {
    let mut whole: Option<Configuration> = None;
    loop {
        let offset = whole.as_ref().and_then(|whole| whole.next).unwrap_or(0);
        let params = ConfigurationParams { offset, limit: None };
        let (page, _) = client.call::<Configuration>("configuration", &json!(params))?;
        let next = page.next;
        match &mut whole {
            Some(whole) if whole.generation == page.generation => {
                whole.entries.extend(page.entries);
                whole.next = next;
            }
            Some(_) if offset > 0 => whole = None,
            _ => whole = Some(page),
        }
        if next.is_none()
            && let Some(whole) = whole.take_if(|whole| whole.next.is_none())
        {
            return Ok(whole);
        }
    }
}
