//! Recordings of any datagrams: what was written is read back by the library that others read it with. For the fuzzer
//! and for tests; no part of the plugin.

use std::net::SocketAddr;
use std::time::Duration;

use etherparse::{PacketHeaders, TransportHeader};
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::capture::{Capture, PACKET_OVERHEAD};
use crate::cast::Cast;
use crate::packet::{About, Heard, Way, build};

/// Records the datagrams that the bytes describe: six octets each, and the payload.
///
/// # Panics
/// The recording cannot be read, or holds something else.
pub fn recording(data: &[u8]) {
    let Ok(mut capture) = Capture::new() else { return };
    let (mut rest, mut file, mut expected) = (data, capture.bytes().to_vec(), Vec::new());
    capture.clear();
    while let Some((&[marks, hops, index, time, length, more], behind)) = rest.split_first_chunk::<6>() {
        let length = usize::from(length) + usize::from(more & 3) * 256;
        let (payload, behind) = behind.split_at(length.min(behind.len()));
        rest = behind;
        let unix_ns = u64::from(time) * 1_000_000_007;
        let about = About {
            way: way(marks >> 4),
            peer: address(marks & 1 != 0, u16::from(time) << 8),
            local: address(marks & 2 != 0, 1062),
            ifindex: (index != 0).then_some(index.into()),
            tos: (marks & 0x40 != 0).then_some(hops),
            hop_limit: (hops != 0).then_some(hops),
            unix_ns,
            kernel_time: marks & 0x80 != 0,
        };
        let heard = Heard { about, payload };
        // An interface may have any name that the system takes: no slash, no space.
        let name: String =
            format!("if{index}").repeat(usize::from(marks >> 2 & 3)).chars().take(15).collect();
        let mut packet = Vec::new();
        assert!(build(&heard, &mut packet), "a short datagram");
        let written = capture.packet(&about, &name, &packet);
        assert!(matches!(written, Ok(())), "{written:?}");
        assert!(
            capture.bytes().len() as u64 <= packet.len() as u64 + PACKET_OVERHEAD,
            "of what the limit of a file is reckoned with"
        );
        file.extend_from_slice(capture.bytes());
        capture.clear();
        parsed(&heard, &packet);
        expected.push((unix_ns, packet));
    }
    assert_eq!(read(&file), expected);
}

fn way(number: u8) -> Way {
    match number & 3 {
        0 => Way::Out,
        1 => Way::In(Cast::Unicast),
        2 => Way::In(Cast::Multicast),
        _ => Way::In(Cast::Broadcast),
    }
}

fn address(v6: bool, port: u16) -> SocketAddr {
    let last = port.to_be_bytes()[0];
    if v6 {
        SocketAddr::from(([0x2001, 0xDB8, 0, 0, 0, 0, 0, u16::from(last)], port))
    } else {
        SocketAddr::from(([192, 0, 2, last], port))
    }
}

/// The packet carries what was heard.
fn parsed(heard: &Heard<'_>, packet: &[u8]) {
    let About { way, peer, local, .. } = heard.about;
    let source = if way == Way::Out { local.port() } else { peer.port() };
    let headers = PacketHeaders::from_ip_slice(packet);
    assert!(headers.is_ok(), "{headers:?}");
    let Ok(headers) = headers else { return };
    assert_eq!(headers.payload.slice(), heard.payload);
    assert!(matches!(headers.transport, Some(TransportHeader::Udp(udp)) if udp.source_port == source));
}

/// The packets of a file with their times.
fn read(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let reader = PcapNgReader::new(file);
    assert!(reader.is_ok(), "not a pcapng file");
    let Ok(mut reader) = reader else { return Vec::new() };
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        assert!(block.is_ok(), "{block:?}");
        if let Ok(Block::EnhancedPacket(packet)) = block {
            packets.push((nanoseconds(packet.timestamp), packet.data.into_owned()));
        }
    }
    packets
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::recording;

    #[test]
    fn the_corpus_of_recordings_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/recording");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 3, "{corpus}: {} files", files.len());
        for file in files {
            println!("{}", file.display());
            recording(&std::fs::read(file).unwrap());
        }
    }
}
