//! What served before a change: it comes back if the new handler breaks within its first second.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::plugin::{Plugin, State, Values};
use crate::reactor::io::Token;

/// What served before, of the listeners whose new handlers are on trial.
#[derive(Debug, Default)]
pub(crate) struct Trial(BTreeMap<Token, Former>);

/// How a listener was served.
#[derive(Debug)]
pub(super) struct Former {
    /// Until then the new handler is on trial, monotonic ns.
    pub(super) until_ns: u64,
    pub(super) plugin: Arc<Plugin>,
    pub(super) values: Rc<Values>,
    /// The state that the handler has handed over.
    pub(super) state: Option<State>,
}

impl Former {
    /// Bytes of its state.
    pub(super) fn bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.bytes.len())
    }
}

impl Trial {
    /// Puts a listener on trial; returns the bytes of what it was before, if it still was on trial.
    pub(super) fn begin(&mut self, token: Token, former: Former) -> usize {
        self.0.insert(token, former).map_or(0, |former| former.bytes())
    }

    /// What a listener was before, if it is on trial.
    pub(super) fn take(&mut self, token: Token, now_ns: u64) -> Option<Former> {
        if self.0.get(&token)?.until_ns <= now_ns {
            return None;
        }
        self.0.remove(&token)
    }

    /// Ends the trials that have lasted long enough. Returns the bytes that are free.
    pub(super) fn end(&mut self, now_ns: u64) -> usize {
        let mut free = 0;
        self.0.retain(|_, former| {
            let stays = former.until_ns > now_ns;
            free += if stays { 0 } else { former.bytes() };
            stays
        });
        free
    }

    /// When the next trial ends, monotonic ns.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.values().map(|former| former.until_ns).min()
    }
}
