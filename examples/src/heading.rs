//! The headings of `--help`, the same in every client, so that who knows one finds what is sought in the next.

/// What is asked, and of whom, and how the tool goes about it.
pub const TARGET: &str = "Target";
/// What datagrams carry.
pub const CONTENT: &str = "Content";
/// When something leaves, and how long is waited.
pub const TIMING: &str = "Timing";
/// The socket and its way out.
pub const NETWORK: &str = "Network";
/// What is asked for of PPT/1, secrets among it.
pub const PROTOCOL: &str = "Protocol";
/// What must hold.
pub const JUDGEMENT: &str = "Judgement";
/// What is printed, and where.
pub const OUTPUT: &str = "Output";
/// Where datagrams to be explained come from.
pub const INPUT: &str = "Input";
/// The fields of a header.
pub const HEADER: &str = "Header";
/// A recording that is sent.
pub const RECORDING: &str = "Recording";
/// What is searched instead of one measurement.
pub const CAPACITY: &str = "Capacity";
