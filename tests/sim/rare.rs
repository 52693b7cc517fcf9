//! Places that only the bad luck of a run leads to, so that it can be seen whether any run came there.

/// One such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rare {
    /// A socket that nothing watches was visited.
    Poll,
    /// The loop waited for more of a stream.
    Rest,
    /// A send call took some of its messages.
    PartialSend,
    /// A listener whose backlog was empty again has one once more.
    BacklogAgain,
    /// A datagram was received that pretends to come from one of our own listeners.
    Forged,
    /// The addresses of the host changed while they were read.
    TornAddresses,
    /// A segmented message was refused, and some of its datagrams left one by one until there was no room.
    RefusedAndFull,
    /// A segmented message of a backlog was refused, and some of its datagrams left until there was no room.
    BacklogRefusedAndFull,
    /// A receive call found that the descriptor is none.
    BrokenReceive,
    /// A receive call found that the descriptor is none while answers waited for room.
    BrokenReceiveWithBacklog,
    /// A message of one datagram met a descriptor that is none.
    BrokenSend,
    /// A segmented message met a descriptor that is none.
    BrokenTrain,
    /// A datagram of a refused segmented message met a descriptor that is none.
    BrokenPiece,
    /// A message of a backlog met a descriptor that is none.
    BrokenBacklog,
    /// A thread woke a handler.
    Wake,
}

impl Rare {
    /// All of them.
    pub(crate) const ALL: [Self; 15] = [
        Self::Poll,
        Self::Rest,
        Self::PartialSend,
        Self::BacklogAgain,
        Self::Forged,
        Self::TornAddresses,
        Self::RefusedAndFull,
        Self::BacklogRefusedAndFull,
        Self::BrokenReceive,
        Self::BrokenReceiveWithBacklog,
        Self::BrokenSend,
        Self::BrokenTrain,
        Self::BrokenPiece,
        Self::BrokenBacklog,
        Self::Wake,
    ];
}
