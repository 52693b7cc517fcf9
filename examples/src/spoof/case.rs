//! What is done to a client, how it defends itself, and what came of it.

use std::collections::BTreeMap;

use polyport_protocol::DecodeError;
use polyport_protocol::client::Reject;

/// What is done to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Another source port with the right id.
    OtherPort,
    /// The right source with a wrong id.
    WrongId,
    /// The reply of an earlier run.
    EarlierRun,
    /// One genuine reply, sent twice.
    Twice,
    /// A reply after the request was given up.
    Late,
    /// One bit of the payload flipped.
    FlippedBit,
    /// The last octet cut off.
    Cut,
    /// The request itself sent back: R clear.
    Reflected,
    /// AUTH missing, with a wrong tag, and with a foreign key.
    BadAuth,
    /// A VERSION frame that lists the client's version.
    Version,
}

impl Case {
    /// All of [P-77], in its order.
    pub const ALL: [Self; 10] = [
        Self::OtherPort,
        Self::WrongId,
        Self::EarlierRun,
        Self::Twice,
        Self::Late,
        Self::FlippedBit,
        Self::Cut,
        Self::Reflected,
        Self::BadAuth,
        Self::Version,
    ];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherPort => "another source port, right id",
            Self::WrongId => "the right source, wrong id",
            Self::EarlierRun => "the reply of an earlier run",
            Self::Twice => "the same reply twice",
            Self::Late => "a reply after the timeout",
            Self::FlippedBit => "a flipped payload bit",
            Self::Cut => "a cut frame",
            Self::Reflected => "the request sent back (R clear)",
            Self::BadAuth => "AUTH missing or wrong",
            Self::Version => "VERSION that lists version 1",
        }
    }

    /// Under which names the forged replies have to be counted, each one time.
    #[must_use]
    pub const fn expected(self) -> &'static [Reject] {
        match self {
            Self::OtherPort => &[Reject::WrongSource],
            Self::WrongId => &[Reject::UnknownId],
            Self::EarlierRun => &[Reject::StaleStream],
            Self::Twice => &[Reject::Duplicate],
            Self::Late => &[Reject::Late],
            Self::FlippedBit => &[Reject::Malformed(DecodeError::BadChecksum)],
            Self::Cut => &[Reject::Malformed(DecodeError::BadLength)],
            Self::Reflected => &[Reject::Malformed(DecodeError::WrongDirection)],
            Self::BadAuth => &[
                Reject::Malformed(DecodeError::NoAuth),
                Reject::Malformed(DecodeError::BadAuth),
                Reject::Malformed(DecodeError::BadAuth),
            ],
            Self::Version => &[Reject::VersionIgnored],
        }
    }
}

/// How a client tells its answer from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Not at all: what comes next is the answer.
    Promiscuous,
    /// By a connected socket: the kernel lets through what the server's address sent.
    Connected,
    /// By the rules of [P-72].
    RequestId,
}

impl Guard {
    /// From the most credulous on.
    pub const ALL: [Self; 3] = [Self::Promiscuous, Self::Connected, Self::RequestId];

    /// Column heading.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promiscuous => "promiscuous",
            Self::Connected => "connected",
            Self::RequestId => "request id",
        }
    }
}

/// What one client did in one case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Replies that must not be taken.
    pub forged: usize,
    /// Of these, taken all the same.
    pub forged_taken: usize,
    /// Replies that must be taken.
    pub genuine: usize,
    /// Of these, taken.
    pub genuine_taken: usize,
    /// Why the others were not, by counter; the kernel gives no reasons.
    pub rejects: BTreeMap<&'static str, u64>,
}

impl Cell {
    /// Whether nothing forged was taken and nothing genuine was lost.
    #[must_use]
    pub const fn is_safe(&self) -> bool {
        self.forged_taken == 0 && self.genuine_taken == self.genuine && self.genuine > 0 && self.forged > 0
    }

    /// Whether each forged reply was counted under the name the specification gives it.
    #[must_use]
    pub fn is_counted(&self, case: Case) -> bool {
        let mut expected = BTreeMap::new();
        for reject in case.expected() {
            *expected.entry(reject.name()).or_insert(0) += 1;
        }
        self.rejects == expected
    }

    /// For the table.
    #[must_use]
    pub fn text(&self) -> String {
        if self.forged_taken > 0 {
            return "ACCEPTS".to_owned();
        }
        let reasons: Vec<&str> = self.rejects.keys().copied().collect();
        if reasons.is_empty() { "rejects".to_owned() } else { format!("rejects: {}", reasons.join(", ")) }
    }
}

/// One row of the table: a case, and what each client did, in the order of [`Guard::ALL`].
pub type Row = (Case, [Cell; Guard::ALL.len()]);
