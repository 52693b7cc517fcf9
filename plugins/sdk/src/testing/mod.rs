//! A host in miniature: a plugin's own tests need no daemon, no socket and no clock.
//!
//! [`Harness`] calls the same table the daemon calls, trampolines and all. Time stands still unless
//! [`advance`](Harness::advance) moves it; the seed is fixed; what the plugin sends is kept with the
//! moment at which it left.
//!
//! Mistakes in a test - a wrong address, an unknown counter - panic with a sentence.

#[cfg(test)]
mod facts_tests;
mod host;
mod kinds;
mod options;
mod remote;
#[cfg(test)]
mod runs_tests;
mod sessions;
#[cfg(test)]
mod sessions_tests;
mod settle;
#[cfg(test)]
mod survival_tests;
mod table;
#[cfg(test)]
mod tests;
mod tickets;
#[cfg(test)]
mod uncut_tests;
mod upstream;
#[cfg(test)]
mod wake_tests;

use core::marker::PhantomData;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use polyport_abi as abi;
use polyport_abi::pp_dgram;

use crate::facts::Facts;
use crate::level::Level;
use crate::{Config as _, Handler};
use options::{Parsed, parse_all};
use sessions::NoWay;
use settle::settle;
use table::{About, BatchParameters, Making, Refusal, Session};

pub use host::Memory;
pub use kinds::{Address, Incoming, LOCAL, Outcome, Refused, Sent};
pub use sessions::Open;

/// The seed of [`Harness::new`].
pub const SEED: u64 = 42;
/// The bytes that instances get for their secrets, unless [`Harness::set_secret`] gave others. They do not depend on the
/// seed.
pub const SECRET: [u8; 32] = *b"nobody but the tests knows this.";
/// When the harness starts, nanoseconds of its monotonic clock.
pub const START_NS: u64 = 1_000_000_000_000;
/// When the harness starts, Unix time in nanoseconds.
pub const START_WALL_NS: u64 = 1_700_000_000_000_000_000;

/// One listener with one handler.
#[derive(Debug)]
pub struct Harness<H> {
    session: Session,
    values: Vec<Parsed>,
    seed: u64,
    secret: [u8; 32],
    now_ns: u64,
    log_level: Level,
    max_payload: u32,
    /// By the moment they leave, then by the order they were queued.
    waiting: BTreeMap<(u64, u64), Sent>,
    queued: u64,
    left: Vec<Sent>,
    discarded: u64,
    refused: u64,
    bad: u64,
    /// The instance broke in its last call.
    broken: bool,
    /// Index of the datagram that it worked on then.
    blamed: Option<usize>,
    handler: PhantomData<fn() -> H>,
}

impl<H: Handler> Harness<H> {
    /// Makes the plugin with options written as in the configuration file; the others have their defaults.
    ///
    /// # Panics
    /// When the plugin or the configuration is refused.
    #[must_use]
    pub fn new(options: &[(&str, &str)]) -> Self {
        Self::with_seed(options, SEED)
    }

    /// Makes the plugin with options, as [`new`](Self::new) does, and with a seed.
    ///
    /// # Panics
    /// When the plugin or the configuration is refused.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: for tests that do not expect a refusal")]
    pub fn with_seed(options: &[(&str, &str)], seed: u64) -> Self {
        Self::try_new(options, seed).unwrap_or_else(|refused| panic!("refused: {refused}"))
    }

    /// Makes the plugin with options and a seed, or says why it was refused.
    ///
    /// # Errors
    /// What the operator would read.
    pub fn try_new(options: &[(&str, &str)], seed: u64) -> Result<Self, Refused> {
        let mut harness = Self {
            session: Session::open(&crate::export::table::<H>("polyport-test", "0.0.0", "under test")),
            values: parse::<H>(options)?,
            seed,
            secret: SECRET,
            now_ns: START_NS,
            log_level: Level::Trace,
            max_payload: 1472,
            waiting: BTreeMap::new(),
            queued: 0,
            left: Vec::new(),
            discarded: 0,
            refused: 0,
            bad: 0,
            broken: false,
            blamed: None,
            handler: PhantomData,
        };
        harness.session.check(&harness.values).map_err(refused::<H>)?;
        harness.make(abi::WHY_START, None)?;
        Ok(harness)
    }

