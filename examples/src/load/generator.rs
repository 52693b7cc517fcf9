//! Which generator made a result: program, command, time and machine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::host::HostReport;
use super::shard::Shard;
use super::start;

/// This program and its version.
pub const PROGRAM: &str = concat!("polyport-load ", env!("CARGO_PKG_VERSION"));

/// One generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// The program and its version.
    pub program: String,
    /// Its arguments, without the name of the program.
    pub command: Vec<String>,
    /// When its load began, without the warm-up: UTC, as RFC 3339 has it.
    pub started: String,
    /// Which part of the targets was its.
    pub shard: Option<Shard>,
    /// Its seed.
    #[serde(with = "crate::json::decimal")]
    #[schemars(with = "String", regex(pattern = "^[0-9]+$"))]
    pub seed: u64,
    /// Where it ran.
    pub host: HostReport,
}

impl RunReport {
    /// This generator.
    #[must_use]
    pub fn new(config: &Config, command: Vec<String>, started: Duration) -> Self {
        Self {
            program: PROGRAM.to_owned(),
            command,
            started: start::rfc3339(started),
            shard: config.shard,
            seed: config.seed,
            host: HostReport::here(),
        }
    }
}
