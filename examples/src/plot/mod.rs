//! `polyport-plot`: a picture of a run, from the log of what an impairment decided.
//!
//! ```text
//!   decision    a line: who, when, what
//!   log         the file, line by line
//!   selection   clients, directions, a window of time
//!   passage     how many datagrams passed, by their numbers
//!   channel     the same where all clients have one row of numbers
//!   span        time since the first decision
//!   bins        sums over equal spans of time, never more than the picture can show
//!   few         single marks, as long as there are few
//!   run         all of them, fed line by line
//!   draw        the picture
//!   report      the same in words and numbers
//! ```
//!
//! A log has no largest size, so nothing here grows with it: what is kept of a run fits a picture, whose width is known.

pub mod bins;
pub mod channel;
pub mod decision;
pub mod draw;
pub mod few;
pub mod log;
pub mod passage;
pub mod report;
pub mod run;
pub mod selection;
pub mod span;

pub use decision::{Decision, Direction, Kind, Kinds};
pub use log::{Log, LogError, MAX_LOG_LINE};
pub use run::{MAX_CLIENTS, Run, Side};
pub use selection::Selection;
