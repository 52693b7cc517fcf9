//! Secrets and randomness of a run, from the command line.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use polyport_protocol::{Grease, Key};
use polyport_terminal::{Exit, Style, remark};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::heading;
use crate::input::{self, MAX_KEY_FILE};
use crate::outcome::ExitError;
use crate::text::unhex_secret;

/// Octets of a SipHash-2-4 key; any other length is one of HMAC-SHA-256.
const SIPHASH_OCTETS: usize = 16;

/// A key, by file: a secret on the command line would be seen by `ps`.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyArgs {
    /// File with the shared key in hex; frames are then sealed with it, both ways
    #[arg(long, value_name = "FILE", help_heading = heading::PROTOCOL)]
    pub key_file: Option<PathBuf>,
    /// Number of the key on the wire [default: 1, or 2 for HMAC]
    #[arg(long, value_name = "N", requires = "key_file", help_heading = heading::PROTOCOL)]
    pub key_id: Option<u32>,
    /// Algorithm of the key [default: siphash for 16 octets, else hmac]
    #[arg(long, value_name = "TYPE", requires = "key_file", help_heading = heading::PROTOCOL)]
    pub key_type: Option<KeyType>,
}

/// The algorithms of [P-24].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyType {
    /// SipHash-2-4, a tag of 8 octets
    Siphash,
    /// HMAC-SHA-256, a tag of 16 octets
    Hmac,
}

impl KeyArgs {
    /// The key, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn load(&self) -> Result<Option<Key>, ExitError> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let secret = read(path)?;
        self.make(&secret).map(Some)
    }

    /// The secret itself, for another protocol than PPT/1.
    ///
    /// # Errors
    /// The file cannot be read, or is not hex.
    pub fn secret(&self) -> Result<Option<Vec<u8>>, ExitError> {
        self.key_file.as_deref().map(read).transpose()
    }

    /// A key of this type and number.
    ///
    /// # Errors
    /// The secret is too short or too long for the algorithm.
    pub fn make(&self, secret: &[u8]) -> Result<Key, ExitError> {
        let guess = if secret.len() == SIPHASH_OCTETS { KeyType::Siphash } else { KeyType::Hmac };
        match self.key_type.unwrap_or(guess) {
            KeyType::Siphash => {
                let secret = secret.try_into().map_err(|_| {
                    let octets = secret.len();
                    bad(format!("a SipHash key has {SIPHASH_OCTETS} octets, this one {octets}"))
                })?;
                Ok(Key::siphash(self.key_id.unwrap_or(1), secret))
            }
            KeyType::Hmac => {
                Key::hmac_sha256(self.key_id.unwrap_or(2), secret).map_err(|error| bad(error.to_string()))
            }
        }
    }
}

/// How often frames are greased [P-30].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GreaseArg {
    /// A random flag, and an option in one frame of 16
    #[default]
    Sometimes,
    /// Both in every frame
    Always,
    /// Neither
    Never,
}

impl From<GreaseArg> for Grease {
    fn from(grease: GreaseArg) -> Self {
        match grease {
            GreaseArg::Sometimes => Self::Sometimes,
            GreaseArg::Always => Self::Always,
            GreaseArg::Never => Self::Never,
        }
    }
}

/// The generator of a run: of cryptographic strength, from the system, unless a seed makes the run repeatable (and its
/// ids predictable, which is for tests only).
#[must_use]
pub fn generator(seed: Option<u64>) -> StdRng {
    seed.map_or_else(rand::make_rng, StdRng::seed_from_u64)
}

fn read(path: &Path) -> Result<Vec<u8>, ExitError> {
    let (octets, mode) = input::read(path, MAX_KEY_FILE).map_err(|error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let exit = if denied { Exit::Permission } else { Exit::BadInput };
        ExitError::new(exit, format!("cannot read the key file {}: {error}", path.display()))
    })?;
    if let Some(mode) = mode.filter(|mode| mode & OTHERS != 0) {
        let warning = Style::stderr().yellow("warning:");
        let path = path.display();
        remark(format_args!(
            "{warning} others may use the key file {path} (mode {:04o}): chmod go= {path}",
            mode & 0o7777
        ));
    }
    let text = String::from_utf8(octets).map_err(|_| bad(format!("key file {}: not hex", path.display())))?;
    unhex_secret(&text).map_err(|error| bad(format!("key file {}: {error}", path.display())))
}

/// Rights of the group and of others (`inode(7)`), none of which is of use for a key.
const OTHERS: u32 = 0o077;

fn bad(text: String) -> ExitError {
    ExitError::new(Exit::BadInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_tells_the_algorithm_and_the_number() {
        let make = |args: &KeyArgs, octets: usize| args.make(&vec![7; octets]);
        let plain = KeyArgs::default();
        let (sip, hmac) = (make(&plain, 16).unwrap(), make(&plain, 32).unwrap());
        assert_eq!((sip.id(), sip.tag_len()), (1, 8));
        assert_eq!((hmac.id(), hmac.tag_len()), (2, 16));
        let forced = KeyArgs { key_id: Some(9), key_type: Some(KeyType::Hmac), ..plain };
        let key = make(&forced, 16).unwrap();
        assert_eq!((key.id(), key.tag_len()), (9, 16));
        let wrong = KeyArgs { key_type: Some(KeyType::Siphash), ..forced.clone() };
        assert_eq!(make(&wrong, 17).unwrap_err().exit, Exit::BadInput);
        assert_eq!(make(&forced, 15).unwrap_err().exit, Exit::BadInput);
    }

    #[test]
    fn a_seed_repeats_and_its_absence_does_not() {
        use rand::RngExt;
        let draw = |seed| generator(seed).random::<u64>();
        assert_eq!(draw(Some(1)), draw(Some(1)));
        assert_ne!(draw(None), draw(None));
    }
}
