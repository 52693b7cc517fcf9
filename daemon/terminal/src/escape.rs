//! Bytes of strangers for the terminal and the log: none of them moves a cursor, begins a line of its own, hides, or passes
//! for what stands around it.
//!
//! | what is shown | by | what is escaped |
//! |---|---|---|
//! | words, of a plugin for example | [`Escaped`] | what commands the terminal, and what nobody sees |
//! | a text between quotation marks | [`Quoted`] | the same, backslashes, and what looks like a quotation mark |
//! | a payload, octet by octet | [`escape_payload`] | all but printable ASCII |

use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use unicode_general_category::{GeneralCategory, get_general_category};

/// A text of a stranger as one line: control characters, invisible ones, those that turn the direction of writing, and
/// invalid UTF-8 are escaped as Rust escapes them; letters of any language stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

/// A text of a stranger to be put between quotation marks, of whatever kind: escaped as [`Escaped`] does it, and so that the
/// text cannot seem to end before its end, nor an escape be taken for the text.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, |_, _, _| false)
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, |text, at, c| {
            c == '\\' || (looks_like_a_quote(c) && !is_apostrophe(text.as_bytes(), at))
        })
    }
}

/// A payload, which need not be text at all: printable ASCII as it is but for quotation marks and backslashes, each other
/// octet as `\n`, `\\` or `\x1b`. So the octets can be told from what is shown. The apostrophe of a word is no quotation mark.
#[must_use]
pub fn escape_payload(payload: &[u8]) -> String {
    let mut text = String::with_capacity(payload.len());
    for (at, octet) in payload.iter().enumerate() {
        if is_apostrophe(payload, at) {
            text.push('\'');
        } else {
            text.extend(octet.escape_ascii().map(char::from));
        }
    }
    text
}

/// Whether there is an apostrophe within a word, such as that of `isn't`: nobody takes it for the end of a quotation.
fn is_apostrophe(text: &[u8], at: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    text.get(at) == Some(&b'\'') && letter(at.checked_sub(1)) && letter(at.checked_add(1))
}

/// A path as a word of `sh(1)`, without control characters.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let shown = Escaped(path.as_os_str().as_bytes()).to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

