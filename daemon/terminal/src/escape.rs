//! Bytes of strangers for the terminal and the log: none of them moves a cursor or begins a line of its own.

use std::fmt::{self, Display, Write};

/// A text of a stranger as one line: control characters, what turns the direction of writing, and invalid UTF-8 are
/// escaped as Rust escapes them; letters of any language stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_command(c) {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// A payload, which need not be text at all: printable ASCII as it is, each other octet as `\n`, `\\` or `\x1b`. Unlike
/// with [`Escaped`], the octets can be told from what is shown.
#[must_use]
pub fn escape_payload(payload: &[u8]) -> String {
    payload.escape_ascii().to_string()
}

/// Control characters, line and paragraph separators, and the controls of bidirectional text (UAX #9).
fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_strangers_stay_one_line() {
        assert_eq!(Escaped(b"plain 'text'").to_string(), "plain 'text'");
        assert_eq!(Escaped(b"a\nb\x1b[1m\0\xffz").to_string(), "a\\nb\\u{1b}[1m\\u{0}\\xffz");
        assert_eq!(Escaped("gr\u{fc}n \u{202e}x".as_bytes()).to_string(), "gr\u{fc}n \\u{202e}x");
    }

    #[test]
    fn nothing_of_a_payload_reaches_the_terminal_raw() {
        let all: Vec<u8> = (0..=255).collect();
        assert!(escape_payload(&all).bytes().all(|octet| (0x20..0x7F).contains(&octet)));
        assert_eq!(escape_payload(b"a\x1b[2J\n\\"), "a\\x1b[2J\\n\\\\");
    }
}
