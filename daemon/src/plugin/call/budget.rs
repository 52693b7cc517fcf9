//! How much memory the handlers keep: one budget for all, of which none can take the others' part.
//!
//! Half of the budget is divided among the instances that keep something, and each may always have its part. The other
//! half is for whoever asks first, but no instance takes more than a quarter of it. An instance that is alone may have
//! everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The share of the common half that one instance may take while others keep something: one of so many.
const SHARES: u64 = 4;

/// Bytes that all handlers of a process may keep, and how many they do.
#[derive(Debug)]
pub struct HandlerBudget {
    limit: u64,
    held: AtomicU64,
    /// Instances with an account.
    accounts: AtomicU32,
}

impl HandlerBudget {
    /// A budget of which nothing is used yet.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit, held: AtomicU64::new(0), accounts: AtomicU32::new(0) }
    }

    /// Bytes that all instances keep.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Takes `bytes` for an instance that holds `own` of them already. False if they are not there for it.
    fn take(&self, own: u64, bytes: u64) -> bool {
        let accounts = u64::from(self.accounts.load(Relaxed).max(1));
        let half = self.limit / 2;
        let part = half / accounts;
        let own = own.saturating_add(bytes);
        let grant = |held: u64| {
            let held = held.checked_add(bytes).filter(|held| *held <= self.limit)?;
            let common = held <= half && own <= part.saturating_add(half / SHARES);
            (accounts == 1 || own <= part || common).then_some(held)
        };
        self.held.fetch_update(Relaxed, Relaxed, grant).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
    }
}

/// What one instance keeps. Shows it in two cells, which are those of its listener.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<HandlerBudget>,
    held: &'static AtomicU64,
    refused: &'static AtomicU64,
    /// Bytes of this instance alone: two instances of a listener may live side by side for a moment.
    own: AtomicU64,
    closed: AtomicBool,
}

impl Account {
    /// Opens an account. `held` shows its bytes, and `refused` how often it was refused.
    pub(super) fn open(
        budget: &Arc<HandlerBudget>,
        held: &'static AtomicU64,
        refused: &'static AtomicU64,
    ) -> Self {
        budget.accounts.fetch_add(1, Relaxed);
        let (own, closed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { budget: Arc::clone(budget), held, refused, own, closed }
    }

    /// Opens it again for the instance that follows, unless it is open.
    pub(super) fn reopen(&self) {
        if self.closed.swap(false, Relaxed) {
            self.budget.accounts.fetch_add(1, Relaxed);
        }
    }

    /// Whether its instance has asked for it, and lives.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Relaxed)
    }

    /// Asks for `bytes` more. The error is whether this is the first refusal of the listener.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), bool> {
        if !self.closed.load(Relaxed) && self.budget.take(self.own.load(Relaxed), bytes) {
            self.own.fetch_add(bytes, Relaxed);
            self.held.fetch_add(bytes, Relaxed);
            return Ok(());
        }
        Err(self.refused.fetch_add(1, Relaxed) == 0)
    }

    /// Takes back `bytes`, or all there are.
    pub(super) fn release(&self, bytes: u64) {
        let before = self.own.fetch_update(Relaxed, Relaxed, |own| Some(own.saturating_sub(bytes)));
        let bytes = before.unwrap_or(0).min(bytes);
        self.held.fetch_sub(bytes, Relaxed);
        self.budget.give_back(bytes);
    }

    /// Takes back everything: the instance is gone.
    pub(super) fn close(&self) {
        if !self.closed.swap(true, Relaxed) {
            self.budget.accounts.fetch_sub(1, Relaxed);
            self.release(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts<const N: usize>(limit: u64) -> (Arc<HandlerBudget>, [Account; N]) {
        let budget = Arc::new(HandlerBudget::new(limit));
        let accounts =
            [(); N].map(|()| Account::open(&budget, Box::leak(Box::default()), Box::leak(Box::default())));
        (budget, accounts)
    }

    /// Asks for so many bytes until it is refused; returns how many it has then.
    fn fill(account: &Account, step: u64) -> u64 {
        while account.reserve(step).is_ok() {}
        account.own.load(Relaxed)
    }

    #[test]
    fn an_instance_alone_may_have_all() {
        let (budget, [alone]) = accounts(1000);
        assert_eq!((fill(&alone, 1), budget.held()), (1000, 1000));
        assert_eq!(alone.reserve(0), Ok(()));
    }

    #[test]
    fn each_has_its_part_however_much_the_others_took_before() {
        let (budget, all) = accounts::<20>(8000);
        let had: Vec<u64> = all.iter().map(|account| fill(account, 10)).collect();
        // 4000 / 20 for each; four of them took a quarter of the other half.
        assert!(had.iter().all(|bytes| *bytes >= 200), "{had:?}");
        assert_eq!(had.iter().max(), Some(&1200), "{had:?}");
        assert!(budget.held() <= 8000, "{had:?}");
    }

    #[test]
    fn what_is_given_back_is_there_for_others() {
        let (budget, [a, b]) = accounts(8000);
        assert_eq!((fill(&a, 8), fill(&b, 8)), (3000, 2000));
        a.release(2000);
        assert_eq!(budget.held(), 3000);
        drop((a, b));
        let (budget, [a, b]) = accounts(8000);
        fill(&a, 8);
        a.close();
        a.close();
        assert_eq!((budget.held(), a.reserve(1)), (0, Err(false)));
        assert_eq!(fill(&b, 8), 8000, "alone again");
        b.release(8000);
        a.reopen();
        a.reopen();
        assert_eq!((fill(&a, 8), fill(&b, 8)), (3000, 2000), "the instance that follows has its part");
    }

    #[test]
    fn only_the_first_refusal_is_the_first() {
        let (_, [a]) = accounts(10);
        assert_eq!((a.reserve(11), a.reserve(11), a.reserve(10)), (Err(true), Err(false), Ok(())));
        assert_eq!((a.refused.load(Relaxed), a.held.load(Relaxed)), (2, 10));
        a.release(u64::MAX);
        assert_eq!(a.held.load(Relaxed), 0);
    }

    #[test]
    fn no_number_overflows() {
        let (budget, [a, b]) = accounts(u64::MAX);
        assert_eq!(a.reserve(u64::MAX), Err(true));
        assert_eq!(a.reserve(1 << 60), Ok(()));
        assert_eq!(b.reserve(u64::MAX - 1), Err(true));
        b.release(5);
        assert_eq!(budget.held(), 1 << 60);
    }
}
