//! The options of the plugin.

use std::path::Path;
use std::time::Duration;

use polyport_plugin::{Error, Size, choices, config};

choices! {
    /// What is kept of each datagram.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Record {
        /// Nothing but counts.
        Off = "off",
        /// A line in the host's log, at the level info. The host leaves lines out when too many come in a second.
        Log = "log",
        /// A packet in a file that Wireshark opens.
        Pcapng = "pcapng",
    }
}

config! {
    /// Options of the plugin.
    #[derive(Clone, Debug)]
    pub struct ListenerConfig {
        record: Record = "off", "What is kept of each datagram: nothing, a line in the log, or a packet in a file";
        file: Option<String> = none, "The file of record = \"pcapng\"; what was there is kept as NAME.1.pcapng";
        rotate: Size = "64MiB", "A file that would grow beyond this is put aside and a new one begun",
            min = SMALLEST_FILE, max = LARGEST_FILE;
        keep: u32 = "5", "Files put aside that are kept", max = MAX_KEPT;
        log_bytes: u32 = "256", "Bytes of a payload shown in a line of the log", max = MAX_LOG_BYTES;
        report: Option<Duration> = none, "Logs totals and the busiest senders this often, when something came",
            min = SHORTEST_REPORT_NS;
        ack: bool = "false", "Answers every datagram; what was sent to groups only with reply.groups = true";
        ack_text: String = "ack", "What an answer says, at most 64 bytes";
        leisure: Duration = "500ms", "An answer waits a random time up to this, so that many do not answer at once",
            max = LONGEST_LEISURE_NS;
    }
}

/// Room for two of the largest datagrams with their blocks, so that every file holds one.
const SMALLEST_FILE: u64 = 128 << 10;
/// The time stamps of a file this size stay searchable in tools that load it whole.
const LARGEST_FILE: u64 = 16 << 30;
/// Each rotation renames all of them, on the thread that serves every listener.
const MAX_KEPT: u32 = 100;
/// A byte takes up to six characters when it is escaped, and the host cuts a line at 4 KiB.
const MAX_LOG_BYTES: u32 = 512;
/// One second: a report is a line in the log, and lines a datagram are what `record` is for.
const SHORTEST_REPORT_NS: u64 = 1_000_000_000;
/// One minute, which bounds what the host has to keep.
const LONGEST_LEISURE_NS: u64 = 60_000_000_000;
/// Bytes of an answer: a sender may be forged, and who is hit by answers must not get more than was sent for them.
const MAX_ACK: usize = 64;

impl ListenerConfig {
    /// What a single option cannot tell.
    ///
    /// # Errors
    /// Names the option.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.record == Record::Pcapng && self.path().is_none() {
            // Of an option that is not given there is no place to show.
            let blamed = if self.file.is_some() { "file" } else { "record" };
            return Err(Error::option(
                blamed,
                "\"pcapng\" needs the name of a file, such as file = \"heard.pcapng\"",
            ));
        }
        if self.ack_text.len() > MAX_ACK {
            return Err(Error::option("ack_text", format_args!("longer than {MAX_ACK} bytes")));
        }
        Ok(())
    }

    /// The file, if there is a name of one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref().map(Path::new).filter(|path| path.file_name().is_some())
    }
}
