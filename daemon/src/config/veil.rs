//! What of a text is not shown: a problem is shown with its whole lines, and a secret beside it is for nobody's journal.
//!
//! Which option is a secret only its plugin says, and a text with a mistake may name no plugin, or the option by a wrong
//! name. So the values of all options and of all keys that nobody knows are veiled at first; what a plugin declares, and
//! not as a secret, is shown again later ([`Plan::reveal`](super::Plan::reveal)). Comments are veiled, because settings are
//! commented out with their values. Of a text that is no TOML every value is veiled but those of the daemon's own settings:
//! nobody can tell where a string ends whose quote is missing.

use std::ops::Range;

use super::problem::{Span, quoted};
use super::tree::Value;

/// The places of every text and number in a value, and of every key that does not look like one.
pub(super) fn leaves(value: &Value, span: &Span) -> Vec<Span> {
    match value {
        Value::List(list) => list.iter().flat_map(|(value, span)| leaves(value, span)).collect(),
        Value::Table(entries) => entries
            .iter()
            .flat_map(|e| strange_key(&e.key, &e.key_span).into_iter().chain(leaves(&e.value, &e.value_span)))
            .collect(),
        // No secret has two values.
        Value::Bool(_) => Vec::new(),
        Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Time(_) => vec![span.clone()],
    }
}

/// What may be veiled of a TOML text, found without its grammar, so in a broken one as well.
#[derive(Debug, Default)]
pub(super) struct Veil {
    /// Comments, each with its `#`.
    pub(super) comments: Vec<Range<usize>>,
    /// Values whose key is none of the daemon's settings, and what is neither key nor value.
    pub(super) values: Vec<Range<usize>>,
}

impl Veil {
    /// Reads `text`; `settings` are the keys of the daemon's own settings.
    pub(super) fn of(text: &str, settings: &[&str]) -> Self {
        let mut lexer = Lexer { text, settings, at: 0, own_table: true, veil: Self::default() };
        while lexer.at < text.len() {
            lexer.line();
        }
        lexer.veil
    }
}

/// The tables whose keys are settings of the daemon, and whose values may so be shown.
const OWN_TABLES: [&str; 2] = ["limits", "listen"];

/// Characters of a key that is shown even if it is unknown: more are no name that somebody thought of, and 32 may be a
/// secret of 16 octets.
const LONGEST_KEY: usize = 30;

/// The place of a key that may be a secret, or a secret behind its name: `"key=..." = 1`.
pub(super) fn strange_key(key: &str, span: &Span) -> Option<Span> {
    (!is_key(key)).then(|| span.clone())
}

/// A key that nobody knows, for a title or a label: as it is if it looks like a key.
#[must_use]
pub fn quoted_key(key: &str) -> String {
    if is_key(key) { quoted(key) } else { "`***`".to_owned() }
}

