//! The options of the plugin.

use std::time::Duration;

use polyport_plugin::{Ratio, config};

pub use polyport_echo_reply::Reply;

config! {
    /// Options of the plugin. Ratios are shares of the datagrams of each peer.
    #[derive(Clone, Copy, Debug)]
    pub struct LossyConfig {
        drop: Ratio = "0%", "Share of datagrams that get no answer";
        duplicate: Ratio = "0%", "Share of answers sent twice";
        corrupt: Ratio = "0%", "Share of answers with one bit flipped";
        reorder: Ratio = "0%", "Share of answers held back for a while, so that later ones overtake them";
        hold: Duration = "10ms", "How long `reorder` holds an answer back, besides delay and jitter", max = LONGEST_WAIT_NS;
        delay: Duration = "0ms", "Time every answer waits", max = LONGEST_WAIT_NS;
        jitter: Duration = "0ms", "Up to this much is added to the delay of each answer", max = LONGEST_WAIT_NS;
        reply: Reply = "same", "What an answer says: the bytes that came in, or how many they were";
        df: bool = "false", "Whether an answer leaves whole or not at all, never in fragments";
        seed: Option<i64> = none, "Fixes the decisions of this listener; without it the seed of the instance does";
    }
}

impl LossyConfig {
    /// Whether any answer leaves later than at once.
    #[must_use]
    pub fn delays(&self) -> bool {
        let Self { delay, jitter, reorder, .. } = self;
        !(delay.is_zero() && jitter.is_zero() && *reorder == Ratio::ZERO)
    }
}

// `hold`: ten milliseconds let the datagrams of a busy peer overtake, and are far below the time after which clients repeat a
// request. A peer that sends less than a hundred datagrams a second needs more.

/// One minute: longer than any UDP client waits for an answer, and it bounds what the host has to keep.
const LONGEST_WAIT_NS: u64 = 60_000_000_000;
