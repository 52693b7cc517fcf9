//! polyport.
pub mod config;
