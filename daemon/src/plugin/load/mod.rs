//! From a private copy of a library to a plugin whose options can be checked.
//!
//! ```text
//! library   dlopen of the copy -> Plugin: options and functions     [unsafe]
//! fenced_values  values in memory that is taken away       [unsafe]
//! generations  the builds of a library so far
//! option    declared options + what the configuration says -> Values
//! ```

mod fenced_values;
mod generations;
mod library;
mod option;

pub use library::{BuiltIn, Loader, Plugin};
pub(super) use library::{MAX_OPTIONS, option as declared_option, options as declared_options};
pub use option::{FileUse, Given, GivenValue, OptionProblem, OptionSpec, OptionType, Part, Values};
