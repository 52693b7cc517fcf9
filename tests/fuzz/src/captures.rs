//! A file that `polyport replay` reads, and the stream that `polyport tap` reads: datagrams, or a word about what is wrong.

use polyport::capture::{CaptureReader, Live};

/// Reads bytes as both. Nothing is asked of a file but that there is an end of it.
pub fn file(data: &[u8]) {
    if let Ok(mut reader) = CaptureReader::new(data) {
        // The smallest packet has 16 bytes of headers, and each costs at least as many of the file.
        let most = data.len() / 12 + 1;
        for packets in 0.. {
            assert!(packets <= most, "more packets than there is room for");
            match reader.next_packet() {
                Ok(Some(Ok(datagram))) => {
                    assert!(datagram.payload.len() <= data.len());
                    assert_eq!(datagram.from.is_ipv4(), datagram.to.is_ipv4());
                }
                Ok(Some(Err(skipped))) => assert!(!skipped.text().is_empty()),
                Ok(None) => break,
                Err(error) => {
                    let words = error.to_string();
                    assert!(!words.is_empty() && !words.contains('\n'), "{words:?}");
                    break;
                }
            }
        }
    }
    if let Ok(mut live) = Live::new(data) {
        while let Ok(Some(_)) = live.step() {
            assert!(live.take().len() <= data.len() + 64);
        }
    }
}
