//! Asking the loop for its figures: one gathering at a time, for everybody who asks meanwhile.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polyport_terminal::Waker;
use tokio::sync::watch;

use super::figures::Figures;

/// How long the loop may take to tell its figures: less than the ten seconds that Prometheus waits.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The way of the figures to those who wait, which is used once. Dropping it says that the daemon ends.
#[derive(Debug)]
pub struct Wanted(watch::Sender<Option<Arc<Figures>>>);

impl Wanted {
    /// Answers.
    pub fn send(self, figures: Figures) {
        self.0.send_replace(Some(Arc::new(figures)));
    }
}

/// Why there are no figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The loop has not answered in time.
    Unanswered,
    /// The daemon ends.
    Ending,
}

/// What asks the loop.
#[derive(Debug)]
pub(super) struct Gatherer {
    asks: SyncSender<Wanted>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    waker: Waker,
    /// The gathering that was asked for last.
    last: Option<watch::Receiver<Option<Arc<Figures>>>>,
}

impl Gatherer {
    /// What asks the loop that has the receiver, and is woken by `waker`.
    pub(super) fn new(waker: Waker) -> (Self, Receiver<Wanted>) {
        // One is under way at most, and one more waits where the loop is about to take it.
        let (asks, wanted) = mpsc::sync_channel(1);
        (Self { asks, inner: Mutex::new(Inner { waker, last: None }) }, wanted)
    }

    /// Figures, of a gathering that is under way if there is one.
    pub(super) async fn figures(&self) -> Result<Arc<Figures>, Missing> {
        let mut receiver = self.receiver()?;
        let answer = tokio::time::timeout(ANSWER_TIME, receiver.wait_for(Option::is_some)).await;
        let figures = answer.map_err(|_| Missing::Unanswered)?.map_err(|_| Missing::Ending)?;
        figures.clone().ok_or(Missing::Ending)
    }

    fn receiver(&self) -> Result<watch::Receiver<Option<Arc<Figures>>>, Missing> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let is_under_way = |last: &&watch::Receiver<Option<Arc<Figures>>>| {
            last.borrow().is_none() && last.has_changed().is_ok()
        };
        if let Some(last) = inner.last.as_ref().filter(is_under_way) {
            return Ok(last.clone());
        }
        let (sender, receiver) = watch::channel(None);
        self.asks.try_send(Wanted(sender)).map_err(|_| Missing::Ending)?;
        inner.waker.wake();
        inner.last = Some(receiver.clone());
        Ok(receiver)
    }
}
