//! The frame of a picture, its values, and its time.

use polyport_protocol::{Nanos, SECOND};
use svg::node::element::{Group, Rectangle};

use crate::picture::scale::{Scale, in_unit, unit};
use crate::picture::sheet::{Anchor, FAINT, INK, part, place, rule, step, stroke, text};

/// Width of a picture: not much more than a telephone has, so that its letters can be read there.
pub(super) const WIDTH: f64 = 460.0;
/// Left end of the panel.
pub(super) const LEFT: f64 = 58.0;
/// Right end of the panel.
pub(super) const RIGHT: f64 = WIDTH - 16.0;
/// Top of the first panel, below its heading.
pub(super) const TOP: f64 = 44.0;
/// From the bottom of the last panel to that of the picture: values and name of its axis.
pub(super) const FOOT: f64 = 42.0;

/// Answer after planned time.
pub(super) const PLAN: &str = "#0072b2";
/// Answer after actual sending; and what is lost.
pub(super) const SEND: &str = "#d55e00";
/// The tester's own lag.
pub(super) const LAG: &str = "#007a5a";

/// A picture, its upper left corner at zero.
pub(super) struct Picture {
    /// What it is of.
    pub(super) name: String,
    /// All of it.
    pub(super) group: Group,
    /// Its height.
    pub(super) height: f64,
}

/// A picture with its heading.
pub(super) fn heading(name: &str) -> Group {
    let words = text((LEFT, 18.0), 13.0, Anchor::Start, name).set("font-weight", "bold").set("fill", INK);
    part(name.to_lowercase().replace(' ', "-"), name).add(words)
}

/// A frame around a panel.
pub(super) fn frame(top: f64, height: f64) -> Rectangle {
    Rectangle::new()
        .set("x", LEFT)
        .set("y", place(top))
        .set("width", RIGHT - LEFT)
        .set("height", place(height))
        .set("fill", "none")
        .set("stroke", FAINT)
}

/// What stands in a panel of which nothing is known.
pub(super) fn nothing(top: f64, height: f64, words: &str) -> Group {
    let middle = (LEFT.midpoint(RIGHT), top + height / 2.0);
    Group::new().add(frame(top, height)).add(text(middle, 12.0, Anchor::Middle, words).set("fill", FAINT))
}

/// A line with a name: its colour and its dashes.
pub(super) type Named = (&'static str, &'static str, &'static str);

/// Lines with their names, from the left, below the heading.
pub(super) fn legend(entries: &[Named]) -> Group {
    let mut all = Group::new();
    let mut x = LEFT;
    for (words, colour, dashes) in entries {
        let line = format!("M{} {}h22", place(x), place(TOP - 13.0));
        all = all.add(stroke(line, colour, 2.0).set("stroke-dasharray", *dashes));
        all = all.add(text((x + 28.0, TOP - 9.0), 11.0, Anchor::Start, *words));
        x += 28.0 + crate::picture::sheet::wide(words, 11.0) + 18.0;
    }
    all
}

/// Times on a logarithmic axis, from the bottom to the top of a panel.
#[derive(Clone, Copy)]
pub(super) struct Logarithmic {
    scale: Scale,
    low: i32,
    high: i32,
}

impl Logarithmic {
    /// An axis of whole powers of ten that has both times.
    pub(super) fn new(low: Nanos, high: Nanos, top: f64, height: f64) -> Self {
        let low = low.max(1).ilog10();
        let high = high.max(2).saturating_sub(1).ilog10() + 1;
        let [low, high] = [low, high.max(low + 1)].map(|power| i32::try_from(power).unwrap_or(0));
        let scale = Scale::new((f64::from(low), f64::from(high)), (top + height, top));
        Self { scale, low, high }
    }

    /// Where a time is drawn.
    pub(super) fn at(self, nanos: Nanos) -> f64 {
        self.scale.at(in_unit(nanos.max(1), 1.0).log10().clamp(f64::from(self.low), f64::from(self.high)))
    }

    /// The time that is so far up, from 0 at the bottom to 1 at the top.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of a picture, above zero"
    )]
    pub(super) fn time(self, part: f64) -> Nanos {
        let power = f64::from(self.low) + part * f64::from(self.high - self.low);
        10_f64.powf(power).round() as Nanos
    }

    /// Its lines and values.
    pub(super) fn values(self) -> Group {
        (self.low..=self.high).fold(Group::new(), |group, power| {
            let value = 10_u64.saturating_pow(u32::try_from(power).unwrap_or(0));
            let y = self.at(value);
            let words = text((LEFT - 6.0, y + 4.0), 11.0, Anchor::End, decade(power));
            group.add(rule((LEFT, y), (RIGHT, y))).add(words.set("fill", FAINT))
        })
    }
}

/// A power of ten nanoseconds in the largest unit that it is a whole number of, as the tables write it.
fn decade(power: i32) -> String {
    let units = ["ns", "us", "ms", "s"];
    let place = usize::try_from(power / 3).unwrap_or(0).min(units.len() - 1);
    let rest = power - 3 * i32::try_from(place).unwrap_or(0);
    format!("{}{}", 10_u32.saturating_pow(u32::try_from(rest).unwrap_or(0)), units[place])
}

/// Values on a straight axis from zero, with their lines.
pub(super) fn values(scale: &Scale, count: f64, unit: &str) -> Group {
    scale.ticks(count).into_iter().fold(Group::new(), |group, (value, words)| {
        let y = scale.at(value);
        let words = text((LEFT - 6.0, y + 4.0), 11.0, Anchor::End, format!("{words}{unit}"));
        group.add(rule((LEFT, y), (RIGHT, y))).add(words.set("fill", FAINT))
    })
}

/// The axis of time, from the start of the load.
#[derive(Clone, Copy)]
pub(super) struct Time {
    scale: Scale,
    per_unit: f64,
    unit: &'static str,
}

impl Time {
    pub(super) fn new(length: Nanos) -> Self {
        let length = length.max(1);
        let (per_unit, unit) = unit(length.min(3600 * SECOND * 24 * 100));
        Self { scale: Scale::new((0.0, in_unit(length, per_unit)), (LEFT, RIGHT)), per_unit, unit }
    }

    pub(super) fn at(self, since: Nanos) -> f64 {
        self.scale.at(in_unit(since, self.per_unit)).clamp(LEFT, RIGHT)
    }

    /// Its values below a panel that ends at `bottom`, and a line for each up to `top`.
    pub(super) fn axis(self, top: f64, bottom: f64) -> Group {
        let group = self.scale.ticks(6.0).into_iter().fold(Group::new(), |group, (value, words)| {
            let x = self.scale.at(value);
            let words = text((x, bottom + 15.0), 11.0, Anchor::Middle, words).set("fill", FAINT);
            group.add(rule((x, top), (x, bottom))).add(words)
        });
        let words = format!("time since the start of the load ({})", self.unit);
        let name = text((LEFT.midpoint(RIGHT), bottom + 31.0), 11.0, Anchor::Middle, words);
        group.add(name.set("fill", FAINT))
    }
}

/// A line through places; a gap where there is none.
pub(super) fn line(places: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let (mut data, mut pen) = (String::new(), 'M');
    for place in places {
        match place {
            Some(place) => {
                step(&mut data, pen, place);
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    data
}
