//! Answers every datagram: with its own bytes, or with the number of them.
//!
//! ```toml
//! plugin = "echo"
//! reply = "length"      # or "same", the default
//! ```
#![forbid(unsafe_code)]

use polyport_plugin::prelude::*;
use polyport_plugin::{choices, config};
use std::io::Write;

choices! {
    /// What an answer says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Reply {
        /// The bytes that came in.
        Same = "same",
        /// `Your data was N bytes long`.
        Length = "length",
    }
}

config! {
    /// Options of the plugin.
    #[derive(Clone, Copy, Debug)]
    pub struct EchoConfig {
        reply: Reply = "same", "What an answer says: the bytes that came in, or how many they were";
    }
}

/// The handler of one listener. It keeps nothing between two datagrams.
#[derive(Debug)]
pub struct Echo {
    config: EchoConfig,
}

impl Handler for Echo {
    type Config = EchoConfig;

    fn new(config: EchoConfig, _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self { config })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        match self.config.reply {
            Reply::Same => {
                batch.echo_all();
            }
            Reply::Length => batch.datagrams().for_each(|datagram| {
                datagram.reply_with(LENGTH_TEXT, tell_length);
            }),
        }
    }

    fn reconfigure(&mut self, config: EchoConfig) -> Result<()> {
        self.config = config;
        Ok(())
    }
}

/// Room for the longest answer of [`Reply::Length`], bytes: 25 and the twenty digits of a 64-bit number.
const LENGTH_TEXT: usize = 25 + 20;

/// Writes the answer of [`Reply::Length`] into `out` and returns its length.
fn tell_length(request: &[u8], out: &mut [u8]) -> usize {
    let room = out.len();
    let mut rest = out;
    // The room fits every number, and a cut text would still be counted right.
    write!(rest, "Your data was {} bytes long", request.len()).unwrap_or(());
    room - rest.len()
}

export_plugin!(Echo, "Answers every datagram with its own bytes, or with the number of them");

#[cfg(test)]
mod tests;
