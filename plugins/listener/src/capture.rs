//! Packets as the blocks of a pcapng file (draft-ietf-opsawg-pcapng), in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapResult};

/// Bytes that [`Capture::packet`] writes at most besides the packet: the block of a new interface, with a name of at most
/// 15 bytes, and head, padding and foot of the packet's own.
pub(crate) const PACKET_OVERHEAD: u64 = 256;

/// Time stamps are nanoseconds: ten to the minus ninth of a second.
const NANOSECONDS: u8 = 9;

/// One section of a file. It can be repeated by every reader with the fields in the byte order of the machine.
pub(crate) struct Capture {
    writer: PcapNgWriter<Vec<u8>>,
    /// Numbers of the interfaces in the file, by index of the system; 0 is "not known".
    interfaces: HashMap<u32, u32>,
}

impl Capture {
    /// Begins a section.
    pub(crate) fn new() -> PcapResult<Self> {
        let application = concat!("polyport listener ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![
                SectionHeaderOption::UserApplication(application.into()),
                SectionHeaderOption::Comment("IP and UDP headers are made from what the socket told".into()),
            ],
            ..SectionHeaderBlock::default()
        };
        let writer = PcapNgWriter::with_section_header(Vec::new(), section)?;
        Ok(Self { writer, interfaces: HashMap::new() })
    }

    /// Adds a packet that came in at `unix_ns` by the interface with that index and name.
    pub(crate) fn packet(&mut self, index: u32, name: &str, unix_ns: u64, packet: &[u8]) -> PcapResult<()> {
        let interface_id = self.interface(index, name)?;
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(unix_ns),
            original_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(packet),
            options: Vec::new(),
        };
        self.writer.write_pcapng_block(block).map(drop)
    }

    /// What was written since the last [`Self::clear`].
    pub(crate) fn bytes(&self) -> &[u8] {
        self.writer.get_ref()
    }

    /// Forgets the bytes, which somebody has taken.
    pub(crate) fn clear(&mut self) {
        self.writer.get_mut().clear();
    }

    fn interface(&mut self, index: u32, name: &str) -> PcapResult<u32> {
        if let Some(id) = self.interfaces.get(&index) {
            return Ok(*id);
        }
        let id = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        let options = vec![
            InterfaceDescriptionOption::IfName(name.to_owned().into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ];
        // Without a limit: the longest packet has 65,575 bytes.
        let block = InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options };
        self.writer.write_pcapng_block(block)?;
        self.interfaces.insert(index, id);
        Ok(id)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("interfaces", &self.interfaces).finish_non_exhaustive()
    }
}
