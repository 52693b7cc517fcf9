//! What the example clients share.
