//! How the rate goes over the load: steps and ramps, and when the datagrams of an even flow leave that follows them.

use polyport_protocol::{Nanos, SECOND};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::Rate;
use super::unit::{exact, span};
use crate::clock::nanos;

/// A part of the load. Rates are datagrams a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Piece {
    /// The rate at its start.
    #[serde(rename = "from_per_second")]
    pub from: f64,
    /// The rate at its end; between them it changes evenly.
    #[serde(rename = "to_per_second")]
    pub to: f64,
    /// How long it is.
    #[serde(rename = "duration_ns")]
    pub duration: Nanos,
}

/// The parts of a load, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
    /// Where each piece begins: time, and datagrams before it.
    starts: Vec<(Nanos, u64)>,
    /// End of the last piece, and all datagrams.
    end: (Nanos, u64),
}

impl Piece {
    /// Parses `10k:60s`, `10k/s:60s` or, for a rate that changes, `0..50k:60s`.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no part of a flow: write 10k:60s, or 0..50k:60s for a ramp");
        let (rates, duration) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let duration = nanos(polyport_value::duration(duration).map_err(|_| wrong())?);
        let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
        let piece = Self { from: rate(from)?, to: rate(to)?, duration };
        if duration == 0 || piece.peak() <= 0.0 { Err(wrong()) } else { Ok(piece) }
    }

    /// Its highest rate.
    #[must_use]
    pub const fn peak(&self) -> f64 {
        self.from.max(self.to)
    }

    /// Datagrams of an even flow up to `time` after its start, as a number with fractions.
    fn expected(&self, time: Nanos) -> f64 {
        let (seconds, whole) = (seconds(time), seconds(self.duration));
        seconds * (self.from + (self.to - self.from) * seconds / whole / 2.0)
    }

    /// When so many datagrams of an even flow have passed: the inverse of [`Self::expected`].
    fn time_of(&self, count: f64) -> Nanos {
        // Of `from t + slope t^2 / 2 = count` the form without a difference of nearly equal numbers.
        let slope = (self.to - self.from) / seconds(self.duration);
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        let time = if count > 0.0 { 2.0 * count / (self.from + root) } else { 0.0 };
        whole((time * 1e9).round()).min(self.duration)
    }
}

impl Profile {
    /// Parses pieces with commas between them.
    ///
    /// # Errors
    /// Says which piece is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pieces = text.split(',').map(Piece::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(pieces))
    }

    /// Parses `0..50k/60s`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse_ramp(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("`{text}` is no ramp: write 0..50k/60s");
        let (rates, duration) = text.rsplit_once('/').ok_or(()).map_err(wrong)?;
        let (from, to) = rates.split_once("..").ok_or(()).map_err(wrong)?;
        Piece::parse(&format!("{from}..{to}:{duration}"))
            .map_err(|_| wrong(()))
            .map(|piece| Self::new(vec![piece]))
    }

    /// These pieces.
    #[must_use]
    pub fn new(pieces: Vec<Piece>) -> Self {
        let mut at = (0_u64, 0_u64);
        let starts = pieces
            .iter()
            .map(|piece| {
                let start = at;
                // Datagram 0 of a piece leaves at its start, so those before its end are rounded up.
                let count = whole((piece.expected(piece.duration) - 1e-6).ceil().max(0.0));
                at = (at.0.saturating_add(piece.duration), at.1.saturating_add(count));
                start
            })
            .collect();
        Self { pieces, starts, end: at }
    }

    /// The sum of two loads, if their pieces are equally long.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        let both = || self.pieces.iter().zip(&other.pieces);
        let fit = self.pieces.len() == other.pieces.len()
            && both().all(|(one, other)| one.duration == other.duration);
        let sum = |(one, other): (&Piece, &Piece)| Piece {
            from: one.from + other.from,
            to: one.to + other.to,
            duration: one.duration,
        };
        fit.then(|| Self::new(both().map(sum).collect()))
    }

    /// The pieces.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How long all of it is.
    #[must_use]
    pub const fn duration(&self) -> Nanos {
        self.end.0
    }

    /// Datagrams of an even flow.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.end.1
    }

    /// The highest rate, in whole datagrams a second.
    #[must_use]
    pub fn peak(&self) -> u64 {
        whole(self.pieces.iter().map(Piece::peak).fold(0.0, f64::max).ceil()).max(1)
    }

    /// The rate at the start, in whole datagrams a second: that of a warm-up. At least one.
    #[must_use]
    pub fn first(&self) -> u64 {
        whole(self.pieces.first().map_or(1.0, |piece| piece.from)).max(1)
    }

    /// Datagrams a second that are wanted at `time` after the start; 0 behind the end.
    #[must_use]
    pub fn rate_at(&self, time: Nanos) -> f64 {
        let place = self.starts.partition_point(|(start, _)| *start <= time).saturating_sub(1);
        match (self.pieces.get(place), self.starts.get(place)) {
            (Some(piece), Some((start, _))) if time < self.end.0 => {
                let share = exact(time.saturating_sub(*start)) / exact(piece.duration.max(1));
                (piece.to - piece.from).mul_add(share, piece.from)
            }
            _ => 0.0,
        }
    }

    /// When datagram `index` of an even flow leaves, after the start.
    #[must_use]
    pub fn planned(&self, index: u64) -> Nanos {
        let place = self.starts.partition_point(|(_, before)| *before <= index).saturating_sub(1);
        let (Some(piece), Some((start, before))) = (self.pieces.get(place), self.starts.get(place)) else {
            return self.end.0;
        };
        start + piece.time_of(exact(index - before))
    }

    /// When so many datagrams are expected to have left, with fractions; `None` if that is never.
    #[must_use]
    pub fn time_of(&self, mut count: f64) -> Option<Nanos> {
        for (piece, (start, _)) in self.pieces.iter().zip(&self.starts) {
            let here = piece.expected(piece.duration);
            if count < here {
                return Some(start + piece.time_of(count));
            }
            count -= here;
        }
        None
    }

    /// Datagrams expected to have left by `time`, with fractions: the inverse of [`Self::time_of`].
    #[must_use]
    pub fn expected(&self, time: Nanos) -> f64 {
        let piece = |(piece, (start, _)): (&Piece, &(Nanos, u64))| {
            piece.expected(time.saturating_sub(*start).min(piece.duration))
        };
        self.pieces.iter().zip(&self.starts).map(piece).sum()
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, piece) in self.pieces.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", piece.from)?;
            if piece.from.to_bits() != piece.to.to_bits() {
                write!(f, "..{}", piece.to)?;
            }
            write!(f, "/s for {}", span(piece.duration))?;
        }
        Ok(())
    }
}

