//! What has become of a reload, in words.

use std::sync::Arc;
use std::time::Duration;

use polyport_terminal::counted;

use crate::config::Problems;
use crate::control;
use crate::control::wire::MOST_PROBLEMS;
use crate::plugin::Plugin;
use crate::reactor::ChangeDone;

/// Problems as a client of the control socket is told them.
pub(super) fn told(problems: &Problems) -> control::wire::Problems {
    let lines = problems.shortened(MOST_PROBLEMS).to_json();
    // What is read here was written there, as one line for each.
    let read = |line: &str| serde_json::from_str(line).ok();
    control::wire::Problems {
        total: problems.list().len(),
        problems: lines.lines().filter_map(read).collect(),
        text: problems.render(false),
    }
}

/// A library with its version, and which build of it this is.
pub(super) fn named(library: &Arc<Plugin>) -> String {
    format!("{} generation {}", library.identity(), library.generation())
}

/// What was changed, in words, or `nothing`; `grace` is the new one, if there is one.
pub(super) fn summary(
    done: &ChangeDone,
    libraries: &[Arc<Plugin>],
    grace: Option<Duration>,
    nothing: &str,
) -> String {
    let changed = done.replaced + done.reconfigured + done.adjusted;
    let graced = grace.map(|grace| format!("grace, which is {grace:?} now"));
    let mut all = Vec::new();
    if changed > 0 {
        let mut text = format!("{} changed", counted(changed, "address", "addresses"));
        let parts = [
            (done.replaced, "by a new handler"),
            (done.reconfigured, "by new options"),
            (done.adjusted, "by other settings"),
        ];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0 && *n < changed);
        let parts: Vec<_> = parts.map(|(n, how)| format!("{n} {how}")).collect();
        if !parts.is_empty() {
            text += &format!(" ({})", parts.join(", "));
        }
        all.push(text);
    }
    let addresses = [(done.added, "added"), (done.removed, "removed")];
    let addresses = addresses.into_iter().filter(|(n, _)| *n > 0);
    all.extend(addresses.map(|(n, how)| format!("{} {how}", counted(n, "address", "addresses"))));
    if all.is_empty() {
        return graced.map_or_else(|| nothing.to_owned(), |it| format!("nothing has changed but {it}"));
    }
    if !libraries.is_empty() {
        let shown: Vec<_> = libraries.iter().map(named).collect();
        all.push(format!("{} new ({})", counted(libraries.len(), "library", "libraries"), shown.join(", ")));
    }
    all.join(", ") + &graced.map_or_else(String::new, |it| format!(", and {it}"))
}
