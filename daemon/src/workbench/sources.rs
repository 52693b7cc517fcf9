//! Which plugins are meant.

use std::path::PathBuf;

use crate::plugin::{BuiltIn, Loader, SearchPath};

/// Where plugins are looked for: as `run` does it without a configuration.
#[derive(Clone, Debug, Default)]
pub struct Bench {
    /// The directories of `--plugin-dir`.
    pub dirs: Vec<PathBuf>,
    /// What is linked into the program.
    pub built_in: BuiltIn,
}

impl Bench {
    /// A loader that has loaded nothing yet.
    pub(super) fn loader(&self) -> Loader {
        let search = SearchPath::of_process(&self.dirs, &[]);
        Loader::new(search, |name| std::env::var_os(name)).with_built_in(self.built_in)
    }
}
