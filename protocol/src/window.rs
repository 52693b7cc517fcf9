//! Replay window of an authenticated stream: a ring of bit blocks that needs no shifting (RFC 6479).

use core::fmt;

use crate::frame::DecodeError;

/// Bits of a block.
const BLOCK_BITS: u64 = 64;
/// Blocks of the ring; a power of two, so that the place of a number follows from the number alone.
const BLOCKS: usize = 32;
/// `BLOCKS` as a number of the stream's type.
const RING: u64 = 32;
/// Numbers the window tells apart: one block is always being cleared ([P-63]).
pub const WINDOW_SPAN: u64 = (RING - 1) * BLOCK_BITS;

const _: () = assert!(RING.is_power_of_two() && WINDOW_SPAN == 1984);

/// Which sequence numbers of one stream were seen.
///
/// Call [`check`](Self::check) before the tag is verified if that saves work, and [`accept`](Self::accept)
/// only after it ([P-64]): a forged number must not move the window.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    ring: [u64; BLOCKS],
    /// Highest number accepted.
    top: Option<u64>,
    #[cfg(debug_assertions)]
    model: model::Model,
}

/// Why a number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError {
    /// Seen before.
    Replay,
    /// Left of the window: it may or may not have been seen.
    TooOld,
}

impl ReplayWindow {
    /// A window that has seen nothing; the first number may be any.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            ring: [0; BLOCKS],
            top: None,
            #[cfg(debug_assertions)]
            model: model::Model::new(),
        }
    }

    /// Whether `seq` would be accepted. Changes nothing.
    ///
    /// # Errors
    /// Which of the two reasons refuses it.
    pub fn check(&self, seq: u64) -> Result<(), WindowError> {
        let verdict = match self.top {
            Some(top) if top.saturating_sub(seq) >= WINDOW_SPAN => Err(WindowError::TooOld),
            Some(top) if seq <= top && self.bit(seq) => Err(WindowError::Replay),
            Some(_) | None => Ok(()),
        };
        #[cfg(debug_assertions)]
        debug_assert_eq!(verdict, self.model.check(seq), "the ring and its model differ at {seq}");
        verdict
    }

    /// Marks `seq` as seen, after the integrity check.
    ///
    /// # Errors
    /// The number is a replay or too old, as [`check`](Self::check) says; the window is then unchanged.
    pub fn accept(&mut self, seq: u64) -> Result<(), WindowError> {
        self.check(seq)?;
        self.advance(seq);
        if let Some((block, mask)) =
            Self::place(seq).and_then(|(at, mask)| Some((self.ring.get_mut(at)?, mask)))
        {
            *block |= mask;
        }
        #[cfg(debug_assertions)]
        self.model.accept(seq);
        Ok(())
    }

    /// Highest number accepted so far.
    #[must_use]
    pub const fn top(&self) -> Option<u64> {
        self.top
    }

    /// Bit i: `seq - i` was accepted. The `window` field of RSTAT ([P-70]); numbers outside the window read 0.
    #[must_use]
    pub fn recent(&self, seq: u64) -> u64 {
        let seen = |back: u32| seq.checked_sub(u64::from(back)).is_some_and(|number| self.holds(number));
        (0..u64::BITS).rev().fold(0, |bits, back| (bits << 1) | u64::from(seen(back)))
    }

    fn holds(&self, seq: u64) -> bool {
        self.top.is_some_and(|top| seq <= top && top.abs_diff(seq) < WINDOW_SPAN) && self.bit(seq)
    }

    /// Moves the right edge to `seq` if it lies ahead, and clears the blocks passed over: at most the ring.
    fn advance(&mut self, seq: u64) {
        let from = match self.top {
            Some(top) if seq <= top => return,
            Some(top) => top.checked_div(BLOCK_BITS).unwrap_or(0),
            None => seq.checked_div(BLOCK_BITS).unwrap_or(0),
        };
        let to = seq.checked_div(BLOCK_BITS).unwrap_or(0);
        for passed in 0..to.abs_diff(from).min(RING) {
            let number = to.saturating_sub(passed).saturating_mul(BLOCK_BITS);
            if let Some(block) = Self::place(number).and_then(|(at, _)| self.ring.get_mut(at)) {
                *block = 0;
            }
        }
        self.top = Some(seq);
    }

    fn bit(&self, seq: u64) -> bool {
        Self::place(seq).and_then(|(at, mask)| Some(self.ring.get(at)? & mask != 0)).unwrap_or(false)
    }

    /// Block and mask of a number.
    fn place(seq: u64) -> Option<(usize, u64)> {
        let block = seq.checked_div(BLOCK_BITS)? & (RING - 1);
        let bit = u32::try_from(seq & (BLOCK_BITS - 1)).ok()?;
        Some((usize::try_from(block).ok()?, 1_u64.checked_shl(bit)?))
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl From<WindowError> for DecodeError {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::Replay => Self::Replay,
            WindowError::TooOld => Self::TooOld,
        }
    }
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DecodeError::from(*self).name())
    }
}

