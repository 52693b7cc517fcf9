//! The options of STAMP.

use clap::Args;
use polyport_terminal::Exit;

use super::seal::Seal;
use super::settings::{Numbering, Stamp, StampSettings};
use crate::heading;
use crate::key::KeyArgs;
use crate::outcome::ExitError;

/// Options that go with `--stamp`.
#[derive(Args, Clone, Debug, Default)]
pub struct StampArgs {
    /// The targets are reflectors of STAMP (RFC 8762) or TWAMP Light: shows the delay of each way, takes the time in the reflector out of round
    /// trips, and tells on which way packets are lost if the reflector numbers its own (stateful). With --key-file in the authenticated mode
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "auto", value_name = "REFLECTOR", conflicts_with_all = [
        "expect", "raw_echo", "one_way", "payload", "text", "template", "payload_file", "key_id", "key_type", "pcap",
    ], help_heading = heading::TARGET)]
    pub stamp: Option<Numbering>,
    /// The session's identifier of RFC 8972, which some reflectors tell sessions apart by
    #[arg(long, value_name = "N", requires = "stamp", value_parser = clap::value_parser!(u16).range(1..), help_heading = heading::PROTOCOL)]
    pub ssid: Option<u16>,
}

impl StampArgs {
    /// What is to be done, if the targets are reflectors.
    ///
    /// # Errors
    /// The key cannot be read, or is too short.
    pub fn load(&self, key: &KeyArgs) -> Result<Option<Stamp>, ExitError> {
        let Some(reflector) = self.stamp else { return Ok(None) };
        let seal = key.secret()?.map(|secret| Seal::new(&secret)).transpose();
        let seal = seal.map_err(|error| ExitError::new(Exit::BadInput, error))?;
        let settings =
            StampSettings { reflector, ssid: self.ssid.unwrap_or(0), authenticated: seal.is_some() };
        Ok(Some(Stamp { settings, seal }))
    }
}
