//! The plugins of a plan: loaded, and their options checked. Nothing is bound yet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use polyport_terminal::Escaped;

use super::files::FilesRead;
use super::options;
use super::policy;
use super::restart::RESTART_KEYS;
use super::sources::Sources;
use crate::config::{
    Listen, Plan, Problem, Problems, RawOption, RawValue, Reading, Span, idle_networks, nearest,
    prefixed_setting, quoted_key, spec_settings,
};
use crate::plugin::{
    Cause, CreateError, Given, GivenValue, Identity, Loader, OptionProblem, Part, Plugin, Refusal,
    SearchPath, Values, plugin_abi,
};
use crate::sandbox::Policy;

/// What a `[[listen]]` table needs besides its sockets.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// Its checked options.
    pub values: Rc<Values>,
    /// The files that they name, as they were when they were checked.
    pub(super) files: FilesRead,
}

/// A plan with its plugins, and the loader they came from: the staged copies of the libraries stay until it is
/// dropped, because backtraces read symbols from them.
#[derive(Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: Arc<Plan>,
    /// One for each `[[listen]]` table.
    pub entries: Vec<Entry>,
    /// What the process gives up before it serves the plan.
    pub(super) policy: Policy,
    pub(super) loader: Loader,
}

impl Prepared {
    /// Whether all addresses of a `[[listen]]` table have one handler.
    pub(super) fn is_per_listener(&self, entry: u32) -> bool {
        self.entries.get(entry as usize).is_some_and(|entry| entry.plugin.is_per_listener())
    }
}

/// Loads every plugin of a plan and checks every option, also where the text itself has problems, so that one
/// run tells them all.
///
/// # Errors
/// Everything that is wrong.
pub fn prepare(reading: Reading, sources: &Sources) -> Result<Prepared, Problems> {
    let search = search(&reading.plan, sources);
    let mut loader = Loader::new(search, |name| std::env::var_os(name)).with_built_in(sources.built_in);
    let Checked { plan, handlers, policy } = check(reading, &mut loader)?;
    let entry = |(plugin, values, files)| Entry { plugin, values: Rc::new(values), files };
    Ok(Prepared { plan: Arc::new(plan), entries: handlers.into_iter().map(entry).collect(), policy, loader })
}

/// Where the plugins of a plan are looked up.
pub(super) fn search(plan: &Plan, sources: &Sources) -> SearchPath {
    SearchPath::of_process(&sources.dirs, &plan.plugin_dirs)
}

/// A plan, and what its handlers are made of: nothing of it belongs to a thread.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) plan: Plan,
    /// One for each `[[listen]]` table.
    pub(super) handlers: Vec<(Arc<Plugin>, Values, FilesRead)>,
    pub(super) policy: Policy,
}

/// Loads every plugin of a plan by `loader` and checks every option.
pub(super) fn check(reading: Reading, loader: &mut Loader) -> Result<Checked, Problems> {
    let Reading { mut plan, mut problems } = reading;
    let (mut handlers, mut harmless) = (Vec::new(), Vec::new());
    if plan.listen.is_empty() && problems.is_empty() {
        let help = "add a table [[listen]] with `bind` and `plugin`, or start without a file for the default";
        problems.push(Problem::new("nothing-to-serve", "the configuration has no listener").help(help));
    }
    // A table without a plugin is a problem that is known already.
    let mut refused = Refusals::default();
    for listen in plan.listen.iter_mut().filter(|listen| !listen.plugin.text.is_empty()) {
        let Some(plugin) = load(loader, listen, &mut refused) else { continue };
        let (options, twice) = options::named(mem::take(&mut listen.options), plugin.options());
        listen.options = options;
        twice.into_iter().for_each(|problem| problems.push(problem));
        let files = FilesRead::of(listen, plugin.options());
        match values(&plugin, listen, &mut harmless) {
            Ok(values) => handlers.push((plugin, values, files)),
            Err(found) => found.into_iter().for_each(|problem| problems.push(problem)),
        }
    }
    let identities: BTreeMap<&str, _> =
        handlers.iter().map(|(plugin, ..)| (&**plugin.name(), plugin.identity())).collect();
    identities.values().for_each(|identity| tell(identity));
    refused.problems().for_each(|problem| problems.push(problem));
    plan.reveal(&harmless, &mut problems);
    if problems.is_empty() {
        plan.overridden().iter().for_each(|text| log::warn!("{text}"));
        for (dir, error) in loader.unusable_dirs() {
            log::warn!(
                "plugins are not looked for in {}: {error}",
                Escaped(dir.as_os_str().as_encoded_bytes())
            );
        }
        handlers.iter().zip(&plan.listen).for_each(|((plugin, ..), listen)| advise(&plan, listen, plugin));
    }
    let sessions = handlers.iter().any(|(plugin, ..)| plugin.has_sessions());
    let mut policy = policy::policy(&plan, handlers.iter().map(|(plugin, ..)| plugin.options()), sessions)
        .unwrap_or_else(|found| {
            found.into_iter().for_each(|problem| problems.push(problem));
            Policy::default()
        });
    policy.again = again(&plan, &handlers, loader);
    problems.into_result(Checked { plan, handlers, policy })
}

