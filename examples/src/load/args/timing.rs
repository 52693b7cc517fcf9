//! Options of time: how fast, for how long, and how it is waited.

use std::time::Duration;

use clap::Args;
use polyport_protocol::{Nanos, SECOND};

use crate::clock::nanos;
use crate::heading;
use crate::load::arrivals::Arrival;
use crate::load::drain::Drain;
use crate::load::pacing::Pacing;
use crate::load::plan::{LONGEST, Rate};
use crate::load::profile::Profile;
use crate::load::stamps::RxTime;
use crate::load::start::StartAt;
use crate::outcome::ExitError;
use crate::text::duration;

/// Datagrams that may wait for answers at once: more than any memory holds.
const MOST_IN_FLIGHT: u64 = 1_000_000_000_000;

/// When datagrams leave, and who waits for what.
#[derive(Args, Clone, Debug)]
pub struct TimingArgs {
    /// Datagrams a time over all targets: 50000/s, 1.5k/s, 30/m
    #[arg(short, long, default_value = "1000/s", value_parser = Rate::parse, help_heading = heading::TIMING)]
    pub rate: Rate,
    /// How long the measured load lasts
    #[arg(short, long, default_value = "10s", value_parser = duration, help_heading = heading::TIMING)]
    pub duration: Duration,
    /// How datagrams arrive that have a rate: constant (evenly), poisson (at random times that the seed repeats), or burst:N (N at
    /// once)
    #[arg(long, default_value = "constant", value_parser = Arrival::parse, help_heading = heading::TIMING)]
    pub arrival: Arrival,
    /// A rate that grows or falls evenly instead of --rate and --duration: 0..50k/60s
    #[arg(long, value_parser = Profile::parse_ramp, value_name = "FROM..TO/TIME", conflicts_with_all = ["rate", "duration", "flow"], help_heading = heading::TIMING)]
    pub ramp: Option<Profile>,
    /// Rates one after the other instead of --rate and --duration: 10k:60s,80k:60s; a ramp may be among them: 0..50k:60s.
    /// Ports of our own are --flows, which is another thing
    #[arg(long, value_parser = Profile::parse, value_name = "RATE:TIME,...", conflicts_with_all = ["rate", "duration"], help_heading = heading::TIMING)]
    pub flow: Option<Profile>,
    /// A closed loop instead of a rate: N datagrams wait for answers at once, and the next one leaves when one of them is answered or
    /// times out; with several threads each has its share of N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT),
        conflicts_with_all = ["rate", "arrival", "flow", "ramp", "find_max", "find_knee"], help_heading = heading::TIMING)]
    pub in_flight: Option<u64>,
    /// Most datagrams that wait for answers; further ones are not sent, and counted
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MOST_IN_FLIGHT), value_name = "N", help_heading = heading::TIMING)]
    pub max_in_flight: u64,
    /// How long the same load runs before it without being counted on either side
    #[arg(long, default_value = "1s", value_parser = duration, help_heading = heading::TIMING)]
    pub warmup: Duration,
    /// Start load and warm-up at this time, after the handshake: +10s, or 2026-11-30T18:00:00Z as RFC 3339 has it
    #[arg(long, value_parser = StartAt::parse, value_name = "TIME", help_heading = heading::TIMING)]
    pub start_at: Option<StartAt>,
    /// Wait for answers at the end: three times the longest round trip (and until every datagram had its timeout), or
    /// 4 s if nothing came; or a fixed time such as 500ms
    #[arg(long, default_value = "3x,4s", value_parser = Drain::parse, help_heading = heading::TIMING)]
    pub drain: Drain,
    /// Answers that take longer are late
    #[arg(short, long, default_value = "1s", value_parser = duration, help_heading = heading::TIMING)]
    pub timeout: Duration,
    /// Threads among which the flows are divided; each wants a processor for itself
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "N", help_heading = heading::TIMING)]
    pub threads: u32,
    /// Each thread keeps to a processor of its own: those given, such as 2,3 or 4-7, or any that it may use
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "", value_name = "CPUS", help_heading = heading::TIMING)]
    pub pin: Option<String>,
    /// Whose clock says when an answer came
    #[arg(long, default_value = "tester", help_heading = heading::TIMING)]
    pub rx_time: RxTime,
    /// How to wait for the next planned time
    #[arg(long, default_value = "sleep", help_heading = heading::TIMING)]
    pub pacing: Pacing,
}

/// Rate and length of a load.
pub(super) struct Course {
    /// The highest one of a profile.
    pub(super) rate: Rate,
    pub(super) profile: Option<Profile>,
    pub(super) duration: Nanos,
}

impl TimingArgs {
    /// Rate and length.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn course(&self) -> Result<Course, ExitError> {
        let (name, profile) = match (&self.flow, &self.ramp) {
            (Some(flow), _) => ("--flow", flow),
            (None, Some(ramp)) => ("--ramp", ramp),
            (None, None) => {
                let duration = span("--duration", self.duration)?;
                return Ok(Course { rate: self.rate, profile: None, duration });
            }
        };
        let duration = profile.duration();
        if duration > LONGEST {
            return Err(too_long(name));
        }
        let rate = Rate { count: profile.peak(), period: SECOND };
        Ok(Course { rate, profile: Some(profile.clone()), duration })
    }

    /// How long to wait for answers at the end.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn drain(&self) -> Result<Drain, ExitError> {
        let (Drain::Fixed(wait) | Drain::Adaptive { fallback: wait, .. }) = self.drain;
        if wait > LONGEST { Err(too_long("--drain")) } else { Ok(self.drain) }
    }

    /// Length of the warm-up.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn warm_up(&self) -> Result<Nanos, ExitError> {
        span("--warmup", self.warmup)
    }

    /// After this time an answer is late.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn timeout(&self) -> Result<Nanos, ExitError> {
        span("--timeout", self.timeout)
    }
}

fn span(name: &str, span: Duration) -> Result<Nanos, ExitError> {
    let span = nanos(span);
    if span > LONGEST { Err(too_long(name)) } else { Ok(span) }
}

fn too_long(name: &str) -> ExitError {
    ExitError::usage(format!("{name} is longer than 100 days, and no run is"))
}
