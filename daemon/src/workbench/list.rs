//! What the search path offers.

use std::fmt::Write;
use std::path::Path;

use polyport_terminal::{Escaped, counted};
use serde_json::json;

use super::sources::Bench;
use crate::plugin::{Offer, Offers, Said, Shadowed};

/// What was found, to be printed.
#[derive(Debug)]
pub struct Listed {
    offers: Offers,
    /// Directories that were given and cannot be used, with the reason.
    pub unusable: Vec<String>,
}

/// Looks at everything that a name leads to. No code of a plugin runs.
#[must_use]
pub fn list(bench: &Bench) -> Listed {
    let loader = bench.loader();
    let unusable = loader
        .unusable_dirs()
        .map(|(dir, error)| format!("plugins are not looked for in {}: {error}", shown(dir)));
    Listed { unusable: unusable.collect(), offers: loader.offers() }
}

impl Listed {
    /// For a person: a line each, and what there is to say of it below.
    #[must_use]
    pub fn text(&self) -> String {
        let width = |of: fn(&Offer) -> String, least: &str| {
            self.offers
                .offers
                .iter()
                .map(|offer| of(offer).chars().count())
                .max()
                .unwrap_or(0)
                .max(least.len())
        };
        let (name, plugin) = (width(name, "NAME"), width(plugin, "PLUGIN"));
        let mut text = format!("{:name$}  {:plugin$}  FROM\n", "NAME", "PLUGIN");
        for offer in &self.offers.offers {
            let from = offer.path.as_deref().map_or_else(|| "built in".to_owned(), shown);
            writeln!(text, "{:name$}  {:plugin$}  {from}", self::name(offer), self::plugin(offer))
                .unwrap_or(());
            let mut below = |line: String| writeln!(text, "{:name$}  {line}", "").unwrap_or(());
            if offer.plugin.said.as_ref().is_some_and(Said::is_per_listener) {
                below("one instance for all addresses of a listener".to_owned());
            }
            if let Some(cause) = &offer.plugin.refusal {
                below(format!("refused: {cause}"));
                cause.help().into_iter().for_each(|help| below(format!("help: {help}")));
            }
            for shadowed in &offer.shadows {
                match shadowed {
                    Shadowed::File(path) => below(format!("before {}", shown(path))),
                    Shadowed::BuiltIn => below("before the one that is built in".to_owned()),
                }
            }
        }
        if self.offers.others > 0 {
            let others = counted(self.offers.others, "library", "libraries");
            let are = if self.offers.others == 1 { "is no plugin" } else { "are no plugins" };
            writeln!(text, "{others} beside them {are}").unwrap_or(());
        }
        text.trim_end_matches('\n').to_owned()
    }

    /// For a program: an object a line.
    #[must_use]
    pub fn json(&self) -> String {
        let lines = self.offers.offers.iter().map(|offer| {
            let said = offer.plugin.said.as_ref();
            let shadows = offer.shadows.iter().map(|shadowed| match shadowed {
                Shadowed::File(path) => json!({ "file": path.to_string_lossy() }),
                Shadowed::BuiltIn => json!({ "built_in": true }),
            });
            json!({
                "name": offer.name,
                "plugin": said.map(|said| &said.name),
                "version": said.map(|said| &said.version),
                "about": said.map(|said| &said.about),
                "instance": said.map(|said| if said.is_per_listener() { "listener" } else { "address" }),
                "file": offer.path.as_ref().map(|path| path.to_string_lossy()),
                "built_in": offer.path.is_none(),
                "loadable": offer.plugin.refusal.is_none(),
                "why_not": offer.plugin.refusal.as_ref().map(ToString::to_string),
                "shadows": shadows.collect::<Vec<_>>(),
            })
            .to_string()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether a name leads to a library that would be refused.
    #[must_use]
    pub fn all_loadable(&self) -> bool {
        self.offers.offers.iter().all(|offer| offer.plugin.refusal.is_none())
    }
}

fn name(offer: &Offer) -> String {
    Escaped(offer.name.as_bytes()).to_string()
}

fn plugin(offer: &Offer) -> String {
    offer
        .plugin
        .said
        .as_ref()
        .map_or_else(|| "-".to_owned(), |said| format!("{} {}", said.name, said.version))
}

/// A path as a person reads it: its bytes are strangers'.
pub(super) fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}
