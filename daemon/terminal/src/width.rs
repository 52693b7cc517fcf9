//! How much finds room on a line.

use std::io;

use rustix::termios::tcgetwinsize;

/// Columns of a terminal whose width nobody tells, and of what is no terminal: those of the terminals of old, and what
/// texts are made for since.
const USUAL: usize = 80;

/// Columns of the terminal that standard output is (`TIOCGWINSZ` of `ioctl_tty(2)`), or the usual 80.
#[must_use]
pub fn columns() -> usize {
    let told = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if told == 0 { USUAL } else { told }
}