struct Lexer<'a> {
    text: &'a str,
    settings: &'a [&'a str],
    /// Bytes read; always at the beginning of a character.
    at: usize,
    /// The last header was that of one of [`OWN_TABLES`], or there was none yet.
    own_table: bool,
    veil: Veil,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| matches!(c, ' ' | '\t' | '\r'));
    }

    fn end_of_line(&self) -> usize {
        self.rest().find('\n').map_or(self.text.len(), |newline| self.at + newline)
    }

    /// Veils the rest of the line.
    fn give_up_line(&mut self, from: usize) {
        self.at = self.end_of_line();
        self.veil.values.push(from..self.at);
    }

    fn comment(&mut self) {
        let start = self.at;
        self.at = self.end_of_line();
        self.veil.comments.push(start..self.at);
    }

    /// A header, a comment, or a key with its value, which may go on over several lines.
    fn line(&mut self) {
        self.skip(char::is_whitespace);
        match self.next() {
            None => {}
            Some('#') => self.comment(),
            Some('[') => self.header(),
            Some(_) => {
                if self.key_and_value(self.own_table) {
                    self.table();
                }
                self.skip_blanks();
                match self.next() {
                    None | Some('\n') => {}
                    Some('#') => self.comment(),
                    Some(_) => self.give_up_line(self.at),
                }
            }
        }
    }

    fn header(&mut self) {
        let start = self.at;
        let line = &self.text[start..self.end_of_line()];
        let end =
            line.find(']').map_or(line.len(), |at| at + line[at..].chars().take_while(|c| *c == ']').count());
        let name = line[..end].trim_matches(|c| matches!(c, '[' | ']' | ' ' | '\t' | '\r'));
        self.own_table = OWN_TABLES.contains(&name);
        if !is_key(name) {
            self.give_up_line(start);
            return;
        }
        self.at = start + end;
        self.skip_blanks();
        match self.next() {
            None | Some('\n') => {}
            Some('#') => self.comment(),
            Some(_) => self.give_up_line(self.at),
        }
    }

    /// Reads `key = value`; `own` is true where the keys are the daemon's. What is none is given up with its line. True if
    /// the value is an inline table, of which only the brace has been read.
    fn key_and_value(&mut self, own: bool) -> bool {
        let start = self.at;
        self.skip(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '\t'));
        if self.next() != Some('=') {
            self.give_up_line(start);
            return false;
        }
        let key = self.text[start..self.at].trim_end();
        if !is_key(key) {
            self.veil.values.push(start..start + key.len());
        }
        let shown = own && self.settings.contains(&key);
        self.at += 1;
        self.skip_blanks();
        if self.next() == Some('{') {
            self.at += 1;
            return true;
        }
        self.value(shown);
        false
    }

    fn value(&mut self, shown: bool) {
        let start = self.at;
        match self.next() {
            // Where one of several lines is left open, the rest of the text is in it.
            Some('"' | '\'') => {
                let several_lines = self.string();
                if !shown || several_lines {
                    self.veil.values.push(start..self.at);
                }
            }
            Some('[') if shown => self.shown_array(),
            Some('[') => {
                self.array();
                self.veil.values.push(start..self.at);
            }
            _ => {
                self.skip(|c| !matches!(c, ',' | ']' | '}' | '#' | '\n'));
                // A number, a word: anything longer lacks its quotes.
                let bare = self.text[start..self.at].trim_end();
                self.at = start + bare.len();
                if !bare.is_empty()
                    && (!shown || bare.contains(|c: char| c.is_whitespace() || "\"'=".contains(c)))
                {
                    self.veil.values.push(start..self.at);
                }
            }
        }
    }

    /// Whether the string may have several lines. One of a single line ends with it, closed or not.
    fn string(&mut self) -> bool {
        let rest = self.rest();
        let quote = rest.chars().next().unwrap_or('"');
        let triple = [quote; 3].iter().collect::<String>();
        let several_lines = rest.starts_with(&triple);
        let mut letters = rest.char_indices().skip(if several_lines { 3 } else { 1 });
        let mut end = rest.len();
        while let Some((at, letter)) = letters.next() {
            if letter == '\\' && quote == '"' && !rest[at + 1..].starts_with('\n') {
                letters.next();
            } else if several_lines && rest[at..].starts_with(&triple) {
                // Two more quotes may belong to the string.
                end = at + rest[at..].chars().take_while(|c| *c == quote).count().min(5);
                break;
            } else if !several_lines && letter == quote {
                end = at + 1;
                break;
            } else if !several_lines && letter == '\n' {
                end = at;
                break;
            }
        }
        self.at += end;
        several_lines
    }

    /// An inline table behind its brace, all values of which are veiled; it ends with its other brace, a header or the text.
    fn table(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            self.skip(|c| c.is_whitespace() || c == ',');
            match self.next() {
                None | Some('[') => return,
                Some('}') => {
                    self.at += 1;
                    depth -= 1;
                }
                Some('#') => self.comment(),
                Some(_) => depth += usize::from(self.key_and_value(false)),
            }
        }
    }

    /// An array to its bracket, whatever is in it.
    fn array(&mut self) {
        let mut depth = 0_usize;
        while let Some(letter) = self.next() {
            match letter {
                '"' | '\'' => {
                    self.string();
                    continue;
                }
                '#' => {
                    self.comment();
                    continue;
                }
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            self.at += letter.len_utf8();
            if depth == 0 {
                return;
            }
        }
    }

    /// An array of strings and numbers that is shown. What does not belong there ends it: its bracket is missing.
    fn shown_array(&mut self) {
        let first_line = self.end_of_line();
        self.at += 1;
        loop {
            self.skip(|c| c.is_whitespace() || c == ',');
            let start = self.at;
            match self.next() {
                None => return,
                Some(']') => {
                    self.at += 1;
                    return;
                }
                Some('#') => self.comment(),
                Some('"' | '\'') => {
                    if self.string() {
                        self.veil.values.push(start..self.at);
                    }
                }
                Some(_) => {
                    self.skip(|c| c.is_alphanumeric() || "_.:+-".contains(c));
                    let word = start..self.at;
                    self.skip_blanks();
                    if !word.is_empty() && matches!(self.next(), None | Some(',' | ']' | '#' | '\n')) {
                        continue;
                    }
                    self.at = start;
                    if start < first_line {
                        self.give_up_line(start);
                    } else {
                        // It is read again as a line of its own.
                        self.at = self.text[..start].rfind('\n').map_or(start, |newline| newline + 1);
                    }
                    return;
                }
            }
        }
    }
}

/// Whether a key looks like one, dotted or not.
pub(super) fn is_key(key: &str) -> bool {
    key.split('.').all(is_name)
}