/// What a reload reads once more.
fn again(plan: &Plan, handlers: &[(Arc<Plugin>, Values, FilesRead)], loader: &Loader) -> Vec<PathBuf> {
    let configuration = plan.files().map(Path::to_path_buf);
    let libraries = handlers.iter().filter_map(|(plugin, ..)| Some(plugin.path()?.to_path_buf()));
    let named = handlers.iter().flat_map(|(.., files)| files.paths());
    let files = configuration.chain(libraries).chain(named).collect::<BTreeSet<_>>();
    let searched = plan.searched().iter().map(PathBuf::as_path);
    policy::read_again(files.iter().map(PathBuf::as_path).chain(searched).chain(loader.dirs()))
}

/// Says of a plugin what its author may not have expected of this host, once however many listeners it serves.
fn tell(identity: &Identity) {
    if identity.aborts_on_panic() {
        log::warn!("plugin {identity} was built with panic=abort: a panic in it stops polyport");
    }
    if identity.is_newer_than_host() {
        log::info!(
            "plugin {identity} was built for plugin ABI {}, this polyport offers {}: what is newer is missing",
            identity.abi(),
            plugin_abi()
        );
    }
}

/// Warns of what is served all the same, and lets other users of this host in.
fn advise(plan: &Plan, listen: &Listen, plugin: &Plugin) {
    const OTHERS_READ: u32 = 0o044;
    const OTHERS_WRITE: u32 = 0o022;
    if listen.socket.share {
        log::warn!(
            "listener {}: share = true lets any user of this host bind the same port, and take what is sent to it",
            listen.name
        );
    }
    if listen.chain && !plugin.has_sessions() {
        let of = plugin.identity();
        log::warn!("listener {}: `chain`: without effect, since plugin {of} opens no sessions", listen.name);
    }
    for setting in listen.idle.iter().chain(&idle_networks(listen)) {
        log::warn!("listener {}: {setting}", listen.name);
    }
    let secret = |name: &str| plugin.options().iter().any(|spec| spec.secret && spec.name == name);
    let Some(option) = listen.options.iter().find(|option| secret(&option.name)) else { return };
    let file = plan.sources().get(option.value_span.source).map_or("", |source| source.origin.as_str());
    match plan.file_mode(option.value_span.source) {
        Some(mode) if mode & (OTHERS_READ | OTHERS_WRITE) != 0 => log::warn!(
            "{file} holds a secret, the option `{}` of listener {}, and others may read or write it (mode {:04o}): \
             chmod go= {file}",
            option.name,
            listen.name,
            mode & 0o7777
        ),
        Some(_) => {}
        None => log::warn!(
            "listener {}: the option `{}` is a secret, and everybody can read a command line (`ps`): put it into a \
             configuration file",
            listen.name,
            option.name
        ),
    }
}

/// A plugin's own refusal, shown at the option it blames.
pub(super) fn refusal(listen: &Listen, plugin: &Plugin, error: &CreateError) -> Problem {
    let blamed = error.option.and_then(|index| plugin.options().get(index));
    let option = blamed.and_then(|spec| listen.options.iter().find(|option| option.name == spec.name));
    let span = option.map_or(&listen.plugin.span, |option| &option.value_span);
    // In its title as well: what is read line by line, or as JSON, has no caret.
    let what = blamed.map_or_else(String::new, |spec| format!(" the option `{}`", spec.name));
    let title =
        format!("listener `{}`: plugin {} refuses{what}: {}", listen.name, plugin.identity(), error.message);
    let problem =
        Problem::new("plugin-refuses", title).at(span, blamed.map_or("this plugin", |_| "this option"));
    match blamed {
        Some(spec) => problem.help(spec.described()),
        None => problem,
    }
}

