//! What listeners shall be from now on, and how far the way there is.

use std::rc::Rc;
use std::sync::Arc;

use crate::exchange::Facts;
use crate::plugin::{Cells, CreateError, Instance, InstancePlace, Plugin, State, Values};
use crate::reactor::io::Token;
use crate::reactor::listener::{Listener, OnFault, Service};
use crate::reply::ReplyPolicy;

/// What a listener that serves shall be from now on. Its socket stays.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The listener.
    pub token: Token,
    /// Name in the configuration.
    pub name: Arc<str>,
    /// The plugin; if it is not the very same, there will be a new handler.
    pub plugin: Arc<Plugin>,
    /// Its checked options; if they are not the very same, the handler takes them or there will be a new one.
    pub values: Rc<Values>,
    /// What the daemon does when the handler breaks.
    pub on_fault: OnFault,
    /// What it may answer, and to whom; of the same kind of TTL as before.
    pub reply: Rc<ReplyPolicy>,
    /// Most sessions that its handler may have; none is what the limits allow.
    pub sessions: Option<usize>,
    /// Comes back in reports.
    pub tag: u64,
}

/// What a change did, in listeners.
#[derive(Debug, Default)]
pub struct ChangeDone {
    /// Served by a new handler.
    pub replaced: usize,
    /// Served by the same handler, with other options.
    pub reconfigured: usize,
    /// Of the others, those with other settings of the daemon's own.
    pub adjusted: usize,
    /// Metric cells of handlers that another plugin has followed, by the names of their listeners.
    pub retired: Vec<(Arc<str>, Cells)>,
}

/// A handler that did not want to be made, or its new options. Then nothing was changed.
#[derive(Debug)]
pub struct ChangeRefused {
    /// That of the wish.
    pub tag: u64,
    /// That of the wish.
    pub plugin: Arc<Plugin>,
    /// The plugin's own words, and the option it blames.
    pub error: CreateError,
}

/// A change that is being made.
#[derive(Debug)]
pub(crate) struct Changing {
    pub(super) wishes: Vec<Wish>,
    /// The next wish to be looked at.
    pub(super) at: usize,
    /// Wishes that ask for anything, with the handlers that were made for them.
    pub(super) todo: Vec<(usize, Option<Fresh>)>,
    /// Plugins that were asked whether their handlers take other options.
    pub(super) asked: Vec<Arc<Plugin>>,
    /// Those of them whose handlers do not.
    pub(super) fixed: Vec<Arc<Plugin>>,
    pub(super) refused: Vec<ChangeRefused>,
    /// Handlers that are to be destroyed.
    pub(super) graves: Vec<Instance>,
    /// The switch was made, or will not be.
    pub(super) decided: bool,
}

/// A handler that does not serve yet.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) instance: Instance,
    pub(super) place: InstancePlace,
    /// The sessions it goes on with, each with its new word.
    pub(super) kept: Vec<(u64, u64)>,
    /// What it wants to know of datagrams.
    pub(super) wanted: Facts,
    /// Its own metric cells, if it is of another plugin than the one before.
    pub(super) cells: Option<Cells>,
    /// What it was given of the one before.
    pub(super) state: Option<State>,
}

/// What has to be done about a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Reconfigure,
    Replace,
}

impl Changing {
    pub(super) fn new(wishes: Vec<Wish>) -> Self {
        Self {
            wishes,
            at: 0,
            todo: Vec::new(),
            asked: Vec::new(),
            fixed: Vec::new(),
            refused: Vec::new(),
            graves: Vec::new(),
            decided: false,
        }
    }

    /// Notes that a wish cannot be fulfilled. What thousands of listeners are refused for the same reason is told once.
    pub(super) fn refuse(refused: &mut Vec<ChangeRefused>, wish: &Wish, error: CreateError) {
        let entry = |tag: u64| tag >> 32;
        if !refused.iter().any(|other| entry(other.tag) == entry(wish.tag) && other.error == error) {
            refused.push(ChangeRefused { tag: wish.tag, plugin: Arc::clone(&wish.plugin), error });
        }
    }
}

impl Wish {
    /// What has to be done about the handler of its listener. Handlers of plugins that are `fixed` take no other options.
    pub(super) fn need<S>(&self, listener: &Listener<S>, fixed: &[Arc<Plugin>]) -> Need {
        if listener.broken {
            return Need::Nothing;
        }
        let same_plugin = Arc::ptr_eq(&listener.plugin, &self.plugin) && listener.name == self.name;
        let can_reconfigure =
            self.plugin.can_reconfigure() && !fixed.iter().any(|plugin| Arc::ptr_eq(plugin, &self.plugin));
        match &listener.service {
            // Whoever asks for a reload wants to have it back.
            Service::Failed => Need::Replace,
            _ if same_plugin && Rc::ptr_eq(&listener.values, &self.values) => Need::Nothing,
            Service::Running(_) if same_plugin && can_reconfigure => Need::Reconfigure,
            Service::Running(_) | Service::Down => Need::Replace,
        }
    }

    /// Whether settings of the daemon's own differ.
    pub(super) fn adjusts<S>(&self, listener: &Listener<S>, most_sessions: usize) -> bool {
        let most = self.sessions.unwrap_or(most_sessions);
        listener.on_fault != self.on_fault
            || *listener.reply != *self.reply
            || listener.family.as_ref().is_some_and(|family| family.most() != most)
    }
}
