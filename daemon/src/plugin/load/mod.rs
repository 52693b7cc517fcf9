//! From a private copy of a library to a plugin whose options can be checked.
//!
//! ```text
//! plugin    what is loaded: options and functions
//! library   dlopen of the copy -> Plugin                            [unsafe]
//! fenced_values  values in memory that is taken away       [unsafe]
//! generations  the builds of a library so far
//! option    declared options + what the configuration says -> Values
//! unknown   what is said of a name that no option has
//! ```

mod fenced_values;
mod generations;
mod library;
mod option;
mod plugin;
mod unknown;

pub use library::{BuiltIn, Loader, built_in_names};
pub(super) use library::{MAX_OPTIONS, option as declared_option, options as declared_options};
pub use option::{FileUse, Given, GivenValue, OptionProblem, OptionSpec, OptionType, Part, Values};
pub use plugin::Plugin;
