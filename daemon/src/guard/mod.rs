//! Who may talk to a listener. A leaf: pure decisions over addresses.

mod source;

pub use source::admit;
