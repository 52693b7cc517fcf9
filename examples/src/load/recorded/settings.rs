//! What of a recording is sent, and how.

use std::path::PathBuf;

use polyport_protocol::Nanos;

use super::pace::Speed;

/// What is sent, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The recording.
    pub file: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// How often.
    pub passes: u32,
    /// Only what was sent to this port.
    pub port: Option<u16>,
    /// Time between two lines of progress; none for silence.
    pub interval: Option<Nanos>,
}
