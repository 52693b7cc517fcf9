//! What a run with STAMP is to do.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seal::Seal;

/// Which numbers reflectors give to their packets (RFC 8762, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Numbering {
    /// Their own, if one of them differs from that of the packet it answers; else nobody knows
    #[default]
    Auto,
    /// Their own: what is lost has a direction
    Stateful,
    /// Those of the packets that they answer: what is lost has none
    Stateless,
}

/// What is asked of reflectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StampSettings {
    /// Which numbers they give to their packets.
    pub reflector: Numbering,
    /// The session's identifier of RFC 8972; 0 if there is none.
    pub ssid: u16,
    /// Whether packets are sealed: the authenticated mode.
    pub authenticated: bool,
}

/// That, with the secret.
#[derive(Clone, Debug, Default)]
pub struct Stamp {
    /// What is asked.
    pub settings: StampSettings,
    /// The key of the authenticated mode.
    pub seal: Option<Seal>,
}
