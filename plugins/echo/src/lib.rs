//! Answers every datagram: with its own bytes, or with the number of them.
//!
//! ```toml
//! plugin = "echo"
//! reply = "length"      # or "same", the default
//! df = true             # answers leave whole or not at all; default false
//! ```
#![forbid(unsafe_code)]

use polyport_echo_reply::{LENGTH_TEXT, tell_length};
use polyport_plugin::config;
use polyport_plugin::prelude::*;

pub use polyport_echo_reply::Reply;

config! {
    /// Options of the plugin.
    #[derive(Clone, Copy, Debug)]
    pub struct EchoConfig {
        reply: Reply = "same", "What an answer says: the bytes that came in, or how many they were";
        df: bool = "false", "Whether an answer leaves whole or not at all, never in fragments";
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
        if self.config.df {
            return self.answer_uncut(batch);
        }
        match self.config.reply {
            Reply::Same => {
                batch.echo_all();
            }
            Reply::Length => batch.datagrams().for_each(|datagram| {
                datagram.reply_with(LENGTH_TEXT, |request, out| tell_length(request.len(), out));
            }),
        }
    }

    fn reconfigure(&mut self, config: EchoConfig) -> Result<()> {
        self.config = config;
        Ok(())
    }
}

impl Echo {
    fn answer_uncut(&self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            datagram.dont_fragment();
            match self.config.reply {
                Reply::Same => datagram.echo(),
                Reply::Length => {
                    datagram.reply_with(LENGTH_TEXT, |request, out| tell_length(request.len(), out))
                }
            };
        }
    }
}

describe_plugin!(Echo, "echo", "Answers every datagram with its own bytes, or with the number of them");

#[cfg(test)]
mod tests;
