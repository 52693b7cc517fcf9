//! Options of the targets: whose they are, how they take turns, and what they answer.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use clap::Args;
use polyport_terminal::counted;

use crate::heading;
use crate::load::config::Expect;
use crate::load::plan::{Distribution, Rate};
use crate::load::shard::{self, Shard};
use crate::outcome::ExitError;
use crate::source::SourceAddress;
use crate::target::{Family, MAX_ADDRESSES, many};

/// Who is asked, and for what.
#[derive(Args, Clone, Debug)]
pub struct TargetArgs {
    /// How targets take turns
    #[arg(long, default_value = "round-robin", help_heading = heading::TARGET)]
    pub distribution: Distribution,
    /// Ports of our own that take turns, one for each thread if not given; order and direction of loss are judged for each
    /// flow to each target
    #[arg(long, alias = "streams", value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", help_heading = heading::TARGET)]
    pub flows: Option<u32>,
    /// This is one of several generators: it takes one of N targets, and their part of the rate. The first one is 0/N
    #[arg(long, value_parser = Shard::parse, value_name = "INDEX/N", conflicts_with_all = ["ramp", "flow", "in_flight"], help_heading = heading::TARGET)]
    pub shard: Option<Shard>,
    /// What an answer looks like
    #[arg(long, default_value = "reply", help_heading = heading::TARGET)]
    pub expect: Expect,
    /// Another name of --expect echo: the targets send datagrams back as they are
    #[arg(long, conflicts_with = "expect", help_heading = heading::TARGET)]
    pub raw_echo: bool,
    /// Start without asking the targets for an answer first
    #[arg(long, help_heading = heading::TARGET)]
    pub no_handshake: bool,
    /// The targets outside of loopback and private networks are mine
    #[arg(long, help_heading = heading::TARGET)]
    pub i_own_the_target: bool,
}

/// Streams over all targets: each has books of its own of half a KiB at least, so 128 MiB, and every port of a host may
/// have four.
const MAX_STREAMS: u64 = 1 << 18;

/// Where datagrams go.
pub(super) struct Chosen {
    /// Without repeats.
    pub(super) targets: Vec<SocketAddr>,
    /// The other addresses of a target's name.
    pub(super) alternatives: HashMap<SocketAddr, Vec<SocketAddr>>,
}

/// Resolves targets.
///
/// # Errors
/// One is none, or they are too many.
pub(super) fn resolve(
    words: &[String],
    family: Family,
    from: Option<SourceAddress>,
) -> Result<Chosen, ExitError> {
    let mut targets = Vec::new();
    let mut seen = HashSet::new();
    let mut alternatives = HashMap::new();
    for target in words {
        for mut addresses in many(target, family, from)? {
            let others = addresses.split_off(1);
            let fresh = addresses.into_iter().filter(|address| seen.insert(*address));
            for address in fresh {
                targets.push(address);
                if !others.is_empty() {
                    alternatives.insert(address, others.clone());
                }
            }
        }
        if targets.len() > MAX_ADDRESSES {
            return Err(ExitError::usage(format!("the targets are more than {MAX_ADDRESSES} addresses")));
        }
    }
    Ok(Chosen { targets, alternatives })
}

impl TargetArgs {
    /// The targets of this generator, and its part of the rate.
    ///
    /// # Errors
    /// None is left for it, or the rate cannot be divided.
    pub(super) fn share(
        &self,
        all: Vec<SocketAddr>,
        rate: Rate,
    ) -> Result<(Vec<SocketAddr>, Rate), ExitError> {
        let Some(shard) = self.shard else { return Ok((all, rate)) };
        let count = all.len();
        let ours = shard.share(all);
        if ours.is_empty() {
            return Err(ExitError::usage(format!(
                "{} for generator {shard}: start as many as there are targets at most",
                counted(count as u64, "target leaves none", "targets leave none")
            )));
        }
        let rate = shard::part(rate, ours.len(), count).map_err(ExitError::usage)?;
        Ok((ours, rate))
    }

    /// Ports of our own, of which each thread needs one.
    ///
    /// # Errors
    /// They are fewer than threads, or too many for so many targets.
    pub(super) fn flows(&self, threads: u32, targets: usize) -> Result<u32, ExitError> {
        let flows = self.flows.unwrap_or(threads);
        if flows < threads {
            return Err(ExitError::usage(format!(
                "{flows} flows cannot be divided among {threads} threads: raise --flows or lower --threads"
            )));
        }
        if targets as u64 * u64::from(flows) > MAX_STREAMS {
            return Err(ExitError::usage(format!(
                "{targets} targets with {flows} flows each are more than {MAX_STREAMS} streams"
            )));
        }
        Ok(flows)
    }

    /// What an answer looks like.
    pub(super) const fn expected(&self) -> Expect {
        if self.raw_echo { Expect::Echo } else { self.expect }
    }
}
