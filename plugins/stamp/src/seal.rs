//! HMAC-SHA-256 of the authenticated mode: RFC 8762, section 4.4.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use polyport_plugin::Error;
use sha2::Sha256;

/// Octets that are covered: six blocks of 16.
const COVERED: usize = 96;
/// Octets of the field: the digest is cut to 128 bits.
const TAG: usize = 16;
/// Shortest key taken, octets: below 128 bits the key, not the tag, would be the thing to guess.
const SHORTEST_KEY: usize = 16;

/// A key, ready to be used.
#[derive(Clone)]
pub(crate) struct Seal {
    /// Keyed in advance: each tag starts from a copy of this state.
    keyed: Hmac<Sha256>,
}

impl Seal {
    /// A key of hexadecimal digits. Never quotes them: they are a secret.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn from_hex(text: &str) -> Result<Self, Error> {
        let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        let key = key.map_err(|_| Error::from("must be pairs of hexadecimal digits"))?;
        if key.len() < SHORTEST_KEY {
            let octets = key.len();
            return Err(format_args!("must have {SHORTEST_KEY} octets at least, not {octets}").into());
        }
        Ok(Self { keyed: Hmac::new_from_slice(&key)? })
    }

    /// Whether the tag of `packet` was made with this key; the time taken does not depend on where it differs.
    pub(crate) fn verifies(&self, packet: &[u8]) -> bool {
        let Some((covered, tag)) = split(packet) else { return false };
        let mut mac = self.keyed.clone();
        mac.update(covered);
        mac.verify_truncated_left(tag).is_ok()
    }

    /// Writes the tag of `packet` into it.
    pub(crate) fn seal(&self, packet: &mut [u8]) {
        let Some((covered, tag)) = packet.split_at_mut_checked(COVERED) else { return };
        let mut mac = self.keyed.clone();
        mac.update(covered);
        let digest = mac.finalize().into_bytes();
        tag.iter_mut().zip(digest.iter()).take(TAG).for_each(|(to, octet)| *to = *octet);
    }
}

fn split(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let (covered, rest) = packet.split_at_checked(COVERED)?;
    Some((covered, rest.get(..TAG)?))
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
    fn a_seal_is_found_good_by_its_key_alone_and_covers_six_blocks() {
        let seal = Seal::from_hex(&"0b".repeat(20)).unwrap();
        let mut packet: Vec<u8> = (0..130).collect();
        seal.seal(&mut packet);
        assert_eq!(packet[112..], (112..130).collect::<Vec<u8>>()[..], "what follows the tag stays");
        assert!(seal.verifies(&packet));
        assert!(!Seal::from_hex(&"0c".repeat(20)).unwrap().verifies(&packet));
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert_eq!(seal.verifies(&changed), at >= 112, "octet {at}");
        }
        assert!(!seal.verifies(&packet[..111]));
    }

    #[test]
    fn the_tag_is_the_left_half_of_the_digest() {
        let mut packet = [0; 112];
        Seal::from_hex("000102030405060708090A0b0c0d0e0f").unwrap().seal(&mut packet);
        assert_eq!(packet[96..], PYTHON);
    }

    #[test]
    fn keys_that_are_none_are_refused_without_being_quoted() {
        for (text, wrong) in
            [("0g", "hexadecimal"), ("0", "hexadecimal"), ("00", "16 octets at least, not 1")]
        {
            let error = Seal::from_hex(text).unwrap_err();
            assert!(
                error.message().contains(wrong) && !error.message().contains("0g"),
                "{}",
                error.message()
            );
        }
        assert_eq!(format!("{:?}", Seal::from_hex(&"ab".repeat(16)).unwrap()), "Seal { .. }");
    }
}
