//! Who may talk to a listener, and where its replies may go. A leaf: pure decisions over addresses.

mod loops;
mod source;

pub use loops::OwnAddresses;
pub use source::admit;
