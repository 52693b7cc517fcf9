//! Looks names up: a datagram is a name, the answer its addresses, one a line. A lookup may take seconds and a handler must
//! not wait, so a thread does it and wakes the handler, and a ticket says whom to answer.
//! Build: `cargo build --release -p polyport-example-lookup`.
#![forbid(unsafe_code)]
use std::collections::BTreeSet;
use std::net::ToSocketAddrs;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use polyport_plugin::prelude::*;

/// Names that wait for the thread.
const WAITING: usize = 1024;
/// Longest name that is looked up, bytes: the longest there is (RFC 1035, section 3.1).
const LONGEST: usize = 253;
/// An answer that comes later than this is none: whoever asked has asked again.
const PATIENCE: Duration = Duration::from_secs(30);

struct Lookup {
    names: SyncSender<(Ticket, String)>,
    found: Receiver<(Ticket, String)>,
    busy: Counter,
}

impl Handler for Lookup {
    type Config = ();

    const WAKES: bool = true;

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        let (names, asked) = sync_channel::<(Ticket, String)>(WAITING);
        let (found, answers) = sync_channel(WAITING);
        let waker = setup.waker();
        // It ends when the handler, and with it `names`, is gone; till then the waker of a handler that is gone does nothing.
        thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            for (ticket, name) in asked {
                if found.send((ticket, look_up(&name))).is_err() {
                    break;
                }
                waker.wake();
            }
        })?;
        let busy = setup.counter(c"busy_total", c"Names that found no room to wait");
        Ok(Self { names, found: answers, busy })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            let Ok(name) = str::from_utf8(datagram.payload()).map(str::trim) else {
                datagram.discard();
                continue;
            };
            let waits = name.len() <= LONGEST
                && datagram
                    .ticket(PATIENCE)
                    .is_some_and(|ticket| self.names.try_send((ticket, name.to_owned())).is_ok());
            if !waits {
                self.busy.add(1);
                datagram.discard();
            }
        }
    }

    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        for (ticket, answer) in self.found.try_iter() {
            if let Err(why) = batch.answer(ticket, answer.as_bytes()) {
                batch.log(Level::Debug, why);
            }
        }
    }
}

/// The addresses of a name, or why there are none.
fn look_up(name: &str) -> String {
    match (name, 0).to_socket_addrs() {
        Ok(found) => found.map(|to| format!("{}\n", to.ip())).collect::<BTreeSet<_>>().into_iter().collect(),
        Err(error) => format!("{name}: {error}\n"),
    }
}

export_plugin!(Lookup, "Answers a name with its addresses");
