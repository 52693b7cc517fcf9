//! Entries of a tap to blocks of pcapng.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{Block, PcapNgBlock};
use pcap_file::{DataLink, Endianness};

use super::comment::{Said, Summary, flags};
use super::packet::{Envelope, build};
use crate::tap::{Chunk, Direction, Entry};

/// Nanoseconds, as a power of ten.
const RESOLUTION: u8 = 9;
/// Bytes of the longest headers that are made for a payload: IPv6 and UDP.
const HEADERS: u32 = 48;

/// Makes a capture, in memory: whoever writes it takes the bytes.
#[derive(Debug)]
pub struct CaptureWriter {
    inner: Option<Inner>,
    snaplen: u32,
    /// Numbers of the interfaces, one for each listener, by name.
    interfaces: BTreeMap<Arc<str>, u32>,
    packet: Vec<u8>,
    shown: u64,
}

struct Inner(PcapNgWriter<Vec<u8>>);

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PcapNgWriter")
    }
}

impl CaptureWriter {
    /// Begins a capture by this program, with `snaplen` bytes of each payload at most.
    #[must_use]
    pub fn new(program: &str, snaplen: usize) -> Self {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(Cow::Owned(program.to_owned()))],
            ..SectionHeaderBlock::default()
        };
        // Memory takes everything.
        let inner = PcapNgWriter::with_section_header(Vec::new(), section).ok().map(Inner);
        let snaplen = u32::try_from(snaplen).unwrap_or(u32::MAX).saturating_add(HEADERS);
        Self { inner, snaplen, interfaces: BTreeMap::new(), packet: Vec::new(), shown: 0 }
    }

    /// The bytes that were made since the last call.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        self.inner.as_mut().map(|inner| std::mem::take(inner.0.get_mut())).unwrap_or_default()
    }

    /// How many datagrams were written.
    #[must_use]
    pub const fn shown(&self) -> u64 {
        self.shown
    }

    /// The number of the interface of a listener, which is described if it is new.
    pub fn interface(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.interfaces.get(name) {
            return *number;
        }
        let number = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.insert(Arc::clone(name), number);
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Owned(name.to_string())),
            InterfaceDescriptionOption::IfDescription(Cow::Borrowed("listener of polyport")),
            InterfaceDescriptionOption::IfTsResol(RESOLUTION),
        ];
        self.write(InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: self.snaplen, options });
        number
    }

    /// Writes the datagrams of a batch.
    pub fn batch(&mut self, chunk: &Chunk) {
        for entry in &chunk.entries {
            self.datagram(entry, chunk.payload(entry));
        }
    }

    fn datagram(&mut self, entry: &Entry, payload: &[u8]) {
        let interface_id = self.interface(&entry.name);
        let (from, to) = match entry.direction {
            Direction::In => (entry.peer, entry.local),
            Direction::Out => (entry.local, entry.peer),
        };
        let mut packet = std::mem::take(&mut self.packet);
        let whole =
            build(&Envelope { from, to, tos: entry.tos, ttl: entry.ttl }, payload, entry.len, &mut packet);
        let options = vec![
            EnhancedPacketOption::Comment(Cow::Owned(Said::of(entry).to_string())),
            EnhancedPacketOption::Flags(flags(entry.direction)),
        ];
        self.write(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(entry.at_ns),
            original_len: u32::try_from(whole).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&packet),
            options,
        });
        self.packet = packet;
        self.shown += 1;
    }

    /// Writes the last words, at this Unix time in nanoseconds: statistics of the first interface, or of all together.
    pub fn end(&mut self, summary: &Summary, at_ns: u64) {
        if self.interfaces.is_empty() {
            self.interface(&Arc::from("polyport"));
        }
        let options = vec![
            InterfaceStatisticsOption::Comment(Cow::Owned(summary.to_string())),
            InterfaceStatisticsOption::IsbIfRecv(summary.shown + summary.left_out),
            InterfaceStatisticsOption::IsbIfDrop(summary.left_out),
        ];
        // The format has the upper half first, whatever the byte order is; the crate writes one number.
        let timestamp = if cfg!(target_endian = "little") { at_ns.rotate_left(32) } else { at_ns };
        self.write(InterfaceStatisticsBlock { interface_id: 0, timestamp, options });
    }

    fn write<'a>(&mut self, block: impl PcapNgBlock<'a>) {
        if let Some(Inner(writer)) = &mut self.inner {
            let block: Block<'a> = block.into_block();
            // Each interface is described before it is named.
            writer.write_block(&block).map(drop).unwrap_or(());
        }
    }
}
