//! What the user looks at, and what keys change of it. It knows no terminal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::columns::Column;
use super::model::{Model, Row};

/// Letters of a filter: more than a name has.
const FILTER_LETTERS: usize = 64;
/// Addresses that are asked for at a time.
pub(super) const ADDRESSES: usize = 200;

/// What the user looks at.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) sort: Column,
    pub(super) reverse: bool,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) typing: bool,
    /// The name of the row that is chosen; none is the first.
    pub(super) chosen: Option<String>,
    /// The listener whose page is shown; none is the table.
    pub(super) one: Option<String>,
    /// How far the page of a listener is scrolled, lines.
    pub(super) scroll: usize,
    /// The first address that is asked for.
    pub(super) offset: usize,
    pub(super) help: bool,
    /// What is shown stays as it is.
    pub(super) paused: bool,
    /// Rows that found room when it was drawn last.
    pub(super) page: usize,
}

/// What a key asks for beyond the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Draw again.
    Draw,
    /// Another question is to be asked at once.
    Ask,
    /// End.
    Quit,
    /// Stop as Ctrl-Z does.
    Stop,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
impl View {
    /// The rows that are shown, by their numbers, in their order.
    pub(super) fn rows(&self, model: &Model) -> Vec<usize> {
        let filter = self.filter.to_lowercase();
        let is_meant = |row: &Row| filter.is_empty() || row.shown.to_lowercase().contains(&filter);
        let mut rows: Vec<(usize, &Row)> =
            model.rows.iter().enumerate().filter(|(_, row)| is_meant(row)).collect();
        rows.sort_by(|(_, one), (_, other)| {
            let order = self.sort.order(one, other);
            if self.reverse { order.reverse() } else { order }
        });
        rows.into_iter().map(|(number, _)| number).collect()
    }

    /// Which of these rows is chosen.
    pub(super) fn chosen(&self, model: &Model, rows: &[usize]) -> usize {
        let Some(name) = &self.chosen else { return 0 };
        let is_it = |number: &usize| model.rows.get(*number).is_some_and(|row| row.name == *name);
        rows.iter().position(is_it).unwrap_or_default()
    }