/// A plugin that cannot be had, and who wants it. It is looked for once, and told of once: thousands of listeners may name
/// it.
struct Missing {
    refusal: Refusal,
    /// Where it was named first, and by which listener.
    span: Span,
    first: String,
    /// How many more listeners name it.
    more: usize,
}

impl Missing {
    fn problem(self) -> Problem {
        let Self { refusal: Refusal { path, cause }, span, first, more } = self;
        let who = match more {
            0 => format!("listener `{first}`"),
            _ => format!("listener `{first}` and {more} more"),
        };
        // A name was looked up in several places: say which file it led to.
        let title = if matches!(cause, Cause::NotFound { .. }) {
            format!("{who}: the plugin cannot be found")
        } else {
            format!("{who}: the plugin {} cannot be loaded", path.display())
        };
        Problem { help: cause.help(), ..Problem::new("plugin", title).at(&span, cause.to_string()) }
    }
}

/// A plugin that cannot be had, and the listeners that want it.
pub(super) fn missing(refusal: Refusal, wanted_by: &[&Listen]) -> Option<Problem> {
    let (first, more) = wanted_by.split_first()?;
    let (span, first) = (first.plugin.span.clone(), first.name.clone());
    Some(Missing { refusal, span, first, more: more.len() }.problem())
}

/// Plugins that cannot be had and are told of one by one. Each is looked for in every directory, and after so many what is wrong
/// is known.
const MOST_MISSING: usize = 200;

/// All plugins that cannot be had.
#[derive(Default)]
struct Refusals {
    /// By what each was called.
    missing: BTreeMap<String, Missing>,
    /// Where the first one stands that was not looked for any more, and how many listeners there are from there on.
    unseen: Option<(Span, usize)>,
}

impl Refusals {
    fn problems(self) -> impl Iterator<Item = Problem> {
        let unseen = self.unseen.map(|(span, count)| {
            let title = format!(
                "{MOST_MISSING} plugins cannot be had: those of {count} more listeners are not looked for"
            );
            Problem::new("plugin", title).at(&span, "from here on")
        });
        self.missing.into_values().map(Missing::problem).chain(unseen)
    }
}

/// What the plugin of a listener is called.
pub(super) fn reference(listen: &Listen) -> Cow<'_, str> {
    match &listen.plugin.path {
        Some(path) => path.to_string_lossy(),
        None => listen.plugin.text.as_str().into(),
    }
}

/// The plugin of a listener. What cannot be had is kept in `refused` by what it was called.
fn load(loader: &mut Loader, listen: &Listen, refused: &mut Refusals) -> Option<Arc<Plugin>> {
    let reference = reference(listen);
    if let Some(missing) = refused.missing.get_mut(&*reference) {
        missing.more += 1;
        return None;
    }
    if refused.missing.len() >= MOST_MISSING {
        refused.unseen.get_or_insert_with(|| (listen.plugin.span.clone(), 0)).1 += 1;
        return None;
    }
    match loader.load(&reference) {
        Ok(plugin) => Some(plugin),
        Err(refusal) => {
            let (span, first) = (listen.plugin.span.clone(), listen.name.clone());
            refused.missing.insert(reference.into_owned(), Missing { refusal, span, first, more: 0 });
            None
        }
    }
}

/// Adds the places of values that are no secrets to `harmless`, whatever else is wrong.
fn values(plugin: &Plugin, listen: &Listen, harmless: &mut Vec<Span>) -> Result<Values, Vec<Problem>> {
    let is_harmless = |name: &str| plugin.options().iter().any(|spec| !spec.secret && spec.name == name);
    harmless.extend(listen.options.iter().filter(|o| is_harmless(&o.name)).map(|o| o.value_span.clone()));
    let given: Vec<Given<'_>> = listen.options.iter().map(given).collect();
    let values = Values::check(plugin.options(), &given)
        .map_err(|problems| problems.iter().map(|p| option_problem(listen, p)).collect::<Vec<_>>())?;
    plugin.check(&values).map_err(|error| vec![refusal(listen, plugin, &error)])?;
    Ok(values)
}

