//! How a program talks to the person who started it: the same for the daemon and for the clients.
//!
//! ```text
//! exit        the code a program ends with
//! line        lines to standard output and standard error, by whoever may wait for their reader
//! output      the same for a program that serves and may not
//! shape       how lines of the log look
//! style       colours, where they are welcome
//! width       how much finds room on a line
//! count       numbers with their nouns
//! escape      bytes of strangers, so that none of them commands the terminal
//! interrupt   Ctrl-C: the first asks, the second ends
//! hangup      SIGHUP: a wish, or a terminal that is gone
//! inquiry     SIGUSR1: a question
//! job         the signals of a program that has the whole terminal
//! signals     the same for a loop, and the signals that must not end it
//! version     what `--version` says
//! screen      the whole terminal, drawn on
//! manual      pages of the manual, from what clap knows of the command line
//! documents   those, and what shells complete, printed or written where they belong
//! aside       threads that get no signal
//! patient     a stream that a thread of its own writes
//! ```
//!
//! Nothing here knows what polyport is for. Only [`Style`] looks at the environment.

#![forbid(unsafe_code)]

mod aside;
mod count;
mod documents;
mod escape;
mod exit;
mod hangup;
mod inquiry;
mod interrupt;
mod job;
mod line;
mod manual;
mod output;
mod patient;
pub mod screen;
mod shape;
mod signals;
mod style;
mod version;
mod width;

pub use aside::aside;
pub use count::counted;
pub use documents::{Documents, Shell, completions, print_pages, write_pages};
pub use escape::{Escaped, Quoted, escape_payload, shell_word};
pub use exit::{Exit, end_at_once};
pub use hangup::{Hangup, Hung};
pub use inquiry::Inquiry;
pub use interrupt::Interrupt;
pub use job::{Job, end_as_asked, stop_as_asked, tell_of_jobs, tell_of_stops};
pub use line::{complain, deliver, deliver_on, delivered, remark, say};
pub use manual::{Manual, Page};
pub use output::Output;
pub use patient::PatientWriter;
pub use shape::{Severity, Shape, json, prioritized};
pub use signals::{Asked, Signals, Waker, survive_file_limit, survive_signals};
pub use style::Style;
pub use version::{COMMIT, DAY, Version, build_facts, version_flag, wants_build_facts};
pub use width::columns;
