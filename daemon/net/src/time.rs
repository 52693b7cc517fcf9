//! The monotonic clock as one number (`clock_gettime(2)`): `std::time::Instant` hides it behind arithmetic that an
//! event loop would do again at every turn.
#![expect(unsafe_code, reason = "clock_gettime writes through a pointer")]

/// Nanoseconds of the monotonic clock, from a start that means nothing.
#[inline]
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Processor time the calling thread has used, user and system, in nanoseconds.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is live and writable. The call cannot fail: both clocks exist everywhere.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let (seconds, nanos) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{monotonic_ns, thread_cpu_ns};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the standard library's clock is the measure here")]
    fn it_goes_as_the_clock_of_the_standard_library() {
        let outer = Instant::now();
        let first = monotonic_ns();
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(2) {}
        let (least, last, most) = (inner.elapsed(), monotonic_ns(), outer.elapsed());
        let passed = Duration::from_nanos(last - first);
        assert!((least..=most).contains(&passed), "{least:?} <= {passed:?} <= {most:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the standard library's clock is the measure here")]
    fn the_clock_of_the_thread_goes_while_it_works() {
        let (outer, start) = (Instant::now(), thread_cpu_ns());
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(2) {}
        let worked = Duration::from_nanos(thread_cpu_ns() - start);
        assert!(!worked.is_zero() && worked <= outer.elapsed(), "{worked:?}");
    }
}
