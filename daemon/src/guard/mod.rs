//! Who may talk to a listener, and what may leave because of a handler. Pure decisions over addresses.
//!
//! ```text
//! source     the admission of a datagram by its source
//! departure  what may leave
//! loops      the addresses of our own listeners
//! ```

mod departure;
mod loops;
mod source;

pub use departure::{Departure, depart};
pub use loops::OwnAddresses;
pub use source::admit;
