//! `polyport plugin test`: whether a library keeps the rules of `plugins/ABI.md`, each case in a process of its own.
//!
//! ```text
//! cases      what there is, with the rules it is about
//! traffic    datagrams, and the room of a call
//! lives      instances: options, checks, a thousand of them, threads
//! values     what options are tried with
//! dialogue   sessions
//! random     all of it by chance
//! rules      numbers of the rules
//! serving    what happens to an instance
//! stage      one call, and how it is judged
//! judged     what a call has left behind
//! subject    an instance with its time, its timers, its sessions
//! datagrams  what strangers send
//! heard      the last lines that the plugin logged
//! own        what the process has: threads, descriptors, memory
//! end        how a case ends
//! within     the process of one case
//! trial      starts it, and reads what it found
//! findings   what a crash says about rules
//! report     all of it for a person and for a program
//! ```
//!
//! The calls go through the same functions as those of the daemon (`plugin/call`), with memory that ends where the handler's
//! rights end (`exchange/fenced`).

mod cases;
mod datagrams;
mod dialogue;
mod end;
mod findings;
mod heard;
mod judged;
mod lives;
mod own;
mod random;
mod report;
mod rules;
mod serving;
mod stage;
mod subject;
mod traffic;
mod trial;
mod values;
mod within;

pub use cases::{CASES, Case, EVERYWHERE};
pub use report::Report;
pub use rules::RULES;
pub use trial::{Found, Ran, Trouble, run};
pub use within::{Terms, within};
