//! A plugin that is loaded: what it says of itself, and what may be called.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::os::unix::Library;
use polyport_abi::{
    check_fn, create_fn, destroy_fn, on_batch_fn, on_session_fn, on_timer_fn, on_wake_fn, reconfigure_fn,
    rescue_fn, save_fn,
};

use super::option::OptionSpec;
use crate::plugin::find::Identity;

/// A plugin that is loaded. It is never unloaded, because thread-local destructors and leaked references of a Rust
/// library would outlive a `dlclose(3)`.
#[derive(Debug)]
pub struct Plugin {
    /// The user's file, not the private copy; none if the plugin is built in.
    pub(super) path: Option<PathBuf>,
    /// The path of that file without symbolic links, as it was when it was loaded.
    pub(super) real: Option<PathBuf>,
    pub(super) identity: Identity,
    pub(super) name: Arc<str>,
    pub(super) options: Vec<OptionSpec>,
    pub(super) functions: Functions,
    /// Builds of this file that were loaded before it, and it.
    pub(super) generation: usize,
    pub(super) _library: Option<ManuallyDrop<Library>>,
}

/// The functions of a plugin that the host calls. The required ones are never NULL.
#[derive(Clone, Copy, Debug)]
pub(in crate::plugin) struct Functions {
    pub(in crate::plugin) create: create_fn,
    pub(in crate::plugin) destroy: destroy_fn,
    pub(in crate::plugin) on_batch: on_batch_fn,
    pub(in crate::plugin) on_timer: Option<on_timer_fn>,
    pub(in crate::plugin) check: Option<check_fn>,
    pub(in crate::plugin) on_session: Option<on_session_fn>,
    pub(in crate::plugin) rescue: Option<rescue_fn>,
    pub(in crate::plugin) save: Option<save_fn>,
    pub(in crate::plugin) reconfigure: Option<reconfigure_fn>,
    pub(in crate::plugin) on_wake: Option<on_wake_fn>,
}

impl Plugin {
    /// What the plugin says of itself.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Name of the plugin.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The user's file that the plugin was loaded from; none if it is built in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The options that the plugin declares.
    #[must_use]
    pub fn options(&self) -> &[OptionSpec] {
        &self.options
    }

    /// Which build of its file this is, of those that this process has loaded, from 1. None of them is ever unloaded.
    #[must_use]
    pub fn generation(&self) -> usize {
        self.generation
    }

    /// Whether its handlers may be able to take other options without being made anew.
    #[must_use]
    pub fn can_reconfigure(&self) -> bool {
        self.functions.reconfigure.is_some()
    }

    /// Whether its handlers may open sessions: they can be told what becomes of them.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.functions.on_session.is_some()
    }

    /// Whether one instance serves all addresses of a listener, instead of one for each.
    #[must_use]
    pub fn is_per_listener(&self) -> bool {
        self.identity.is_per_listener()
    }

    /// Whether it says beforehand if it would take options.
    #[must_use]
    pub fn has_check(&self) -> bool {
        self.functions.check.is_some()
    }

    /// Whether its instances can be woken by other threads.
    #[must_use]
    pub fn can_be_woken(&self) -> bool {
        self.functions.on_wake.is_some()
    }

    pub(in crate::plugin) fn functions(&self) -> &Functions {
        &self.functions
    }
}
