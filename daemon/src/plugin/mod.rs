//! The plugin boundary: find a library, check it before it runs, load it, and call its instances.
//!
//! ```text
//! find   a name -> a file whose identity was read from its bytes, staged; nothing has run yet (I8)
//! load   the staged file -> Plugin, with the options it declares
//! call   Plugin + checked options -> instances, and the calls in both directions
//! ```
//!
//! What both sides of a call look at is [`crate::exchange`]. The contract is written in `plugins/ABI.md`.

mod call;
mod find;
mod load;

pub(crate) use call::{CACHE_LINE, prefetch};
pub use call::{Call, Cell, Cells, CreateError, Instance, InstanceSpec, Outcome, TimerRequest, Why};
pub use find::{Cause, Identity, Refusal, SearchPath};
pub use load::{Given, GivenValue, Loader, OptionProblem, OptionSpec, OptionType, Plugin, Values};
