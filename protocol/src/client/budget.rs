//! Retry budget of one server ([P-82]): retries stop when most requests fail, so that clients do not keep an
//! overloaded server down.

/// Tenths of a token: a success earns one tenth, exactly.
const TENTHS: u16 = 10;
const FULL: u16 = 10 * TENTHS;
const HALF: u16 = FULL / 2;

/// Up to ten tokens: minus one for each failure, plus a tenth for each success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    tenths: u16,
}

impl RetryBudget {
    /// A full budget.
    #[must_use]
    pub const fn new() -> Self {
        Self { tenths: FULL }
    }

    /// Counts a failure: a timer that ran out, or BUSY. Says whether a retry may follow.
    ///
    /// The balance is judged before the failure is charged ([P-104]): so a full budget just covers the five
    /// retransmissions of one request to a silent server.
    pub const fn failure(&mut self) -> bool {
        let may_retry = self.tenths > HALF;
        self.tenths = self.tenths.saturating_sub(TENTHS);
        may_retry
    }

    /// Counts an answer.
    pub const fn success(&mut self) {
        let raised = self.tenths.saturating_add(1);
        self.tenths = if raised > FULL { FULL } else { raised };
    }

    /// Whole tokens left, 0 to 10.
    #[must_use]
    pub const fn tokens(&self) -> u16 {
        self.tenths.saturating_sub(self.tenths % TENTHS) / TENTHS
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_allows_five_retries_and_then_none() {
        let mut budget = RetryBudget::new();
        let allowed: Vec<_> = (0..12).map(|_| budget.failure()).collect();
        assert_eq!(allowed.iter().filter(|a| **a).count(), 5);
        assert!(allowed[..5].iter().all(|a| *a), "the first five");
        assert_eq!(budget.tokens(), 0);
    }

    #[test]
    fn ten_successes_pay_for_one_failure_and_the_budget_never_overflows() {
        let mut budget = RetryBudget::new();
        (0..if cfg!(miri) { 200 } else { 1000 }).for_each(|_| budget.success());
        assert_eq!(budget.tokens(), 10);
        (0..5).for_each(|_| assert!(budget.failure()));
        (0..10).for_each(|_| budget.success());
        assert!(budget.failure(), "six tokens again");
        assert!(!budget.failure(), "five are not above half");
    }
}
