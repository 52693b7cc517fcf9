//! Where those who run a load put what a view shows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::Run;
use crate::load::threshold::Threshold;

/// The place.
#[derive(Debug, Default)]
pub struct Board(Mutex<Shown>);

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The run that goes on, or went on last.
    pub run: Option<Arc<Run>>,
    /// What must hold.
    pub thresholds: Arc<Vec<Threshold>>,
    /// The search that it belongs to.
    pub search: Option<Searching>,
}

/// How a search stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searching {
    /// What it is about to try.
    pub trial: String,
    /// For each goal, between which rates the capacity lies.
    pub brackets: Vec<String>,
    /// The trials so far, a line each.
    pub trials: Arc<Vec<String>>,
}

impl Board {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(thresholds: &[Threshold]) -> Self {
        Self(Mutex::new(Shown { thresholds: Arc::new(thresholds.to_vec()), ..Shown::default() }))
    }

    /// A run begins.
    pub fn begin(&self, run: &Arc<Run>) {
        self.open().run = Some(Arc::clone(run));
    }

    /// A search is there, and tries this.
    pub fn attempt(&self, trial: String) {
        self.open().search.get_or_insert_default().trial = trial;
    }

    /// A trial is over.
    pub fn tried(&self, line: String) {
        let mut shown = self.open();
        Arc::make_mut(&mut shown.search.get_or_insert_default().trials).push(line);
    }

    /// What is known of each goal.
    pub fn narrowed(&self, brackets: Vec<String>) {
        self.open().search.get_or_insert_default().brackets = brackets;
    }

    /// What is there.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.open().clone()
    }

    fn open(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
