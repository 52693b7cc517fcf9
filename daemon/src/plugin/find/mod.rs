//! From the name of a plugin to a file that may be loaded. No code of a plugin runs here (I8).
//!
//! ```text
//! elevated   whether who started the program may choose what runs in it
//! search     a name or a path -> a file
//! trust      the file -> its bytes, if nobody else can have written them
//! beside     libraries that it brings
//! identity   the bytes -> Identity, or a refusal
//! stage      the bytes -> a private copy under a name that was never used before
//! memory     the same without a directory
//! refusal    why a plugin is not loaded, in words
//! ```

mod beside;
mod elevated;
mod identity;
mod memory;
mod refusal;
mod search;
mod stage;
mod trust;

pub(super) use beside::{Beside, find as find_beside};
pub use elevated::is_elevated;
pub use identity::{Identity, Said, host_abi, host_layout, plugin_abi};
pub(super) use refusal::MAX_LIBRARY_BYTES;
pub use refusal::{Cause, Refusal};
pub use search::SearchPath;
pub(super) use stage::{Stages, candidates as stage_candidates};
pub use trust::{Distrust, Refused, own_file};
pub(super) use trust::{Owners, file as trusted_file};
