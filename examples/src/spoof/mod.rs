//! Forged, damaged and stale replies against three clients: the cases of [P-77].

mod case;
mod forge;
pub mod json;
mod stage;

pub use case::{Case, Cell, Guard, Row};
pub use stage::{Setting, play};

#[cfg(test)]
mod tests;
