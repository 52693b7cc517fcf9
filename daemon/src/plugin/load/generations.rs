//! The builds of a library that were loaded so far. None of them is ever unloaded, so one that comes back costs nothing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::library::Plugin;
use crate::plugin::find::Beside;

/// Builds by the path of the user's file without symbolic links.
#[derive(Debug, Default)]
pub(super) struct Generations {
    builds: BTreeMap<PathBuf, Vec<(Content, Arc<Plugin>)>>,
    /// Nobody can make two files that are taken for one without these keys, which are random.
    keys: [RandomState; 2],
}

/// 128 bits that tell the bytes of a library, and of what lies beside it, from others.
pub(super) type Content = [u64; 2];

impl Generations {
    pub(super) fn content(&self, bytes: &[u8], beside: &Beside) -> Content {
        self.keys.each_ref().map(|key| key.hash_one((bytes, beside)))
    }

    /// The build of this file with this content.
    pub(super) fn find(&self, real: &Path, content: Content) -> Option<Arc<Plugin>> {
        let builds = self.builds.get(real)?;
        builds.iter().find(|(known, _)| *known == content).map(|(_, plugin)| Arc::clone(plugin))
    }

    /// The number of the next build of this file.
    pub(super) fn next(&self, real: &Path) -> usize {
        self.builds.get(real).map_or(0, Vec::len) + 1
    }

    pub(super) fn add(&mut self, real: &Path, content: Content, plugin: &Arc<Plugin>) {
        self.builds.entry(real.to_path_buf()).or_default().push((content, Arc::clone(plugin)));
    }
}