fn given(option: &RawOption) -> Given<'_> {
    let value = match &option.value {
        RawValue::Bool(b) => GivenValue::Bool(*b),
        RawValue::Int(i) => GivenValue::Int(*i),
        RawValue::Float(x) => GivenValue::Float(*x),
        RawValue::Text(text) => GivenValue::Text(text),
        RawValue::Other(value) => array_or_table(value),
        RawValue::Table(entries) => GivenValue::Json(json(&options::table(entries))),
    };
    Given { name: &option.name, value }
}

fn array_or_table(value: &toml::Value) -> GivenValue<'_> {
    match value {
        toml::Value::Boolean(b) => GivenValue::Bool(*b),
        toml::Value::Integer(i) => GivenValue::Int(*i),
        toml::Value::Float(x) => GivenValue::Float(*x),
        toml::Value::String(text) => GivenValue::Text(text),
        toml::Value::Array(items) => {
            GivenValue::List(items.iter().map(array_or_table).collect(), json(value))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => GivenValue::Json(json(value)),
    }
}

/// A value as JSON text; a date is a string there.
fn json(value: &toml::Value) -> String {
    json_value(value).to_string()
}

fn json_value(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Boolean(b) => (*b).into(),
        toml::Value::Integer(i) => (*i).into(),
        toml::Value::Float(x) => (*x).into(),
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json_value).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), json_value(value))).collect()
        }
    }
}

/// The setting behind `--listen` that an unknown option may have meant.
fn meant(name: &str) -> Option<&'static str> {
    prefixed_setting(name).or_else(|| nearest(name, spec_settings()))
}

/// Where something is said that is no setting of a listener which an argument can give it, and how it is changed while it serves.
fn belongs_elsewhere(name: &str) -> Option<String> {
    let first = name.split('.').next().unwrap_or(name);
    if matches!(name, "bind" | "plugin") {
        let text = "BIND=PLUGIN stands before all keys; of a listener that serves another address is another socket: `add` it and \
                    `remove` this one, or write it down and reload";
        return Some(text.to_owned());
    }
    if RESTART_KEYS.contains(&first) {
        return Some(format!(
            "`{first}` is about the whole daemon: the file says it, and only a restart changes it"
        ));
    }
    (first == "grace")
        .then(|| "`grace` is about the whole daemon: the file says it, and a reload changes it".to_owned())
}

fn option_problem(listen: &Listen, problem: &OptionProblem) -> Problem {
    let option = problem.given.and_then(|index| listen.options.get(index));
    let title = match option {
        Some(option) if problem.part != Part::Name => {
            format!("listener `{}`: option `{}`: {}", listen.name, option.name, problem.message)
        }
        Some(option) => {
            let given = format!("`{}`", option.name);
            let message = problem.message.replace(&given, &quoted_key(&option.name));
            format!("listener `{}`: {message}", listen.name)
        }
        None => format!("listener `{}`: {}", listen.name, problem.message),
    };
    let shown = match option {
        Some(option) if problem.part == Part::Name => {
            Problem::new("unknown-option", title).at(&option.name_span, "unknown")
        }
        Some(option) => {
            let element = match problem.part {
                Part::Element(at) => option.element_spans.get(at),
                Part::Name | Part::Value | Part::Declaration => None,
            };
            Problem::new("bad-option", title).at(element.unwrap_or(&option.value_span), "this value")
        }
        None if problem.part == Part::Declaration => {
            Problem::new("plugin", title).at(&listen.plugin.span, "a fault of this plugin")
        }
        None => Problem::new("missing-option", title).at(&listen.plugin.span, "this plugin needs it"),
    };
    // On the command line settings and options stand side by side, and either may have been mistyped.
    let setting = option.filter(|_| problem.part == Part::Name).and_then(|o| meant(&o.name));
    let elsewhere = option.filter(|_| problem.part == Part::Name).and_then(|o| belongs_elsewhere(&o.name));
    match (setting, &problem.help) {
        _ if elsewhere.is_some() => shown.help(elsewhere.unwrap_or_default()),
        (Some(setting), _) => shown.help(format!("did you mean the setting `{setting}`?")),
        (None, Some(help)) => shown.help(help.clone()),
        (None, None) => shown,
    }
}
