//! How the loop waits for more.
//!
//! ```text
//! wait        what the loop asks: sleep, look again, or rest
//! governor    measures which of them costs least
//! moderation  when to rest for a stream
//! ```

mod governor;
mod moderation;
mod wait;

pub(crate) use governor::TurnTiming;
pub(crate) use moderation::Found;
pub(crate) use wait::Waiting;
