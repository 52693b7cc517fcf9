//! The search for capacity: MLRsearch (draft-ietf-bmwg-mlrsearch), as a machine without I/O and without a clock.
//!
//! ```text
//!   Goal --> Target, Target, Target    (goal: coarse and short first, exact and long last)
//!
//!   Search::ask --> rate and length of a trial --> whoever measures --> Search::tell
//!        ^                                                                  |
//!        |  the lowest load that a selector (selector) wants                v
//!        +------------------ relevant bounds <--- trials by load (book), classified (class)
//! ```
//!
//! - A load is a *lower bound* of a goal when trials of it that lasted as long as the goal's sum, or as good as, were
//!   good but for the share that may exceed; an *upper bound* when they can no longer become that. The *relevant* upper
//!   bound is the lowest one, the relevant lower bound the highest one below it.
//! - All goals share all trials. Short trials find the neighbourhood, long ones decide.
//! - Where the tester could not keep the rate, a trial is no statement about the server: it never becomes part of a bound,
//!   and the search stays below that rate.
//! - The library of the draft's authors (MLRsearch 1.2.1) is the oracle: `tests` compares what both find.

mod book;
mod class;
mod goal;
mod grid;
mod machine;
mod selector;

pub use class::{Sureness, Trial};
pub use goal::Goal;
pub use machine::{Ask, Bound, Found, Outcome, Search, Stop};

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
