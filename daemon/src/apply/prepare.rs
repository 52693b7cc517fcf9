//! The plugins of a plan: loaded, and their options checked. Nothing is bound yet.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{
    Listen, Plan, Problem, Problems, RawOption, RawValue, Reading, Span, nearest, spec_settings,
};
use crate::plugin::{
    Cause, CreateError, Given, GivenValue, Loader, OptionProblem, Plugin, SearchPath, Values,
};

/// What a `[[listen]]` table needs besides its sockets.
#[derive(Debug)]
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
    pub plan: Plan,
    /// One for each `[[listen]]` table.
    pub entries: Vec<Entry>,
    pub(super) loader: Loader,
}

/// Loads every plugin of a plan and checks every option, also where the text itself has problems, so that one
/// run tells them all.
///
/// # Errors
/// Everything that is wrong.
pub fn prepare(reading: Reading, plugin_dirs: &[PathBuf]) -> Result<Prepared, Problems> {
    let Reading { mut plan, mut problems } = reading;
    let search = SearchPath::new(
        plugin_dirs,
        std::env::var_os("POLYPORT_PLUGIN_PATH").as_deref(),
        &plan.plugin_dirs,
        std::env::current_exe().ok().as_deref(),
    );
    let mut loader = Loader::new(search, |name| std::env::var_os(name));
    let (mut entries, mut secrets) = (Vec::new(), Vec::new());
    if plan.listen.is_empty() && problems.is_empty() {
        let help = "add a table [[listen]] with `bind` and `plugin`, or start without a file for the default";
        problems.push(Problem::new("nothing-to-serve", "the configuration has no listener").help(help));
    }
    // A table without a plugin is a problem that is known already.
    for listen in plan.listen.iter().filter(|listen| !listen.plugin.text.is_empty()) {
        match entry(&mut loader, listen, &mut secrets) {
            Ok(entry) => entries.push(entry),
            Err(found) => found.into_iter().for_each(|problem| problems.push(problem)),
        }
    }
    plan.hide(&secrets, &mut problems);
    problems.into_result(Prepared { plan, entries, loader })
}

/// A plugin's own refusal, shown at the option it blames.
pub(super) fn refusal(listen: &Listen, plugin: &Plugin, error: &CreateError) -> Problem {
    let blamed = error.option.and_then(|index| plugin.options().get(index));
    let option = blamed.and_then(|spec| listen.options.iter().find(|option| option.name == spec.name));
    let span = option.map_or(&listen.plugin.span, |option| &option.value_span);
    let title =
        format!("listener `{}`: plugin {} refuses: {}", listen.name, plugin.identity(), error.message);
    Problem::new("plugin-refuses", title).at(span, blamed.map_or("this plugin", |_| "this option"))
}

/// Adds the places of secret values to `secrets`, whatever else is wrong.
fn entry(loader: &mut Loader, listen: &Listen, secrets: &mut Vec<Span>) -> Result<Entry, Vec<Problem>> {
    let reference = match &listen.plugin.path {
        Some(path) => path.to_string_lossy(),
        None => listen.plugin.text.as_str().into(),
    };
    let plugin = loader.load(&reference).map_err(|error| {
        // A name was looked up in several places: say which file it led to.
        let title = if matches!(error.cause, Cause::NotFound { .. }) {
            format!("listener `{}`: the plugin cannot be found", listen.name)
        } else {
            format!("listener `{}`: the plugin {} cannot be loaded", listen.name, error.path.display())
        };
        vec![Problem::new("plugin", title).at(&listen.plugin.span, error.cause.to_string())]
    })?;
    if plugin.identity().aborts_on_panic() {
        log::warn!("plugin {} was built with panic=abort: a panic in it stops polyport", plugin.identity());
    }
    let is_secret = |name: &str| plugin.options().iter().any(|spec| spec.secret && spec.name == name);
    secrets.extend(listen.options.iter().filter(|o| is_secret(&o.name)).map(|o| o.value_span.clone()));
    let given: Vec<Given<'_>> = listen.options.iter().map(given).collect();
    let values = Values::check(plugin.options(), &given)
        .map_err(|problems| problems.iter().map(|p| option_problem(listen, p)).collect::<Vec<_>>())?;
    plugin.check(&values).map_err(|error| vec![refusal(listen, &plugin, &error)])?;
    Ok(Entry { plugin, values: Rc::new(values) })
}

fn given(option: &RawOption) -> Given<'_> {
    let value = match &option.value {
        RawValue::Bool(b) => GivenValue::Bool(*b),
        RawValue::Int(i) => GivenValue::Int(*i),
        RawValue::Float(x) => GivenValue::Float(*x),
        RawValue::Text(text) => GivenValue::Text(text),
        RawValue::Other(value) => GivenValue::Json(serde_json::to_string(value).unwrap_or_default()),
    };
    Given { name: &option.name, value }
}

fn option_problem(listen: &Listen, problem: &OptionProblem) -> Problem {
    let option = problem.given.and_then(|index| listen.options.get(index));
    let title = match option {
        Some(option) if !problem.in_name => {
            format!("listener `{}`: option `{}`: {}", listen.name, option.name, problem.message)
        }
        _ => format!("listener `{}`: {}", listen.name, problem.message),
    };
    let shown = match option {
        Some(option) if problem.in_name => {
            Problem::new("unknown-option", title).at(&option.name_span, "unknown")
        }
        Some(option) => Problem::new("bad-option", title).at(&option.value_span, "this value"),
        None => Problem::new("missing-option", title).at(&listen.plugin.span, "this plugin needs it"),
    };
    // On the command line settings and options stand side by side, and either may have been mistyped.
    let setting = option.filter(|_| problem.in_name).and_then(|o| nearest(&o.name, spec_settings()));
    match (setting, &problem.help) {
        (Some(setting), _) => shown.help(format!("did you mean the setting `{setting}`?")),
        (None, Some(help)) => shown.help(help.clone()),
        (None, None) => shown,
    }
}
