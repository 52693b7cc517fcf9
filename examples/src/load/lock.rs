//! A lock that nobody waits for: who sends must not stand still for who looks, nor the other way round.

use std::sync::{Mutex, MutexGuard, TryLockError};

/// What is behind it, unless somebody has it at the moment. It is there also after a panic of who had it: each telling is whole.
pub(super) fn open<T>(place: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match place.try_lock() {
        Ok(told) => Some(told),
        Err(TryLockError::Poisoned(told)) => Some(told.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
