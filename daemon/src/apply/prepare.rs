//! The plugins of a plan: loaded, and their options checked. Nothing is bound yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use polyport_terminal::Escaped;

use super::policy;
use super::sources::Sources;
use crate::config::{
    Listen, Plan, Problem, Problems, RawOption, RawValue, Reading, Span, nearest, quoted_key, spec_settings,
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
    let entry = |(plugin, values)| Entry { plugin, values: Rc::new(values) };
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
    pub(super) handlers: Vec<(Arc<Plugin>, Values)>,
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
    let mut refused = BTreeMap::new();
    for listen in plan.listen.iter().filter(|listen| !listen.plugin.text.is_empty()) {
        let Some(plugin) = load(loader, listen, &mut refused) else { continue };
        match values(&plugin, listen, &mut harmless) {
            Ok(values) => handlers.push((plugin, values)),
            Err(found) => found.into_iter().for_each(|problem| problems.push(problem)),
        }
    }
    let identities: BTreeMap<&str, _> =
        handlers.iter().map(|(plugin, _)| (&**plugin.name(), plugin.identity())).collect();
    identities.values().for_each(|identity| tell(identity));
    refused.into_values().for_each(|missing: Missing| problems.push(missing.problem()));
    plan.reveal(&harmless, &mut problems);
    if problems.is_empty() {
        plan.overridden().iter().for_each(|text| log::warn!("{text}"));
        for (dir, error) in loader.unusable_dirs() {
            log::warn!(
                "plugins are not looked for in {}: {error}",
                Escaped(dir.as_os_str().as_encoded_bytes())
            );
        }
        handlers.iter().zip(&plan.listen).for_each(|((plugin, _), listen)| advise(&plan, listen, plugin));
    }
    let sessions = handlers.iter().any(|(plugin, _)| plugin.has_sessions());
    let mut policy = policy::policy(&plan, handlers.iter().map(|(plugin, _)| plugin.options()), sessions)
        .unwrap_or_else(|found| {
            found.into_iter().for_each(|problem| problems.push(problem));
            Policy::default()
        });
    policy.again = again(&plan, &handlers, loader);
    problems.into_result(Checked { plan, handlers, policy })
}

/// What a reload reads once more.
fn again(plan: &Plan, handlers: &[(Arc<Plugin>, Values)], loader: &Loader) -> Vec<PathBuf> {
    let file = plan.file_mode().and_then(|_| Some(PathBuf::from(&plan.sources().first()?.origin)));
    let files =
        file.into_iter().chain(handlers.iter().filter_map(|(plugin, _)| Some(plugin.path()?.to_path_buf())));
    let files = files.collect::<BTreeSet<_>>();
    policy::read_again(files.iter().map(PathBuf::as_path).chain(loader.dirs()))
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
    for setting in &listen.idle {
        log::warn!("listener {}: {setting}", listen.name);
    }
    let secret = |name: &str| plugin.options().iter().any(|spec| spec.secret && spec.name == name);
    let Some(option) = listen.options.iter().find(|option| secret(&option.name)) else { return };
    let file = plan.sources().get(option.value_span.source).map_or("", |source| source.origin.as_str());
    match plan.file_mode() {
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
    Problem::new("plugin-refuses", title).at(span, blamed.map_or("this plugin", |_| "this option"))
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

/// The plugin of a listener. What cannot be had is kept in `refused` by what it was called.
fn load(
    loader: &mut Loader,
    listen: &Listen,
    refused: &mut BTreeMap<String, Missing>,
) -> Option<Arc<Plugin>> {
    let reference = match &listen.plugin.path {
        Some(path) => path.to_string_lossy(),
        None => listen.plugin.text.as_str().into(),
    };
    if let Some(missing) = refused.get_mut(&*reference) {
        missing.more += 1;
        return None;
    }
    match loader.load(&reference) {
        Ok(plugin) => Some(plugin),
        Err(refusal) => {
            let (span, first) = (listen.plugin.span.clone(), listen.name.clone());
            refused.insert(reference.into_owned(), Missing { refusal, span, first, more: 0 });
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
    };
    Given { name: &option.name, value }
}

fn array_or_table(value: &toml::Value) -> GivenValue<'_> {
    let json = || serde_json::to_string(value).unwrap_or_default();
    match value {
        toml::Value::Boolean(b) => GivenValue::Bool(*b),
        toml::Value::Integer(i) => GivenValue::Int(*i),
        toml::Value::Float(x) => GivenValue::Float(*x),
        toml::Value::String(text) => GivenValue::Text(text),
        toml::Value::Array(items) => GivenValue::List(items.iter().map(array_or_table).collect(), json()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => GivenValue::Json(json()),
    }
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
    let setting =
        option.filter(|_| problem.part == Part::Name).and_then(|o| nearest(&o.name, spec_settings()));
    match (setting, &problem.help) {
        (Some(setting), _) => shown.help(format!("did you mean the setting `{setting}`?")),
        (None, Some(help)) => shown.help(help.clone()),
        (None, None) => shown,
    }
}
