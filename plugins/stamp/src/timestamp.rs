//! Timestamps and the error estimate, as octets: RFC 5905, section 6; RFC 8186; RFC 4656, section 4.1.2.

use std::time::Duration;

/// From 1900, where NTP counts from, to 1970, seconds.
const NTP_TO_UNIX: u64 = 2_208_988_800;
const NANOS: u64 = 1_000_000_000;

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Seconds since 1900 (UTC) and a fraction, 32 bits each. Begins anew in 2036.
    Ntp,
    /// Seconds since 1970 (TAI) and nanoseconds, 32 bits each: the truncated format of PTP version 2.
    Ptp {
        /// What TAI is ahead of UTC.
        tai_offset: Duration,
    },
}

impl Format {
    /// The moment `unix_ns`, nanoseconds since 1970 (UTC).
    pub(crate) fn write(self, unix_ns: u64) -> [u8; 8] {
        let (seconds, part) = match self {
            Self::Ntp => {
                let nanos = unix_ns % NANOS;
                (unix_ns / NANOS + NTP_TO_UNIX, (nanos << 32) / NANOS)
            }
            Self::Ptp { tai_offset } => {
                let ahead = u64::try_from(tai_offset.as_nanos()).unwrap_or(u64::MAX);
                let tai_ns = unix_ns.saturating_add(ahead);
                (tai_ns / NANOS, tai_ns % NANOS)
            }
        };
        // The low halves: seconds wrap, and the part is below 2^32.
        let [_, _, _, _, a, b, c, d] = seconds.to_be_bytes();
        let [_, _, _, _, e, f, g, h] = part.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// The error estimate that goes with timestamps of this format: `error` rounded up to what the field can say.
    pub(crate) fn error_estimate(self, error: Duration, synchronized: bool) -> [u8; 2] {
        let s = if synchronized { 0x80 } else { 0 };
        let z = if matches!(self, Self::Ptp { .. }) { 0x40 } else { 0 };
        // Multiplier * 2^Scale units of 2^-32 s. A day has 2^49 of them, so the scale has six bits to spare.
        let units = (error.as_nanos() << 32).div_ceil(u128::from(NANOS));
        let fits = |scale: &u8| units.div_ceil(1 << *scale) <= 255;
        let scale = (0..64).find(fits).unwrap_or(63);
        let multiplier = u8::try_from(units.div_ceil(1 << scale)).unwrap_or(u8::MAX);
        // 0 would make the packet corrupt.
        [s | z | scale, multiplier.max(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTP: Format = Format::Ptp { tai_offset: Duration::from_secs(37) };

    #[test]
    fn ntp_counts_from_1900_in_fractions_and_begins_anew_in_2036() {
        // RFC 5905, figure 4: 1970-01-01 is 2,208,988,800; a half second is the highest bit.
        assert_eq!(Format::Ntp.write(0), [0x83, 0xAA, 0x7E, 0x80, 0, 0, 0, 0]);
        assert_eq!(Format::Ntp.write(1_700_000_000_500_000_000), [0xE8, 0xFE, 0x6F, 0x80, 0x80, 0, 0, 0]);
        assert_eq!(Format::Ntp.write(999_999_999)[4..], [0xFF, 0xFF, 0xFF, 0xFB]);
        let era_1 = (1 << 32) - NTP_TO_UNIX;
        assert_eq!(Format::Ntp.write(era_1 * NANOS), [0; 8]);
        assert_eq!(Format::Ntp.write((era_1 - 1) * NANOS)[..4], [0xFF; 4]);
    }

    #[test]
    fn ptp_counts_tai_from_1970_in_nanoseconds() {
        assert_eq!(PTP.write(0), [0, 0, 0, 37, 0, 0, 0, 0]);
        let nanos = 999_999_999_u32.to_be_bytes();
        let seconds = 1_700_000_037_u32.to_be_bytes();
        assert_eq!(PTP.write(1_700_000_000_999_999_999), [seconds, nanos].concat()[..]);
    }

    #[test]
    fn an_error_estimate_is_never_below_the_error_and_within_a_hundredth_and_a_unit() {
        for nanos in [1, 2, 59, 60, 1_000, 10_000_000, 1_000_000_000, 86_400_000_000_000] {
            let error = Duration::from_nanos(nanos);
            let [first, multiplier] = Format::Ntp.error_estimate(error, false);
            assert_eq!(first & 0xC0, 0);
            let said = f64::from(multiplier) * 2_f64.powi(i32::from(first & 0x3F) - 32);
            let unit = 2_f64.powi(-32);
            assert!(
                said >= error.as_secs_f64() && said <= error.as_secs_f64() * 1.01 + unit,
                "{error:?}: {said}"
            );
        }
    }

    #[test]
    fn the_estimate_says_whether_clocks_agree_and_which_format_is_meant() {
        let second = Duration::from_secs(1);
        assert_eq!(Format::Ntp.error_estimate(second, true), [0x80 | 25, 128]);
        assert_eq!(PTP.error_estimate(second, false), [0x40 | 25, 128]);
        assert_eq!(Format::Ntp.error_estimate(Duration::ZERO, false), [0, 1], "0 would be corrupt");
        assert_eq!(Format::Ntp.error_estimate(Duration::MAX, false), [63, 255], "the most that can be said");
    }
}
