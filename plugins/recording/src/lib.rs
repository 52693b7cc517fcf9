//! Files that a handler writes while it serves: by a thread of their own, bounded in size, and where nobody else leads them.
//!
//! ```text
//! recorder  batches to the thread, and what became of them back
//! trouble   what is worth a line in the log
//! files     a file that is put aside when it is full
//! place     where it lies
//! ```
//!
//! What a file holds is the business of who records: a [`Sink`] makes bytes of a [`Batch`].
#![forbid(unsafe_code)]

mod files;
mod place;
mod recorder;
mod tally;
mod trouble;

pub use files::Files;
pub use recorder::{Batch, Bounds, Recorder, Sink};
pub use tally::Tally;
pub use trouble::Trouble;
