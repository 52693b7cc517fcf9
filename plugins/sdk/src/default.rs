//! The default of an option, read by the compiler: a default that its own bounds refuse is a compile error.
//!
//! It reads the plain forms of a text, a number with one unit. What it cannot read it leaves to the host, which reads all
//! of the grammar (`polyport-value`), and names the plugin when a default is wrong.

use core::ffi::CStr;

use polyport_abi as abi;

const NS: f64 = 1.0;
const SECOND: f64 = 1e9;

/// Units of a duration, in nanoseconds.
const TIMES: &[(&[u8], f64)] = &[
    (b"ns", NS),
    (b"us", 1e3),
    (b"ms", 1e6),
    (b"s", SECOND),
    (b"m", 60.0 * SECOND),
    (b"min", 60.0 * SECOND),
    (b"h", 3600.0 * SECOND),
    (b"d", 86_400.0 * SECOND),
];

/// Units of a size, in bytes.
const SIZES: &[(&[u8], f64)] = &[
    (b"", 1.0),
    (b"B", 1.0),
    (b"KB", 1e3),
    (b"kB", 1e3),
    (b"MB", 1e6),
    (b"GB", 1e9),
    (b"KiB", 1024.0),
    (b"MiB", 1_048_576.0),
    (b"GiB", 1_073_741_824.0),
];

/// Parts of one.
const SHARES: &[(&[u8], f64)] = &[(b"", 1.0), (b"%", 0.01)];

/// Fails to compile if `text` is no value of an option of this kind, or lies outside `bounds`.
pub(crate) const fn check(kind: u32, text: &CStr, choices: Option<&CStr>, bounds: Option<(f64, f64)>) {
    let text = text.to_bytes().trim_ascii();
    if kind & abi::OPT_LIST == 0 {
        return one(kind, text, choices, bounds);
    }
    let (mut rest, mut more) = (text, !text.is_empty());
    while more {
        let at = find(rest, b',');
        one(kind & !abi::OPT_LIST, rest.split_at(at).0.trim_ascii(), choices, bounds);
        more = at < rest.len();
        rest = if more { rest.split_at(at + 1).1 } else { b"" };
    }
}

const fn one(kind: u32, text: &[u8], choices: Option<&CStr>, bounds: Option<(f64, f64)>) {
    match kind {
        abi::OPT_BOOL => {
            assert!(equal(text, b"true") || equal(text, b"false"), "a default is neither true nor false");
        }
        abi::OPT_ENUM => {
            let known = if let Some(choices) = choices { has(choices.to_bytes(), text) } else { false };
            assert!(known, "a default is none of the choices");
        }
        _ => {
            if let (Some(value), Some((min, max))) = (amount(kind, text), bounds) {
                assert!(min <= value && value <= max, "a default is out of bounds");
            }
        }
    }
}

/// The number that a plain text means, in the unit of its kind; none for other texts and kinds.
const fn amount(kind: u32, text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let units: &[(&[u8], f64)] = match (kind, negative) {
        (abi::OPT_INT, _) => &[(b"", 1.0)],
        (abi::OPT_DURATION, false) => TIMES,
        (abi::OPT_SIZE, false) => SIZES,
        (abi::OPT_RATIO, false) => SHARES,
        _ => return None,
    };
    let fraction = matches!(kind, abi::OPT_DURATION | abi::OPT_RATIO);
    let Some((number, unit)) = number(digits, fraction) else { return None };
    let Some(factor) = factor(units, unit) else { return None };
    Some(if negative { -number * factor } else { number * factor })
}

/// The number at the beginning, and what is behind it.
const fn number(text: &[u8], fraction: bool) -> Option<(f64, &[u8])> {
    let (mut value, mut scale, mut seen, mut rest) = (0.0, 1.0, false, text);
    let mut behind = false;
    while let [first, more @ ..] = rest {
        match *first {
            digit @ b'0'..=b'9' => {
                value = value * 10.0 + (digit - b'0') as f64;
                if behind {
                    scale *= 10.0;
                }
                seen = true;
            }
            b'.' if fraction && !behind && seen => behind = true,
            _ => break,
        }
        rest = more;
    }
    if seen { Some((value / scale, rest.trim_ascii())) } else { None }
}

