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
    /// The sockets are on their way to another process, which may not come to it: then the service goes on.
    pub(super) held: bool,
    /// The sockets are another process's now: from this slot on they are still watched.
    pub(super) unwatched: Option<usize>,
}

impl Ending {
    /// One whose listeners are deaf already.
    pub(super) fn new(until_ns: u64, now_ns: u64) -> Self {
        Self {
            until_ns,
            hearing: 0,
            taken: HashMap::new(),
            asked: None,
            look_ns: now_ns,
            told: false,
            held: false,
            unwatched: None,
        }
    }
}
