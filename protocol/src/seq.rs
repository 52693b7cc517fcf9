//! Serial number arithmetic (RFC 1982): order of 32-bit counters that wrap.

use core::cmp::Ordering;

/// A 32-bit number on a circle, such as Unix seconds modulo 2^32.
///
/// There is no `Ord`: two numbers exactly 2^31 apart have no order, and the order is not transitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial(
    /// The number as it stands on the wire.
    pub u32,
);

impl Serial {
    /// Signed distance from `self` to `later`: positive if `later` lies ahead. `None` if the two are
    /// exactly 2^31 apart.
    #[must_use]
    pub const fn distance_to(self, later: Self) -> Option<i32> {
        let gap = later.0.wrapping_sub(self.0);
        if gap == 1 << 31 { None } else { Some(gap.cast_signed()) }
    }

    /// Order on the circle, or `None` for opposite numbers.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        other.distance_to(self).map(|distance| distance.cmp(&0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let (before, after) = (Serial(u32::MAX - 4), Serial(5));
        assert_eq!(before.distance_to(after), Some(10));
        assert_eq!(after.distance_to(before), Some(-10));
        assert_eq!(after.compare(before), Some(Ordering::Greater));
        assert_eq!(before.compare(before), Some(Ordering::Equal));
    }

    #[test]
    fn opposite_numbers_have_no_order() {
        assert_eq!(Serial(7).compare(Serial(7 + (1 << 31))), None);
        assert_eq!(Serial(7).compare(Serial(6 + (1 << 31))), Some(Ordering::Less));
        assert_eq!(Serial(7).compare(Serial(8 + (1 << 31))), Some(Ordering::Greater));
    }
}
