//! UDP datagrams of a recording, pcap or pcapng, as arrivals.

use std::fs::File;
use std::path::Path;

use super::world::Arrival;
use crate::capture::{CaptureReader, Skipped};
use crate::tap::Direction;

/// Datagrams that are taken of a file; they are held in memory.
const MOST_DATAGRAMS: usize = 1 << 20;

/// Reads a recording. The first datagram arrives at once, each other as long after it as it was recorded; what is not UDP or cut is
/// left out, and so is what a tap saw leaving.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn arrivals(path: &Path) -> Result<Vec<Arrival>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut reader = CaptureReader::new(file).map_err(|error| error.to_string())?;
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut first_ns = None;
    while let Some(packet) = reader.next_packet().map_err(|error| error.to_string())? {
        let datagram = match packet {
            Ok(datagram) => datagram,
            Err(Skipped::Link) => {
                let known = "Ethernet, raw IP, Linux cooked and loopback are read";
                return Err(format!("recorded on a link of type that is not known; {known}"));
            }
            Err(_) => continue,
        };
        if datagram.said.is_some() && datagram.direction == Some(Direction::Out) {
            continue;
        }
        if arrivals.len() >= MOST_DATAGRAMS {
            return Err(format!("more than {MOST_DATAGRAMS} datagrams; cut the recording"));
        }
        let at_ns = datagram.at_ns.saturating_sub(*first_ns.get_or_insert(datagram.at_ns));
        arrivals.push(Arrival { at_ns, peer: datagram.from, payload: datagram.payload });
    }
    Ok(arrivals)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The units of the time are those of the file, of which microseconds are the most frequent.
    #[test]
    fn time_goes_as_it_was_recorded() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/captures");
        for file in ["microseconds.pcapng", "big-endian.pcapng"] {
            let arrivals = arrivals(&corpus.join(file)).unwrap();
            let moments: Vec<u64> = arrivals.iter().map(|arrival| arrival.at_ns).collect();
            assert_eq!(moments, [0, 10_000_000, 20_000_000], "{file}");
        }
    }
}