/// `too` says of a character at a place of a text whether it is escaped as well.
fn escape(f: &mut fmt::Formatter<'_>, text: &[u8], too: impl Fn(&str, usize, char) -> bool) -> fmt::Result {
    // A mark at the beginning would be drawn over the quotation mark before it.
    let mut first = true;
    for chunk in text.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            if is_unseen(c) || too(chunk.valid(), at, c) || (std::mem::take(&mut first) && is_mark(c)) {
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

/// What a reader does not see, or sees somewhere else: controls, formats (of bidirectional text, UAX #9, among them), line
/// and paragraph separators, all spaces but the plain one, what no font has, and what is ignored by default (UAX #44).
pub(crate) fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let unseen = matches!(
        get_general_category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::SpaceSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    );
    unseen || is_ignored(c)
}

/// Letters and marks that are ignored by default (`Default_Ignorable_Code_Point`), which their categories do not tell, and
/// the blank pattern of Braille: joiner, fillers of Hangul, vowels of Khmer, variation selectors.
fn is_ignored(c: char) -> bool {
    matches!(c,
        '\u{34F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2800}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

fn is_mark(c: char) -> bool {
    matches!(get_general_category(c), GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark)
}

/// Quotation marks, and what looks like one: accents that stand alone, primes, modifier letters, their wide forms.
fn looks_like_a_quote(c: char) -> bool {
    let quotes = [GeneralCategory::InitialPunctuation, GeneralCategory::FinalPunctuation];
    matches!(c,
        '"' | '\'' | '`' | '\u{B4}' | '\u{2B9}'..='\u{2BF}' | '\u{2C8}' | '\u{2CA}'..='\u{2CB}' | '\u{2DD}' | '\u{2EE}'
        | '\u{2F4}'..='\u{2F6}' | '\u{374}'..='\u{375}' | '\u{384}' | '\u{55A}' | '\u{55D}' | '\u{5D9}'
        | '\u{5F3}'..='\u{5F4}' | '\u{7F4}'..='\u{7F5}' | '\u{144A}' | '\u{16CC}' | '\u{1FBD}' | '\u{1FBF}'
        | '\u{1FEF}' | '\u{1FFD}'..='\u{1FFE}' | '\u{201A}' | '\u{201E}' | '\u{2032}'..='\u{2037}' | '\u{2057}'
        | '\u{275B}'..='\u{2760}' | '\u{301D}'..='\u{301F}' | '\u{A78B}'..='\u{A78C}' | '\u{FF02}' | '\u{FF07}'
        | '\u{FF40}')
        || !c.is_ascii() && quotes.contains(&get_general_category(c))
}

#[cfg(test)]
mod tests {
    use icu_properties::CodePointSetData;
    use icu_properties::props::{BidiControl, DefaultIgnorableCodePoint, QuotationMark, VariationSelector};

    use super::*;

    #[test]
    fn lines_of_strangers_stay_one_line() {
        assert_eq!(Escaped(b"plain 'text' \\").to_string(), "plain 'text' \\");
        assert_eq!(Escaped(b"a\nb\x1b[1m\0\xffz").to_string(), "a\\nb\\u{1b}[1m\\u{0}\\xffz");
        assert_eq!(Escaped("gr\u{fc}n \u{202e}x".as_bytes()).to_string(), "gr\u{fc}n \\u{202e}x");
    }

    #[test]
    fn a_quoted_text_ends_where_it_ends() {
        let forged = "it': replied 5 bytes";
        assert_eq!(Quoted(forged.as_bytes()).to_string(), "it\\': replied 5 bytes");
        assert_eq!(Quoted("\u{2019}: replied".as_bytes()).to_string(), "\\u{2019}: replied");
        assert_eq!(Quoted(b"\\n is not \n").to_string(), "\\\\n is not \\n");
    }

    #[test]
    fn the_apostrophe_of_a_word_is_none_of_the_quotation() {
        for (text, shown) in [
            ("the client's words", "the client's words"),
            ("it': replied", "it\\': replied"),
            ("''tis", "\\'\\'tis"),
            ("it'", "it\\'"),
        ] {
            assert_eq!(Quoted(text.as_bytes()).to_string(), shown);
            assert_eq!(escape_payload(text.as_bytes()), shown);
        }
    }

    #[test]
    fn letters_of_all_languages_stay() {
        for text in [
            "Gr\u{fc}\u{df}e",
            "\u{65e5}\u{672c}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
            "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
            "e\u{301}",
            "\u{1f600}",
        ] {
            assert_eq!(Escaped(text.as_bytes()).to_string(), text);
        }
        assert_eq!(Quoted("\u{301}e".as_bytes()).to_string(), "\\u{301}e", "drawn over the quotation mark");
    }

    /// The tables of another crate, kept by those who keep Unicode.
    #[test]
    fn nothing_invisible_gets_through() {
        let (ignorable, bidi) =
            (CodePointSetData::new::<DefaultIgnorableCodePoint>(), CodePointSetData::new::<BidiControl>());
        let variations = CodePointSetData::new::<VariationSelector>();
        let quotes = CodePointSetData::new::<QuotationMark>();
        let mut seen = 0;
        for c in '\0'..=char::MAX {
            let hidden = ignorable.contains(c) || bidi.contains(c) || variations.contains(c);
            let hidden = hidden || (c.is_whitespace() && c != ' ') || c.is_control();
            seen += u32::from(hidden);
            assert!(!hidden || is_unseen(c), "U+{:04X}", u32::from(c));
            // Corner brackets are quotation marks of other scripts, and look like none of ours.
            let corner =
                matches!(c, '\u{300C}'..='\u{300F}' | '\u{FE41}'..='\u{FE44}' | '\u{FF62}'..='\u{FF63}');
            let quote = quotes.contains(c) && !corner && c != '\u{2E42}';
            assert!(!quote || looks_like_a_quote(c), "U+{:04X}", u32::from(c));
        }
        assert!(seen > 4000, "{seen}");
    }

    #[test]
    fn nothing_of_a_payload_reaches_the_terminal_raw() {
        let all: Vec<u8> = (0..=255).collect();
        assert!(escape_payload(&all).bytes().all(|octet| (0x20..0x7F).contains(&octet)));
        assert_eq!(escape_payload(b"a\x1b[2J\n\\'\""), "a\\x1b[2J\\n\\\\\\'\\\"");
    }
}
