//! What is typed, by a thread that waits for it.

use std::io;

use ratatui::crossterm::event::{self, Event};

use crate::aside::aside;

/// Tells of what is typed, of changes of the terminal's size, and last of all of an error: nothing can be typed any more. Ends
/// when `tell` wants no more.
///
/// # Errors
/// Those of `pthread_create(3)`.
pub fn read_keys(tell: impl Fn(io::Result<Event>) -> bool + Send + 'static) -> io::Result<()> {
    aside("keys", move || {
        loop {
            let read = event::read();
            let is_over = read.is_err();
            if !tell(read) || is_over {
                return;
            }
        }
    })?;
    Ok(())
}
