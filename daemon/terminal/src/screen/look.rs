//! Colours and signs, where they are welcome.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::Line;
use ratatui::widgets::{Sparkline, Widget};

/// Bars of a terminal that shows ASCII alone.
const ASCII: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "*",
    five_eighths: "+",
    half: "=",
    three_eighths: "-",
    one_quarter: ":",
    one_eighth: ".",
    empty: " ",
};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours are welcome.
    pub coloured: bool,
    /// The terminal shows letters of Unicode.
    pub unicode: bool,
}

impl Look {
    /// Whether a terminal with these variables shows Unicode: `locale(7)` says which of them counts.
    #[must_use]
    pub fn shows_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let locale = names.into_iter().filter_map(variable).find(|value| !value.is_empty());
        locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }

    /// For what is read first.
    #[must_use]
    pub fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// For what is not the point.
    #[must_use]
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// For the titles of columns.
    #[must_use]
    pub fn heading(self) -> Style {
        self.bold().add_modifier(Modifier::UNDERLINED)
    }

    /// For the row or the word that keys act on.
    #[must_use]
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// For what deserves a look.
    #[must_use]
    pub fn warning(self) -> Style {
        self.in_colour(Color::Yellow)
    }

    /// For what is wrong.
    #[must_use]
    pub fn wrong(self) -> Style {
        self.in_colour(Color::Red)
    }

    /// For what is as it should be.
    #[must_use]
    pub fn good(self) -> Style {
        if self.coloured { Style::new().fg(Color::Green) } else { Style::new() }
    }

    /// For pictures.
    #[must_use]
    pub fn picture(self) -> Style {
        if self.coloured { Style::new().fg(Color::Cyan) } else { Style::new() }
    }

    /// Without colours it is bold.
    fn in_colour(self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { self.bold() }
    }

    fn bars(self) -> bar::Set<'static> {
        if self.unicode { bar::NINE_LEVELS } else { ASCII }
    }

    /// Draws rates as columns, the latest at the right edge, scaled to the largest.
    pub fn sparkline(self, area: Rect, buf: &mut Buffer, values: &[u64]) {
        let area = area.intersection(buf.area);
        let width = u16::try_from(values.len()).unwrap_or(u16::MAX).min(area.width);
        if width == 0 || area.height == 0 {
            return;
        }
        let skipped = values.len() - usize::from(width);
        let place = Rect { x: area.right() - width, width, ..area };
        let values = values.get(skipped..).unwrap_or_default();
        Sparkline::default().data(values).bar_set(self.bars()).style(self.picture()).render(place, buf);
    }

    /// A bar for a share of one, at most so wide.
    #[must_use]
    pub fn bar(self, share: f64, width: usize) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of some columns"
        )]
        let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
        // Something is not nothing.
        let full = if share > 0.0 { full.max(1) } else { full };
        self.bars().full.repeat(full)
    }
}

/// Columns that a text takes.
#[must_use]
pub fn width_of(text: &str) -> usize {
    Line::raw(text).width()
}

/// Puts a line where there is room for it.
pub fn put(buf: &mut Buffer, area: Rect, row: usize, line: &Line<'_>) {
    let Ok(row) = u16::try_from(row) else { return };
    let area = area.intersection(buf.area);
    if row < area.height {
        buf.set_line(area.x, area.y + row, line, area.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(unicode: bool, width: u16, values: &[u64]) -> String {
        let area = Rect::new(0, 0, width, 1);
        let mut buf = Buffer::empty(area);
        Look { coloured: false, unicode }.sparkline(area, &mut buf, values);
        buf.content().iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn the_latest_rate_stands_at_the_right_edge() {
        assert_eq!(drawn(true, 6, &[1, 4, 8]), "   ▁▄█");
        assert_eq!(drawn(false, 6, &[1, 4, 8]), "   .=#");
        assert_eq!(drawn(true, 2, &[8, 0, 4]), " █", "what finds no room is the oldest");
        assert_eq!(drawn(true, 2, &[]), "  ");
        assert_eq!(drawn(true, 2, &[0, 0]), "  ");
    }

    #[test]
    fn unicode_is_shown_where_the_locale_says_so() {
        let shows = |set: &[(&str, &str)]| {
            Look::shows_unicode(|name| {
                let found = set.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(shows(&[("LANG", "de_DE.UTF-8")]) && shows(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!shows(&[]) && !shows(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]) && !shows(&[("LC_ALL", "")]));
    }

    #[test]
    fn a_share_is_a_bar() {
        let look = Look { coloured: false, unicode: false };
        let bars = [0.0, 0.001, 0.5, 1.0, 7.0].map(|share| look.bar(share, 4));
        assert_eq!(bars, ["", "#", "##", "####", "####"]);
    }
}
