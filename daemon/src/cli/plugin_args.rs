//! What the commands about plugins have in common.

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use polyport_terminal::{Exit, complain, deliver};

use super::environment::Said;

/// Where plugins are looked for.
#[derive(Debug, Args)]
pub(super) struct Search {
    /// Where to look for plugins first; repeatable
    #[arg(long, value_name = "DIR", env = "POLYPORT_PLUGIN_DIR", hide_env_values = true)]
    pub(super) plugin_dir: Vec<PathBuf>,
}

impl Search {
    /// Takes apart what the variable says.
    pub(super) fn resolve(&mut self, matches: &ArgMatches) {
        if Said::of(matches, "plugin_dir") == Said::Variable {
            let dirs = self.plugin_dir.iter().flat_map(std::env::split_paths);
            self.plugin_dir = dirs.filter(|dir| !dir.as_os_str().is_empty()).collect();
        }
    }
}

/// An argument `key=value`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=`")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `exit`, if the answer could be written.
pub(super) fn printed(text: String, exit: Exit) -> Exit {
    match deliver(text) {
        Ok(()) => exit,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
}
