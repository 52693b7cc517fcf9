//! What listeners shall be from now on, and how far the way there is.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::access::Access;
use crate::exchange::Facts;
use crate::plugin::{Cells, CreateError, Instance, InstancePlace, Plugin, State, Values};
use crate::reactor::io::{Outgoing, Token};
use crate::reactor::listener::{AddError, Listener, ListenerSpec, OnFault, Service, farthest};
use crate::reply::ReplyPolicy;

/// What shall be different from now on: all of it, or nothing.
#[derive(Debug)]
pub struct Changes<S> {
    /// What listeners that serve shall be; who is not named stays as it is.
    pub wishes: Vec<Wish>,
    /// Listeners that are not there yet.
    pub add: Vec<Newcomer<S>>,
    /// Listeners that shall be there no more.
    pub remove: Vec<Token>,
    /// Listeners of which nothing changes but the tag, whether they are in service or not.
    pub retag: Vec<(Token, u64)>,
}

/// What is not there yet.
#[derive(Debug)]
pub enum Newcomer<S> {
    /// A listener with a handler of its own.
    Alone(ListenerSpec<S>),
    /// Listeners with one handler, as [`add_together`](crate::reactor::Reactor::add_together) makes them: all of them
    /// in one turn.
    Together(Vec<ListenerSpec<S>>),
}

impl<S> From<Vec<Wish>> for Changes<S> {
    fn from(wishes: Vec<Wish>) -> Self {
        Self { wishes, add: Vec::new(), remove: Vec::new(), retag: Vec::new() }
    }
}

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
    /// Who may talk to it; none is anybody.
    pub access: Option<Arc<Access>>,
    /// What it may answer, and to whom. Where the TTL of answers is that of their requests, its socket has to tell it.
    pub reply: Rc<ReplyPolicy>,
    /// How its socket sends, and those of its sessions that are made from now on.
    pub outgoing: Rc<Outgoing>,
    /// Most sessions that its handler may have; none is what the limits allow.
    pub sessions: Option<usize>,
    /// Other listeners may have sessions to it although its handler has sessions itself.
    pub chain: bool,
    /// Its socket was given other options for it.
    pub is_tuned: bool,
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
    /// Listeners that are served for the first time.
    pub added: usize,
    /// Listeners that are there no more.
    pub removed: usize,
    /// Metric cells of handlers that another plugin has followed, by the names of their listeners.
    pub retired: Vec<(Arc<str>, Cells)>,
}

/// A handler that did not want to be made, or its new options; or a socket that cannot be watched. Then nothing was
/// changed.
#[derive(Debug)]
pub struct ChangeRefused {
    /// That of the wish.
    pub tag: u64,
    /// That of the wish.
    pub plugin: Arc<Plugin>,
    /// The plugin's own words, and the option it blames.
    pub error: CreateError,
    /// The words are the system's, and the plugin has nothing to do with it.
    pub is_by_system: bool,
}

/// A change that is being made.
#[derive(Debug)]
pub(crate) struct Changing<S> {
    /// Its number, of all changes.
    pub(super) number: u32,
    pub(super) wishes: Vec<Wish>,
    /// The next wish to be looked at.
    pub(super) at: usize,
    /// Wishes that ask for anything, with the handlers that were made for them.
    pub(super) todo: Vec<(usize, Option<Fresh>)>,
    /// Listeners of which nothing changes but what their owner calls them.
    pub(super) retagged: Vec<(Token, u64)>,
    /// Plugins that were asked whether their handlers take other options.
    pub(super) asked: Vec<Arc<Plugin>>,
    /// Those of them whose handlers do not.
    pub(super) fixed: Vec<Arc<Plugin>>,
    pub(super) refused: Vec<ChangeRefused>,
    /// Handlers that are to be destroyed.
    pub(super) graves: Vec<Instance>,
    /// What is to be added, and has no handler yet.
    pub(super) add: VecDeque<Newcomer<S>>,
    /// Of what is to be added, that which has a handler together.
    pub(super) together: Vec<Newcomer<S>>,
    /// What was added, and is served when the switch is made.
    pub(super) coming: VecDeque<Token>,
    /// What is to be removed when the switch is made.
    pub(super) remove: Vec<Token>,
    /// How many of these are marked.
    pub(super) marked: usize,
    /// The switch was made, or will not be.
    pub(super) decided: bool,
    /// It was made.
    pub(super) made: bool,
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

impl<S> Changing<S> {
    pub(super) fn new(number: u32, changes: Changes<S>) -> Self {
        let Changes { wishes, add, remove, retag } = changes;
        Self {
            number,
            wishes,
            at: 0,
            todo: Vec::new(),
            retagged: retag,
            asked: Vec::new(),
            fixed: Vec::new(),
            refused: Vec::new(),
            graves: Vec::new(),
            add: add.into(),
            together: Vec::new(),
            coming: VecDeque::new(),
            remove,
            marked: 0,
            decided: false,
            made: false,
        }
    }

