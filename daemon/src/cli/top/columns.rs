//! The columns of the table: what each shows, how wide it is, and how rows are ordered by it.

use std::cmp::Ordering;

use clap::ValueEnum;
use polyport_terminal::screen::{UNKNOWN, amount, rate, time};

use super::model::Row;
use super::rates::Rates;

/// A column of the table, in the order in which they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Column {
    /// Its name in the configuration
    Name,
    /// Its plugin
    Plugin,
    /// How many addresses it has
    Addresses,
    /// Datagrams that came in a second
    #[default]
    In,
    /// Datagrams that left in a second
    Out,
    /// Payload bytes that came in a second
    InBytes,
    /// Payload bytes that left in a second
    OutBytes,
    /// Datagrams that were dropped in a second
    Drops,
    /// The most frequent reason to drop
    Reason,
    /// Sessions that are open
    Sessions,
    /// Half of the handler's calls take at most so long
    P50,
    /// 99 of 100 of the handler's calls take at most so long
    P99,
    /// The longest call of the handler
    Max,
    /// How often its handlers broke
    Faults,
}

impl Column {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 14] = [
        Self::Name,
        Self::Plugin,
        Self::Addresses,
        Self::In,
        Self::Out,
        Self::InBytes,
        Self::OutBytes,
        Self::Drops,
        Self::Reason,
        Self::Sessions,
        Self::P50,
        Self::P99,
        Self::Max,
        Self::Faults,
    ];

    /// Which go where there is no room for all: the last first.
    pub(super) const BY_WORTH: [Self; 14] = [
        Self::Name,
        Self::In,
        Self::Out,
        Self::Drops,
        Self::Reason,
        Self::P99,
        Self::InBytes,
        Self::OutBytes,
        Self::Sessions,
        Self::Faults,
        Self::P50,
        Self::Max,
        Self::Plugin,
        Self::Addresses,
    ];

    /// What stands above it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Name => "LISTENER",
            Self::Plugin => "PLUGIN",
            Self::Addresses => "ADDR",
            Self::In => "IN/s",
            Self::Out => "OUT/s",
            Self::InBytes => "IN B/s",
            Self::OutBytes => "OUT B/s",
            Self::Drops => "DROP/s",
            Self::Reason => "REASON",
            Self::Sessions => "SESS",
            Self::P50 => "P50",
            Self::P99 => "P99",
            Self::Max => "MAX",
            Self::Faults => "FAULTS",
        }
    }

    /// Columns of the terminal that it takes; of the name at least.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::Name => 12,
            Self::Plugin => 9,
            Self::Addresses | Self::P50 | Self::P99 | Self::Max | Self::Faults | Self::Sessions => 6,
            Self::In | Self::Out | Self::InBytes | Self::Drops => 7,
            Self::OutBytes => 8,
            Self::Reason => 12,
        }
    }

    /// Whether it stands left, and is ordered by letters.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::Plugin | Self::Reason)
    }

    /// What it shows of a row.
    pub(super) fn cell(self, row: &Row) -> String {
        let of = |pick: fn(&Rates) -> f64| rate(row.rates.as_ref().map(pick));
        let unknown = || UNKNOWN.to_owned();
        match self {
            Self::Name => row.shown.clone(),
            Self::Plugin => row.plugin.clone(),
            Self::Addresses => row.addresses.to_string(),
            Self::In => of(|rates| rates.received),
            Self::Out => of(|rates| rates.sent),
            Self::InBytes => of(|rates| rates.received_bytes),
            Self::OutBytes => of(|rates| rates.sent_bytes),
            Self::Drops => of(|rates| rates.dropped),
            Self::Reason => row.rates.as_ref().and_then(Rates::reason).unwrap_or_default().to_owned(),
            Self::Sessions => row.sessions.as_ref().map_or_else(unknown, |sessions| amount(sessions.open)),
            Self::P50 => row.time.map_or_else(unknown, |took| time(took.p50_ns)),
            Self::P99 => row.time.map_or_else(unknown, |took| time(took.p99_ns)),
            Self::Max => row.time.map_or_else(unknown, |took| time(took.max_ns)),
            Self::Faults => amount(row.counts.faults),
        }
    }

    /// Which of two rows comes first: texts by their letters, numbers the largest first, what is unknown last; the same by name.
    pub(super) fn order(self, one: &Row, other: &Row) -> Ordering {
        let by = match self {
            Self::Name => Ordering::Equal,
            Self::Plugin => one.plugin.cmp(&other.plugin),
            Self::Reason => {
                let reason = |row: &Row| (self.cell(row).is_empty(), self.cell(row));
                reason(one).cmp(&reason(other))
            }
            Self::Addresses
            | Self::In
            | Self::Out
            | Self::InBytes
            | Self::OutBytes
            | Self::Drops
            | Self::Sessions
            | Self::P50
            | Self::P99
            | Self::Max
            | Self::Faults => self.number(other).total_cmp(&self.number(one)),
        };
        by.then_with(|| one.name.cmp(&other.name))
    }

    /// What a column of numbers is ordered by; below zero: unknown.
    #[expect(clippy::cast_precision_loss, reason = "for an order")]
    fn number(self, row: &Row) -> f64 {
        let of = |pick: fn(&Rates) -> f64| row.rates.as_ref().map(pick);
        let took = row.time;
        let number = match self {
            Self::Name | Self::Plugin | Self::Reason => None,
            Self::Addresses => Some(row.addresses as f64),
            Self::In => of(|rates| rates.received),
            Self::Out => of(|rates| rates.sent),
            Self::InBytes => of(|rates| rates.received_bytes),
            Self::OutBytes => of(|rates| rates.sent_bytes),
            Self::Drops => of(|rates| rates.dropped),
            Self::Sessions => row.sessions.as_ref().map(|sessions| sessions.open as f64),
            Self::P50 => took.map(|took| took.p50_ns as f64),
            Self::P99 => took.map(|took| took.p99_ns as f64),
            Self::Max => took.map(|took| took.max_ns as f64),
            Self::Faults => Some(row.counts.faults as f64),
        };
        number.unwrap_or(-1.0)
    }
}

