//! What the plugins that echo answer: the bytes that came in, or how many they were.
//!
//! `echo` and `lossy` have the same option `reply`. Two plugins cannot depend on each other, since each exports
//! the symbol that the host looks for, so what they share is here.
#![forbid(unsafe_code)]

use std::io::Write;

use polyport_plugin::choices;

choices! {
    /// What an answer says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Reply {
        /// The bytes that came in.
        Same = "same",
        /// `Your data was N bytes long`.
        Length = "length",
    }
}

/// Room for the longest answer of [`Reply::Length`], bytes: 25 and the twenty digits of a 64-bit number.
pub const LENGTH_TEXT: usize = 25 + 20;

/// Writes the answer of [`Reply::Length`] to a datagram of `len` bytes into `out` and returns its length. Cut
/// where `out` is shorter than [`LENGTH_TEXT`].
pub fn tell_length(len: usize, out: &mut [u8]) -> usize {
    let room = out.len();
    let mut rest = out;
    // The room fits every number, and a cut text would still be counted right.
    write!(rest, "Your data was {len} bytes long").unwrap_or(());
    room - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_and_a_shorter_room_cuts() {
        let mut room = [0; LENGTH_TEXT];
        assert_eq!(tell_length(usize::MAX, &mut room), LENGTH_TEXT);
        assert_eq!(&room[..], b"Your data was 18446744073709551615 bytes long");
        let used = tell_length(7, &mut room);
        assert_eq!(&room[..used], b"Your data was 7 bytes long");
        assert_eq!((tell_length(7, &mut room[..9]), &room[..9]), (9, &b"Your data"[..]));
        assert_eq!(tell_length(7, &mut []), 0);
    }
}
