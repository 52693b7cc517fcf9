//! Keys and tags of the AUTH option ([P-23] to [P-25]).

use core::fmt;
use core::hash::Hasher;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

/// Shortest HMAC key taken: below 128 bits the key, not the tag, would be the thing to guess.
pub const MIN_HMAC_KEY: usize = 16;

/// A shared key. The algorithm belongs to the key and is not on the wire ([P-24]).
#[derive(Clone)]
pub struct Key {
    id: u32,
    algorithm: Algorithm,
}

#[derive(Clone)]
enum Algorithm {
    SipHash([u8; 16]),
    /// Keyed in advance: each tag starts from a copy of this state.
    Hmac(Hmac<Sha256>),
}

impl Key {
    /// A key for SipHash-2-4 with a tag of 8 octets: fast, for tests and trusted hosts.
    #[must_use]
    pub const fn siphash(id: u32, secret: [u8; 16]) -> Self {
        Self { id, algorithm: Algorithm::SipHash(secret) }
    }

    /// A key for HMAC-SHA-256 cut to 16 octets (as RFC 8762 section 4.4): for all that leaves the host.
    ///
    /// # Errors
    /// [`KeyError`] if the secret has fewer than [`MIN_HMAC_KEY`] octets.
    pub fn hmac_sha256(id: u32, secret: &[u8]) -> Result<Self, KeyError> {
        let too_short = KeyError { octets: secret.len() };
        if secret.len() < MIN_HMAC_KEY {
            return Err(too_short);
        }
        let keyed = Hmac::new_from_slice(secret).map_err(|_| too_short)?;
        Ok(Self { id, algorithm: Algorithm::Hmac(keyed) })
    }

    /// The number that goes with the tag on the wire.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Octets of a tag: 8 or 16.
    #[must_use]
    pub const fn tag_len(&self) -> usize {
        match self.algorithm {
            Algorithm::SipHash(_) => 8,
            Algorithm::Hmac(_) => 16,
        }
    }

    /// The tag over the concatenated parts.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut tag = Tag { octets: [0; 16], len: self.tag_len() };
        let (short, _) = tag.octets.split_at_mut(tag.len);
        match &self.algorithm {
            Algorithm::SipHash(secret) => short.copy_from_slice(&siphash(secret, parts).to_be_bytes()),
            Algorithm::Hmac(keyed) => {
                let mut mac = keyed.clone();
                parts.iter().for_each(|part| mac.update(part));
                let digest = mac.finalize().into_bytes();
                short.iter_mut().zip(digest.iter()).for_each(|(target, octet)| *target = *octet);
            }
        }
        tag
    }
}

/// A tag; compared in constant time only.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    octets: [u8; 16],
    len: usize,
}

impl Tag {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }

    /// Whether the tag on the wire is this one; the time taken does not depend on where they differ.
    pub(crate) fn matches(&self, wire: &[u8]) -> bool {
        self.as_slice().ct_eq(wire).into()
    }
}

/// SipHash-2-4 over the concatenated parts.
pub(crate) fn siphash(secret: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// How a receiver checks that a frame is whole and, with keys, genuine.
#[derive(Clone, Copy, Debug, Default)]
pub enum Integrity<'k> {
    /// Every frame has a CRC-32C; a tag is unexpected.
    #[default]
    Checksum,
    /// Every frame has a tag made with one of these keys, except VERSION frames ([P-97]).
    Keys(&'k [Key]),
}

/// A secret too short to be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError {
    octets: usize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an HMAC key is at least {MIN_HMAC_KEY} octets long, and this one has {}", self.octets)
    }
}

impl core::error::Error for KeyError {}

impl fmt::Debug for Key {
    /// Never prints the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            Algorithm::SipHash(_) => "SipHash-2-4",
            Algorithm::Hmac(_) => "HMAC-SHA-256-128",
        };
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_matches_the_value_of_its_paper_however_the_input_is_cut() {
        let key: [u8; 16] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let text: [u8; 15] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(siphash(&key, &[left, right]), 0xa129_ca61_49be_45e5, "cut at {cut}");
        }
    }

    #[test]
    fn hmac_matches_rfc_4231_case_1_cut_to_16_octets() {
        let key = Key::hmac_sha256(9, &[0x0b; 20]).unwrap();
        let tag = key.tag(&[b"Hi ", b"There"]);
        assert_eq!(tag.as_slice()[..4], [0xb0, 0x34, 0x4c, 0x61]);
        assert_eq!(tag.as_slice().len(), 16);
        assert!(tag.matches(tag.as_slice()) && !tag.matches(&tag.as_slice()[..8]));
    }

    #[test]
    fn short_hmac_keys_are_refused_and_secrets_are_not_printed() {
        assert_eq!(Key::hmac_sha256(1, b"short").unwrap_err().octets, 5);
        let printed = format!("{:?}", Key::siphash(3, [0xAB; 16]));
        assert!(printed.contains("id: 3") && !printed.contains("171"), "{printed}");
    }
}
