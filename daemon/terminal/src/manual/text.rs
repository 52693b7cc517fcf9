//! The text behind the options of `--help`, taken apart: lines that end with a colon begin a section, and what follows is indented.

/// A section.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// Its title in capitals; empty for text that stands under none.
    pub(super) title: String,
    /// What is in it.
    pub(super) parts: Vec<Part>,
}

/// What a section is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Words that may be broken anywhere.
    Paragraph(String),
    /// A term and what is said of it.
    Term(String, String),
    /// Lines that stay as they are.
    Verbatim(Vec<String>),
}

/// The indentation of what belongs to a title.
const INDENT: &str = "  ";

/// The sections of a text.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for block in text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()) {
        match titled(block) {
            Some(section) => sections.push(section),
            None => {
                let words = joined(block.lines());
                sections.push(Section { title: String::new(), parts: vec![Part::Paragraph(words)] });
            }
        }
    }
    sections
}

/// A block that begins with its title.
fn titled(block: &str) -> Option<Section> {
    if let Some(codes) = block.strip_prefix("Exit codes: ") {
        return Some(Section { title: "EXIT STATUS".to_owned(), parts: exits(&joined(codes.lines())) });
    }
    let (head, rest) = block.split_once('\n')?;
    let head = head.strip_suffix(':')?;
    if !rest.lines().all(|line| line.starts_with(INDENT)) {
        return None;
    }
    let (title, lead) = match head {
        "Examples" => ("EXAMPLES".to_owned(), None),
        "Variables" => ("ENVIRONMENT".to_owned(), None),
        _ => match head.split_once(", ") {
            // `Configuration, the first that is there:` is about files.
            Some((_, lead)) => ("FILES".to_owned(), Some(format!("{}:", capital(lead)))),
            None => (head.to_uppercase(), None),
        },
    };
    let mut parts: Vec<Part> = lead.map(Part::Paragraph).into_iter().collect();
    let is_examples = title == "EXAMPLES";
    for line in rest.lines().filter_map(|line| line.strip_prefix(INDENT)) {
        push(&mut parts, line, is_examples);
    }
    Some(Section { title, parts })
}

/// Adds a line to what stands before it.
fn push(parts: &mut Vec<Part>, line: &str, is_examples: bool) {
    let is_continued = line.starts_with(' ');
    match (parts.last_mut(), line.trim_start().split_once("   ").or_else(|| last_gap(line))) {
        (Some(Part::Verbatim(lines)), _) if is_continued => lines.push(line.to_owned()),
        (Some(Part::Term(_, text)), _) if is_continued => {
            text.push(' ');
            text.push_str(line.trim());
        }
        (_, Some((term, text))) if !is_continued => {
            parts.push(Part::Term(term.to_owned(), text.trim().to_owned()));
        }
        (Some(Part::Verbatim(lines)), _) if is_examples => lines.push(line.to_owned()),
        (_, _) if is_examples => parts.push(Part::Verbatim(vec![line.to_owned()])),
        (Some(Part::Paragraph(text)), _) => {
            text.push(' ');
            text.push_str(line.trim());
        }
        _ => parts.push(Part::Paragraph(line.trim().to_owned())),
    }
}

/// A term and its text, with two spaces between them.
fn last_gap(line: &str) -> Option<(&str, &str)> {
    line.trim_start().split_once("  ").filter(|(term, text)| !term.is_empty() && !text.is_empty())
}

/// `0 answered, 64 usage, 71, 75 and 77 the system refuses`, code by code.
fn exits(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut codes = String::new();
    let mut words: Vec<&str> = Vec::new();
    let is_code = |word: &str| {
        let digits = word.trim_end_matches(',');
        !digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    // A code stands at the beginning, behind a comma, or behind another one and `and`.
    let mut may_begin = true;
    let mut all = text.split_whitespace().peekable();
    while let Some(word) = all.next() {
        let joins = word == "and" && words.is_empty() && all.peek().is_some_and(|next| is_code(next));
        if (is_code(word) && (may_begin || words.is_empty())) || joins {
            if !words.is_empty() {
                parts.push(told(&mut codes, &mut words));
            }
            if !codes.is_empty() {
                codes.push(' ');
            }
            codes.push_str(word);
        } else {
            words.push(word);
        }
        may_begin = word.ends_with([',', ';']);
    }
    parts.push(told(&mut codes, &mut words));
    parts
}

fn told(codes: &mut String, words: &mut Vec<&str>) -> Part {
    let text = words.join(" ").trim_end_matches([',', ';']).to_owned();
    words.clear();
    Part::Term(std::mem::take(codes), text)
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(term: &str, text: &str) -> Part {
        Part::Term(term.to_owned(), text.to_owned())
    }

    #[test]
    fn examples_are_terms_with_a_text_and_verbatim_without() {
        let read =
            sections("Examples:\n  a b          what it does\n  c | d \\\n    | e\n  f\n\nA text\nin lines.");
        assert_eq!(read[0].title, "EXAMPLES");
        let verbatim = ["c | d \\", "  | e", "f"].map(str::to_owned).to_vec();
        assert_eq!(read[0].parts, [term("a b", "what it does"), Part::Verbatim(verbatim)]);
        assert_eq!(
            read[1],
            Section { title: String::new(), parts: vec![Part::Paragraph("A text in lines.".to_owned())] }
        );
    }

    #[test]
    fn a_text_goes_on_below_its_term() {
        let read = sections("Signals:\n  INT   end it;\n        twice, at once\n  HUP   again");
        assert_eq!(read[0].title, "SIGNALS");
        assert_eq!(read[0].parts, [term("INT", "end it; twice, at once"), term("HUP", "again")]);
    }

    #[test]
    fn every_exit_code_is_a_term() {
        let read = sections(
            "Exit codes: 0 took no reply, lost none and\ncounted 5, 64 usage, 71, 75 and 77 the system\nrefuses, 74 writing failed",
        );
        let expected = [
            term("0", "took no reply, lost none and counted 5"),
            term("64", "usage"),
            term("71, 75 and 77", "the system refuses"),
            term("74", "writing failed"),
        ];
        assert_eq!(read[0].title, "EXIT STATUS");
        assert_eq!(read[0].parts, expected);
    }
}
