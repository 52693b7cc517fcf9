//! What of a reload may take its time: it reads disks, loads libraries and asks plugins whether they take their options.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use polyport_terminal::Escaped;

use super::differences::{differences, problem, sockets_differ};
use crate::apply::files::FilesRead;
use crate::apply::prepare::{Checked, check, search};
use crate::apply::sockets::{self, Bound, Surroundings, Tuning};
use crate::apply::sources::Sources;
use crate::apply::steps::{Address, Place, Steps, has_same_options};
use crate::broker::Maker;
use crate::config::{Plan, Problem, Problems, Reading, with_listener, with_options, without_listener};
use crate::control::wire::{AddParams, ListenerParams, SetParams};
use crate::plugin::{Loader, Plugin, Values};

/// Reads the configuration again, from where it was read before.
pub type Again = Arc<dyn Fn(&Plan) -> Reading + Send + Sync>;

/// Where what shall run is written.
pub(super) enum Wanted {
    /// Where it was read before.
    Again(Again),
    /// What runs, with other options for one listener.
    Set(SetParams),
    /// What runs, and one listener more.
    Add(AddParams),
    /// What runs, without one listener.
    Remove(ListenerParams),
}

impl Wanted {
    /// The listener that has to be there for it.
    pub(super) fn listener(&self) -> Option<&str> {
        match self {
            Self::Again(_) | Self::Add(_) => None,
            Self::Set(SetParams { listener, .. }) | Self::Remove(ListenerParams { listener }) => {
                Some(listener)
            }
        }
    }

    /// What was to be done, as it is told when it is.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Again(_) => "reloaded",
            Self::Set(_) => "set",
            Self::Add(_) => "added",
            Self::Remove(_) => "removed",
        }
    }
}

/// What runs, and where to look for what shall run.
pub(super) struct Job {
    pub(super) wanted: Wanted,
    pub(super) sources: Sources,
    pub(super) before: Arc<Plan>,
    /// One for each `[[listen]]` table of it.
    pub(super) plugins: Vec<Arc<Plugin>>,
    /// For each of these tables as well: the files that its options name, as they were when they were read.
    pub(super) files: Vec<FilesRead>,
    /// What is served of it.
    pub(super) served: Vec<Address>,
    pub(super) loader: Loader,
    /// Makes the sockets of what is not served yet.
    pub(super) maker: Maker,
    /// The process can make no sockets any more.
    pub(super) without_sessions: bool,
}

/// What has become of a job.
#[derive(Debug)]
pub(super) struct Done {
    /// That of the job.
    pub(super) loader: Loader,
    /// That of the job.
    pub(super) maker: Maker,
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
    /// What is to be served for the first time: bound, and its groups joined.
    pub(super) bound: Vec<Bound>,
    /// Sockets that get other options or groups, by the number of what is served.
    pub(super) tunings: Vec<(usize, Tuning)>,
    /// What is to be served no more, by its number.
    pub(super) removed: Vec<usize>,
    /// The names of all listeners of the plan.
    pub(super) names: HashSet<String>,
    /// The libraries that serve nothing so far.
    pub(super) libraries: Vec<Arc<Plugin>>,
}

/// What the handlers of a `[[listen]]` table are made of.
#[derive(Debug)]
pub(super) enum Handler {
    /// What those of this table are made of that serves now.
    AsBefore(usize),
    New(Arc<Plugin>, Values, FilesRead),
}

/// A library that was rebuilt and reloaded so often is worth a line: none of its builds is ever unloaded.
const MANY_GENERATIONS: usize = 50;

