//! For a program that has the whole terminal, and draws on it.
//!
//! ```text
//! numbers  amounts, rates and times in few columns
//! look     colours and signs
//! tty      the terminal, taken and given back
//! keys     what is typed, by a thread that waits for it
//! ```

mod keys;
mod look;
mod numbers;
mod tty;

pub use keys::read_keys;
pub use look::{Look, put, width_of};
pub use numbers::{UNKNOWN, amount, lasted, rate, short, time};
pub use tty::{Onto, Taken, Tty, is_in_front};
