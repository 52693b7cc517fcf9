//! What a received datagram was: exactly one class for each, and one counter for each class.

use polyport_protocol::{Code, DecodeError};

/// The class of a received datagram. The names are those of SPEC.md section 6 and of the counters printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The first answer to a datagram, within the timeout.
    Ok,
    /// The first answer to a datagram, after the timeout and before the run ended.
    Late,
    /// The first answer, within the timeout, is an ERROR frame with this code.
    Error(Code),
    /// A further answer, and the responder counted it as another one: the request was duplicated on its way
    /// up ([P-71]).
    DupUp,
    /// A further copy of an answer: duplicated on its way down ([P-71]), or in a direction that cannot be told
    /// because the answers carry no RSTAT.
    DupDown,
    /// An answer to a datagram of the handshake or the warm-up.
    WarmUp,
    /// A frame of a stream of this run whose id is that of no datagram that is still remembered.
    UnknownId,
    /// The id is known, the number in the stream is not its own.
    WrongSeq,
    /// An attempt that was never sent: a load tester sends every datagram once.
    WrongAttempt,
    /// Not the time at which the datagram was sent.
    WrongTimestamp,
    /// A frame of a stream that is not of this run.
    StaleStream,
    /// The source is not where the datagram was sent to, or no target at all.
    WrongSource,
    /// A kind of frame that answers no REQUEST.
    WrongKind,
    /// Came from a target that owed no answer, where any datagram is taken for one.
    Unasked,
    /// Not a valid frame.
    Malformed(DecodeError),
}

impl Class {
    /// Name of the class; all codes of [`Class::Error`] share one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Error(_) => "error",
            Self::DupUp => "dup_up",
            Self::DupDown => "dup_down",
            Self::WarmUp => "warm_up",
            Self::UnknownId => "unknown_id",
            Self::WrongSeq => "wrong_seq",
            Self::WrongAttempt => "wrong_attempt",
            Self::WrongTimestamp => "wrong_timestamp",
            Self::StaleStream => "stale_stream",
            Self::WrongSource => "wrong_source",
            Self::WrongKind => "wrong_kind",
            Self::Unasked => "unasked",
            Self::Malformed(class) => class.name(),
        }
    }

    const PLAIN: [Self; 13] = [
        Self::Ok,
        Self::Late,
        Self::DupUp,
        Self::DupDown,
        Self::WarmUp,
        Self::UnknownId,
        Self::StaleStream,
        Self::WrongSource,
        Self::WrongKind,
        Self::WrongSeq,
        Self::WrongAttempt,
        Self::WrongTimestamp,
        Self::Unasked,
    ];

    const fn place(self) -> Place {
        match self {
            Self::Ok => Place::Plain(0),
            Self::Late => Place::Plain(1),
            Self::DupUp => Place::Plain(2),
            Self::DupDown => Place::Plain(3),
            Self::WarmUp => Place::Plain(4),
            Self::UnknownId => Place::Plain(5),
            Self::StaleStream => Place::Plain(6),
            Self::WrongSource => Place::Plain(7),
            Self::WrongKind => Place::Plain(8),
            Self::WrongSeq => Place::Plain(9),
            Self::WrongAttempt => Place::Plain(10),
            Self::WrongTimestamp => Place::Plain(11),
            Self::Unasked => Place::Plain(12),
            Self::Error(code) => Place::Error(code.0),
            Self::Malformed(class) => Place::Malformed(class.index()),
        }
    }
}

/// Where the counter of a class lies.
enum Place {
    Plain(usize),
    Error(u8),
    Malformed(usize),
}

/// One counter for each [`Class`].
#[derive(Clone, Debug)]
pub struct ClassCounts {
    plain: [u64; Class::PLAIN.len()],
    errors: [u64; 256],
    malformed: [u64; DecodeError::ALL.len()],
}

impl Default for ClassCounts {
    fn default() -> Self {
        Self { plain: [0; Class::PLAIN.len()], errors: [0; 256], malformed: [0; DecodeError::ALL.len()] }
    }
}

