//! The UDP datagrams of a recording, pcap or pcapng, whoever wrote it. What a tap of the daemon has said of them is not known here:
//! comments and flags of packets are handed on as they are.
//!
//! ```text
//! packet  a packet of any link that is known to the datagram it is
//! read    the packets of a file, one after the other
//! ```

#![forbid(unsafe_code)]

mod packet;
mod read;

pub use packet::{Skipped, datagram};
pub use read::{CaptureReader, Datagram, ReadError};
