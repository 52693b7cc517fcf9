//! Rust text without comments and strings, and the files of the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file of the tree whose name ends in one of `extensions`: its path from the root, and its text.
/// Build output and hidden folders are left out.
pub(crate) fn files(extensions: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                let shown = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files below {}", root.display());
    found
}

/// The text with comments and the insides of literals blanked out. Lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (at, len) in no_code(text) {
        out.push_str(&text[end..at]);
        end = at + len;
        out.extend(text[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    }
    out.push_str(&text[end..]);
    out
}

/// The comments that go to the end of a line, documentation as well: where each begins, and its line.
pub(crate) fn comments(text: &str) -> Vec<(usize, &str)> {
    let comments = no_code(text).into_iter().filter(|(at, _)| text[*at..].starts_with("//"));
    comments.map(|(at, len)| (at, &text[at..at + len])).collect()
}

/// Where comments and literals begin, and their lengths.
fn no_code(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let identifier = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            quoted(rest)
        } else if let Some(len) = Some(rest).filter(|_| !identifier).and_then(raw_string) {
            len
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if len > 0 {
            found.push((at, len));
        }
        at += if len > 0 { len } else { first.len_utf8() };
    }
    found
}

/// Where in `code` the word stands by itself.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !code[..*at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

/// The number of the line, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of a string literal that begins with its quote.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a raw string literal: `r"..."`, `br#"..."#`, `cr"..."`.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].iter().find(|p| rest.starts_with(**p))?.len();
    let hashes = rest[prefix..].bytes().take_while(|b| *b == b'#').count();
    let open = prefix + hashes;
    let body = rest[open..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&end).map_or(rest.len(), |at| open + 1 + at + end.len()))
}

/// Length of a character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(rest.len(), |at| at + 4),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[test]
fn comments_and_literals_are_blanked_and_the_rest_stays() {
    let cases = [
        ("a // unsafe\nb", "a          \nb"),
        ("a /* x /* y */ z */ b", "a                   b"),
        (r#"f("un\"safe", x)"#, "f(          , x)"),
        (r##"r#"a"b"# x"##, "         x"),
        (r#"var"x" y"#, "var    y"),
        ("'a' 'b: '\\'' x", "    'b:      x"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("\"one\ntwo\" x", "    \n     x"),
    ];
    for (text, expected) in cases {
        assert_eq!(code(text), expected, "{text}");
    }
}

#[test]
fn comments_are_found_where_they_begin() {
    let text = "//! a\nf(\"// no\"); // b\n/* // no */\n    /// c\nlet x = '/';";
    assert_eq!(comments(text), [(0, "//! a"), (18, "// b"), (39, "/// c")]);
}

#[test]
fn words_stand_by_themselves() {
    let text = "unsafe_code unsafe {} not_unsafe unsafe(x)";
    assert_eq!(words(text, "unsafe").collect::<Vec<_>>(), [12, 33]);
}
