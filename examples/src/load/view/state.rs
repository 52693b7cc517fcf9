//! What keys change of a view.

use polyport_protocol::Nanos;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::history::WIDTHS;
use crate::load::feed::Row;

/// By what targets are ordered: the worst first, but for the order in which they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Loss,
    P99,
    Max,
    Sent,
    Given,
}

/// What the user looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) sort: Sort,
    pub(super) reverse: bool,
    /// The first row of the table.
    pub(super) first: usize,
    /// Rows that find room; the last drawing says it.
    pub(super) room: usize,
    /// Width of the columns, by its place in [`WIDTHS`]; `None`: so that the run finds room.
    pub(super) width: Option<usize>,
    /// The width that was drawn last.
    pub(super) drawn_width: usize,
    pub(super) paused: bool,
    /// It is drawn that the picture stands still.
    pub(super) drawn_paused: bool,
    pub(super) help: bool,
    /// The end was asked for.
    pub(super) ending: bool,
}

/// What a key asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// End, with the result.
    End,
    /// Ctrl-C: the same, and at once if that was asked for before.
    Interrupt,
    /// Stop, as Ctrl-Z does.
    Stop,
    /// Draw all of the screen anew.
    Redraw,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Loss, Self::P99, Self::Max, Self::Sent, Self::Given];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Sent => "sent",
            Self::Given => "as given",
        }
    }

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(place + 1) % Self::ALL.len()]
    }

    /// The numbers of rows in their order; equals stay as they were given.
    pub(super) fn order(self, rows: &[Row], reverse: bool) -> Vec<usize> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let share = |row: &Row| {
            (u128::from(row.no_answer) << 64).checked_div(u128::from(row.sent)).unwrap_or_default()
        };
        match self {
            Self::Loss => order.sort_by_key(|row| std::cmp::Reverse(share(&rows[*row]))),
            Self::P99 => order.sort_by_key(|row| std::cmp::Reverse(rows[*row].p99)),
            Self::Max => order.sort_by_key(|row| std::cmp::Reverse(rows[*row].max)),
            Self::Sent => order.sort_by_key(|row| std::cmp::Reverse(rows[*row].sent)),
            Self::Given => {}
        }
        if reverse {
            order.reverse();
        }
        order
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
impl State {
    /// Does what a key means here, and says what else it means. `rows` are there.
    pub(super) fn key(&mut self, key: KeyEvent, rows: usize) -> Option<Act> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Act::Interrupt),
                KeyCode::Char('z') => Some(Act::Stop),
                KeyCode::Char('l') => Some(Act::Redraw),
                _ => None,
            };
        }
        let last = rows.saturating_sub(self.room);
        let page = self.room.max(1);
        let width = self.width.unwrap_or(self.drawn_width);
        match key.code {
            KeyCode::Char('q') => return Some(Act::End),
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Esc => self.help = false,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => (self.sort, self.first) = (self.sort.next(), 0),
            KeyCode::Char('r') => (self.reverse, self.first) = (!self.reverse, 0),
            KeyCode::Char('+' | '=') => self.width = Some((width + 1).min(WIDTHS.len() - 1)),
            KeyCode::Char('-') => self.width = Some(width.saturating_sub(1)),
            KeyCode::Char('a') => self.width = None,
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.min(last).saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.first = (self.first + 1).min(last),
            KeyCode::PageUp => self.first = self.first.min(last).saturating_sub(page),
            KeyCode::PageDown => self.first = (self.first + page).min(last),
            KeyCode::Home | KeyCode::Char('g') => self.first = 0,
            KeyCode::End | KeyCode::Char('G') => self.first = last,
            _ => {}
        }
        None
    }

    /// The width of columns of which so many find room, for a load of this length.
    pub(super) fn width_for(&self, room: usize, load: Nanos) -> usize {
        let fits = |width: &Nanos| load.div_ceil(*width) <= room as u64;
        self.width.unwrap_or_else(|| WIDTHS.iter().position(fits).unwrap_or(WIDTHS.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use polyport_protocol::SECOND;

    use super::*;

    fn row(sent: u64, no_answer: u64, p99: Nanos) -> Row {
        Row { sent, no_answer, p99: Some(p99), max: Some(p99), ..Row::default() }
    }

    fn press(state: &mut State, keys: &str) {
        for key in keys.chars() {
            assert_eq!(state.key(KeyCode::Char(key).into(), 100), None);
        }
    }

    #[test]
    fn the_worst_stand_first_and_equals_as_they_were_given() {
        let rows = [row(10, 0, 5), row(0, 0, 9), row(10, 1, 7), row(1000, 99, 7), row(20, 2, 1)];
        assert_eq!(Sort::Loss.order(&rows, false), [2, 4, 3, 0, 1]);
        assert_eq!(Sort::P99.order(&rows, false), [1, 2, 3, 0, 4]);
        assert_eq!(Sort::Sent.order(&rows, false)[0], 3);
        assert_eq!(Sort::Given.order(&rows, true), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn rows_are_scrolled_as_far_as_there_are_some() {
        let mut state = State { room: 10, ..State::default() };
        for (key, first) in [
            (KeyCode::Up, 0),
            (KeyCode::Down, 1),
            (KeyCode::PageDown, 11),
            (KeyCode::End, 90),
            (KeyCode::Down, 90),
            (KeyCode::PageUp, 80),
            (KeyCode::Home, 0),
        ] {
            assert_eq!(state.key(key.into(), 100), None);
            assert_eq!(state.first, first, "{key:?}");
        }
        press(&mut state, "jjs");
        assert_eq!((state.first, state.sort), (0, Sort::P99), "another order is seen from its start");
        press(&mut state, "ssss");
        assert_eq!(state.sort, Sort::Loss, "around");
        let mut all_seen = State { room: 200, ..State::default() };
        press(&mut all_seen, "jjG");
        assert_eq!(all_seen.first, 0);
    }

    #[test]
    fn columns_are_as_wide_as_the_load_is_long_or_as_the_user_wants() {
        let mut state = State::default();
        let widths = [10, 20, 60, 300, 3600, 90_000].map(|load| WIDTHS[state.width_for(60, load * SECOND)]);
        let second = SECOND;
        assert_eq!(widths, [second / 4, second, second, 5 * second, 60 * second, 60 * second], "{widths:?}");
        press(&mut state, "+");
        assert_eq!(state.width, Some(1));
        press(&mut state, "---");
        assert_eq!(state.width, Some(0));
        press(&mut state, "++-");
        assert_eq!(state.width, Some(1), "keys that come faster than pictures");
        press(&mut state, "a");
        state.drawn_width = WIDTHS.len() - 1;
        press(&mut state, "+");
        assert_eq!(state.width, Some(WIDTHS.len() - 1));
        press(&mut state, "a");
        assert_eq!(state.width, None);
    }

    #[test]
    fn control_keys_are_those_of_a_terminal() {
        let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
        let mut state = State::default();
        let acts = ['c', 'z', 'l', 'q'].map(|key| state.key(control(key), 0));
        assert_eq!(acts, [Some(Act::Interrupt), Some(Act::Stop), Some(Act::Redraw), None]);
        assert_eq!(state.key(KeyCode::Char('q').into(), 0), Some(Act::End));
        let release = KeyEvent { kind: KeyEventKind::Release, ..control('c') };
        assert_eq!(state.key(release, 0), None);
    }
}
