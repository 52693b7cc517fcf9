//! Waking an instance from another thread: which instances were woken, and how the loop is told.
//!
//! An instance is on the list once, however often it is woken before the loop has called it: its record says so
//! (`Record::wake`). Of all that are on the list the loop is told once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Tells the loop, from any thread, that the list is not empty any more. False if that cannot be done.
pub type Notify = Box<dyn Fn() -> bool + Send + Sync>;

/// The instances that were woken and not called yet, oldest first, each by the number its owner gave it.
pub struct WakeList {
    woken: Mutex<Vec<u64>>,
    notify: Notify,
}

impl WakeList {
    /// An empty list, which tells the loop by `notify`.
    #[must_use]
    pub fn new(notify: Notify) -> Arc<Self> {
        Arc::new(Self { woken: Mutex::default(), notify })
    }

    /// Moves the `most` oldest into `into`. If there are more, the loop is told once more.
    pub fn take(&self, most: usize, into: &mut Vec<u64>) {
        let mut woken = self.lock();
        let taken = most.min(woken.len());
        into.extend(woken.drain(..taken));
        let is_over = woken.is_empty();
        drop(woken);
        if !is_over {
            // It was told before, so it can be told again.
            (self.notify)();
        }
    }

    /// Puts an instance on the list. False if the loop cannot be told; then it is not there.
    fn push(&self, number: u64) -> bool {
        let mut woken = self.lock();
        let is_first = woken.is_empty();
        woken.push(number);
        // With the lock held: the loop must not take the list between the two.
        let told = !is_first || (self.notify)();
        if !told {
            woken.pop();
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WakeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeList").field("woken", &self.woken).finish_non_exhaustive()
    }
}

/// How one instance gets on the list.
#[derive(Debug)]
pub(super) struct Waker {
    /// Weak, because a record is never freed and the list has a descriptor.
    list: Weak<WakeList>,
    number: u64,
}

impl Waker {
    pub(super) fn new(list: &Arc<WakeList>, number: u64) -> Self {
        Self { list: Arc::downgrade(list), number }
    }

    /// Puts the instance on the list. False if the loop is gone or cannot be told.
    pub(super) fn wake(&self) -> bool {
        self.list.upgrade().is_some_and(|list| list.push(self.number))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use super::*;

    fn list() -> (Arc<WakeList>, Arc<AtomicUsize>) {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        (WakeList::new(Box::new(move || count.fetch_add(1, Relaxed) < usize::MAX)), told)
    }

    #[test]
    fn the_loop_is_told_once_of_all_that_it_has_not_taken() {
        let (list, told) = list();
        [3, 1, 2].into_iter().for_each(|number| assert!(Waker::new(&list, number).wake()));
        assert_eq!(told.load(Relaxed), 1);
        let mut taken = Vec::new();
        list.take(2, &mut taken);
        assert_eq!((&taken[..], told.load(Relaxed)), (&[3, 1][..], 2), "one is left");
        list.take(2, &mut taken);
        assert_eq!((&taken[..], told.load(Relaxed)), (&[3, 1, 2][..], 2));
        assert!(Waker::new(&list, 9).wake());
        assert_eq!(told.load(Relaxed), 3);
    }

    #[test]
    fn who_cannot_be_told_of_is_not_on_the_list() {
        let fails = Arc::new(AtomicBool::new(true));
        let now = Arc::clone(&fails);
        let list = WakeList::new(Box::new(move || !now.load(Relaxed)));
        assert!(!Waker::new(&list, 1).wake());
        fails.store(false, Relaxed);
        let waker = Waker::new(&list, 2);
        assert!(waker.wake());
        let mut taken = Vec::new();
        list.take(9, &mut taken);
        assert_eq!(taken, [2]);
        drop(list);
        assert!(!waker.wake(), "the loop is gone");
    }
}
