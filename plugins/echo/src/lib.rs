//! Answers every datagram: with its own bytes, or with the number of them.
//!
//! ```toml
//! plugin = "echo"
//! reply = "length"      # or "same", the default
//! df = true             # answers leave whole or not at all; default false
//! reflect_tos = true    # answers leave in the class (DSCP) that their requests came in; default false
//! ```
#![forbid(unsafe_code)]

use polyport_echo_reply::{LENGTH_TEXT, tell_length};
use polyport_plugin::prelude::*;
use polyport_plugin::{Facts, config};

pub use polyport_echo_reply::Reply;

config! {
    /// Options of the plugin.
    #[derive(Clone, Copy, Debug)]
    pub struct EchoConfig {
        reply: Reply = "same", "What an answer says: the bytes that came in, or how many they were";
        df: bool = "false", "Whether an answer leaves whole or not at all, never in fragments";
        reflect_tos: bool = "false", "Whether an answer leaves in the class (DSCP) of its request; ECN is not reflected, and class 0 is the listener's own";
    }
}

/// The handler of one listener. It keeps nothing between two datagrams.
#[derive(Debug)]
pub struct Echo {
    config: EchoConfig,
}

impl Handler for Echo {
    type Config = EchoConfig;

    fn new(config: EchoConfig, setup: &mut Setup<'_>) -> Result<Self> {
        if config.reflect_tos && !setup.want(Facts::TOS).contains(Facts::TOS) {
            return Err(Error::option("reflect_tos", "this system does not tell the class of datagrams"));
        }
        Ok(Self { config })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        if self.config.df || self.config.reflect_tos {
            return self.answer_marked(batch);
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
        // What a handler wants to know of datagrams it says when it is made.
        if config.reflect_tos != self.config.reflect_tos {
            return Err(Error::unsupported());
        }
        self.config = config;
        Ok(())
    }
}

impl Echo {
    fn answer_marked(&self, batch: &mut Batch<'_>) {
        /// The six bits of the DSCP (RFC 2474). The other two are between a sender and the routers on its way (RFC 3168).
        const DSCP: u8 = 0xFC;
        for datagram in batch.datagrams() {
            if self.config.df {
                datagram.dont_fragment();
            }
            if self.config.reflect_tos {
                datagram.set_tos(datagram.tos() & DSCP);
            }
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
