//! The axis of time: from moments to places.

use super::sheet::{LEFT, RIGHT};
use crate::picture::scale::{Scale, unit};
use crate::plot::run::Run;
use crate::plot::span::{Offset, between};

/// The axis of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) scale: Scale,
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) per_unit: f64,
    pub(super) unit: &'static str,
}

impl Time {
    pub(super) fn of(run: &Run) -> Self {
        let (start, end) = run.extent().unwrap_or_default();
        // A run of one decision has a moment before and after it as well.
        let (start, end) = if start == end {
            (start.saturating_sub(1_000_000), end.saturating_add(1_000_000))
        } else {
            (start, end)
        };
        let (per_unit, unit) = unit(between(start, end));
        let [low, high] = [start, end].map(|offset| in_unit(offset, per_unit));
        Self { scale: Scale::new((low, high), (LEFT, RIGHT)), start, end, per_unit, unit }
    }

    /// Where a moment is drawn; what lies outside is drawn at the edge.
    pub(super) fn at(&self, offset: Offset) -> f64 {
        self.scale.at(in_unit(offset.clamp(self.start, self.end), self.per_unit))
    }

    pub(super) fn has(&self, offset: Offset) -> bool {
        (self.start..=self.end).contains(&offset)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no 53 bits")]
fn in_unit(offset: Offset, per_unit: f64) -> f64 {
    offset as f64 / per_unit
}
