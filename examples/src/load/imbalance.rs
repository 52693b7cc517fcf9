//! What is said instead of a result whose sums do not hold.

use std::fmt;

/// A sum that must hold and does not: a fault of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The identity.
    pub identity: &'static str,
    /// Its left side.
    pub left: u64,
    /// Its right side.
    pub right: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the books do not balance: {} is {} = {}", self.identity, self.left, self.right)
    }
}

impl std::error::Error for Imbalance {}
