//! The builds of a library that were loaded so far. None of them is ever unloaded, so one that comes back costs nothing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::plugin::find::Beside;

/// Builds `P` by the path of the user's file without symbolic links.
#[derive(Debug)]
pub(super) struct Generations<P> {
    builds: BTreeMap<PathBuf, Vec<(Content, Arc<P>)>>,
    /// Nobody can make two files that are taken for one without these keys, which are random.
    keys: [RandomState; 2],
}

/// 128 bits that tell the bytes of a library, and of what lies beside it, from others.
pub(super) type Content = [u64; 2];

impl<P> Default for Generations<P> {
    fn default() -> Self {
        Self { builds: BTreeMap::new(), keys: Default::default() }
    }
}

impl<P> Generations<P> {
    pub(super) fn content(&self, bytes: &[u8], beside: &Beside) -> Content {
        self.keys.each_ref().map(|key| key.hash_one((bytes, beside)))
    }

    /// The build of this file with this content.
    pub(super) fn find(&self, real: &Path, content: Content) -> Option<Arc<P>> {
        let builds = self.builds.get(real)?;
        builds.iter().find(|(known, _)| *known == content).map(|(_, plugin)| Arc::clone(plugin))
    }

    /// The number of the next build of this file.
    pub(super) fn next(&self, real: &Path) -> usize {
        self.builds.get(real).map_or(0, Vec::len) + 1
    }

    pub(super) fn add(&mut self, real: &Path, content: Content, plugin: &Arc<P>) {
        self.builds.entry(real.to_path_buf()).or_default().push((content, Arc::clone(plugin)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_from_others_by_its_bytes_and_by_what_lies_beside_it() {
        let mut all = Generations::default();
        let beside = Beside::from([(PathBuf::from("lib.so"), b"x".to_vec())]);
        let contents = [
            all.content(b"a", &Beside::new()),
            all.content(b"b", &Beside::new()),
            all.content(b"a", &beside),
        ];
        let file = Path::new("/file");
        for (number, content) in contents.into_iter().enumerate() {
            assert_eq!((all.find(file, content), all.next(file)), (None, number + 1));
            all.add(file, content, &Arc::new(number));
        }
        for (number, content) in contents.into_iter().enumerate() {
            assert_eq!(all.find(file, content), Some(Arc::new(number)));
            assert_eq!(all.find(Path::new("/other"), content), None);
        }
    }
}
