//! What of a reload may take its time: it reads disks, loads libraries and asks plugins whether they take their options.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use polyport_terminal::Escaped;

use super::differences::{differences, only_by_restart, problem, sockets_differ};
use super::wanted::{Wanted, called, one};
use crate::apply::files::FilesRead;
use crate::apply::prepare::{Checked, check, missing, reference, search};
use crate::apply::sockets::{self, Bound, Surroundings, Tuning};
use crate::apply::sources::Sources;
use crate::apply::steps::{Address, Place, Steps, has_same_options};
use crate::broker::Maker;
use crate::config::{
    Listen, Plan, Problem, Problems, Reading, with_listener, with_settings, without_listener,
};
use crate::control::wire::{AddParams, ListenerParams, PluginParams, SetParams};
use crate::plugin::{Loader, Plugin, Values};

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

/// What is served, by its number in the job, each with its place in the plan.
type Places = Vec<(usize, Place)>;

/// What shall run.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) plan: Arc<Plan>,
    /// One for each `[[listen]]` table.
    pub(super) handlers: Vec<Handler>,
    /// What is served, by its number in the job, with its place in the plan.
    pub(super) places: Places,
    /// What serves on and has only another place: with it, of what is not among `places`.
    pub(super) retagged: Places,
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
    let scope = Scope::of(&wanted);
    let next = read(wanted, &before, &plugins, &sources, &mut loader)
        .and_then(|reading| check(reading, &mut loader))
        .and_then(|checked| {
            let (next, steps) = next(checked, &before, (&plugins, &files), &served, &scope)?;
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

/// What may be another one.
enum Scope {
    /// Whatever was read again.
    All,
    /// What was asked for alone.
    Asked,
    /// The handlers of a plugin that is called so.
    Plugin(String),
}

impl Scope {
    fn of(wanted: &Wanted) -> Self {
        match wanted {
            Wanted::Again(_) => Self::All,
            Wanted::Set(_) | Wanted::Add(_) | Wanted::Remove(_) => Self::Asked,
            Wanted::Plugin(PluginParams { plugin }) => Self::Plugin(plugin.clone()),
        }
    }
}

/// What shall run, as it is written. From then on `loader` knows what may be served by it: all that lies in files now, or what serves
/// `before`, whatever its files are meanwhile.
fn read(
    wanted: Wanted,
    before: &Arc<Plan>,
    plugins: &[Arc<Plugin>],
    sources: &Sources,
    loader: &mut Loader,
) -> Result<Reading, Problems> {
    let as_before = || Reading { plan: (**before).clone(), problems: before.problems() };
    if !matches!(wanted, Wanted::Again(_)) {
        let named =
            |(listen, plugin): (&Listen, &Arc<Plugin>)| (reference(listen).into_owned(), Arc::clone(plugin));
        loader.keep(search(before, sources), before.listen.iter().zip(plugins).map(named));
    }
    // What it is about was there when the request was taken, and nobody has removed it since.
    Ok(match wanted {
        Wanted::Again(again) => {
            let reading = again(before);
            loader.look_again(search(&reading.plan, sources));
            reading
        }
        Wanted::Add(AddParams { spec }) => with_listener(before, &spec),
        Wanted::Remove(ListenerParams { listener }) => {
            without_listener(before, &listener).unwrap_or_else(as_before)
        }
        Wanted::Set(SetParams { listener, options }) => {
            let options: Vec<_> = options.into_iter().collect();
            with_settings(before, &listener, &options).unwrap_or_else(as_before)
        }
        Wanted::Plugin(PluginParams { plugin }) => {
            let refused = |problem: Box<Problem>| {
                let mut problems = before.problems();
                problems.push(*problem);
                problems
            };
            if let Some(of) = one(&called(before, plugins.iter(), &plugin), &plugin).map_err(refused)? {
                let serves = before.listen.iter().zip(plugins).filter(|(_, other)| Arc::ptr_eq(other, of));
                let serves: Vec<&Listen> = serves.map(|(listen, _)| listen).collect();
                loader.load_again(of).map_err(|refusal| {
                    let mut problems = before.problems();
                    missing(refusal, &serves).into_iter().for_each(|problem| problems.push(problem));
                    problems
                })?;
            }
            as_before()
        }
    })
}

/// Compares a plan with what is served. Files that options name are looked at if all of it was read again.
fn next(
    checked: Checked,
    before: &Plan,
    (plugins, files): (&[Arc<Plugin>], &[FilesRead]),
    served: &[Address],
    scope: &Scope,
) -> Result<(Next, Steps), Problems> {
    let reads_all = matches!(scope, Scope::All);
    let Checked { mut plan, handlers, .. } = checked;
    let steps = Steps::between(served, before, &plan);
    let mut problems = plan.problems();
    differences(before, &plan).into_iter().for_each(|difference| problems.push(difference));
    let changed = steps.change.iter().map(|(number, address)| (*number, address.place));
    let places: Places = steps.keep.iter().copied().chain(changed).collect();
    let mut entries_before = BTreeMap::new();
    for (number, place) in &places {
        if let Some(address) = served.get(*number) {
            entries_before.entry(place.entry as usize).or_insert(address.place.entry as usize);
        }
    }
    // Lists may be long: who has the very same ones is not compared for each address, while all others wait.
    for (entry, old) in &entries_before {
        if let (Some(was), Some(is)) = (before.listen.get(*old), plan.listen.get_mut(*entry))
            && was.access == is.access
        {
            is.access.clone_from(&was.access);
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
            let problem = if reads_all { problem(title) } else { only_by_restart(title) };
            problems.push(problem.at(&listen.plugin.span, "this plugin"));
        }
    }
    let names = plan.listen.iter().map(|listen| listen.name.clone()).collect();
    let (places, retagged) = match scope {
        // Whoever reads all of it wants all of it to serve: what is out of service is made again.
        Scope::All => (places, Vec::new()),
        Scope::Asked => touched(places, served, (&handlers, &changed), |_| false),
        Scope::Plugin(text) => {
            let meant = called(before, plugins.iter(), text);
            let is_meant = |entry: usize| {
                plugins.get(entry).is_some_and(|plugin| meant.iter().any(|of| Arc::ptr_eq(of, plugin)))
            };
            touched(places, served, (&handlers, &changed), is_meant)
        }
    };
    let next = Next {
        plan: Arc::new(plan),
        handlers,
        places,
        retagged,
        bound: Vec::new(),
        tunings: Vec::new(),
        removed: steps.remove.clone(),
        names,
        libraries,
    };
    problems.into_result((next, steps))
}

/// Of what serves on, what is to be another, and what only gets another place: neither that nor the rest is asked. Of the listeners
/// `changed` the daemon's own settings are others.
fn touched(
    places: Places,
    served: &[Address],
    (handlers, changed): (&[Handler], &HashSet<usize>),
    is_meant: impl Fn(usize) -> bool,
) -> (Places, Places) {
    let (touched, mut left): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|(_, place)| match handlers.get(place.entry as usize) {
            Some(Handler::AsBefore(entry)) => changed.contains(&(place.entry as usize)) || is_meant(*entry),
            Some(Handler::New(..)) | None => true,
        });
    left.retain(|(number, place)| served.get(*number).is_some_and(|address| address.place != *place));
    (touched, left)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The first of three listeners goes, and the last one is another: the one between them is not asked for anything.
    #[test]
    fn what_only_gets_another_place_is_not_touched() {
        let place = |entry| Place { entry, bind: 0 };
        let served: Vec<_> =
            (0..4).map(|entry| Address { place: place(entry), asked: ([127, 0, 0, 1], 7).into() }).collect();
        let places = vec![(1, place(0)), (2, place(1)), (3, place(3))];
        let handlers = [1, 2, 0, 3].map(Handler::AsBefore);
        let changed = HashSet::from([1]);
        let (touched, retagged) = touched(places, &served, (&handlers, &changed), |_| false);
        assert_eq!((touched, retagged), (vec![(2, place(1))], vec![(1, place(0))]));
    }
}
