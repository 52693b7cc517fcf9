//! Recordings of datagrams: what a tap shows as pcapng, and what can be read of any pcap or pcapng file.
//!
//! ```text
//! comment  what the comment of a packet says, to and from text
//! packet   a datagram to an IP packet
//! write    entries of a tap to blocks of pcapng
//! live     blocks of a tap that goes on, as its client reads them
//! read     datagrams of a file, with what a tap has said of them
//! ```
//!
//! `polyport-capture` reads the files of anybody. `daemon/docs/tap.md` has the format.

mod comment;
mod live;
mod packet;
mod read;
mod write;

pub use comment::{Said, Summary};
pub use live::{Live, LiveError, Shown, Step};
pub use polyport_capture::Skipped;
pub use read::{CaptureReader, Datagram, ReadError};
pub use write::CaptureWriter;
