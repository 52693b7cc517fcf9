//! How the loop waits for more.
//!
//! ```text
//! wait        the questions of the loop: does it look again, and how long does it rest
//! governor    measures which strategy costs least: sleep, spin or rest
//! moderation  when a rest for a stream is worth it
//! ```

mod governor;
mod moderation;
mod wait;

pub(crate) use governor::TurnTiming;
pub(crate) use moderation::Found;
pub(crate) use wait::Waiting;