    fn make(&mut self, why: u32, state: Option<(u32, &[u8])>) -> Result<(), Refused> {
        let (seed, secret, now_ns, values) = (self.seed, self.secret, self.now_ns, &self.values);
        let timers = std::mem::take(&mut self.session.fake.borrow_mut().timers);
        let making = Making { why, seed, now_ns, local: LOCAL, values, state, secret };
        let made = self.session.create(&making).map_err(refused::<H>);
        if made.is_err() {
            self.session.fake.borrow_mut().timers = timers;
        } else {
            self.broken = false;
        }
        self.tell();
        made
    }

    /// A new instance as after a panic: counters stay, timers go, answers that wait still leave. If the one before broke, the
    /// new one gets what could be rescued of its state.
    ///
    /// # Errors
    /// The refusal; the instance before stays.
    pub fn restart(&mut self) -> Result<(), Refused> {
        // What cannot be rescued is lost, as in the daemon.
        let state = if self.broken { self.session.rescue().unwrap_or(None) } else { None };
        self.make(abi::WHY_RESTART, state.as_ref().map(|(version, bytes)| (*version, bytes.as_slice())))
    }

    /// The index, in the last batch, of the datagram that the host would name if the call had broken the instance: the one
    /// that was taken last. None: nobody would know.
    #[must_use]
    pub const fn blamed(&self) -> Option<usize> {
        self.blamed
    }

    /// A new instance with new options and the state of the one before.
    ///
    /// # Errors
    /// The refusal; the instance before stays.
    pub fn reload(&mut self, options: &[(&str, &str)]) -> Result<(), Refused> {
        let values = parse::<H>(options)?;
        self.session.check(&values).map_err(refused::<H>)?;
        let failed = |code| Refused { option: None, message: format!("save failed with {code}") };
        let state = self.session.save().map_err(failed)?;
        let before = std::mem::replace(&mut self.values, values);
        let state = state.as_ref().map(|(version, bytes)| (*version, bytes.as_slice()));
        self.make(abi::WHY_RELOAD, state).inspect_err(|_| self.values = before)
    }

    /// Ends the instance as the daemon does when it stops; returns the log lines since they were last asked.
    #[must_use]
    pub fn stop(mut self) -> Vec<String> {
        self.session.destroy();
        self.lines()
    }

    /// New options for the same instance.
    ///
    /// # Errors
    /// The refusal; the options before stay. A plugin that does not offer this says `not supported`.
    pub fn reconfigure(&mut self, options: &[(&str, &str)]) -> Result<(), Refused> {
        let values = parse::<H>(options)?;
        let (code, refusal) = self.session.reconfigure(&values);
        if code != abi::OK {
            return Err(refused::<H>(refusal));
        }
        self.values = values;
        Ok(())
    }

    /// One datagram, a batch of its own.
    pub fn send(&mut self, peer: impl Address, payload: &[u8]) -> Outcome {
        self.deliver(&[Incoming::new(peer.address(), payload)])
    }

    /// Several datagrams in one batch.
    pub fn send_batch<P: Address>(&mut self, datagrams: &[(P, &[u8])]) -> Outcome {
        let batch: Vec<_> =
            datagrams.iter().map(|(peer, bytes)| Incoming::new(peer.address(), bytes)).collect();
        self.deliver(&batch)
    }

    /// Several datagrams in one batch, with everything that can be said about them.
    pub fn deliver(&mut self, datagrams: &[Incoming]) -> Outcome {
        // One buffer for all, as after a split of a GRO train: a plugin that writes too far is found out.
        let mut buffer: Vec<u8> = datagrams.iter().flat_map(|d| d.payload.iter().copied()).collect();
        buffer.push(0);
        let mut at = buffer.as_mut_ptr();
        let told = self.session.fake.borrow().facts.told;
        let mut rx: Vec<pp_dgram> = Vec::with_capacity(datagrams.len());
        for datagram in datagrams {
            rx.push(datagram.record(at, self.now_ns, told));
            at = at.wrapping_add(datagram.payload.len());
        }
        self.call(&mut rx, About::Batch)
    }

