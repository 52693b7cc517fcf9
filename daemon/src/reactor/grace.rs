//! How far the end of the service is.

use std::collections::HashMap;

use super::io::Token;

/// How far the end is.
#[derive(Debug)]
pub(super) struct Ending {
    /// Then it is over, whatever waits: monotonic ns.
    pub(super) until_ns: u64,
    /// Listeners that are not deaf yet.
    pub(super) hearing: usize,
    /// Messages that were taken from each socket since then, if there were any.
    pub(super) taken: HashMap<Token, usize>,
    /// Sessions that may have an answer to come, once nothing else waits.
    pub(super) asked: Option<Vec<u64>>,
    /// When to look again, monotonic ns.
    pub(super) look_ns: u64,
    /// It was said that something waits.
    pub(super) told: bool,
}
