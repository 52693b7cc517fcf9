//! From the name of a plugin to a file that may be loaded. No code of a plugin runs here (I8).
//!
//! ```text
//! search     a name or a path -> a file
//! identity   the file's bytes -> Identity, or a refusal
//! stage      the bytes -> a private copy under a name that was never used before
//! refusal    why a plugin is not loaded, in words
//! ```

mod identity;
mod refusal;
mod search;
mod stage;

pub use identity::Identity;
pub use refusal::{Cause, Refusal};
pub use search::SearchPath;
pub(super) use stage::{Stage, candidates as stage_candidates};