/// A rate that may be zero.
fn rate(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if text == "0" || text == "0/s" {
        return Ok(0.0);
    }
    let rate = Rate::parse(text)?;
    Ok(exact(rate.count) / seconds(rate.period))
}

fn seconds(span: Nanos) -> f64 {
    exact(span) / exact(SECOND)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn flows_and_ramps_are_read() {
        let pieces = |text: &str| Profile::parse(text).map(|profile| profile.pieces);
        let piece = |from, to, seconds| Piece { from, to, duration: seconds * SECOND };
        assert_eq!(
            pieces("10k:60s, 80k/s:1m,0..5:2s"),
            Ok(vec![piece(10_000.0, 10_000.0, 60), piece(80_000.0, 80_000.0, 60), piece(0.0, 5.0, 2)])
        );
        let ramp = Profile::parse_ramp("0..50k/60s").unwrap();
        assert_eq!(ramp.pieces, [piece(0.0, 50_000.0, 60)]);
        let rates = [0, 30, 59, 60].map(|second| ramp.rate_at(second * SECOND).round());
        assert_eq!(rates, [0.0, 25_000.0, 49_167.0, 0.0]);
        assert_eq!((ramp.total(), ramp.peak(), ramp.first()), (1_500_000, 50_000, 1));
        let held = Profile::parse("0..50k:60s,50k:30s").unwrap();
        assert_eq!((held.total(), held.duration()), (3_000_000, 90 * SECOND));
        assert_eq!(held.to_string(), "0..50000/s for 60.0s, 50000/s for 30.0s");
        let sum = held.plus(&Profile::parse("5:60s,7:30s").unwrap()).unwrap();
        assert_eq!(sum.to_string(), "5..50005/s for 60.0s, 50007/s for 30.0s");
        assert!(held.plus(&ramp).is_none());
        for wrong in ["", "10k", "10k:0s", "0:5s", "0..0:5s", ":5s", "10k:soon", "1..2..3:5s"] {
            assert!(pieces(wrong).is_err(), "{wrong}");
        }
        for wrong in ["50k/60s", "0..50k", "0..50k:60s", "..5/1s", "0..0/5s"] {
            assert!(Profile::parse_ramp(wrong).unwrap_err().contains("is no ramp"), "{wrong}");
        }
    }

    #[test]
    fn a_piece_begins_with_a_datagram_and_ends_before_the_next() {
        let profile = Profile::parse("1000:1s,0..2000:1s,7:1s").unwrap();
        assert_eq!(profile.total(), 1000 + 1000 + 7);
        let planned = |index| profile.planned(index);
        assert_eq!((planned(0), planned(1), planned(999)), (0, SECOND / 1000, 999 * SECOND / 1000));
        assert_eq!((planned(1000), planned(2000)), (SECOND, 2 * SECOND));
        // A quarter of a ramp from zero has passed at half of its time.
        assert_eq!(planned(1250), SECOND + SECOND / 2);
        assert_eq!(planned(2006), 2 * SECOND + 6 * SECOND / 7);
    }

    proptest! {
        #[test]
        fn times_grow_and_lead_back(
            pieces in prop::collection::vec((0.0..1e5_f64, 1.0..1e5_f64, 1..5_000_000_000_u64), 1..5),
            shares in prop::collection::vec(0.0..1.0_f64, 1..20),
        ) {
            let pieces = pieces.into_iter().map(|(from, to, duration)| Piece { from, to, duration }).collect();
            let profile = Profile::new(pieces);
            let mut indices: Vec<u64> = shares.iter().map(|share| whole(share * exact(profile.total()))).collect();
            indices.sort_unstable();
            let times: Vec<Nanos> = indices.iter().map(|index| profile.planned(*index)).collect();
            prop_assert!(times.is_sorted(), "{:?}", times);
            prop_assert!(times.iter().all(|time| *time <= profile.duration()));
            for share in shares {
                let count = share * profile.expected(profile.duration());
                if let Some(time) = profile.time_of(count) {
                    // A nanosecond is so many datagrams.
                    prop_assert!((profile.expected(time) - count).abs() < 1e-3);
                }
            }
        }
    }
}
