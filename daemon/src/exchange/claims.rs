//! What a handler says of what it has written, for the tests of plugins.

use polyport_abi::pp_batch;

/// What a handler said of what it had written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `tx_len` was more than `tx_cap`, so much at most.
    pub entries_over: u32,
    /// `arena_len` was more than `arena_cap`, so much at most.
    pub arena_over: u32,
}

impl Claims {
    pub(super) fn note(&mut self, batch: &pp_batch) {
        self.entries_over = self.entries_over.max(batch.tx_len.saturating_sub(batch.tx_cap));
        self.arena_over = self.arena_over.max(batch.arena_len.saturating_sub(batch.arena_cap));
    }
}
