//! What a reload leaves behind, and nobody waits for: of what only the loop may free some goes between two batches, all else is for the
//! thread.

use std::mem;

use super::assembly::Shared;
use super::closing::Closing;
use super::thread::{Thread, Todo};
use crate::apply::prepare::Entry;
use crate::reactor::Socket;

/// What the handlers of tables were made of that go between two batches.
const MOST_FORMER: usize = 256;

/// What is left of what was.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// What served before.
    former: Vec<Entry>,
    /// What addresses of one listener shared while it was put together.
    former_shared: Vec<Option<Shared>>,
    /// Sockets of listeners that have gone.
    closing: Closing,
}

impl Remains {
    /// Takes what only the loop may free.
    pub(super) fn take(&mut self, entries: Vec<Entry>, shared: Vec<Option<Shared>>) {
        extend(&mut self.former, entries);
        extend(&mut self.former_shared, shared);
    }

    /// Frees some of it.
    pub(super) fn free_some(&mut self) {
        self.former.truncate(self.former.len().saturating_sub(MOST_FORMER));
        self.former_shared.truncate(self.former_shared.len().saturating_sub(MOST_FORMER));
    }

    /// Whether there is more to be freed.
    pub(super) fn has_more(&self) -> bool {
        !self.former.is_empty() || !self.former_shared.is_empty()
    }

    /// Has the thread close sockets. Where there is none any more they are closed here.
    pub(super) fn close(&self, thread: Option<&Thread>, sockets: Vec<Socket>) {
        if let (Some(thread), false) = (thread, sockets.is_empty()) {
            let portion = self.closing.portion(sockets);
            thread.todo.send(Todo::Close(portion)).unwrap_or(());
        }
    }

    /// Whether the addresses of all that have gone are free.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_done()
    }
}

/// Has the thread free what nobody needs any more. A thread that has failed frees nothing; then this one does.
pub(super) fn free(thread: Option<&Thread>, waste: impl Send + 'static) {
    if let Some(thread) = thread {
        thread.todo.send(Todo::Free(Box::new(waste))).unwrap_or(());
    }
}

/// Mostly there is nothing there, and nothing to be moved.
fn extend<T>(all: &mut Vec<T>, mut more: Vec<T>) {
    if all.is_empty() {
        mem::swap(all, &mut more);
    }
    all.append(&mut more);
}
