//! Asks a daemon again and again, on a thread that may wait for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;

use super::model::{OneSample, Sample};
use super::view::ADDRESSES;
use crate::apply::Clock;
use crate::control::wire::{self, Peers, Status, StatusParams, code};
use crate::control::{CallError, Client};

/// Between two questions lies this many times as long as the answers to the last one took, at least: a daemon with very many
/// listeners is asked less often.
const REST: u32 = 9;
/// A daemon that is gone is looked for at least so often.
const AGAIN: Duration = Duration::from_secs(1);
/// Peers that are asked for.
const PEERS: usize = 10;

/// What else is wanted to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// The listener to look at closely.
    pub(super) one: Option<String>,
    /// Its addresses from this one on.
    pub(super) offset: usize,
}

/// What came of a question.
#[derive(Debug)]
pub(super) enum Heard {
    /// An answer; the next question comes in so long.
    Sample(Box<Sample>, Duration),
    /// Why there is none.
    Failure(String),
}

/// Where the daemon is. It is looked for again after it was gone.
pub(super) type Find = Box<dyn Fn() -> Result<PathBuf, String> + Send>;

/// A daemon that is asked.
pub(super) struct Asker {
    path: PathBuf,
    clock: Arc<Clock>,
    client: Option<Client>,
    /// It has no method `peers`.
    no_peers: bool,
}

impl Asker {
    /// Asks the daemon at `path`.
    pub(super) fn new(path: PathBuf, clock: Arc<Clock>) -> Self {
        Self { path, clock, client: None, no_peers: false }
    }

    /// What the daemon says now.
    ///
    /// # Errors
    /// It says nothing; the next question begins with a new connection.
    pub(super) fn ask(&mut self, wish: &Wish) -> Result<Sample, CallError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                self.no_peers = false;
                Client::connect(&self.path)?
            }
        };
        let sample = self.ask_by(&mut client, wish)?;
        self.client = Some(client);
        Ok(sample)
    }

    fn ask_by(&mut self, client: &mut Client, wish: &Wish) -> Result<Sample, CallError> {
        let mut status = page(client, None, 0, wire::MOST_OF_A_PAGE)?;
        let at = self.now();
        while let Some(next) = status.next {
            let more = page(client, None, next, wire::MOST_OF_A_PAGE)?;
            // What was asked for before a reload ends where the new plan does.
            if more.entries.is_empty() {
                break;
            }
            status.entries.extend(more.entries);
            status.next = more.next.filter(|further| *further > next);
        }
        let one = match &wish.one {
            Some(name) => self.ask_about(client, name, wish.offset)?,
            None => None,
        };
        Ok(Sample { at, status, one })
    }

    /// About one listener; none: it is not there any more.
    fn ask_about(
        &mut self,
        client: &mut Client,
        name: &str,
        offset: usize,
    ) -> Result<Option<OneSample>, CallError> {
        let status = match page(client, Some(name), offset, ADDRESSES) {
            Err(CallError::Refused(error)) if error.code == code::NO_LISTENER => return Ok(None),
            other => other?,
        };
        let at = self.now();
        let peers = if self.no_peers { None } else { self.ask_for_peers(client, name)? };
        Ok(Some(OneSample { name: name.to_owned(), at, offset, addresses: status.entries, peers }))
    }

    fn ask_for_peers(&mut self, client: &mut Client, name: &str) -> Result<Option<Peers>, CallError> {
        let params = json!(wire::PeersParams { listener: name.to_owned(), limit: Some(PEERS) });
        match client.call::<Peers>("peers", &params) {
            Ok((peers, _)) => Ok(Some(peers)),
            Err(CallError::Refused(error)) if error.code == code::UNKNOWN_METHOD => {
                self.no_peers = true;
                Ok(None)
            }
            Err(CallError::Refused(error)) if error.code == code::NO_LISTENER => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.mono_ns())
    }
}

fn page(
    client: &mut Client,
    listener: Option<&str>,
    offset: usize,
    limit: usize,
) -> Result<Status, CallError> {
    let params = StatusParams { listener: listener.map(str::to_owned), offset, limit: Some(limit) };
    Ok(client.call::<Status>("status", &json!(params))?.0)
}

/// Asks every `interval`, and at once when another wish comes, until nobody listens.
pub(super) fn keep_asking(
    find: &Find,
    clock: &Arc<Clock>,
    interval: Duration,
    wishes: &Receiver<Wish>,
    tell: impl Fn(Heard) -> bool,
) {
    let mut asker = None;
    let mut wish = Wish::default();
    // The second answer makes the first rates: nobody waits longer for it.
    let mut is_first = true;
    loop {
        let from_ns = clock.mono_ns();
        let answer = answer(&mut asker, find, clock, &wish);
        let took = Duration::from_nanos(clock.mono_ns().saturating_sub(from_ns));
        let rest = interval.saturating_sub(took).max(if is_first { Duration::ZERO } else { took * REST });
        is_first = answer.is_err();
        let (heard, rest) = match answer {
            Ok(sample) => (Heard::Sample(Box::new(sample), rest + took), rest),
            Err(words) => {
                asker = None;
                (Heard::Failure(words), interval.min(AGAIN))
            }
        };
        if !tell(heard) {
            return;
        }
        match wishes.recv_timeout(rest) {
            Ok(next) => wish = next,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Of several wishes the last one counts.
        wish = wishes.try_iter().last().unwrap_or(wish);
    }
}

/// What the daemon says, which is looked for if it is not known.
fn answer(asker: &mut Option<Asker>, find: &Find, clock: &Arc<Clock>, wish: &Wish) -> Result<Sample, String> {
    let asker = match asker {
        Some(asker) => asker,
        None => asker.insert(Asker::new(find()?, Arc::clone(clock))),
    };
    asker.ask(wish).map_err(|error| error.to_string())
}