impl core::error::Error for WindowError {}

/// A replay window, slow and obvious: one `bool` for each number back from the highest, shifted by hand.
#[cfg(debug_assertions)]
mod model {
    use super::{WINDOW_SPAN, WindowError};

    const SPAN: usize = 1984;
    const _: () = assert!(WINDOW_SPAN == 1984);

    #[derive(Clone, Debug)]
    pub(super) struct Model {
        top: Option<u64>,
        /// `seen[i]` is about the number `top - i`.
        seen: [bool; SPAN],
    }

    impl Model {
        pub(super) const fn new() -> Self {
            Self { top: None, seen: [false; SPAN] }
        }

        pub(super) fn check(&self, seq: u64) -> Result<(), WindowError> {
            let Some(back) = self.top.and_then(|top| top.checked_sub(seq)) else { return Ok(()) };
            let back = usize::try_from(back).unwrap_or(usize::MAX);
            match self.seen.get(back) {
                None => Err(WindowError::TooOld),
                Some(true) => Err(WindowError::Replay),
                Some(false) => Ok(()),
            }
        }

        pub(super) fn accept(&mut self, seq: u64) {
            let top = self.top.map_or(seq, |top| top.max(seq));
            let moved = usize::try_from(top.abs_diff(self.top.unwrap_or(top))).unwrap_or(SPAN).min(SPAN);
            self.seen.rotate_right(moved);
            self.seen.iter_mut().take(moved).for_each(|seen| *seen = false);
            self.top = Some(top);
            let back = usize::try_from(top.abs_diff(seq)).unwrap_or(SPAN);
            if let Some(seen) = self.seen.get_mut(back) {
                *seen = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_the_window() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(5000), Ok(()));
        assert_eq!(window.accept(5000), Err(WindowError::Replay));
        assert_eq!(window.check(5000 - 1984), Err(WindowError::TooOld));
        assert_eq!(window.accept(5000 - 1983), Ok(()));
        assert_eq!(window.accept(5000 - 1983), Err(WindowError::Replay));
        assert_eq!(window.accept(5001), Ok(()));
        assert_eq!(window.check(5000 - 1983), Err(WindowError::TooOld));
    }

    #[test]
    fn zero_and_the_last_number_are_ordinary() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(0), Ok(()));
        assert_eq!(window.accept(0), Err(WindowError::Replay));
        assert_eq!(window.accept(u64::MAX), Ok(()));
        assert_eq!(window.accept(u64::MAX), Err(WindowError::Replay));
        assert_eq!(window.accept(u64::MAX - 1), Ok(()));
        assert_eq!(window.check(0), Err(WindowError::TooOld));
    }

    #[test]
    fn a_refusal_is_named_as_its_class_of_datagrams() {
        assert_eq!([WindowError::Replay, WindowError::TooOld].map(|e| e.to_string()), ["replay", "too_old"]);
    }

    #[test]
    fn recent_is_the_window_of_rstat() {
        let mut window = ReplayWindow::new();
        for seq in [1, 2, 3, 5, 7] {
            assert_eq!(window.accept(seq), Ok(()));
        }
        assert_eq!(window.recent(7), 0b111_0101);
        assert_eq!(window.recent(5), 0b1_1101);
        assert_eq!(window.recent(8), 0b1110_1010);
    }
}
