//! What the example clients share.

pub mod load;
