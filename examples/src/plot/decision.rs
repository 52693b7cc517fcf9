//! One line of a decision log: what an impairment did to one datagram.

use std::fmt;

use polyport_protocol::Nanos;

/// Which way the datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
    /// There and back at once: so an echo decides, once for a datagram and its answer.
    Only,
}

impl Direction {
    /// In the order in which they are drawn.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Only];

    /// The word of the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Only => "only",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Up => 0,
            Self::Down => 1,
            Self::Only => 2,
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.name() == word)
    }
}

/// What can happen to a datagram, besides that it waits: that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It does not arrive: so the model of loss has it.
    Lost,
    /// It does not arrive: nothing does for a while.
    Blackout,
    /// It does not arrive: it is too long.
    Mtu,
    /// It does not arrive: too many waited already.
    QueueFull,
    /// It waits longer than others, so that later ones overtake it.
    Late,
    /// It overtakes those that wait.
    Reordered,
    /// A copy of it arrives as well.
    Duplicated,
    /// A copy of it was to arrive as well, and too many waited already.
    CopyLost,
    /// One bit of it is not what was sent.
    Corrupted,
    /// It carries the mark of congestion (CE, RFC 3168).
    Marked,
    /// A word that this program does not know.
    Other,
}

impl Kind {
    /// In the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Blackout,
        Self::Mtu,
        Self::QueueFull,
        Self::Late,
        Self::Reordered,
        Self::Duplicated,
        Self::CopyLost,
        Self::Corrupted,
        Self::Marked,
        Self::Other,
    ];

    /// The word of the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Blackout => "blackout",
            Self::Mtu => "mtu",
            Self::QueueFull => "queue_full",
            Self::Late => "late",
            Self::Reordered => "reordered",
            Self::Duplicated => "duplicated",
            Self::CopyLost => "copy_lost",
            Self::Corrupted => "corrupted",
            Self::Marked => "marked",
            Self::Other => "other",
        }
    }

    /// The place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the datagram does not arrive.
    #[must_use]
    pub const fn drops(self) -> bool {
        matches!(self, Self::Lost | Self::Blackout | Self::Mtu | Self::QueueFull)
    }
}

/// The word of a line that is about the copy.
const COPY: &str = "copy";

/// Words that are nothing that happened: the wait is a number of its own.
const SILENT: [&str; 3] = ["delayed", "passed", COPY];

/// What happened to one datagram: one kind, several, or nothing but that it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// With one more.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Whether this is one of them.
    #[must_use]
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// Whether the datagram does not arrive.
    #[must_use]
    pub fn drops(self) -> bool {
        self.iter().any(Kind::drops)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }

    /// Of the words of the log, joined by `+`.
    fn of(words: &str) -> Self {
        let kind = |word: &str| {
            let known = Kind::ALL.into_iter().find(|kind| kind.name() == word && *kind != Kind::Other);
            known.unwrap_or(Kind::Other)
        };
        let telling = words.split('+').filter(|word| !SILENT.contains(word));
        telling.fold(Self::default(), |kinds, word| kinds.with(kind(word)))
    }
}

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// When the datagram came, by the clock of the day.
    pub at: Nanos,
    /// Whose it was: an address, with or without a port, or `#0` for the first that came. Several may have the same name.
    pub client: &'a str,
    /// Which way it went.
    pub direction: Direction,
    /// Its number among the datagrams of one line, that is of this client or one of the same name, in this direction; from 0.
    pub number: u64,
    /// Octets of payload.
    pub bytes: u64,
    /// What happened to it, in the words of the log.
    pub words: &'a str,
    /// What happened to it, as a set.
    pub what: Kinds,
    /// How long it waited.
    pub wait: Nanos,
}

impl Decision<'_> {
    /// Whether it is about the copy of a datagram, which the line before was about.
    #[must_use]
    pub fn is_of_copy(&self) -> bool {
        self.words.split('+').any(|word| word == COPY)
    }
}

/// The columns, by their names; a log may have more of them, and in another order.
const COLUMNS: [&str; 7] = ["ns", "client", "dir", "n", "bytes", "what", "wait_ns"];

/// Where the columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    places: [usize; COLUMNS.len()],
    count: usize,
}

impl Columns {
    /// The columns that a header names.
    ///
    /// # Errors
    /// One is missing: the text says which.
    pub fn of(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let mut places = [0; COLUMNS.len()];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            let found = names.iter().position(|name| *name == column);
            *place = found.ok_or_else(|| format!("the header names no column `{column}`"))?;
        }
        Ok(Self { places, count: names.len() })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// Says which column is wrong, and what was expected.
    pub fn read<'a>(&self, line: &'a str) -> Result<Decision<'a>, Wrong> {
        let count = line.split(',').count();
        if count != self.count {
            return Err(Wrong::Count { found: count, expected: self.count });
        }
        let mut fields = [""; COLUMNS.len()];
        for (place, field) in line.split(',').enumerate() {
            if let Some(column) = self.places.iter().position(|at| *at == place) {
                fields[column] = field;
            }
        }
        let [at, client, direction, number, bytes, words, wait] = fields;
        if client.is_empty() {
            return Err(Wrong::Field { column: "client", expected: "an address or a name" });
        }
        if words.is_empty() {
            return Err(Wrong::Field { column: "what", expected: "what happened to the datagram" });
        }
        Ok(Decision {
            at: whole(at, "ns")?,
            client,
            direction: Direction::of(direction)
                .ok_or(Wrong::Field { column: "dir", expected: "up, down or only" })?,
            number: whole(number, "n")?,
            bytes: whole(bytes, "bytes")?,
            words,
            what: Kinds::of(words),
            wait: whole(wait, "wait_ns")?,
        })
    }
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has too few or too many fields.
    Count {
        /// How many it has.
        found: usize,
        /// How many the header has.
        expected: usize,
    },
    /// A field is wrong.
    Field {
        /// Its column.
        column: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { found, expected } => {
                write!(f, "the header has {expected} columns, and this line has {found}")
            }
            Self::Field { column, expected } => write!(f, "column `{column}`: {expected} is expected"),
        }
    }
}

/// A whole number of digits alone: no sign, no blank.
fn whole(text: &str, column: &'static str) -> Result<u64, Wrong> {
    let wrong = Wrong::Field { column, expected: "a whole number below 2^64" };
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(wrong);
    }
    text.parse().map_err(|_| wrong)
}