/// Columns that are worth less than a longer history.
const SPARE: [Column; 4] = [Column::P50, Column::Max, Column::Plugin, Column::Addresses];
/// So many columns of the terminal more for the history, before those.
const HISTORY: usize = 20;

/// The columns that find room in so many columns of the terminal, with one between two, in their order. The one that the rows are
/// ordered by is always among them.
pub(super) fn fitting(room: usize, sort: Column) -> Vec<Column> {
    let mut chosen = Vec::new();
    let mut left = room;
    for column in [Column::Name, sort].into_iter().chain(Column::BY_WORTH) {
        let is_spare = SPARE.contains(&column) && column != sort;
        let takes = column.width() + 1 + if is_spare { HISTORY } else { 0 };
        if !chosen.contains(&column) && (chosen.len() < 2 || takes <= left) {
            left = left.saturating_sub(column.width() + 1);
            chosen.push(column);
        }
    }
    Column::ALL.into_iter().filter(|column| chosen.contains(column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::example::busy;
    use crate::cli::top::model::Model;

    #[test]
    fn every_column_is_there_once_and_shows_something() {
        assert!(Column::ALL.iter().all(|column| Column::BY_WORTH.contains(column)));
        let mut model = Model::default();
        model.take(busy(1));
        model.take(busy(2));
        let games = model.row("game-servers").unwrap();
        let shown = Column::ALL.map(|column| column.cell(games));
        let expected = [
            "game-servers",
            "lossy",
            "1000",
            "120k",
            "118k",
            "12.0M",
            "11.8M",
            "2.30k",
            "on_purpose",
            "-",
            "420ns",
            "3.1us",
            "1.2ms",
            "0",
        ];
        assert_eq!(shown, expected);
        for column in Column::ALL {
            let title = column.title().chars().count();
            assert!(title <= column.width(), "{column:?}: {title}");
        }
    }

    #[test]
    fn rows_are_ordered_by_every_column() {
        let mut model = Model::default();
        model.take(busy(1));
        model.take(busy(2));
        let first = |column: Column| {
            let mut rows: Vec<&Row> = model.rows.iter().collect();
            rows.sort_by(|one, other| column.order(one, other));
            rows.first().unwrap().name.clone()
        };
        assert_eq!(
            Column::ALL.map(first),
            [
                "an idle one",
                "an idle one",
                "game-servers",
                "game-servers",
                "game-servers",
                "game-servers",
                "game-servers",
                "game-servers",
                "relay",
                "relay",
                "game-servers",
                "game-servers",
                "game-servers",
                "relay",
            ]
        );
    }

    #[test]
    fn the_most_worth_finds_room_and_so_does_what_is_ordered_by() {
        assert_eq!(fitting(500, Column::In), Column::ALL);
        assert_eq!(fitting(0, Column::In), [Column::Name, Column::In]);
        assert_eq!(fitting(20, Column::Faults), [Column::Name, Column::Faults]);
        let narrow = fitting(62, Column::In);
        let expected = [Column::Name, Column::In, Column::Out, Column::Drops, Column::Reason, Column::P99];
        assert_eq!(narrow, expected);
    }
}
