//! Timestamps and error estimates, as octets: RFC 5905 section 6, RFC 8186, RFC 4656 section 4.1.2.

use polyport_protocol::{Nanos, SECOND};

/// From 1900, where NTP counts from, to 1970, seconds.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// What TAI, by which PTP counts, has been ahead of UTC since 2017, seconds.
const TAI_AHEAD: u64 = 37;

/// How timestamps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Seconds since 1900 (UTC) and a fraction, 32 bits each. Begins anew in 2036.
    Ntp,
    /// Seconds since 1970 (TAI) and nanoseconds, 32 bits each: the truncated format of PTP version 2.
    Ptp,
}

/// What a side says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEstimate {
    /// Whether something keeps it at UTC.
    pub synchronized: bool,
    /// The format of its timestamps, bit Z.
    pub format: Format,
    /// By how much it may be wrong, as far as that can be counted.
    pub error: Nanos,
}

/// The moment `unix` (since 1970, UTC) in the format of NTP.
#[must_use]
pub fn ntp(unix: Nanos) -> [u8; 8] {
    let seconds = unix / SECOND + NTP_TO_UNIX;
    let fraction = ((unix % SECOND) << 32) / SECOND;
    // The low half of the seconds: they wrap.
    (seconds << 32 | fraction).to_be_bytes()
}

/// The moment (since 1970, UTC) that a timestamp means, the one nearest to `near`; what [`ntp`] has written is read exactly. `None` if it
/// means none: it was never set, or has more than a second of nanoseconds.
#[must_use]
pub fn read(stamp: [u8; 8], format: Format, near: Nanos) -> Option<Nanos> {
    let whole = u64::from_be_bytes(stamp);
    if whole == 0 {
        return None;
    }
    let (seconds, part) = (whole >> 32, whole & u64::from(u32::MAX));
    let (zero, part) = match format {
        // Rounded up: it was rounded down.
        Format::Ntp => {
            (NTP_TO_UNIX, u64::try_from((u128::from(part) * u128::from(SECOND)).div_ceil(1 << 32)).ok()?)
        }
        Format::Ptp if part < SECOND => (0, part),
        Format::Ptp => return None,
    };
    // Of the moments whose seconds end in these 32 bits the nearest one.
    let about = near / SECOND + zero;
    let [_, _, _, _, low @ ..] = seconds.wrapping_sub(about).to_be_bytes();
    let seconds = about.checked_add_signed(i32::from_be_bytes(low).into())?.checked_sub(zero)?;
    let ahead = if format == Format::Ptp { TAI_AHEAD } else { 0 };
    seconds.checked_sub(ahead)?.checked_mul(SECOND)?.checked_add(part)
}

impl ErrorEstimate {
    /// Reads the field; `None` if it says nothing: a multiplier of zero is corrupt.
    #[must_use]
    pub fn read([first, multiplier]: [u8; 2]) -> Option<Self> {
        if multiplier == 0 {
            return None;
        }
        // Multiplier * 2^Scale units of 2^-32 s.
        let units = u128::from(multiplier) << (first & 0x3F);
        let error = (units * u128::from(SECOND)).div_ceil(1 << 32);
        Some(Self {
            synchronized: first & 0x80 != 0,
            format: if first & 0x40 == 0 { Format::Ntp } else { Format::Ptp },
            error: Nanos::try_from(error).unwrap_or(Nanos::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Nanos = 1_700_000_000_500_000_000;

    proptest! {
        #[test]
        fn what_is_written_is_read_exactly(unix in 1..15_000_000_000_000_000_000_u64, off in -1_000_000_000_000_000_000..1_000_000_000_000_000_000_i64) {
            // The reader may be wrong by decades.
            let near = unix.saturating_add_signed(off);
            prop_assert_eq!(read(ntp(unix), Format::Ntp, near), Some(unix));
        }

        #[test]
        fn any_octets_mean_a_moment_or_none(stamp in any::<[u8; 8]>(), near in any::<u64>(), estimate in any::<[u8; 2]>()) {
            let mut moments = [Format::Ntp, Format::Ptp].into_iter().filter_map(|format| read(stamp, format, near));
            // Half of all the seconds that 32 bits can tell apart, and one more.
            prop_assert!(moments.all(|moment| moment.abs_diff(near) <= ((1 << 31) + 38) * SECOND));
            prop_assert_eq!(ErrorEstimate::read(estimate).is_some(), estimate[1] > 0);
        }
    }

    #[test]
    fn both_formats_are_those_of_the_rfcs() {
        // RFC 5905, figure 4: 1970-01-01 is 2,208,988,800; a half second is the highest bit.
        assert_eq!(ntp(0), [0x83, 0xAA, 0x7E, 0x80, 0, 0, 0, 0]);
        assert_eq!(ntp(NOW), [0xE8, 0xFE, 0x6F, 0x80, 0x80, 0, 0, 0]);
        let ptp =
            [1_700_000_037_u32.to_be_bytes(), 500_000_000_u32.to_be_bytes()].concat().try_into().unwrap();
        assert_eq!(read(ptp, Format::Ptp, NOW), Some(NOW));
        let too_many =
            [1_700_000_037_u32.to_be_bytes(), 1_000_000_000_u32.to_be_bytes()].concat().try_into().unwrap();
        assert_eq!((read(too_many, Format::Ptp, NOW), read([0; 8], Format::Ntp, NOW)), (None, None));
    }

    #[test]
    fn an_estimate_says_error_format_and_whether_clocks_are_kept() {
        let read = |octets| ErrorEstimate::read(octets).unwrap();
        assert_eq!(
            read([25, 128]),
            ErrorEstimate { synchronized: false, format: Format::Ntp, error: SECOND }
        );
        assert_eq!(read([0xC0, 1]), ErrorEstimate { synchronized: true, format: Format::Ptp, error: 1 });
        assert_eq!(read([0x3F, 255]).error, Nanos::MAX);
        assert_eq!(ErrorEstimate::read([25, 0]), None);
    }
}
