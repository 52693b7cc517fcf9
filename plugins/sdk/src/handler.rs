//! The trait a plugin implements.

use crate::batch::Batch;
use crate::config::Config;
use crate::context::{Log, Setup};
use crate::error::Error;
use crate::session::Event;

/// A plugin. The host makes one value for each listener that names the plugin, calls it from one thread at
/// a time, and drops it when the listener goes.
///
/// State lives in `self`. A `static` is shared by every listener that uses the library and starts afresh
/// with each reload.
///
/// A panic in any of these functions is caught: it costs the instance, never the daemon. What it queued in that call is
/// discarded, the instance may [`rescue`](Self::rescue) its state and is dropped, and the host makes a new one after a pause.
/// The datagram that was taken from the batch last is the one that did it: it is logged and not seen again, and those behind it
/// go to the new instance.
pub trait Handler: Sized + Send + 'static {
    /// `()`, or a struct made by [`config!`](crate::config).
    type Config: Config;

    /// Whether it opens sessions ([`Batch::open`]), and so is told by [`on_session`](Self::on_session) what becomes of them.
    const SESSIONS: bool = false;

    /// Whether the instance can be woken: exports [`on_wake`](Self::on_wake), which Rust cannot see otherwise.
    const WAKES: bool = false;

    /// Makes the instance. The only place to ask for counters and for the state of the predecessor.
    ///
    /// # Errors
    /// What is said here is shown to the operator; [`Error::option`] adds the place in the configuration.
    fn new(config: Self::Config, setup: &mut Setup<'_>) -> Result<Self, Error>;

    /// Serves one batch of datagrams. Must not block: every listener waits for it.
    fn on_batch(&mut self, batch: &mut Batch<'_>);

    /// A timer set with [`Setup::timer`] or [`Batch::timer`] fired. The batch holds no datagrams; sending
    /// works as in [`on_batch`](Self::on_batch).
    fn on_timer(&mut self, token: u64, batch: &mut Batch<'_>) {
        let _ = (token, batch);
    }

    /// Something has happened to a session; for handlers with [`SESSIONS`](Self::SESSIONS). The batch holds no datagrams; sending works as in
    /// [`on_batch`](Self::on_batch), and what is opened here is made in the next turn of the loop.
    fn on_session(&mut self, event: &Event, batch: &mut Batch<'_>) {
        let _ = (event, batch);
    }

    /// Some thread has woken the instance ([`Waker`](crate::Waker)), once or more often. The batch holds no datagrams;
    /// sending works as in [`on_batch`](Self::on_batch). Called only if [`WAKES`](Self::WAKES).
    fn on_wake(&mut self, batch: &mut Batch<'_>) {
        let _ = batch;
    }

    /// Checks what a single option cannot tell: one option against another. Called before
    /// [`new`](Self::new) and before [`reconfigure`](Self::reconfigure), and by `polyport check`. No side
    /// effects.
    ///
    /// # Errors
    /// The reason the configuration cannot be used.
    fn check(config: &Self::Config) -> Result<(), Error> {
        let _ = config;
        Ok(())
    }

    /// Takes a new configuration without a new instance. The default says [`Error::unsupported`], and the
    /// host makes a new instance instead.
    ///
    /// # Errors
    /// After an error the instance goes on with the configuration it had.
    fn reconfigure(&mut self, config: Self::Config) -> Result<(), Error> {
        drop(config);
        Err(Error::unsupported())
    }

    /// Writes what the successor needs and returns the version of its form; the successor
    /// gets both from [`Setup::state`]. May be called more than once. Nothing written is no state.
    fn save(&self, out: &mut Vec<u8>) -> u32 {
        let _ = out;
        0
    }

    /// As [`save`](Self::save), after a panic: what is left of the instance writes what its successor needs. The panic may
    /// have left something half done, so write what can be trusted, or nothing; the default is what `save` writes. A state
    /// whose instance breaks before it has served anything is not carried on. Not called after a panic in `save`.
    fn rescue(&self, out: &mut Vec<u8>) -> u32 {
        self.save(out)
    }

    /// The instance goes, and has all its state for the last time: the place for a summary. Nothing can be
    /// sent any more. `drop` follows. Not called after a panic.
    fn stop(&mut self, log: &Log<'_>) {
        let _ = log;
    }
}
