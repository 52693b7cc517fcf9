//! How a program talks to the person who started it: the same for the daemon and for the clients.
//!
//! ```text
//! exit        the code a program ends with
//! line        lines to standard output and standard error
//! style       colours, where they are welcome
//! escape      bytes of strangers, so that none of them commands the terminal
//! interrupt   Ctrl-C: the first asks, the second ends
//! patient     a log that waits for no reader
//! ```
//!
//! Nothing here knows what polyport is for. Only [`Style`] looks at the environment.

#![forbid(unsafe_code)]

mod escape;
mod exit;
mod interrupt;
mod line;
mod patient;
mod style;

pub use escape::{Escaped, escape_payload};
pub use exit::Exit;
pub use interrupt::Interrupt;
pub use line::{complain, deliver, delivered, remark, say};
pub use patient::PatientWriter;
pub use style::Style;
