//! One line of text from anything that can be displayed.

use core::fmt::{Display, Write};

/// Longest log line, bytes; the host cuts there too, so more would be formatted for nobody.
const MAX_LINE: usize = 4096;

/// Formats at most [`MAX_LINE`] bytes. Total: a `Display` that reports an error costs its text only, where
/// `to_string` would panic.
pub(crate) fn line(message: impl Display) -> String {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, s: &str) -> core::fmt::Result {
            let room = MAX_LINE - self.0.len();
            let cut = s.floor_char_boundary(room);
            self.0.push_str(s.get(..cut).unwrap_or(""));
            if cut < s.len() { Err(core::fmt::Error) } else { Ok(()) }
        }
    }
    let mut out = Bounded(String::new());
    // What was written before an error is the line.
    write!(out, "{message}").unwrap_or(());
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;
    impl Display for Broken {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("half")?;
            Err(core::fmt::Error)
        }
    }

    #[test]
    fn a_line_is_bounded_and_total() {
        assert_eq!(line(Broken), "half");
        assert_eq!(line("x".repeat(10_000)).len(), MAX_LINE);
        // 'é' is two bytes: 4095 of them would be cut inside one.
        let long = line(format_args!("a{}", "é".repeat(4000)));
        assert_eq!(long.len(), MAX_LINE - 1);
        assert!(long.ends_with('é'));
    }
}
