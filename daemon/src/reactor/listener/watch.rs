//! Who brings a listener back after a visit.
//!
//! ```text
//!                 busy                      errors only
//!   Polled  <------------>  Watched  ------------------->  Paused
//!     a visit found nothing    ^                             |
//!                              '-------- its timer ----------'
//!                              '---- Unwatchable: its timer, until watching works
//! ```

/// Each state has exactly one thing that brings the listener back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// An event of its socket.
    #[default]
    Watched,
    /// The next turn: nothing watches the socket, and it is never off the ready list.
    Polled,
    /// A timer: the socket gave only errors, and nothing watches it meanwhile.
    Paused,
    /// A timer too: the kernel refused to change what the socket is watched for.
    Unwatchable,
}
