//! Datagrams explained octet by octet, and built from words.

mod build;
mod explain;
mod option;
mod show;

pub use build::{Parts, build};
pub use explain::{Line, explain};
pub use option::{OptionArg, describe};
pub use show::{as_object, as_table, class};
