//! Waiting for what only asking again can tell.

use std::thread;
use std::time::Duration;

/// Between two looks.
const STEP: Duration = Duration::from_millis(5);
/// Looks before it fails: those of [`crate::DEADLINE`].
const LOOKS: u32 = 4000;

/// Returns when `condition` holds, and fails after the deadline.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if condition() {
            return;
        }
        // A thread that `condition` has waited for leaves a token, which would end the rest at once.
        thread::park_timeout(Duration::ZERO);
        thread::park_timeout(STEP);
    }
    panic!("{what}: not within {:?}", crate::DEADLINE);
}
