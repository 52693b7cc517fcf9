//! The result of a run in the forms that other programs read.

pub mod csv;
pub mod hdr_log;
pub mod junit;
pub mod openmetrics;

#[cfg(test)]
mod tests;
