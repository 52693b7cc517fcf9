//! Texts of each type and what they mean: the table that every reader of such texts is tested with.
//!
//! The tests of this crate try the functions on it. Whoever reads options by other means, or passes texts
//! on to these functions, tries its own way on the same rows.

/// A text, and its value or what is said about it.
pub type Case<T> = (&'static str, Result<T, &'static str>);

/// Texts for [`ratio`](crate::ratio()): shares from 0 to 1.
pub const RATIOS: &[Case<f64>] = &[
    ("2.5%", Ok(0.025)),
    (" 10 % ", Ok(0.1)),
    ("100%", Ok(1.0)),
    ("0.025", Ok(0.025)),
    ("1", Ok(1.0)),
    ("-0", Ok(0.0)),
    ("10", Err(RATIO_RANGE)),
    ("101%", Err(RATIO_RANGE)),
    ("-1%", Err(RATIO_RANGE)),
    ("nan", Err(RATIO_RANGE)),
    ("half", Err(RATIO)),
    ("0.2_5", Err(RATIO)),
    ("%", Err(RATIO)),
    ("", Err(RATIO)),
];

/// Texts for [`duration`](crate::duration()): nanoseconds.
pub const DURATIONS: &[Case<u64>] = &[
    ("7ns", Ok(7)),
    ("50us", Ok(50_000)),
    ("10\u{b5}s", Ok(10_000)),
    ("15ms", Ok(15_000_000)),
    ("1.5s", Ok(1_500_000_000)),
    ("2m", Ok(120_000_000_000)),
    ("2min", Ok(120_000_000_000)),
    ("1h", Ok(3_600_000_000_000)),
    ("1d", Ok(86_400_000_000_000)),
    ("1m 30s", Ok(90_000_000_000)),
    ("1m30s", Ok(90_000_000_000)),
    (" 15 ms ", Ok(15_000_000)),
    ("15", Err("a duration needs its unit, such as 15ms or 15s")),
    (" 15 ", Err("a duration needs its unit, such as 15ms or 15s")),
    ("1.5", Err("a duration needs its unit, such as 1.5ms or 1.5s")),
    ("0", Err("a duration needs its unit, such as 0ms or 0s")),
    ("", Err(DURATION)),
    ("ms", Err(DURATION)),
    ("-5s", Err(DURATION)),
    ("1_000ms", Err(DURATION)),
    ("3 elephants", Err(DURATION)),
    ("0.5ns", Err(DURATION_RANGE)),
    ("99999999999999999999s", Err(DURATION_RANGE)),
];

/// Texts for [`size`](crate::size()): bytes.
///
/// A size is a whole number of its unit. `1.5MiB` is refused although it is a whole number of bytes: whether
/// a fraction is one depends on its digits and its unit (`0.3KiB` is not), and `1536KiB` says the same.
pub const SIZES: &[Case<u64>] = &[
    ("0", Ok(0)),
    ("1500", Ok(1500)),
    ("1500B", Ok(1500)),
    ("1kB", Ok(1000)),
    ("1KB", Ok(1000)),
    ("3MB", Ok(3_000_000)),
    ("2GB", Ok(2_000_000_000)),
    ("64KiB", Ok(65_536)),
    ("4 MiB", Ok(4 << 20)),
    (" 1GiB ", Ok(1 << 30)),
    ("", Err(SIZE)),
    ("KiB", Err(SIZE)),
    ("-1", Err(SIZE)),
    ("4m", Err(SIZE_UNIT)),
    ("64kib", Err(SIZE_UNIT)),
    ("1.5MiB", Err(SIZE_UNIT)),
    ("1_000", Err(SIZE_UNIT)),
    ("18446744073709551615KiB", Err("the size does not fit into 64 bits")),
];

/// Texts for [`address`](crate::address()): the address as [`SocketAddr`](std::net::SocketAddr) prints it.
pub const ADDRESSES: &[Case<&str>] = &[
    ("192.0.2.1:53", Ok("192.0.2.1:53")),
    (" 192.0.2.1:0 ", Ok("192.0.2.1:0")),
    ("[2001:db8::1]:53", Ok("[2001:db8::1]:53")),
    ("[fe80::1%2]:53", Ok("[fe80::1%2]:53")),
    ("192.0.2.1", Err("expected ADDRESS:PORT such as 192.0.2.1:7000 or [2001:db8::1]:7000")),
    ("192.0.2.1:+53", Err("expected a port number from 0 to 65535")),
    ("192.0.2.1:70000", Err("expected a port number from 0 to 65535")),
    ("192.0.2.1:domain", Err("expected a port number from 0 to 65535")),
    ("::1:53", Err("an IPv6 address needs brackets: [::1]:53")),
    ("localhost:53", Err("expected an IP address, not a host name, such as 192.0.2.1:7000")),
    ("[localhost]:53", Err("expected an IPv6 address in the brackets")),
    ("[fe80::1%eth0]:53", Err("expected the number of an interface after %")),
];

/// Texts for [`rate`](crate::rate()): how many in how many seconds.
pub const RATES: &[Case<(u64, u64)>] = &[
    ("50000/s", Ok((50_000, 1))),
    ("50000", Ok((50_000, 1))),
    ("1.5k/s", Ok((1_500, 1))),
    ("2M/s", Ok((2_000_000, 1))),
    ("0.5/s", Ok((5, 10))),
    ("30/m", Ok((30, 60))),
    ("30/min", Ok((30, 60))),
    ("6/h", Ok((6, 3600))),
    ("1000000M/s", Ok((1_000_000_000_000, 1))),
    ("999999999999/s", Ok((999_999_999_999, 1))),
    ("1234567.12/s", Ok((123_456_712, 100))),
    ("", Err(RATE)),
    ("0", Err(RATE)),
    ("0/s", Err(RATE)),
    ("/s", Err(RATE)),
    ("1/x", Err(RATE)),
    ("-1/s", Err(RATE)),
    ("1e3/s", Err(RATE)),
    ("k/s", Err(RATE)),
    ("1.2.3/s", Err(RATE)),
    (" 1/s", Err(RATE)),
    ("0.1234567/s", Err(RATE)),
    ("0000000000001/s", Err(RATE)),
    ("1000001M/s", Err(RATE)),
    ("9999999999999/s", Err(RATE)),
];

const RATIO: &str = "expected a ratio such as 2.5% or 0.025";
const RATIO_RANGE: &str = "expected a ratio from 0% to 100%, such as 2.5% or 0.025";
const DURATION: &str = "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h";
const DURATION_RANGE: &str = "the duration is too long, or finer than 1ns";
const SIZE: &str = "expected a size in bytes such as 1500, 64KiB or 4MiB";
const SIZE_UNIT: &str =
    "expected a size in bytes such as 1500, 64KiB or 4MiB (units: B, KB, MB, GB, KiB, MiB, GiB)";
const RATE: &str = "expected a rate such as 50000/s, 1.5k/s, 2M/s or 30/m, above zero";
