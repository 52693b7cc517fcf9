//! Single marks, as long as there are few of them: a picture has no room for more, and a reader no eyes.

use polyport_protocol::Nanos;

use super::span::Offset;

/// Ticks of one kind and direction that are drawn one by one: one a pixel, about. Beyond that, their sums are.
pub const MAX_TICKS: usize = 800;

/// Points of one direction: 40 kB of picture. Beyond that, every second, fourth, eighth ... is kept.
pub const MAX_POINTS: usize = 1500;

/// When something happened, unless it happened too often.
#[derive(Clone, Debug)]
pub struct Ticks(Option<Vec<Offset>>);

impl Default for Ticks {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Ticks {
    /// One more.
    pub fn push(&mut self, at: Offset) {
        if self.0.as_ref().is_some_and(|ticks| ticks.len() == MAX_TICKS) {
            self.0 = None;
        }
        if let Some(ticks) = &mut self.0 {
            ticks.push(at);
        }
    }

    /// All of them; `None` if they were too many.
    #[must_use]
    pub fn all(&self) -> Option<&[Offset]> {
        self.0.as_deref()
    }
}

/// Delays over time: all of them, or one of so many.
#[derive(Clone, Debug)]
pub struct Points {
    kept: Vec<(Offset, Nanos)>,
    /// One of so many is kept.
    step: u64,
    seen: u64,
}

impl Default for Points {
    fn default() -> Self {
        Self { kept: Vec::new(), step: 1, seen: 0 }
    }
}

impl Points {
    /// One more.
    pub fn push(&mut self, at: Offset, wait: Nanos) {
        if self.seen.is_multiple_of(self.step) {
            if self.kept.len() == MAX_POINTS {
                let mut index = 0_usize;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.step = self.step.saturating_mul(2);
            }
            if self.seen.is_multiple_of(self.step) {
                self.kept.push((at, wait));
            }
        }
        self.seen += 1;
    }

    /// Those that are kept, in the order of the log.
    #[must_use]
    pub fn kept(&self) -> &[(Offset, Nanos)] {
        &self.kept
    }

    /// One of so many is kept; 1 says all.
    #[must_use]
    pub const fn step(&self) -> u64 {
        self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_all_there_or_none() {
        let mut ticks = Ticks::default();
        let most = i64::try_from(MAX_TICKS).unwrap();
        (0..most).for_each(|at| ticks.push(at));
        assert_eq!(ticks.all().unwrap().len(), MAX_TICKS);
        ticks.push(most);
        assert_eq!(ticks.all(), None);
    }

    #[test]
    fn points_are_thinned_evenly() {
        for count in [0, 1, MAX_POINTS, MAX_POINTS + 1, 100 * MAX_POINTS + 7] {
            let mut points = Points::default();
            for at in 0..i64::try_from(count).unwrap() {
                points.push(at, 1);
            }
            let step = points.step();
            let expected: Vec<_> = (0..i64::try_from(count).unwrap())
                .filter(|at| at.unsigned_abs().is_multiple_of(step))
                .map(|at| (at, 1))
                .collect();
            assert_eq!(points.kept(), expected, "{count}");
            assert!(points.kept().len() <= MAX_POINTS && (step == 1) == (count <= MAX_POINTS), "{count}");
        }
    }
}