const fn factor(units: &[(&[u8], f64)], unit: &[u8]) -> Option<f64> {
    let mut rest = units;
    while let [(name, factor), more @ ..] = rest {
        if equal(name, unit) {
            return Some(*factor);
        }
        rest = more;
    }
    None
}

/// Whether `word` is among `words`, which `|` parts.
const fn has(words: &[u8], word: &[u8]) -> bool {
    let mut rest = words;
    loop {
        let at = find(rest, b'|');
        if equal(rest.split_at(at).0, word) {
            return true;
        }
        if at == rest.len() {
            return false;
        }
        rest = rest.split_at(at + 1).1;
    }
}

/// Where `byte` is, or the end.
const fn find(text: &[u8], byte: u8) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != byte {
        at += 1;
    }
    at
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (a, b);
    while let ([x, more_a @ ..], [y, more_b @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (more_a, more_b);
    }
    a.is_empty() && b.is_empty()
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use polyport_value::cases::{Case, DURATIONS, RATIOS};

    use super::*;

    fn refused(kind: u32, text: &str, choices: Option<&CStr>, bounds: Option<(f64, f64)>) -> bool {
        let text = CString::new(text).unwrap();
        std::panic::catch_unwind(|| check(kind, &text, choices, bounds)).is_err()
    }

    #[test]
    fn a_default_is_within_its_bounds() {
        let within = |kind, text, min, max| !refused(kind, text, None, Some((min, max)));
        for (kind, text, value) in [
            (abi::OPT_INT, "-3", -3.0),
            (abi::OPT_DURATION, "1.5s", 1.5e9),
            (abi::OPT_DURATION, "2min", 120e9),
            (abi::OPT_SIZE, "64 KiB", 65_536.0),
            (abi::OPT_SIZE, "9", 9.0),
            (abi::OPT_RATIO, "50%", 0.5),
            (abi::OPT_RATIO, "0.25", 0.25),
            (abi::OPT_LIST | abi::OPT_INT, "7, 7,7", 7.0),
        ] {
            assert!(within(kind, text, value, value), "{text}");
            assert!(
                !within(kind, text, value + 0.1, 1e18) && !within(kind, text, -1e18, value - 0.1),
                "{text}"
            );
        }
        assert!(within(abi::OPT_LIST | abi::OPT_INT, " ", 7.0, 7.0), "nothing is in it");
        assert!(!within(abi::OPT_LIST | abi::OPT_INT, "7,8", 7.0, 7.0));
        assert!(within(abi::OPT_DURATION, "1m 30s", 0.0, 1.0), "left to the host");
    }

    #[test]
    fn a_default_is_one_of_the_words_there_are() {
        for (text, wrong) in [("a", false), ("bc", false), ("b", true), ("a|bc", true), ("", true)] {
            assert_eq!(refused(abi::OPT_ENUM, text, Some(c"a|bc"), None), wrong, "{text}");
            let yes_or_no = if wrong { "yes" } else { "true" };
            assert_eq!(refused(abi::OPT_BOOL, yes_or_no, None, None), wrong);
        }
    }

    /// What the compiler reads, the host reads to the same number.
    #[test]
    fn it_reads_what_the_host_reads() {
        let read_all = |kind, cases: &[(&str, f64)]| {
            let read = |(text, meant): &(&str, f64)| {
                let read = amount(kind, text.trim().as_bytes())?;
                assert!((read - meant).abs() <= meant.abs() * 1e-12, "{text}: {read} is not {meant}");
                Some(read)
            };
            cases.iter().filter_map(read).count()
        };
        #[expect(clippy::cast_precision_loss, reason = "none of them is that large")]
        let whole = |cases: &[Case<u64>]| -> Vec<_> {
            cases.iter().filter_map(|(text, value)| Some((*text, *value.as_ref().ok()? as f64))).collect()
        };
        let shares: Vec<_> =
            RATIOS.iter().filter_map(|(text, value)| Some((*text, *value.as_ref().ok()?))).collect();
        assert!(read_all(abi::OPT_RATIO, &shares) > 3);
        assert!(read_all(abi::OPT_DURATION, &whole(DURATIONS)) > 5);
        assert!(read_all(abi::OPT_SIZE, &whole(polyport_value::cases::SIZES)) > 3);
    }
}
