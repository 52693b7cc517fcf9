//! Comments are sentences: they begin with a capital letter and end with a full stop.
//!
//! A comment that begins with a name in backticks, a number, a quote or a rule of the protocol keeps it. Of
//! documentation only the beginning is held, since lists, tables and listings end it; what clap prints is help, and
//! has the form of help. Documentation does not lean on what stands above it, since rustdoc shows it alone.

use crate::scan::{code, comments, files, line_of};

/// How documentation begins that says nothing where it is shown alone.
const DANGLING: [&str; 7] =
    ["The same", "As above", "As below", "See above", "See the module", "Likewise", "Ditto"];

/// Comments without code between, one below the other, or one behind code.
#[derive(Debug)]
struct Comment {
    /// Line of its beginning.
    line: usize,
    /// `//`, `///` or `//!`.
    mark: &'static str,
    text: String,
}

#[test]
fn comments_are_sentences() {
    let sources = files(&["rs"]);
    let wrong: Vec<_> = sources.iter().flat_map(|(path, text)| no_sentences(path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The comments of a file that do not begin or end as a sentence does.
fn no_sentences(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut wrong = Vec::new();
    for Comment { line, mark, text } in joined(text) {
        let help = mark == "///" && lines[line - 1 + text.lines().count()].trim_start().starts_with("#[arg");
        if text.starts_with(char::is_lowercase) && !help {
            wrong.push(format!("{path}:{line}: no capital letter: {text}"));
        }
        if mark != "//" && DANGLING.iter().any(|words| text.starts_with(words)) {
            wrong.push(format!("{path}:{line}: says nothing where it stands alone: {text}"));
        }
        // Quotes and brackets may close behind it; a colon hands over to the code below.
        let end = text.trim_end_matches(['"', '`', ')', ']', '*']);
        if mark == "//" && !end.ends_with(['.', '?', '!', ':']) {
            wrong.push(format!("{path}:{line}: no full stop: {text}"));
        }
    }
    wrong
}

/// The comments of a file, lines of one joined.
fn joined(text: &str) -> Vec<Comment> {
    let code = code(text);
    let mut found: Vec<Comment> = Vec::new();
    // The line that would go on with the last comment.
    let mut next = 0;
    for (at, comment) in comments(text) {
        let mark = ["///", "//!", "//"].into_iter().find(|mark| comment.starts_with(mark)).unwrap_or("//");
        let line = line_of(text, at);
        let words = comment[mark.len()..].trim();
        let start = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let alone = code[start..at].trim().is_empty();
        match found.last_mut().filter(|last| alone && line == next && last.mark == mark) {
            Some(last) => {
                last.text.push('\n');
                last.text.push_str(words);
            }
            None => found.push(Comment { line, mark, text: words.to_owned() }),
        }
        next = if alone { line + 1 } else { 0 };
    }
    found
}

#[test]
fn comments_that_are_no_sentences_are_found() {
    let bad = [
        "// lower case.\nx",
        "// No full stop\nx",
        "x // lower case.",
        "x // No full stop",
        "// A first line,\n// and a second\nx",
        "x // One.\n// another.",
        "/// lower case.\nfn f() {}",
        "//! lower case.",
        "/// One.\n// two.\nx",
        "/// The same for others.\nfn f() {}",
        "/// As above.\nfn f() {}",
    ];
    for text in bad {
        let wrong = no_sentences("x.rs", text);
        assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
    }
    assert_eq!(
        no_sentences("x.rs", "y\n\nx // neither"),
        ["x.rs:3: no capital letter: neither", "x.rs:3: no full stop: neither"]
    );
}

#[test]
fn sentences_are_not_reported() {
    let good = [
        "// A first line\n// and a second.\nx",
        "x // One.\ny // Two.",
        "// `name` is a name.\n\n// [P-44] is a rule.\n\n// 4 is a number, \"too.\"\n\n// As in `a.`\n\n// (Aside.)",
        "// The code below does:\nx",
        "//! Text\n//! - list\n\n/// | a | b |\nfn f() { \"// no\" }",
        "/// one of two\n/// or three\n#[arg(long)]\nx: u8",
        "// Über alles.",
        "// The same for others.\nx",
        "/// Does the same for others.\nfn f() {}",
    ];
    for text in good {
        assert_eq!(no_sentences("x.rs", text), Vec::<String>::new(), "{text}");
    }
}
