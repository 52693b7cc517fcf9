//! Every name under which a plugin can be had.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::inspection::Inspection;
use crate::plugin::find::{Cause, Refusal};
use crate::plugin::load::Loader;

/// A plugin that a name leads to.
#[derive(Debug)]
pub struct Offer {
    /// The name to write in a configuration.
    pub name: String,
    /// What is known of it.
    pub plugin: Inspection,
    /// The file, also if nothing could be read from it; none if it is built in.
    pub path: Option<PathBuf>,
    /// What the same name would lead to if the file were not there.
    pub shadows: Vec<Shadowed>,
}

/// What a file is found before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shadowed {
    /// Another file.
    File(PathBuf),
    /// What is linked into the program.
    BuiltIn,
}

/// What the search path has.
#[derive(Debug, Default)]
pub struct Offers {
    /// By name.
    pub offers: Vec<Offer>,
    /// Libraries that can be found by a name and are no plugins.
    pub others: usize,
}

/// What one name leads to.
enum Found {
    Plugin(Box<Offer>),
    /// Libraries, none of which is a plugin.
    Other,
    /// Nothing: a file of this name would be looked for under another.
    Nothing,
}

impl Loader {
    /// Everything that a name leads to. No code of any plugin runs.
    #[must_use]
    pub fn offers(&self) -> Offers {
        let mut names = self.search().names();
        names.extend(self.built_in_names());
        let mut all = Offers::default();
        for name in names {
            match self.offer(name) {
                Found::Plugin(offer) => all.offers.push(*offer),
                Found::Other => all.others += 1,
                Found::Nothing => {}
            }
        }
        all
    }

    fn offer(&self, name: String) -> Found {
        let mut files = self.search().candidates(&name);
        let mut seen = BTreeSet::new();
        // A hard link, as cargo makes them, is no second plugin.
        files.retain(|path| fs::metadata(path).map_or(true, |file| seen.insert((file.dev(), file.ino()))));
        let built_in = self.table(&name);
        let mut files = files.into_iter();
        let Some(path) = files.next() else {
            let Some(table) = built_in else { return Found::Nothing };
            let plugin = Self::inspect_built_in(table);
            return Found::Plugin(Box::new(Offer { name, plugin, path: None, shadows: Vec::new() }));
        };
        let plugin = match self.search().find(&name) {
            Err(Refusal { cause: cause @ Cause::ByCaller, .. }) => {
                Inspection { refusal: Some(cause), ..Inspection::default() }
            }
            _ => self.inspect_file(&path, |_| None),
        };
        let rest: Vec<PathBuf> = files.collect();
        let is_other =
            |plugin: &Inspection| matches!(plugin.refusal, Some(Cause::NoIdentity | Cause::NotALibrary(_)));
        let others = || rest.iter().all(|path| is_other(&self.inspect_file(path, |_| None)));
        if is_other(&plugin) && built_in.is_none() && others() {
            return Found::Other;
        }
        let shadows = rest.into_iter().map(Shadowed::File).chain(built_in.map(|_| Shadowed::BuiltIn));
        Found::Plugin(Box::new(Offer { name, plugin, path: Some(path), shadows: shadows.collect() }))
    }
}
