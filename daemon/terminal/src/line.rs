//! Lines for a person. A reader that has gone (`| head`) is no fault: the next line meets it again.

use std::fmt::Display;
use std::io::{self, Write};

use crate::style::Style;

/// Prints a line, or several, to standard output: what was asked for.
pub fn say(line: impl Display) {
    print(io::stdout().lock(), &line);
}

/// Prints a line, or several, to standard error, where they do not disturb whoever reads the results.
pub fn remark(line: impl Display) {
    print(io::stderr().lock(), &line);
}

/// Prints `error: ...` to standard error.
pub fn complain(error: impl Display) {
    remark(format_args!("{} {error}", Style::stderr().red("error:")));
}

/// Writes all in one piece, so that the lines of two threads or processes do not mix.
fn print(mut to: impl Write, line: &dyn Display) {
    let text = format!("{line}\n");
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers each call.
    struct Calls(Vec<Vec<u8>>);

    impl Write for &mut Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_write() {
        let mut calls = Calls(Vec::new());
        print(&mut calls, &format_args!("{} and {}", 1, 2));
        assert_eq!(calls.0, [b"1 and 2\n"]);
    }

    #[test]
    fn nobody_to_read_is_no_fault() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        print(writer, &"to nobody");
    }
}
