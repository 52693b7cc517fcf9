//! One reliable request, as PPT/1 and as plain text.

mod answered;
mod bounds;
pub mod json;
mod ppt;
mod raw;
mod reporter;
pub mod socket;
mod unsent;

pub use answered::Answered;
pub use bounds::Bounds;
pub use ppt::{Ppt, PptConfig};
pub use raw::{Raw, RawConfig};
pub use reporter::Reporter;
pub use unsent::unsent;
