//! The program with one more handler built in: the relay that it ships, which breaks when it is told to. The first error of the
//! network arms it, and the next call with datagrams is done to its end by the relay and then broken.

use std::process::ExitCode;

use polyport_plugin::prelude::*;
use polyport_plugin::{Event, Log, abi::pp_plugin, describe_plugin};
use polyport_relay_handler::{Relay, RelayConfig};

/// The relay, and whether the next call breaks it.
struct Breaking {
    relay: Relay,
    armed: bool,
}

impl Handler for Breaking {
    type Config = RelayConfig;

    const SESSIONS: bool = Relay::SESSIONS;
    const WAKES: bool = Relay::WAKES;

    fn new(config: RelayConfig, setup: &mut Setup<'_>) -> Result<Self> {
        Ok(Self { relay: Relay::new(config, setup)?, armed: false })
    }

    #[expect(clippy::panic, reason = "to panic is what this handler is for")]
    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        self.relay.on_batch(batch);
        if self.armed {
            panic!("as an error of the network asks");
        }
    }

    fn on_session(&mut self, event: &Event, batch: &mut Batch<'_>) {
        self.relay.on_session(event, batch);
        self.armed |= matches!(event, Event::Error(_));
    }

    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        self.relay.on_timer(token, batch);
    }

    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        self.relay.on_wake(batch);
    }

    fn check(config: &RelayConfig) -> Result<()> {
        Relay::check(config)
    }

    fn reconfigure(&mut self, config: RelayConfig) -> Result<()> {
        self.relay.reconfigure(config)
    }

    fn save(&self, out: &mut Vec<u8>) -> u32 {
        self.relay.save(out)
    }

    fn rescue(&self, out: &mut Vec<u8>) -> u32 {
        self.relay.rescue(out)
    }

    fn stop(&mut self, log: &Log<'_>) {
        self.relay.stop(log);
    }
}

describe_plugin!(Breaking, "breaking-relay", "The relay, which breaks after an error of the network");

static BREAKING: pp_plugin = PLUGIN;
static PLUGINS: [&pp_plugin; 1] = [&BREAKING];

fn main() -> ExitCode {
    polyport::cli::run(std::env::args_os(), &PLUGINS).into()
}
