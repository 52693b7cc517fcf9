//! The plugin boundary: find a library, check it before it runs, load it, and call its instances.
//!
//! ```text
//! search     a name or a path -> a file
//! identity   the file's bytes -> Identity, or a Refusal in words; nothing has run yet (I8)
//! stage      a private copy under a name that was never used before
//! library    dlopen of the copy -> Plugin: options and functions                       [unsafe]
//! option     declared options + what the configuration says -> Values
//! instance   one handler serving one listener                                          [unsafe]
//! host       the five functions a plugin may call                                      [unsafe]
//! prefetch   a word to the CPU about memory needed soon                               [unsafe]
//! exchange   the memory both sides look at during a call: ring, rx, tx, arena          [unsafe]
//! ```
//!
//! The contract is written in `plugins/ABI.md`.

mod exchange;
mod host;
mod identity;
mod instance;
mod library;
mod option;
mod prefetch;
mod record;
mod refusal;
mod search;
mod stage;

pub use exchange::{
    Answers, ArrivalFlags, Arrived, Exchange, ExchangeLimits, Output, OutputError, Outputs, ReplySource,
};
pub use identity::Identity;
pub use instance::{Call, CreateError, Instance, InstanceSpec, Outcome, Why};
pub use library::{Loader, Plugin};
pub use option::{Given, GivenValue, OptionProblem, OptionSpec, OptionType, Values};
pub(crate) use prefetch::{CACHE_LINE, prefetch};
pub use record::{Cell, Cells, TimerRequest};
pub use refusal::{Cause, Refusal};
pub use search::SearchPath;