impl ClassCounts {
    /// Counts one datagram.
    pub fn count(&mut self, class: Class) {
        *self.of(class) += 1;
    }

    const fn of(&mut self, class: Class) -> &mut u64 {
        match class.place() {
            Place::Plain(index) => &mut self.plain[index],
            Place::Error(code) => &mut self.errors[code as usize],
            Place::Malformed(index) => &mut self.malformed[index],
        }
    }

    /// Adds the counters of another run.
    pub fn add(&mut self, other: &Self) {
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(&mut self.plain, &other.plain);
        add(&mut self.errors, &other.errors);
        add(&mut self.malformed, &other.malformed);
    }

    /// The counters that were written down by their names ([`Self::rows`]) and codes ([`Self::codes`]).
    ///
    /// # Errors
    /// A name or code that no class has.
    pub fn restore<'n>(
        rows: impl IntoIterator<Item = (&'n String, &'n u64)>,
        codes: impl IntoIterator<Item = (&'n String, &'n u64)>,
    ) -> Result<Self, String> {
        let mut counts = Self::default();
        for (name, count) in rows.into_iter().filter(|(name, _)| *name != "error") {
            let plain = Class::PLAIN.into_iter().find(|class| class.name() == name);
            let mut malformed = DecodeError::ALL.into_iter().map(Class::Malformed);
            let class = plain.or_else(|| malformed.find(|class| class.name() == name));
            *counts.of(class.ok_or_else(|| format!("there is no class `{name}`"))?) = *count;
        }
        for (code, count) in codes {
            let number = code.parse().map_err(|_| format!("`{code}` is no code of an ERROR"))?;
            *counts.of(Class::Error(Code(number))) = *count;
        }
        Ok(counts)
    }

    /// Datagrams of one class; [`Class::Error`] counts one code.
    #[must_use]
    pub fn get(&self, class: Class) -> u64 {
        match class.place() {
            Place::Plain(index) => self.plain[index],
            Place::Error(code) => self.errors[usize::from(code)],
            Place::Malformed(index) => self.malformed[index],
        }
    }

    /// ERROR frames of all codes that were first answers within the timeout.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }

    /// Datagrams of all malformation classes.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed.iter().sum()
    }

    /// All datagrams.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.plain.iter().sum::<u64>() + self.errors() + self.malformed()
    }

    /// The codes of ERROR frames that occurred, with their counts.
    pub fn codes(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        (0..=u8::MAX).map(Code).zip(self.errors).filter(|(_, count)| *count > 0)
    }

    /// Every class but the codes, zeros included: plain ones, all errors together, malformations.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let plain = Class::PLAIN.into_iter().map(Class::name).zip(self.plain);
        let malformed = DecodeError::ALL.into_iter().map(DecodeError::name).zip(self.malformed);
        plain.chain([("error", self.errors())]).chain(malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_has_its_own_counter_and_name() {
        let all: Vec<Class> = Class::PLAIN
            .into_iter()
            .chain(DecodeError::ALL.into_iter().map(Class::Malformed))
            .chain((0..=255).map(|code| Class::Error(Code(code))))
            .collect();
        let mut counts = ClassCounts::default();
        for (before, class) in (0..).zip(&all) {
            assert_eq!((counts.get(*class), counts.total()), (0, before));
            counts.count(*class);
            assert_eq!(counts.get(*class), 1);
        }
        assert_eq!((counts.errors(), counts.malformed(), counts.codes().count()), (256, 17, 256));
        let mut twice = counts.clone();
        twice.add(&counts);
        assert!(all.iter().all(|class| twice.get(*class) == 2));
        let names: BTreeSet<_> = counts.rows().map(|(name, _)| name).collect();
        assert_eq!(names.len(), Class::PLAIN.len() + 1 + DecodeError::ALL.len());
        assert_eq!(counts.rows().map(|(_, count)| count).sum::<u64>(), counts.total());
    }
}