    /// Whether nothing is left to be done ahead of the switch.
    pub(super) fn is_prepared(&self) -> bool {
        let all_made = self.add.is_empty() || !self.refused.is_empty();
        self.at == self.wishes.len() && all_made && self.marked == self.remove.len()
    }

    /// Notes that a wish cannot be fulfilled.
    pub(super) fn refuse(refused: &mut Vec<ChangeRefused>, wish: &Wish, error: CreateError) {
        let plugin = Arc::clone(&wish.plugin);
        note(refused, ChangeRefused { tag: wish.tag, plugin, error, is_by_system: false });
    }

    /// Notes that what has this tag cannot be added.
    pub(super) fn refuse_newcomer(
        refused: &mut Vec<ChangeRefused>,
        tag: u64,
        plugin: Arc<Plugin>,
        error: AddError,
    ) {
        let is_by_system = matches!(error, AddError::Register(_));
        let error = match error {
            AddError::Create(error) => error,
            AddError::Register(_) => CreateError { option: None, message: error.to_string() },
        };
        note(refused, ChangeRefused { tag, plugin, error, is_by_system });
    }
}

/// What thousands of listeners are refused for the same reason is told once.
fn note(all: &mut Vec<ChangeRefused>, refused: ChangeRefused) {
    let entry = |tag: u64| tag >> 32;
    if !all.iter().any(|other| entry(other.tag) == entry(refused.tag) && other.error == refused.error) {
        all.push(refused);
    }
}

impl<S> Newcomer<S> {
    /// The first of its listeners.
    pub(super) fn first(&self) -> Option<&ListenerSpec<S>> {
        match self {
            Self::Alone(spec) => Some(spec),
            Self::Together(specs) => specs.first(),
        }
    }
}

impl Wish {
    /// What has to be done about the handler of its listener. Handlers of plugins that are `fixed` take no other options.
    pub(super) fn need<S>(&self, listener: &Listener<S>, fixed: &[Arc<Plugin>]) -> Need {
        // Who has one handler for all its addresses gets no other one by this, least of all one for each.
        if listener.broken || listener.seat().is_some() {
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
    pub(super) fn adjusts<S>(&self, listener: &Listener<S>) -> bool {
        let most = self.sessions.unwrap_or(usize::MAX);
        self.is_tuned
            || listener.on_fault != self.on_fault
            || has_another_list(listener, self)
            || *listener.reply != *self.reply
            || listener.chain != self.chain
            || listener.farthest != farthest(&self.reply, self.outgoing.ttl)
            || listener.family.as_ref().is_some_and(|family| family.most() != most)
    }
}

/// Whether others may talk to a listener than a wish says. Most often both have the very same lists, which are long.
fn has_another_list<S>(listener: &Listener<S>, wish: &Wish) -> bool {
    match (&listener.access, &wish.access) {
        (Some(was), Some(is)) => !Arc::ptr_eq(was, is) && was != is,
        (was, is) => was.is_some() || is.is_some(),
    }
}
