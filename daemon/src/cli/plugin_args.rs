//! What the commands about plugins have in common.

use std::path::PathBuf;

use clap::Args;
use polyport_terminal::{Exit, complain, deliver};

/// Where plugins are looked for.
#[derive(Debug, Args)]
pub(super) struct Search {
    /// Where to look for plugins first; repeatable
    #[arg(long, value_name = "DIR")]
    pub(super) plugin_dir: Vec<PathBuf>,
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
