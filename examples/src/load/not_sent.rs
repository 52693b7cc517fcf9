//! Why datagrams that were planned were not sent.

/// Why a planned datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The limit of datagrams that wait for their answers was reached.
    InFlight,
    /// It could not leave within the timeout after its planned time: this machine is too slow for the rate, or
    /// the send buffer stayed full.
    Behind,
    /// The system refused it.
    Refused,
    /// The run was broken off before it could leave.
    Aborted,
}

impl NotSent {
    /// Every reason; `ALL[reason as usize] == reason`.
    pub const ALL: [Self; 4] = [Self::InFlight, Self::Behind, Self::Refused, Self::Aborted];

    /// Name of the counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Behind => "behind",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
        }
    }
}
