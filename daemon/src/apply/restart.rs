//! What of a configuration a process is told once, when it starts.

use crate::config::Plan;

/// Keys of the top that a process is told once, when it starts.
pub(super) const RESTART_KEYS: [&str; 5] = ["limits", "seed", "sandbox", "control", "metrics"];

/// Those of them that differ.
pub(super) fn after_restart(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let differ = [
        old.limits != new.limits,
        old.seed != new.seed,
        old.sandbox != new.sandbox,
        old.control != new.control,
        old.metrics != new.metrics,
    ];
    RESTART_KEYS.into_iter().zip(differ).filter_map(|(key, differs)| differs.then_some(key)).collect()
}