    /// Moves time, firing timers, ending idle sessions and letting delayed answers leave, each at its moment. Stops at the first
    /// timer that breaks the instance.
    pub fn advance(&mut self, by: Duration) -> Outcome {
        let end = crate::later(self.now_ns, by);
        loop {
            let due = self.session.fake.borrow().next_timer().filter(|(at, _)| *at <= end);
            let idle = self.session.fake.borrow().sessions.next_idle().filter(|at| *at <= end);
            if let Some(at) = idle.filter(|at| due.is_none_or(|(timer, _)| *at < timer)) {
                self.now_ns = self.now_ns.max(at);
                self.session.fake.borrow_mut().sessions.end_idle(at);
                let outcome = self.tell();
                if outcome != Outcome::Done {
                    return outcome;
                }
                continue;
            }
            let Some((at, token)) = due else { break };
            self.now_ns = self.now_ns.max(at);
            self.session.fake.borrow_mut().fire(token);
            let outcome = self.call(&mut [], About::Timer(token));
            if outcome != Outcome::Done {
                return outcome;
            }
        }
        self.now_ns = end;
        self.let_leave();
        Outcome::Done
    }

    fn call(&mut self, rx: &mut [pp_dgram], about: About) -> Outcome {
        let outcome = self.call_once(rx, about);
        let told = if outcome == Outcome::Fatal { outcome } else { self.tell() };
        if told == Outcome::Fatal { told } else { outcome }
    }

    fn call_once(&mut self, rx: &mut [pp_dgram], about: About) -> Outcome {
        let parameters = BatchParameters {
            now_ns: self.now_ns,
            wall_offset_ns: (START_WALL_NS - START_NS).cast_signed(),
            max_payload: self.max_payload,
            log_level: self.log_level as u32,
        };
        let (code, refused, blamed) = self.session.call(rx, about, parameters);
        self.refused += u64::from(refused);
        self.blamed = blamed;
        let outcome = match code {
            abi::OK => Outcome::Done,
            abi::ERROR => Outcome::Failed,
            _ => {
                self.broken = true;
                self.session.fake.borrow_mut().tickets.forget();
                return Outcome::Fatal;
            }
        };
        let discarded = rx.iter().filter(|d| d.verdict == abi::VERDICT_DISCARD).count();
        self.discarded += discarded as u64;
        let mut fake = self.session.fake.borrow_mut();
        fake.sessions.carry_out(self.now_ns);
        let taken = std::mem::take(&mut fake.call.taken);
        for tx in taken.iter().flat_map(|tx| table::single(tx, rx)) {
            let way = match fake.sessions.way(&tx, rx, self.now_ns) {
                Some(Err(NoWay::Ended)) => continue,
                Some(Err(NoWay::Bad)) => {
                    self.bad += 1;
                    continue;
                }
                Some(Ok(way)) => Some(way),
                None => None,
            };
            match settle(tx, rx, way, &fake.tickets, self.now_ns) {
                Some(sent) => {
                    self.waiting.insert((sent.at_ns, self.queued), sent);
                    self.queued += 1;
                }
                None => self.bad += 1,
            }
        }
        fake.sessions.end_asked();
        fake.tickets.end();
        drop(fake);
        self.let_leave();
        outcome
    }

    fn let_leave(&mut self) {
        let stay = self.waiting.split_off(&(self.now_ns + 1, 0));
        self.left.extend(std::mem::replace(&mut self.waiting, stay).into_values());
    }

