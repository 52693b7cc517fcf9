//! Targets of the fuzzer: each is a function of arbitrary bytes that asserts what must hold whatever they are.
//!
//! ```text
//! input             bytes -> the numbers and slices that a target asks for
//! protocol          a datagram: decoded, explained, encoded again
//! responder         datagrams at the responder's handler: what it may answer, and how long
//! stamp             datagrams at the STAMP reflector: what it answers
//! replies           datagrams at the client's machine: what it accepts, and how often it sends
//! configuration     polyport.toml, and --listen: a plan, or problems whose places lie in the text
//! identity          a library file: what a plugin says of itself
//! library           a library file: all that is known of it before it runs
//! plot              a decision log: read, summed up, and drawn
//! values            texts of option values: what is printed is read back
//! captures          recordings of anybody: datagrams, or a word about what is wrong
//! impair            files of a bad network, distributions and traces: bounded, read back, used
//! ```
//!
//! Three targets lie with the code that they look into: `daemon/src/exchange/fuzz.rs` (answers that a handler queues),
//! `daemon/net/src/fuzz.rs` (control messages of the kernel), `plugins/listener/src/fuzz.rs` (recordings).
//!
//! `libfuzzer` beside this crate drives all of them; `corpus/TARGET` holds the inputs that `cargo test` tries, as they
//! are and slightly changed (`tests/corpora.rs`). A failed assertion is the finding, so targets panic on purpose.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a target that has found something says so by a panic"
)]

pub mod captures;
pub mod configuration;
pub mod identity;
pub mod impair;
mod input;
pub mod library;
pub mod plot;
pub mod protocol;
pub mod replies;
pub mod responder;
pub mod stamp;
pub mod values;
