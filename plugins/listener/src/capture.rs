//! Packets as the blocks of a pcapng file (draft-ietf-opsawg-pcapng), in memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapResult};

use crate::cast::Cast;
use crate::packet::{About, Unknown, Way};

/// Bytes that [`Capture::packet`] writes at most besides the packet: the block of a new interface, with a name of at most
/// 15 bytes, and head, padding, options and foot of the packet's own. The longest comment has 141 bytes.
pub(crate) const PACKET_OVERHEAD: u64 = 320;

/// Time stamps are nanoseconds: ten to the minus ninth of a second.
const NANOSECONDS: u8 = 9;

/// One section of a file. It can be repeated by every reader with the fields in the byte order of the machine.
pub(crate) struct Capture {
    writer: PcapNgWriter<Vec<u8>>,
    /// Numbers of the interfaces in the file, by index of the system; 0 is "not known".
    interfaces: HashMap<u32, u32>,
    /// Memory for the comment of a packet.
    comment: String,
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
        Ok(Self { writer, interfaces: HashMap::new(), comment: String::new() })
    }

    /// Adds a packet, and what is known of it, by the interface with that name.
    pub(crate) fn packet(&mut self, about: &About, name: &str, packet: &[u8]) -> PcapResult<()> {
        let interface_id = self.interface(about.ifindex.unwrap_or(0), name)?;
        self.comment.clear();
        write!(self.comment, "{}", Unknown(about)).unwrap_or(());
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(about.unix_ns),
            original_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(packet),
            options: vec![
                EnhancedPacketOption::Flags(flags(about.way)),
                EnhancedPacketOption::Comment(Cow::Borrowed(&self.comment)),
            ],
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

/// The word `epb_flags`: the direction in the two low bits, the kind of reception in the next three.
const fn flags(way: Way) -> u32 {
    const INBOUND: u32 = 1;
    const OUTBOUND: u32 = 2;
    match way {
        Way::Out => OUTBOUND,
        Way::In(Cast::Unicast) => INBOUND | 1 << 2,
        Way::In(Cast::Multicast) => INBOUND | 2 << 2,
        Way::In(Cast::Broadcast) => INBOUND | 3 << 2,
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("interfaces", &self.interfaces).finish_non_exhaustive()
    }
}