    /// Whether a thread, or the plugin itself, has woken the instance and it was not called since.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.session.can_be_woken() && self.session.remote().is_woken()
    }

    /// Calls [`on_wake`](Handler::on_wake) if the instance was woken, as the daemon does soon after. None if it was not.
    pub fn deliver_wake(&mut self) -> Option<Outcome> {
        self.await_wake(Duration::ZERO)
    }

    /// Waits until a thread of the plugin wakes the instance, and calls [`on_wake`](Handler::on_wake). None if nobody does
    /// within `at_most` of real time.
    pub fn await_wake(&mut self, at_most: Duration) -> Option<Outcome> {
        let woken = self.session.can_be_woken() && self.session.remote().take_woken(at_most);
        woken.then(|| self.call(&mut [], About::Wake))
    }

    /// Tickets that may still be used.
    #[must_use]
    pub fn tickets(&self) -> usize {
        self.session.fake.borrow().tickets.len(self.now_ns)
    }

    /// Most tickets there may be from now on.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the plugin gets")]
    pub fn set_most_tickets(&mut self, most: usize) {
        self.session.fake.borrow_mut().tickets.most = Some(most);
    }

    /// The groups that the plugin has joined and not left: group, source and interface.
    #[must_use]
    pub fn groups(&self) -> Vec<(IpAddr, Option<IpAddr>, u32)> {
        self.session.fake.borrow().groups.clone()
    }

    /// What has left since the last time this was asked, in the order it left.
    pub fn sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.left)
    }

    /// Answers that wait for their moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A counter of the plugin.
    ///
    /// # Panics
    /// When the plugin has asked for no counter of this name.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: a wrong name is a mistake in the test")]
    pub fn counter(&self, name: &str) -> u64 {
        self.session.fake.borrow().read(name, abi::COUNTER).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A gauge of the plugin.
    ///
    /// # Panics
    /// When the plugin has asked for no gauge of this name.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: a wrong name is a mistake in the test")]
    pub fn gauge(&self, name: &str) -> u64 {
        self.session.fake.borrow().read(name, abi::GAUGE).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Datagrams the plugin discarded.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Answers that found no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Queued datagrams the daemon would not send: no such `rx`, too long, unknown flags.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.bad
    }

    /// The log lines since the last time this was asked; a panic is one of them.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "takes the lines out")]
    pub fn lines(&mut self) -> Vec<String> {
        let own = std::mem::take(&mut self.session.fake.borrow_mut().lines);
        let lines = own.into_iter().map(|(_, line)| line);
        lines.chain(self.session.remote().take_lines()).collect()
    }

    /// The time, nanoseconds of the harness's clock.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The highest level that is kept from now on; [`Level::Trace`] at first.
    pub const fn set_log_level(&mut self, level: Level) {
        self.log_level = level;
    }

    /// The largest payload a batch tells the plugin from now on; 1472 bytes at first.
    pub const fn set_max_payload(&mut self, bytes: u32) {
        self.max_payload = bytes;
    }

    /// The secret of the instances made from now on: by [`restart`](Self::restart) or [`reload`](Self::reload).
    pub const fn set_secret(&mut self, secret: [u8; 32]) {
        self.secret = secret;
    }

    /// The bytes that instances may keep from now on, in all; at first there is no limit.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host grants")]
    pub fn set_budget(&mut self, bytes: u64) {
        self.session.fake.borrow_mut().kept.most = bytes;
    }

    /// Bytes that the plugin has reserved.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.session.fake.borrow().kept.bytes
    }

    /// Reservations refused.
    #[must_use]
    pub fn reservations_refused(&self) -> u64 {
        self.session.fake.borrow().kept.refused
    }

    /// What the host can tell of datagrams to the instances made from now on, by [`restart`](Self::restart) or
    /// [`reload`](Self::reload), if they ask; everything at first. Whatever was asked for, it tells where a datagram was sent
    /// to and by which interface it came, as the daemon does for a listener on all addresses.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host tells")]
    pub fn offer(&mut self, facts: Facts) {
        self.session.fake.borrow_mut().facts.offered = facts.bits();
    }

    /// What the host tells the plugin of datagrams, because it has asked.
    #[must_use]
    pub fn told(&self) -> Facts {
        Facts::from_bits(self.session.fake.borrow().facts.told)
    }

    /// The minor of the ABI that the host has from now on; that of this crate at first. An older host refuses what came
    /// later, so the plugin must not use it there.
    pub fn set_host_minor(&mut self, minor: u32) {
        self.session.set_host_minor(minor);
    }

    /// The memory each call gets from now on.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the next call gets")]
    pub fn set_memory(&mut self, memory: Memory) {
        self.session.fake.borrow_mut().memory = memory;
    }

    /// How many datagrams of a call find room to leave later, as the plugin is told from now on. This host keeps the others
    /// too; the daemon drops them.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the next call gets")]
    pub fn set_delay_room(&mut self, datagrams: u32) {
        self.session.fake.borrow_mut().delay_room = Some(datagrams);
    }
}

fn parse<H: Handler>(options: &[(&str, &str)]) -> Result<Vec<Parsed>, Refused> {
    parse_all(H::Config::OPTIONS, options)
        .map_err(|(option, message)| Refused { option: Some(option), message })
}

fn refused<H: Handler>((opt, message): Refusal) -> Refused {
    let at = (opt as usize).checked_sub(1);
    let option = at.and_then(|at| H::Config::OPTIONS.get(at)).map(|option| option.name().to_owned());
    Refused { option, message }
}
