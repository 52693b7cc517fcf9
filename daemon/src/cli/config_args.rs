//! `polyport config`: what a configuration file may say.

use clap::Subcommand;
use polyport_terminal::{Exit, complain};

use super::plugin_args::printed;
use crate::apply::BuiltIn;
use crate::config::{keys, nearest, quoted};
use crate::workbench::{self, Bench};

/// What is told of configurations.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a file with every key, commented out
    Template,
    /// Print what a key is for, its values and its default; all keys without one
    Explain {
        /// The key with its table, such as `limits.spin`, or alone; or an option with its plugin, such as `relay.up.loss`
        key: Option<String>,
    },
    /// Print a JSON Schema of the file, for editors
    Schema,
}

/// Tells it.
pub(super) fn run(command: &ConfigCommand, built_in: BuiltIn) -> Exit {
    match command {
        ConfigCommand::Template => printed(keys::template(), Exit::Ok),
        ConfigCommand::Explain { key: None } => printed(keys::list(), Exit::Ok),
        ConfigCommand::Explain { key: Some(key) } => {
            match keys::explain(key).or_else(|help| of_plugin(key, built_in).unwrap_or(Err(help))) {
                Ok(text) => printed(text, Exit::Ok),
                Err(help) => {
                    complain(format_args!("there is no key {}: {help}", quoted(key)));
                    Exit::Usage
                }
            }
        }
        ConfigCommand::Schema => printed(format!("{:#}", keys::schema()), Exit::Ok),
    }
}

/// What is known of an option that is written behind the name of its plugin; none if there is no such plugin.
fn of_plugin(key: &str, built_in: BuiltIn) -> Option<Result<String, String>> {
    let (plugin, option) = key.split_once('.')?;
    let inspected = workbench::inspect(&Bench { dirs: Vec::new(), built_in }, plugin).ok()?;
    let named = inspected.option(option).map_err(|names| match nearest(option, names) {
        Some(meant) => format!("did you mean `{plugin}.{meant}`?"),
        None => format!("`polyport plugin inspect {plugin}` shows its options"),
    });
    Some(named)
}
