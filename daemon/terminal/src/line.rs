//! Lines for a person. A reader that has gone (`| head`) is no fault: the next line meets it again.

use std::fmt::Display;
use std::io::{self, Write};

use crate::style::Style;

/// Prints a line, or several, to standard output: what was asked for.
pub fn say(line: impl Display) {
    print(io::stdout().lock(), &line);
}

/// Prints a line, or several, to standard output, for a program whose whole purpose it is: without it, the program has
/// failed. A reader that has gone is no fault here either.
///
/// # Errors
/// The output is full, or cannot be written for another reason; the text says which output.
pub fn deliver(line: impl Display) -> io::Result<()> {
    delivered(write(io::stdout().lock(), &line))
}

/// What [`deliver`] does, for a program that would go on as long as there is something to tell: whether anybody still reads it.
///
/// # Errors
/// Those of [`deliver`].
pub fn deliver_on(line: impl Display) -> io::Result<bool> {
    let written = write(io::stdout().lock(), &line);
    let is_read = !matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
    delivered(written).map(|()| is_read)
}

/// What a write to standard output means for a program that was asked for it.
///
/// # Errors
/// The same error, unless only the reader has gone.
pub fn delivered(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line, or several, to standard error, where they do not disturb whoever reads the results.
pub fn remark(line: impl Display) {
    print(io::stderr().lock(), &line);
}

/// Prints `error: ...` to standard error.
pub fn complain(error: impl Display) {
    remark(format_args!("{} {error}", Style::stderr().red("error:")));
}

fn print(to: impl Write, line: &dyn Display) {
    write(to, line).unwrap_or(());
}

/// Writes all in one piece, so that the lines of two threads or processes do not mix.
fn write(mut to: impl Write, line: &dyn Display) -> io::Result<()> {
    let text = format!("{line}\n");
    to.write_all(text.as_bytes()).and_then(|()| to.flush())
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
        let again = writer.try_clone().unwrap();
        print(writer, &"to nobody");
        delivered(write(again, &"to nobody")).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_output_is_one_for_those_who_must_deliver() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let again = full.try_clone().unwrap();
        print(full, &"to nobody");
        let error = delivered(write(again, &"to nobody")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("cannot write to standard output: "), "{error}");
    }
}
