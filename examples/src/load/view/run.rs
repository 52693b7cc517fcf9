//! A run as its view sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use hdrhistogram::CreationError;
use polyport_protocol::Nanos;

use crate::clock::Clock;
use crate::load::config::Config;
use crate::load::feed::Feed;
use crate::load::live::Live;

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Each target is asked for an answer.
    Handshake,
    /// The time of the start is waited for.
    Wait,
    /// The load that does not count.
    WarmUp,
    /// The load.
    Load,
    /// The last answers are waited for.
    Drain,
}

/// A run: what it is to do, and what its threads tell.
#[derive(Debug)]
pub struct Run {
    /// What it is to do.
    pub config: Config,
    /// The clock of all its times.
    pub clock: Clock,
    /// Counters and latest answers.
    pub live: Arc<Live>,
    /// The rest.
    pub feed: Feed,
    answered: AtomicU64,
    phase: AtomicU8,
    since: AtomicU64,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Handshake, Self::Wait, Self::WarmUp, Self::Load, Self::Drain];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Wait => "wait",
            Self::WarmUp => "warm-up",
            Self::Load => "load",
            Self::Drain => "drain",
        }
    }
}

impl Run {
    /// One that begins.
    ///
    /// # Errors
    /// None with the bounds of our histograms; the library cannot know.
    pub fn new(config: &Config, clock: Clock, live: Arc<Live>) -> Result<Self, CreationError> {
        Ok(Self {
            feed: Feed::new(config.threads.max(1) as usize, config.targets.len())?,
            config: config.clone(),
            clock,
            live,
            answered: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Handshake as u8),
            since: AtomicU64::new(clock.now()),
        })
    }

    /// Another phase has begun; its time counts from `since`.
    pub fn enter(&self, phase: Phase, since: Nanos) {
        self.since.store(since, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// So many targets have answered the handshake.
    pub fn greeted(&self, targets: usize) {
        self.answered.store(targets as u64, Ordering::Relaxed);
    }

    /// Targets that have answered the handshake.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// What goes on, and since when.
    #[must_use]
    pub fn phase(&self) -> (Phase, Nanos) {
        let phase = usize::from(self.phase.load(Ordering::Acquire));
        (Phase::ALL.get(phase).copied().unwrap_or(Phase::Load), self.since.load(Ordering::Relaxed))
    }
}
