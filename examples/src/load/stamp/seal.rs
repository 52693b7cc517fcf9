//! HMAC-SHA-256 of the authenticated mode, cut to 128 bits: RFC 8762, section 4.4.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Octets that are covered: six blocks of 16.
const COVERED: usize = 96;

/// Octets of the field.
const TAG: usize = 16;

/// Shortest key taken, octets: below 128 bits the key, not the tag, would be the thing to guess.
const SHORTEST_KEY: usize = 16;

/// A key, ready to be used.
#[derive(Clone)]
pub struct Seal {
    /// Keyed in advance: each tag starts from a copy of this state.
    keyed: Hmac<Sha256>,
}

impl Seal {
    /// From a secret.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SHORTEST_KEY {
            return Err(format!(
                "a key of STAMP has {SHORTEST_KEY} octets at least, this one {}",
                secret.len()
            ));
        }
        Hmac::new_from_slice(secret).map(|keyed| Self { keyed }).map_err(|error| error.to_string())
    }

    /// Whether the tag of `packet` was made with this key; the time taken does not depend on where it differs.
    #[must_use]
    pub fn verifies(&self, packet: &[u8]) -> bool {
        let Some((covered, rest)) = packet.split_at_checked(COVERED) else { return false };
        let Some(tag) = rest.get(..TAG) else { return false };
        let mut mac = self.keyed.clone();
        mac.update(covered);
        mac.verify_truncated_left(tag).is_ok()
    }

    /// Writes the tag of `packet` into it.
    pub fn seal(&self, packet: &mut [u8]) {
        let Some((covered, rest)) = packet.split_at_mut_checked(COVERED) else { return };
        let mut mac = self.keyed.clone();
        mac.update(covered);
        let digest = mac.finalize().into_bytes();
        rest.iter_mut().zip(digest.iter()).take(TAG).for_each(|(to, octet)| *to = *octet);
    }
}

impl fmt::Debug for Seal {
    /// Never prints the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tag of 96 zeros by the key 00 01 .. 0f, as Python's `hmac` makes it.
    const PYTHON: [u8; 16] =
        [0x0C, 0xA8, 0x53, 0x3B, 0xD3, 0x4E, 0xE0, 0x61, 0xCC, 0x49, 0x9F, 0x64, 0x5B, 0x85, 0xEA, 0x1B];

    #[test]
    fn the_tag_is_the_left_half_of_the_digest() {
        let key: Vec<u8> = (0..16).collect();
        let seal = Seal::new(&key).unwrap();
        let mut packet = [0; 113];
        seal.seal(&mut packet);
        assert_eq!((packet[96..112] == PYTHON, packet[112]), (true, 0));
        assert!(seal.verifies(&packet) && !seal.verifies(&packet[..111]));
        packet[95] ^= 1;
        assert!(!seal.verifies(&packet));
        assert!(Seal::new(&key[1..]).unwrap_err().contains("16 octets at least, this one 15"));
        assert_eq!(format!("{seal:?}"), "Seal { .. }");
    }
}
