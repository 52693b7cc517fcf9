//! What brings a listener back after a visit.
//!
//! ```text
//!                 busy                      errors only
//!   Polled  <------------>  Watched  ------------------->  Paused
//!     a visit found nothing    ^                             |
//!                              '-------- its timer ----------'
//!                              '---- Unwatchable: its timer, until watching works
//! ```

/// How a socket is watched, and what brings the listener back. A timer that was armed before may still fire once more,
/// which costs a visit in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// An event of the socket brings the listener back.
    #[default]
    Watched,
    /// The next turn brings the listener back: nothing watches the socket, and the listener stays on the ready list.
    Polled,
    /// A timer brings the listener back: the socket gave only errors, and nothing watches it meanwhile.
    Paused,
    /// A timer brings the listener back, because the kernel refused to change what the socket is watched for.
    Unwatchable,
    /// Nothing brings the listener back: its socket is unusable.
    Never,
}
