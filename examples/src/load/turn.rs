//! What one pass of sending did.

/// What was done with all that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Datagrams that left.
    pub left: u64,
    /// A send buffer was full.
    pub blocked: bool,
    /// A closed loop had no room for what it may send: only an answer or a timeout makes some.
    pub full: bool,
}
