//! EVENT frames: one way, with flag G [P-60], sealed with a key if there is one.

use polyport_protocol::{EncodeError, Encoder, Flags, FrameOption, Grease, Header, Key, Kind, Nanos};
use rand::RngExt;
use rand::rngs::StdRng;

/// Makes the events of one stream.
#[derive(Debug)]
pub struct Sealer {
    rng: StdRng,
    stream_id: u32,
    clock_offset: u64,
    grease: Grease,
    key: Option<Key>,
}

impl Sealer {
    /// A stream of its own.
    #[must_use]
    pub fn new(mut rng: StdRng, grease: Grease, key: Option<Key>) -> Self {
        let (stream_id, clock_offset) = (rng.random(), rng.random());
        Self { rng, stream_id, clock_offset, grease, key }
    }

    /// Writes event `seq` into `buffer`.
    ///
    /// # Errors
    /// The text is too long.
    pub fn event(
        &mut self,
        buffer: &mut [u8],
        seq: u64,
        now: Nanos,
        text: &[u8],
    ) -> Result<usize, EncodeError> {
        let timestamp = now.wrapping_add(self.clock_offset);
        let mut header = Header::new(Kind::Event, 0, self.stream_id, seq, timestamp);
        let (flag, option) = match self.grease {
            Grease::Sometimes => (self.rng.random(), self.rng.random_ratio(1, 16)),
            Grease::Always => (true, true),
            Grease::Never => (false, false),
        };
        header.flags = if flag { Flags::GROUP | Flags::GREASE } else { Flags::GROUP };
        // [P-19]: 0x0A, 0x1A, ... 0x7A.
        let number = (self.rng.random::<u8>() & 0x70) | 0x0A;
        let mut encoder = Encoder::new(buffer, &header);
        if option {
            encoder = encoder.option(&FrameOption::Other { number, value: &[0; 2] });
        }
        encoder.auth_if(self.key.as_ref()).payload(text).finish()
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::{Decoder, Integrity, Role};

    use super::*;
    use crate::key::generator;

    #[test]
    fn events_are_valid_however_they_are_greased_and_sealed() {
        let key = Key::siphash(1, [7; 16]);
        for grease in [Grease::Always, Grease::Sometimes, Grease::Never] {
            for key in [None, Some(key.clone())] {
                let keys: Vec<Key> = key.clone().into_iter().collect();
                let integrity = if keys.is_empty() { Integrity::Checksum } else { Integrity::Keys(&keys) };
                let mut sealer = Sealer::new(generator(Some(1)), grease, key);
                for seq in 0..50 {
                    let mut buffer = [0; 100];
                    let len = sealer.event(&mut buffer, seq, seq, b"hi").unwrap();
                    let decoder = Decoder::new(Role::Responder).with_integrity(integrity);
                    let frame = decoder.decode(&buffer[..len]).unwrap();
                    let header = frame.header();
                    assert_eq!((header.kind, header.request_id, header.seq), (Kind::Event, 0, seq));
                    assert!(header.flags.contains(Flags::GROUP));
                    assert_eq!(frame.payload(), b"hi");
                }
            }
        }
    }
}
