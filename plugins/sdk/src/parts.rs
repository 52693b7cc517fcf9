//! The options of a plugin out of parts: options of its own, and sets that are declared elsewhere, under a name or not.
//! All of it is done by the compiler, and a name that is no name, or is there twice, does not compile.

use core::ffi::CStr;

use crate::opt::Opt;

/// One line of `config!`.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// An option.
    One(Opt),
    /// The options of another set, each with `under` and a dot before its name; `under` may be empty.
    Set {
        /// What their names begin with, without the dot.
        under: &'static str,
        /// The options by their own names.
        options: &'static [Opt],
    },
}

impl Part {
    /// Options by their own names, or `under` a name.
    #[must_use]
    pub const fn set(under: &'static str, options: &'static [Opt]) -> Self {
        Self::Set { under: plain(under), options }
    }
}

/// `r#type` in Rust is `type` in the configuration.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// How many options there are in all parts.
#[must_use]
pub const fn count(parts: &[Part]) -> usize {
    let (mut n, mut at) = (0, 0);
    while at < parts.len() {
        n += match &parts[at] {
            Part::One(_) => 1,
            Part::Set { options, .. } => options.len(),
        };
        at += 1;
    }
    n
}

/// How many bytes [`names`] fills.
#[must_use]
pub const fn name_bytes(parts: &[Part]) -> usize {
    let (mut n, mut at) = (0, 0);
    while at < parts.len() {
        if let Part::Set { under, options } = &parts[at] {
            let mut option = 0;
            while option < options.len() && !under.is_empty() {
                n += under.len() + 1 + options[option].name_bytes().len() + 1;
                option += 1;
            }
        }
        at += 1;
    }
    n
}

/// The names of all options that are under another name, one behind the other, each with a NUL.
#[must_use]
pub const fn names<const N: usize>(parts: &[Part]) -> [u8; N] {
    let mut text = [0; N];
    let (mut end, mut at) = (0, 0);
    while at < parts.len() {
        if let Part::Set { under, options } = &parts[at] {
            let mut option = 0;
            while option < options.len() && !under.is_empty() {
                end = copy(&mut text, end, under.as_bytes());
                end = copy(&mut text, end, b".");
                end = copy(&mut text, end, options[option].name_bytes());
                end += 1;
                option += 1;
            }
        }
        at += 1;
    }
    text
}

/// Copies `bytes` to `text[at..]` and returns where they end.
const fn copy(text: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        text[at + i] = bytes[i];
        i += 1;
    }
    at + bytes.len()
}

/// All options in the order of the parts; `names` is what the function of this name made of the same parts.
///
/// # Panics
/// A name is no name, or is there twice. Evaluated by the compiler: a compile error.
#[must_use]
#[expect(clippy::panic, reason = "evaluated by the compiler: a compile error")]
pub const fn join<const N: usize>(parts: &[Part], mut names: &'static [u8]) -> [Opt; N] {
    let mut all = [Opt::new(c"", c"", 0); N];
    let (mut n, mut at) = (0, 0);
    while at < parts.len() {
        match &parts[at] {
            Part::One(option) => {
                all[n] = *option;
                n += 1;
            }
            Part::Set { under, options } => {
                let mut option = 0;
                while option < options.len() {
                    all[n] = options[option];
                    if !under.is_empty() {
                        let len = under.len() + 1 + options[option].name_bytes().len() + 1;
                        let (name, rest) = names.split_at(len);
                        let Ok(name) = CStr::from_bytes_with_nul(name) else { panic!("NUL inside a name") };
                        all[n] = all[n].renamed(name);
                        names = rest;
                    }
                    n += 1;
                    option += 1;
                }
            }
        }
        at += 1;
    }
    check(&all);
    all
}

/// Names that no file and no command line could tell apart do not compile.
const fn check<const N: usize>(options: &[Opt; N]) {
    let mut names: [&[u8]; N] = [&[]; N];
    let mut at = 0;
    while at < N {
        names[at] = options[at].name_bytes();
        if !is_name(names[at]) {
            refuse(
                "a name is of letters, digits, _ and -, in parts with dots between, none of which begins with a digit: ",
                names[at],
            );
        }
        let mut before = 0;
        while before < at {
            match overlap(names[before], names[at]) {
                Overlap::None => {}
                Overlap::Same => refuse("two options have the name ", names[at]),
                Overlap::Begins => {
                    refuse(
                        "the name of an option is the beginning of others, of which a table is made: ",
                        shorter(names[before], names[at]),
                    );
                }
            }
            before += 1;
        }
        at += 1;
    }
}

const fn is_name(name: &[u8]) -> bool {
    let (mut at, mut first) = (0, true);
    while at < name.len() {
        match name[at] {
            b'.' if !first => first = true,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => first = false,
            b'0'..=b'9' | b'-' if !first => {}
            _ => return false,
        }
        at += 1;
    }
    !first
}

enum Overlap {
    None,
    Same,
    /// One is a part of the other's name, with all of the parts before it.
    Begins,
}

const fn overlap(a: &[u8], b: &[u8]) -> Overlap {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return Overlap::None;
        }
        at += 1;
    }
    if a.len() == b.len() {
        Overlap::Same
    } else if at < a.len() && a[at] == b'.' || at < b.len() && b[at] == b'.' {
        Overlap::Begins
    } else {
        Overlap::None
    }
}

const fn shorter(a: &'static [u8], b: &'static [u8]) -> &'static [u8] {
    if a.len() < b.len() { a } else { b }
}

/// A compile error that says which name it is about.
#[expect(clippy::panic, reason = "evaluated by the compiler: a compile error")]
const fn refuse(sentence: &str, name: &[u8]) -> ! {
    const LONGEST: usize = 300;
    let mut text = [0; LONGEST];
    let end = copy(&mut text, 0, sentence.as_bytes());
    let shown = if end + name.len() < LONGEST { name.len() } else { LONGEST - end };
    let end = copy(&mut text, end, name.split_at(shown).0);
    match core::str::from_utf8(text.split_at(end).0) {
        Ok(text) => panic!("{}", text),
        Err(_) => panic!("a name of an option is not ASCII"),
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
