//! Where plugins come from, besides what the plan says.

use std::path::PathBuf;

pub use crate::plugin::{BuiltIn, built_in_names, plugin_abi};

/// What the program and its command line add to the search for plugins.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The directories of `--plugin-dir`, which are looked at first.
    pub dirs: Vec<PathBuf>,
    /// What is linked into the program, which serves where no library is found.
    pub built_in: BuiltIn,
}
