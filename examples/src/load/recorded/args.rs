//! The options of a recording that is sent.

use std::path::PathBuf;

use clap::Args;

use super::pace::Speed;
use crate::heading;

/// Options that go with `--pcap`.
#[derive(Args, Clone, Debug, Default)]
pub struct RecordedArgs {
    /// Send the UDP payloads of this recording (pcap or pcapng) at their times, in place of a schedule, to the targets
    /// given here
    #[arg(long, value_name = "FILE", help_heading = heading::RECORDING, conflicts_with_all = [
        "rate", "duration", "warmup", "payload", "size", "text", "payload_file", "expect", "raw_echo", "distribution",
        "flows", "threads", "pin", "gso", "rx_time", "per_port", "per_flow", "no_handshake", "seed", "arrival", "ramp", "flow", "in_flight", "sizes", "template", "one_way",
        "percentiles", "find_max", "find_knee", "json_stream", "html", "svg", "csv", "hdr_log", "junit", "openmetrics",
        "start_at", "shard",
    ])]
    pub pcap: Option<PathBuf>,
    /// So many times as fast as it was recorded: 2x, 0.5, or max for as fast as the system takes it
    #[arg(long, value_name = "FACTOR", default_value = "1x", value_parser = Speed::read, requires = "pcap",
        help_heading = heading::RECORDING)]
    pub speed: Speed,
    /// Send the recording so many times; each pass begins when the last datagram of the one before was due
    #[arg(long = "loop", value_name = "N", default_value_t = 1, requires = "pcap",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = heading::RECORDING)]
    pub passes: u32,
    /// Only what was sent to this port [default: of each pair of addresses, the way of its first datagram]
    #[arg(long, value_name = "PORT", requires = "pcap", value_parser = clap::value_parser!(u16).range(1..),
        help_heading = heading::RECORDING)]
    pub pcap_port: Option<u16>,
}
