//! Time since the first decision of a log. It may be negative: a log has its decisions by client in order, and not all of them.

use polyport_protocol::Nanos;

/// Nanoseconds since the first decision; 292 years at most, which is longer than any run.
pub type Offset = i64;

/// From a time of the log, and that of its first decision.
#[must_use]
pub fn offset(zero: Nanos, at: Nanos) -> Offset {
    let offset = i128::from(at) - i128::from(zero);
    Offset::try_from(offset).unwrap_or(if offset < 0 { Offset::MIN } else { Offset::MAX })
}

/// The offset that a span of time leads to.
#[must_use]
pub fn after(span: Nanos) -> Offset {
    Offset::try_from(span).unwrap_or(Offset::MAX)
}

/// From one offset to a later one; nothing, if it is not later.
#[must_use]
pub fn between(from: Offset, to: Offset) -> Nanos {
    u64::try_from(i128::from(to) - i128::from(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_saturate_and_do_not_wrap() {
        assert_eq!((offset(5, 12), offset(12, 5)), (7, -7));
        assert_eq!((offset(0, u64::MAX), offset(u64::MAX, 0)), (Offset::MAX, Offset::MIN));
        assert_eq!((after(7), after(u64::MAX)), (7, Offset::MAX));
        assert_eq!((between(2, 9), between(9, 2)), (7, 0));
        assert_eq!(between(Offset::MIN, Offset::MAX), u64::MAX);
    }
}