/// Whether a part of a key looks like a name, not like a piece of a secret.
fn is_name(part: &str) -> bool {
    let part = part.trim();
    part.len() <= LONGEST_KEY
        && part.starts_with(|c: char| c.is_ascii_lowercase())
        && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::problem::hidden;
    use super::*;
    use crate::config::Source;

    const SETTINGS: [&str; 5] = ["seed", "name", "bind", "plugin", "spin"];

    /// The text with everything veiled that may be.
    fn veiled(text: &str) -> String {
        let veil = Veil::of(text, &SETTINGS);
        let spans: Vec<Span> = [veil.comments, veil.values]
            .concat()
            .into_iter()
            .map(|range| Span { source: 0, range })
            .collect();
        hidden(&[Source::new("", text)], &spans)[0].text.clone()
    }

    #[test]
    fn settings_are_shown_and_options_are_not() {
        for (text, expected) in [
            ("seed = 42 # not 43", "seed = 42 ********"),
            ("[[listen]]\nbind = [\"a\", 'b', 7]\n", "[[listen]]\nbind = [\"a\", 'b', 7]\n"),
            ("options = { key = \"ab\", drop = 1 }", "options = { key = ****, drop = * }"),
            ("[listen.options]\nseed = 1\n", "[listen.options]\nseed = *\n"),
            ("name.key = 'ab'\nkye = \"\"\"a\nb\"\"\"\n", "name.key = ****\nkye = ****\n****\n"),
            ("kye = [ 'a', # b\n  ['c'] ]\nseed = 1", "kye = **********\n*********\nseed = 1"),
        ] {
            assert_eq!(veiled(text), expected, "{text}");
        }
    }

    #[test]
    fn in_a_broken_text_what_nobody_can_read_is_not_shown() {
        for (text, expected) in [
            ("key \"ab\"\nseed = 1", "********\nseed = 1"),
            ("key = \"ab\nseed = 1", "key = ***\nseed = 1"),
            ("key = \"\"\"ab\nseed = 1", "key = *****\n********"),
            ("name = 'a' key = 'b'", "name = 'a' *********"),
            ("name = a key = 'b'", "name = ***********"),
            ("bind = [\"a\"\noptions = { key = 'b' }", "bind = [\"a\"\n***********************"),
            ("bind = [\"a\", key = 'b'\nseed = 1", "bind = [\"a\", *********\nseed = 1"),
            ("options = { key = \"ab, drop = 1 }\nseed = 1", "options = { key = ***************\nseed = *"),
            ("name = \"a\nZm9v=\nseed = 1", "name = \"a\n****=\nseed = 1"),
            ("[listen \"x\"\n", "***********\n"),
            ("[limits\nspin = 1", "[limits\nspin = 1"),
        ] {
            assert_eq!(veiled(text), expected, "{text}");
        }
    }

    /// Whatever letter of a file with a key is wrong, no piece of the key is shown.
    #[test]
    fn one_wrong_letter_anywhere_shows_no_piece_of_a_key() {
        const KEY: &str = "5ec4e75ec4e75ec4e75ec4e75ec4e75e";
        let settings = "bind = ['127.0.0.1:1', \"[::1]:1\"]\nplugin = \"responder\" # far\nname = 'x'\n";
        for form in [
            format!(
                "[[listen]]\n{settings}options = {{ service = \"echo\", key = \"{KEY}\", auth = 1 }}\nshare = true\n"
            ),
            format!("[[listen]]\n{settings}[listen.options]\nkey = '{KEY}'\n# key = \"{KEY}\"\nauth = 'x'\n"),
            format!("[[listen]]\n{settings}options = {{ key = \"\"\"\n{KEY}\"\"\" }}\nseed = 1\n"),
        ] {
            assert_eq!(pieces(&veiled(&form), KEY), None);
            for at in 0..form.len() {
                for wrong in
                    ["", "\"", "'", "\n", "=", "#", "[", "]", "{", "}", ",", " ", "\\", "x", "\"\"\""]
                {
                    for removed in [0, 1] {
                        let broken = format!("{}{wrong}{}", &form[..at], &form[at + removed..]);
                        let shown = veiled(&broken);
                        assert_eq!(pieces(&shown, KEY), None, "{broken}\n{shown}");
                    }
                }
            }
        }
    }

    /// A piece of `key` in `text`.
    fn pieces<'k>(text: &str, key: &'k str) -> Option<&'k str> {
        const PIECE: usize = 8;
        (0..=key.len() - PIECE).map(|at| &key[at..at + PIECE]).find(|piece| text.contains(piece))
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_keeps_its_lines(text in "(\\PC|[\\[\\]{}=#\"',\\\\\n ]){0,60}") {
            let shown = veiled(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