    /// Does what a key is for.
    pub(super) fn key(&mut self, key: KeyEvent, model: &Model) -> Option<Act> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Act::Quit),
                KeyCode::Char('z') => Some(Act::Stop),
                KeyCode::Char('l') => Some(Act::Draw),
                _ => None,
            };
        }
        if self.typing {
            self.type_filter(key.code);
            return Some(Act::Draw);
        }
        match key.code {
            KeyCode::Char('q') => return Some(Act::Quit),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = !self.help,
            _ if self.help => self.help = false,
            KeyCode::Char(' ') => self.paused = !self.paused,
            code if self.one.is_some() => return self.key_of_one(code, model),
            code => return self.key_of_table(code, model),
        }
        Some(Act::Draw)
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            KeyCode::Enter => self.typing = false,
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if !c.is_control() && self.filter.chars().count() < FILTER_LETTERS => {
                self.filter.push(c);
            }
            _ => {}
        }
    }

    fn key_of_table(&mut self, code: KeyCode, model: &Model) -> Option<Act> {
        let by_letter = |c: char| {
            Some(match c {
                'n' => Column::Name,
                'i' => Column::In,
                'o' => Column::Out,
                'b' => Column::InBytes,
                'B' => Column::OutBytes,
                'd' => Column::Drops,
                's' => Column::Sessions,
                't' => Column::P99,
                'f' => Column::Faults,
                _ => return None,
            })
        };
        match code {
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('<' | ',') | KeyCode::Left => {
                self.sort_by(neighbour(self.sort, Column::ALL.len() - 1));
            }
            KeyCode::Char('>' | '.') | KeyCode::Right => self.sort_by(neighbour(self.sort, 1)),
            KeyCode::Char(c) if let Some(column) = by_letter(c) => {
                // The same again turns it around.
                if self.sort == column {
                    self.reverse = !self.reverse;
                } else {
                    self.sort_by(column);
                }
            }
            KeyCode::Enter => {
                let rows = self.rows(model);
                let chosen = rows.get(self.chosen(model, &rows)).and_then(|number| model.rows.get(*number));
                let name = chosen.map(|row| row.name.clone())?;
                (self.chosen, self.one) = (Some(name.clone()), Some(name));
                (self.scroll, self.offset) = (0, 0);
                return Some(Act::Ask);
            }
            KeyCode::Up | KeyCode::Char('k') => self.choose(model, |at, _| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(model, |at, last| last.min(at + 1)),
            KeyCode::PageUp => {
                let page = self.page.max(1);
                self.choose(model, |at, _| at.saturating_sub(page));
            }
            KeyCode::PageDown => {
                let page = self.page.max(1);
                self.choose(model, |at, last| last.min(at + page));
            }
            KeyCode::Home | KeyCode::Char('g') => self.choose(model, |_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.choose(model, |_, last| last),
            _ => return None,
        }
        Some(Act::Draw)
    }

    fn key_of_one(&mut self, code: KeyCode, model: &Model) -> Option<Act> {
        match code {
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Enter => {
                self.one = None;
                return Some(Act::Ask);
            }
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll += 1,
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(self.page.max(1)),
            KeyCode::PageDown => self.scroll += self.page.max(1),
            KeyCode::Home => self.scroll = 0,
            KeyCode::Char('[') => {
                self.offset = self.offset.saturating_sub(ADDRESSES);
                return Some(Act::Ask);
            }
            KeyCode::Char(']') => {
                let row = self.one.as_ref().and_then(|name| model.row(name));
                if row.is_some_and(|row| self.offset + ADDRESSES < row.addresses) {
                    self.offset += ADDRESSES;
                }
                return Some(Act::Ask);
            }
            _ => return None,
        }
        Some(Act::Draw)
    }

    fn sort_by(&mut self, column: Column) {
        (self.sort, self.reverse) = (column, false);
    }

    /// Chooses another row: `to` is told the place of the one that is chosen, and the last.
    fn choose(&mut self, model: &Model, to: impl FnOnce(usize, usize) -> usize) {
        let rows = self.rows(model);
        let place = to(self.chosen(model, &rows), rows.len().saturating_sub(1));
        // Whoever goes to the top stays there, whichever row it is.
        let number = rows.get(place).filter(|_| place > 0);
        self.chosen = number.and_then(|number| model.rows.get(*number)).map(|row| row.name.clone());
    }
}

/// The column so many places further on, around the end.
fn neighbour(column: Column, places: usize) -> Column {
    let place = Column::ALL.iter().position(|other| *other == column).unwrap_or_default();
    Column::ALL.get((place + places) % Column::ALL.len()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::example::model;

    fn press(view: &mut View, code: KeyCode) -> Option<Act> {
        view.key(KeyEvent::new(code, KeyModifiers::NONE), &model())
    }

    fn names(view: &View) -> Vec<String> {
        let model = model();
        view.rows(&model).into_iter().map(|number| model.rows[number].name.clone()).collect()
    }

    #[test]
    fn the_order_is_chosen_by_keys_and_turned_around() {
        let mut view = View::default();
        assert_eq!(names(&view), ["game-servers", "relay", "echo", "an idle one"]);
        press(&mut view, KeyCode::Char('r'));
        assert_eq!(names(&view), ["an idle one", "echo", "relay", "game-servers"]);
        press(&mut view, KeyCode::Char('n'));
        assert_eq!(names(&view), ["an idle one", "echo", "game-servers", "relay"], "another is not reversed");
        press(&mut view, KeyCode::Char('n'));
        assert_eq!(names(&view), ["relay", "game-servers", "echo", "an idle one"], "the same is");
        press(&mut view, KeyCode::Char('<'));
        assert_eq!(view.sort, Column::Faults, "around the end");
        press(&mut view, KeyCode::Right);
        press(&mut view, KeyCode::Right);
        assert_eq!(view.sort, Column::Plugin);
        for _ in 0..Column::ALL.len() {
            press(&mut view, KeyCode::Char('>'));
        }
        assert_eq!(view.sort, Column::Plugin, "every column is reached");
    }

    #[test]
    fn a_filter_is_typed_kept_and_taken_back() {
        let mut view = View::default();
        press(&mut view, KeyCode::Char('/'));
        for c in "EQo".chars() {
            assert_eq!(press(&mut view, KeyCode::Char(c)), Some(Act::Draw), "q is a letter here");
        }
        assert_eq!(names(&view), Vec::<String>::new());
        press(&mut view, KeyCode::Backspace);
        press(&mut view, KeyCode::Backspace);
        press(&mut view, KeyCode::Enter);
        assert_eq!(
            (names(&view), view.typing),
            (
                vec![
                    "game-servers".to_owned(),
                    "relay".to_owned(),
                    "echo".to_owned(),
                    "an idle one".to_owned()
                ],
                false
            )
        );
        press(&mut view, KeyCode::Char('/'));
        press(&mut view, KeyCode::Char('c'));
        assert_eq!(names(&view), ["echo"]);
        press(&mut view, KeyCode::Esc);
        assert_eq!((view.filter.as_str(), view.typing), ("", false));
        press(&mut view, KeyCode::Char('/'));
        for _ in 0..100 {
            press(&mut view, KeyCode::Char('x'));
        }
        assert_eq!(view.filter.len(), FILTER_LETTERS);
    }

    #[test]
    fn what_is_chosen_stays_chosen_where_the_order_changes() {
        let (mut view, model) = (View::default(), model());
        let at = |view: &View| view.chosen(&model, &view.rows(&model));
        press(&mut view, KeyCode::Up);
        assert_eq!(at(&view), 0);
        press(&mut view, KeyCode::Down);
        assert_eq!((at(&view), view.chosen.as_deref()), (1, Some("relay")));
        press(&mut view, KeyCode::Char('r'));
        assert_eq!(at(&view), 2, "the same row at another place");
        press(&mut view, KeyCode::End);
        press(&mut view, KeyCode::Down);
        assert_eq!((at(&view), view.chosen.as_deref()), (3, Some("game-servers")));
        press(&mut view, KeyCode::Home);
        assert_eq!((at(&view), view.chosen.as_deref()), (0, None), "the first, whichever it is");
        view.page = 2;
        press(&mut view, KeyCode::PageDown);
        assert_eq!(at(&view), 2);
        press(&mut view, KeyCode::PageUp);
        assert_eq!(at(&view), 0);
    }

    #[test]
    fn the_page_of_a_listener_is_opened_and_left() {
        let mut view = View::default();
        assert_eq!(press(&mut view, KeyCode::Enter), Some(Act::Ask));
        assert_eq!(view.one.as_deref(), Some("game-servers"));
        assert_eq!(press(&mut view, KeyCode::Char(']')), Some(Act::Ask));
        assert_eq!(view.offset, ADDRESSES);
        press(&mut view, KeyCode::Char('['));
        press(&mut view, KeyCode::Char('['));
        press(&mut view, KeyCode::Down);
        assert_eq!((view.offset, view.scroll), (0, 1));
        assert_eq!(press(&mut view, KeyCode::Esc), Some(Act::Ask));
        assert_eq!(view.one, None);
        view.filter = "nothing has this name".to_owned();
        assert_eq!(press(&mut view, KeyCode::Enter), None);
    }

    #[test]
    fn help_pause_and_the_end() {
        let mut view = View::default();
        press(&mut view, KeyCode::Char('?'));
        assert!(view.help);
        press(&mut view, KeyCode::Esc);
        assert!(!view.help);
        press(&mut view, KeyCode::Char(' '));
        assert!(view.paused);
        assert_eq!(press(&mut view, KeyCode::Char('q')), Some(Act::Quit));
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        view.typing = true;
        let acts = ['c', 'z', 'l', 'x'].map(|c| view.key(control(c), &model()));
        assert_eq!(acts, [Some(Act::Quit), Some(Act::Stop), Some(Act::Draw), None]);
    }
}
