//! What became of what was to be recorded.

use std::io;
use std::ops::AddAssign;

/// What became of a batch, or of several.
#[derive(Debug, Default)]
pub struct Tally {
    /// So many are in the file.
    pub recorded: u64,
    /// So many could not be written.
    pub failed: u64,
    /// The last error.
    pub error: Option<io::Error>,
    /// A new file was begun, because somebody has moved, removed or cut the one before.
    pub begun_again: bool,
    /// The last batch was written, to its end.
    pub works: bool,
}

impl Tally {
    /// Adds what became of later ones.
    pub fn add(&mut self, later: Self) {
        self.recorded.add_assign(later.recorded);
        self.failed.add_assign(later.failed);
        self.error = later.error.or_else(|| self.error.take());
        self.begun_again |= later.begun_again;
        self.works = later.works;
    }

    /// Adds what became of later ones, of which the last met an error.
    pub fn note(&mut self, recorded: u64, failed: u64, error: io::Error) {
        self.add(Self { recorded, failed, error: Some(error), ..Self::default() });
    }
}
