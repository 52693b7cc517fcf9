//! polyport.
pub mod config;
pub mod guard;
pub mod metrics;
pub mod plugin;
pub mod reactor;
pub mod value;