/// Does a job. Nothing that runs is touched.
pub(super) fn work(job: Job) -> Done {
    let Job { wanted, sources, before, plugins, files, served, mut loader, mut maker, without_sessions } =
        job;
    let reads_all = matches!(wanted, Wanted::Again(_));
    let reading = match wanted {
        Wanted::Again(again) => again(&before),
        Wanted::Add(AddParams { spec }) => with_listener(&before, &spec),
        Wanted::Remove(ListenerParams { listener }) => without_listener(&before, &listener)
            .unwrap_or_else(|| Reading { plan: (*before).clone(), problems: before.problems() }),
        Wanted::Set(SetParams { listener, options }) => {
            let options: Vec<_> = options.into_iter().collect();
            with_options(&before, &listener, &options).unwrap_or_else(|| {
                // Nobody has removed it since the request was taken.
                Reading { plan: (*before).clone(), problems: before.problems() }
            })
        }
    };
    if reads_all {
        loader.look_again(search(&reading.plan, &sources));
    }
    let next = check(reading, &mut loader).and_then(|checked| {
        let (next, steps) = next(checked, &before, (&plugins, &files), &served, reads_all)?;
        let next =
            if without_sessions { refuse_sessions(&next, &plugins).into_result(next) } else { Ok(next) }?;
        // Whatever can be refused without a socket has been.
        with_sockets(next, &steps, &before, &served, &mut maker)
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
    Done { loader, maker, next }
}

/// Compares a plan with what is served. Files that options name are looked at if it `reads_all`.
fn next(
    checked: Checked,
    before: &Plan,
    (plugins, files): (&[Arc<Plugin>], &[FilesRead]),
    served: &[Address],
    reads_all: bool,
) -> Result<(Next, Steps), Problems> {
    let Checked { plan, handlers, .. } = checked;
    let steps = Steps::between(served, before, &plan);
    let mut problems = plan.problems();
    differences(before, &plan).into_iter().for_each(|difference| problems.push(difference));
    let changed = steps.change.iter().map(|(number, address)| (*number, address.place));
    let places: Vec<(usize, Place)> = steps.keep.iter().copied().chain(changed).collect();
    let mut entries_before = BTreeMap::new();
    for (number, place) in &places {
        if let Some(address) = served.get(*number) {
            entries_before.entry(place.entry as usize).or_insert(address.place.entry as usize);
        }
    }
    let mut changed: HashSet<usize> =
        steps.change.iter().map(|(_, address)| address.place.entry as usize).collect();
    // Where addresses come or go beside others that stay, the listener is another one for who has one handler for all
    // of them.
    let removed = steps.remove.iter().filter_map(|number| served.get(*number));
    let shrunk: HashSet<usize> = removed.map(|address| address.place.entry as usize).collect();
    changed.extend(steps.add.iter().map(|address| address.place.entry as usize));
    changed.extend(entries_before.iter().filter(|(_, old)| shrunk.contains(*old)).map(|(entry, _)| *entry));
    let is_known = |plugin: &Arc<Plugin>| plugins.iter().any(|known| Arc::ptr_eq(known, plugin));
    let mut libraries: Vec<Arc<Plugin>> = Vec::new();
    for (plugin, ..) in &handlers {
        let is_told = libraries.iter().any(|library| Arc::ptr_eq(library, plugin));
        if plugin.path().is_some() && !is_told && !is_known(plugin) {
            libraries.push(Arc::clone(plugin));
        }
    }
    let handlers = handlers.into_iter().enumerate().map(|(entry, (plugin, values, read))| {
        let old = entries_before.get(&entry).copied().filter(|old| {
            plugins.get(*old).is_some_and(|known| Arc::ptr_eq(known, &plugin))
                && matches!((before.listen.get(*old), plan.listen.get(entry)), (Some(a), Some(b)) if has_same_options(a, b))
        });
        let name = plan.listen.get(entry).map_or("", |listen| listen.name.as_str());
        let old = old.filter(|old| !reads_all || !files.get(*old).is_some_and(|was| reads_again(name, &plugin, &read, was)));
        old.map_or(Handler::New(plugin, values, read), Handler::AsBefore)
    });
    let handlers: Vec<Handler> = handlers.collect();
    for (entry, (listen, handler)) in plan.listen.iter().zip(&handlers).enumerate() {
        let stays = matches!(handler, Handler::AsBefore(_)) && !changed.contains(&entry);
        let was = entries_before.get(&entry).and_then(|old| plugins.get(*old));
        let is = if let Handler::New(plugin, ..) = handler { Some(plugin) } else { None };
        let of_all = was.into_iter().chain(is).find(|plugin| plugin.is_per_listener());
        // One that is new as a whole changes nobody's.
        let is_new = !entries_before.contains_key(&entry);
        if let Some(plugin) = of_all.filter(|_| !stays && !is_new) {
            let title = format!(
                "listener `{}`: plugin {} has one handler for all addresses, which is not changed while it serves",
                listen.name,
                plugin.identity()
            );
            problems.push(problem(title).at(&listen.plugin.span, "this plugin"));
        }
    }
    let names = plan.listen.iter().map(|listen| listen.name.clone()).collect();
    let next = Next {
        plan: Arc::new(plan),
        handlers,
        places,
        bound: Vec::new(),
        tunings: Vec::new(),
        removed: steps.remove.clone(),
        names,
        libraries,
    };
    problems.into_result((next, steps))
}

/// Binds what is new, and says which sockets get other options.
fn with_sockets(
    next: Next,
    steps: &Steps,
    before: &Plan,
    served: &[Address],
    maker: &mut Maker,
) -> Result<Next, Problems> {
    let plan = &*next.plan;
    let around = Surroundings::of(plan);
    let tunings = steps.change.iter().filter_map(|(number, to)| {
        let was = *served.get(*number)?;
        let differ = sockets_differ((before, was.place), (plan, to.place));
        differ.then(|| Tuning::new((before, was), (plan, *to), &around).map(|tuning| (*number, tuning)))?
    });
    let tunings = tunings.collect();
    let bound = if steps.add.is_empty() {
        Vec::new()
    } else {
        let total = served.len() + steps.add.len();
        let bound = sockets::bind(plan, steps.add.iter().copied(), total, &around, maker);
        bound.map_err(|refused| own_addresses(refused.problems, steps, served))?
    };
    Ok(Next { bound, tunings, ..next })
}

/// An address that cannot be bound may be this daemon's own until the reload is done.
fn own_addresses(mut problems: Problems, steps: &Steps, served: &[Address]) -> Problems {
    let goes = |number: &usize| served.get(*number).map(|address| address.asked);
    let clash = steps.remove.iter().filter_map(goes).find_map(|goes| {
        let new = steps.add.iter().map(|address| address.asked).find(|new| {
            let alike = new.ip().is_unspecified() || goes.ip().is_unspecified() || new.ip() == goes.ip();
            new.port() == goes.port() && new.port() != 0 && new.is_ipv4() == goes.is_ipv4() && alike
        })?;
        Some((goes, new))
    });
    if let Some((goes, new)) = clash {
        let title = format!("{new} cannot be bound as long as {goes} is served, which this reload would end");
        let help = "new sockets are bound before old ones are closed: take the old address out by one reload, and add the new \
                    one by the next";
        problems.push(Problem::new("bind", title).help(help));
    }
    problems
}

/// Whether handlers whose options stay the same have to read the files again that these name. Says which of them are others now.
fn reads_again(name: &str, plugin: &Plugin, read: &FilesRead, was: &FilesRead) -> bool {
    let mut is_another = false;
    for file in read.since(was) {
        let path = Escaped(file.path.as_os_str().as_encoded_bytes());
        if plugin.is_per_listener() {
            log::warn!(
                "listener {name}: `{}`: {path} has changed, and is read by a restart only: plugin {} has one handler for \
                 all addresses",
                file.option,
                plugin.identity()
            );
        } else {
            log::info!("listener {name}: `{}`: {path} has changed since it was read", file.option);
            is_another = true;
        }
    }
    is_another
}

/// Plugins whose handlers would want to make sockets, in a process that cannot.
fn refuse_sessions(next: &Next, plugins: &[Arc<Plugin>]) -> Problems {
    let mut problems = next.plan.problems();
    for (listen, handler) in next.plan.listen.iter().zip(&next.handlers) {
        let plugin = match handler {
            Handler::New(plugin, ..) => Some(plugin),
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
