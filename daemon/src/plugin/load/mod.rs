//! From a private copy of a library to a plugin whose options can be checked.
//!
//! ```text
//! library   dlopen of the copy -> Plugin: options and functions     [unsafe]
//! option    declared options + what the configuration says -> Values
//! ```

mod library;
mod option;

pub use library::{BuiltIn, Loader, Plugin};
pub use option::{FileUse, Given, GivenValue, OptionProblem, OptionSpec, OptionType, Values};
