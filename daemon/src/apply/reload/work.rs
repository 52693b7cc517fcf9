//! What of a reload may take its time: it reads disks, loads libraries and asks plugins whether they take their options.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::differences::{differences, problem};
use crate::apply::prepare::{Checked, check, search};
use crate::apply::sources::Sources;
use crate::apply::steps::{Address, Place, Steps, has_same_options};
use crate::config::{Plan, Problems, Reading};
use crate::plugin::{Loader, Plugin, Values};

/// Reads the configuration again, from where it was read before.
pub type Again = Arc<dyn Fn(&Plan) -> Reading + Send + Sync>;

/// What runs, and where to look for what shall run.
pub(super) struct Job {
    pub(super) again: Again,
    pub(super) sources: Sources,
    pub(super) before: Arc<Plan>,
    /// One for each `[[listen]]` table of it.
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// What is served of it.
    pub(super) served: Vec<Address>,
    pub(super) loader: Loader,
    /// The process can make no sockets any more.
    pub(super) without_sessions: bool,
}

/// What has become of a job.
#[derive(Debug)]
pub(super) struct Done {
    /// That of the job.
    pub(super) loader: Loader,
    pub(super) next: Result<Next, Problems>,
}

/// What shall run.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) plan: Arc<Plan>,
    /// One for each `[[listen]]` table.
    pub(super) handlers: Vec<Handler>,
    /// What is served, by its number in the job, with its place in the plan.
    pub(super) places: Vec<(usize, Place)>,
    /// The libraries that serve nothing so far.
    pub(super) libraries: Vec<Arc<Plugin>>,
}

/// What the handlers of a `[[listen]]` table are made of.
#[derive(Debug)]
pub(super) enum Handler {
    /// What those of this table are made of that serves now.
    AsBefore(usize),
    New(Arc<Plugin>, Values),
}

/// A library that was rebuilt and reloaded so often is worth a line: none of its builds is ever unloaded.
const MANY_GENERATIONS: usize = 50;

/// Does a job. Nothing that runs is touched.
pub(super) fn work(job: Job) -> Done {
    let Job { again, sources, before, plugins, served, mut loader, without_sessions } = job;
    let reading = again(&before);
    loader.look_again(search(&reading.plan, &sources));
    let next = check(reading, &mut loader).and_then(|checked| {
        let next = next(checked, &before, &plugins, &served)?;
        if without_sessions { refuse_sessions(&next, &plugins).into_result(next) } else { Ok(next) }
    });
    if let Ok(next) = &next {
        for library in &next.libraries {
            let generation = library.generation();
            if generation.is_multiple_of(MANY_GENERATIONS) {
                log::warn!(
                    "plugin {}: {generation} builds of it are loaded, and stay so until a restart",
                    library.identity()
                );
            }
        }
    }
    Done { loader, next }
}

/// Compares a plan with what is served.
fn next(
    checked: Checked,
    before: &Plan,
    plugins: &[Arc<Plugin>],
    served: &[Address],
) -> Result<Next, Problems> {
    let Checked { plan, handlers, .. } = checked;
    let steps = Steps::between(served, before, &plan);
    let mut problems = plan.problems();
    differences(before, &plan, served, &steps).into_iter().for_each(|difference| problems.push(difference));
    let changed = steps.change.iter().map(|(number, address)| (*number, address.place));
    let places: Vec<(usize, Place)> = steps.keep.iter().copied().chain(changed).collect();
    let mut entries_before = HashMap::new();
    for (number, place) in &places {
        if let Some(address) = served.get(*number) {
            entries_before.entry(place.entry as usize).or_insert(address.place.entry as usize);
        }
    }
    let changed: HashSet<usize> =
        steps.change.iter().map(|(_, address)| address.place.entry as usize).collect();
    let is_known = |plugin: &Arc<Plugin>| plugins.iter().any(|known| Arc::ptr_eq(known, plugin));
    let mut libraries: Vec<Arc<Plugin>> = Vec::new();
    for (plugin, _) in &handlers {
        let is_told = libraries.iter().any(|library| Arc::ptr_eq(library, plugin));
        if plugin.path().is_some() && !is_told && !is_known(plugin) {
            libraries.push(Arc::clone(plugin));
        }
    }
    let handlers = handlers.into_iter().enumerate().map(|(entry, (plugin, values))| {
        let old = entries_before.get(&entry).copied().filter(|old| {
            plugins.get(*old).is_some_and(|known| Arc::ptr_eq(known, &plugin))
                && matches!((before.listen.get(*old), plan.listen.get(entry)), (Some(a), Some(b)) if has_same_options(a, b))
        });
        old.map_or(Handler::New(plugin, values), Handler::AsBefore)
    });
    let handlers: Vec<Handler> = handlers.collect();
    for (entry, (listen, handler)) in plan.listen.iter().zip(&handlers).enumerate() {
        let stays = matches!(handler, Handler::AsBefore(_)) && !changed.contains(&entry);
        let was = entries_before.get(&entry).and_then(|old| plugins.get(*old));
        let is = if let Handler::New(plugin, _) = handler { Some(plugin) } else { None };
        let of_all = was.into_iter().chain(is).find(|plugin| plugin.is_per_listener());
        if let Some(plugin) = of_all.filter(|_| !stays) {
            let title = format!(
                "listener `{}`: plugin {} has one handler for all addresses, which is not changed while it serves",
                listen.name,
                plugin.identity()
            );
            problems.push(problem(title).at(&listen.plugin.span, "this plugin"));
        }
    }
    problems.into_result(Next { plan: Arc::new(plan), handlers, places, libraries })
}

/// Plugins whose handlers would want to make sockets, in a process that cannot.
fn refuse_sessions(next: &Next, plugins: &[Arc<Plugin>]) -> Problems {
    let mut problems = next.plan.problems();
    for (listen, handler) in next.plan.listen.iter().zip(&next.handlers) {
        let plugin = match handler {
            Handler::New(plugin, _) => Some(plugin),
            Handler::AsBefore(entry) => plugins.get(*entry),
        };
        if let Some(plugin) = plugin.filter(|plugin| plugin.has_sessions()) {
            let title = format!(
                "listener `{}`: plugin {} makes sockets for its sessions, which the sandbox of this process does not allow, \
                 since no plugin had any when it started",
                listen.name,
                plugin.identity()
            );
            problems.push(problem(title).at(&listen.plugin.span, "this plugin"));
        }
    }
    problems
}
