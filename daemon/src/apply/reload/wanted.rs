//! What is asked for: where what shall run is written, or what shall be another of what runs.

use std::path::Path;
use std::sync::Arc;

use polyport_terminal::Escaped;

use crate::config::{Listen, Plan, Problem, Reading, quoted};
use crate::control::wire::{AddParams, Error, ListenerParams, PluginParams, SetParams, code};
use crate::plugin::Plugin;

/// Reads the configuration again, from where it was read before.
pub type Again = Arc<dyn Fn(&Plan) -> Reading + Send + Sync>;

/// Options that a line of the log names.
const MOST_NAMED: usize = 8;

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
    /// What runs, by what lies now in the file of one plugin.
    Plugin(PluginParams),
}

impl Wanted {
    /// Why there is nothing to begin with, if what it is about is not there. `plugins` are those of the listeners of `plan`.
    pub(super) fn missing<'a>(
        &self,
        plan: &Plan,
        plugins: impl Iterator<Item = &'a Arc<Plugin>>,
    ) -> Option<Error> {
        match self {
            Self::Again(_) | Self::Add(_) => None,
            Self::Set(SetParams { listener, .. }) | Self::Remove(ListenerParams { listener }) => {
                let is_there = plan.listen.iter().any(|listen| listen.name == *listener);
                let words = || format!("there is no listener {}", quoted(listener));
                (!is_there).then(|| Error::new(code::NO_LISTENER, words()))
            }
            Self::Plugin(PluginParams { plugin }) => {
                let words = || format!("no listener is served by a plugin {}", quoted(plugin));
                called(plan, plugins, plugin).is_empty().then(|| Error::new(code::NO_PLUGIN, words()))
            }
        }
    }

    /// What was to be done, as it is told when it is.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Again(_) | Self::Plugin(_) => "reloaded",
            Self::Set(_) => "set",
            Self::Add(_) => "added",
            Self::Remove(_) => "removed",
        }
    }

    /// How it is told if there was nothing to be done.
    pub(super) fn nothing(&self) -> &'static str {
        match self {
            Self::Plugin(_) => "nothing has changed: its file holds the build that serves",
            Self::Again(_) | Self::Set(_) | Self::Add(_) | Self::Remove(_) => "nothing has changed",
        }
    }

    /// Says in the log that it begins. `by_client` if the control socket has asked.
    pub(super) fn announce(&self, by_client: bool) {
        match self {
            Self::Again(_) if by_client => log::info!("reloading (control socket)"),
            Self::Again(_) => log::info!("reloading (SIGHUP)"),
            // Values may be secrets.
            Self::Set(SetParams { listener, options }) => {
                let names: Vec<_> = options.keys().take(MOST_NAMED).map(|name| quoted(name)).collect();
                log::info!("listener {listener}: {} set (control socket)", names.join(", "));
            }
            Self::Add(_) => log::info!("adding a listener (control socket)"),
            Self::Remove(ListenerParams { listener }) => {
                log::info!("listener {listener}: removing it (control socket)");
            }
            Self::Plugin(PluginParams { plugin }) => {
                log::info!("plugin {}: reloading its library (control socket)", Escaped(plugin.as_bytes()));
            }
        }
    }
}

/// The plugins that a text means, each once: by the name that they have, or as the configuration calls them, or by their files.
pub(super) fn called<'a>(
    plan: &Plan,
    plugins: impl Iterator<Item = &'a Arc<Plugin>>,
    text: &str,
) -> Vec<&'a Arc<Plugin>> {
    let is_meant = |listen: &Listen, plugin: &Plugin| {
        **plugin.name() == *text || listen.plugin.text == text || plugin.path() == Some(Path::new(text))
    };
    let mut found: Vec<&Arc<Plugin>> = Vec::new();
    for (listen, plugin) in plan.listen.iter().zip(plugins) {
        if is_meant(listen, plugin) && !found.iter().any(|other| Arc::ptr_eq(other, plugin)) {
            found.push(plugin);
        }
    }
    found
}

/// The one plugin with a file among those that a text means.
///
/// # Errors
/// It has no file, or there are several.
pub(super) fn one<'a>(
    found: &[&'a Arc<Plugin>],
    text: &str,
) -> Result<Option<&'a Arc<Plugin>>, Box<Problem>> {
    let path = |plugin: &Plugin| {
        plugin.path().map_or_else(
            || "built in".to_owned(),
            |path| Escaped(path.as_os_str().as_encoded_bytes()).to_string(),
        )
    };
    match found {
        [] => Ok(None),
        [plugin] if plugin.path().is_none() => {
            let title =
                format!("plugin {} is built in: it has no file that could be loaded", plugin.identity());
            let help = "another build of it comes with another polyport, by a restart; or as a library in a directory where plugins \
                        are looked for, by `polyport reload`";
            Err(Box::new(Problem::new("plugin", title).help(help)))
        }
        [plugin] => Ok(Some(*plugin)),
        several => {
            let paths: Vec<String> = several.iter().map(|plugin| path(plugin)).collect();
            let title = format!("several plugins are called {}: {}", quoted(text), paths.join(", "));
            Err(Box::new(Problem::new("plugin", title).help("name one by its path")))
        }
    }
}
