//! Datagrams explained octet by octet, and built from words.

mod build;
mod explain;
pub mod json;
mod option;
mod table;
mod verdict;

pub use build::{Parts, build};
pub use explain::{Line, explain};
pub use option::{OptionArg, describe};
pub use table::as_table;
pub use verdict::{NoDatagram, Verdict, class};
