//! One reliable request, as PPT/1 and as plain text.

mod answered;
mod bounds;
mod ppt;
mod progress;
mod raw;
mod unsent;

pub use answered::Answered;
pub use bounds::Bounds;
pub use ppt::{Ppt, PptConfig};
pub use progress::Progress;
pub use raw::{Raw, RawConfig};
