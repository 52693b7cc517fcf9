//! One to many: sending to a group or broadcast address, and listening there.

mod event;
pub mod json;
mod listen;
mod scope;
mod send;

pub use event::Sealer;
pub use listen::{Listener, Membership, join};
pub use scope::stay_here;
pub use send::{Plan, Sender, SenderOptions, open};
