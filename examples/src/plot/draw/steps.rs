//! Values of bins as steps: level within a bin, and a gap where nothing is known.

use super::sheet::step;
use super::time::Time;
use crate::plot::span::Offset;

/// Where a bin begins and ends on the sheet, and where its value lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) y: f64,
}

/// Pixels of a bin that is drawn.
const NARROWEST: f64 = 0.5;

/// Runs of neighbouring bins.
pub(super) fn runs(
    time: &Time,
    width: Offset,
    bins: impl Iterator<Item = (Offset, Option<f64>)>,
) -> Vec<Vec<Level>> {
    let mut runs: Vec<Vec<Level>> = Vec::new();
    let mut next = None;
    for (start, y) in bins {
        let Some(y) = y else { continue };
        let end = start.saturating_add(width);
        // A bin that the end of the picture cuts to nothing is not seen.
        if time.at(end) - time.at(start) < NARROWEST {
            continue;
        }
        let level = Level { left: time.at(start), right: time.at(end), y };
        match runs.last_mut() {
            Some(run) if next == Some(start) => run.push(level),
            _ => runs.push(vec![level]),
        }
        next = Some(end);
    }
    runs
}

/// The upper edge of all runs.
pub(super) fn line(runs: &[Vec<Level>]) -> String {
    let mut data = String::new();
    for run in runs {
        for (index, level) in run.iter().enumerate() {
            step(&mut data, if index == 0 { 'M' } else { 'L' }, (level.left, level.y));
            step(&mut data, 'L', (level.right, level.y));
        }
    }
    data
}

/// From the middle of each bin to that of the next: calmer than steps, where values are of few.
pub(super) fn curve(runs: &[Vec<Level>]) -> String {
    let mut data = String::new();
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        step(&mut data, 'M', (first.left, first.y));
        for level in run {
            step(&mut data, 'L', (level.left.midpoint(level.right), level.y));
        }
        step(&mut data, 'L', (last.right, last.y));
    }
    data
}

/// What lies between the runs and the bottom of the panel.
pub(super) fn area(runs: &[Vec<Level>], bottom: f64) -> String {
    let mut data = String::new();
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        step(&mut data, 'M', (first.left, bottom));
        for level in run {
            step(&mut data, 'L', (level.left, level.y));
            step(&mut data, 'L', (level.right, level.y));
        }
        step(&mut data, 'L', (last.right, bottom));
        data.push('z');
    }
    data
}
