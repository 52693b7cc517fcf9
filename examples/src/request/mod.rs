//! One reliable request, as PPT/1 and as plain text.

mod answered;
mod bounds;
mod ppt;
mod raw;
mod reporter;

pub use answered::Answered;
pub use bounds::Bounds;
pub use ppt::{Ppt, PptConfig};
pub use raw::{Raw, RawConfig};
pub use reporter::Reporter;
