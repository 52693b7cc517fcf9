//! A UDP relay in Rust: each client speaks to the upstream by a session of its own, and answers go back to it alone. Build:
//! `cargo build --release -p polyport-example-relay`.
#![forbid(unsafe_code)]
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use polyport_plugin::prelude::*;
use polyport_plugin::{Event, Session, SessionId, config};

config! {
    /// Options of the relay.
    pub struct Options {
        to: SocketAddr = required, "Where everything goes";
        idle: Duration = "2min", "A session ends after so long without a datagram";
    }
}

struct Relay {
    options: Options,
    clients: HashMap<SocketAddr, SessionId>,
}

impl Handler for Relay {
    type Config = Options;
    const SESSIONS: bool = true;

    fn new(options: Options, setup: &mut Setup<'_>) -> Result<Self> {
        // After a restart of the handler the sessions of the one before are still there.
        let kept = setup.sessions().filter_map(|old| Some((old.client()?, old.keep(0)?)));
        Ok(Self { clients: kept.collect(), options })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            if datagram.session().is_some() {
                datagram.to_client();
                continue;
            }
            let client = datagram.peer();
            let session = self.clients.get(&client).copied().or_else(|| {
                let session = Session::to(self.options.to).idle(self.options.idle).client(&datagram);
                let opened = batch.open(session)?;
                self.clients.insert(client, opened);
                Some(opened)
            });
            match session {
                Some(session) => _ = datagram.to_session(session),
                None => datagram.discard(), // Too many: the host counts why.
            }
        }
    }

    fn on_session(&mut self, event: &Event, batch: &mut Batch<'_>) {
        match event {
            Event::Closed(closed) => {
                batch.log(Level::Info, closed);
                self.clients.retain(|_, session| *session != closed.id());
            }
            Event::Error(error) => batch.log(Level::Warn, error), // The session goes on.
            _ => {}
        }
    }
}

export_plugin!(Relay, "Relays each client to one upstream by a session of its own");
