//! How it goes with the daemon's answers: what is said when there are none.

use std::time::Duration;

/// So much later than it should be, an answer is missed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of the answers of a daemon.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// When something was heard last, or the first question was asked.
    heard: Duration,
    /// How long from one answer to the next.
    every: Duration,
    /// Why there was none.
    failure: Option<String>,
}

impl Link {
    /// Nothing was heard yet.
    pub(super) fn new(now: Duration, every: Duration) -> Self {
        Self { heard: now, every, failure: None }
    }

    /// An answer came; the next is due after `every`.
    pub(super) fn answered(&mut self, now: Duration, every: Duration) {
        *self = Self::new(now, every);
    }

    /// There was none, for this reason.
    pub(super) fn failed(&mut self, now: Duration, why: String) {
        // How long it lasts counts from the last answer.
        if self.failure.is_none() && self.heard + self.every + PATIENCE > now {
            self.heard = now;
        }
        self.failure = Some(why);
    }

    /// The program itself was stopped for a while.
    pub(super) fn forgive(&mut self, now: Duration) {
        self.heard = now;
    }

    /// What is to be said.
    pub(super) fn trouble(&self, now: Duration) -> Option<String> {
        let since = now.saturating_sub(self.heard);
        match &self.failure {
            Some(why) => Some(format!("no answer for {} s: {why}", since.as_secs())),
            None if since >= self.every + PATIENCE => Some(format!("no answer for {} s", since.as_secs())),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_daemon_that_is_late_or_gone_is_missed() {
        let mut link = Link::new(s(0), s(1));
        assert_eq!(link.trouble(s(2)), None);
        assert_eq!(link.trouble(s(3)).as_deref(), Some("no answer for 3 s"));
        link.answered(s(4), s(1));
        assert_eq!(link.trouble(s(6)), None);
        link.failed(s(5), "nobody".to_owned());
        assert_eq!(link.trouble(s(5)).as_deref(), Some("no answer for 0 s: nobody"));
        link.failed(s(8), "nobody".to_owned());
        assert_eq!(link.trouble(s(9)).as_deref(), Some("no answer for 4 s: nobody"));
        link.answered(s(10), s(5));
        assert_eq!((link.trouble(s(16)), link.trouble(s(17)).is_some()), (None, true));
        link.forgive(s(100));
        assert_eq!(link.trouble(s(101)), None);
    }
}
