//! Texts to values: ratio, duration, size and address, as they are written in `polyport.toml`,
//! behind `--listen` and in plugin options.
//!
//! Pure functions. An error says what was expected and gives an example; it does not repeat the
//! text, since the caller points at it with a caret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::Duration;

/// A share from 0 to 1, written as a percentage (`2.5%`) or as a number (`0.025`).
///
/// # Errors
/// The text is no number, or lies outside 0 to 1 (0% to 100%).
pub fn ratio(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text.trim(), 1.0),
    };
    let value = number
        .parse::<f64>()
        .map(|value| value / scale)
        .map_err(|_| "expected a ratio such as 2.5% or 0.025".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value.abs()); // -0.0 is 0.0
    }
    Err("expected a ratio from 0% to 100%, such as 2.5% or 0.025".to_owned())
}

/// A length of time with its unit: `50us`, `15ms`, `1.5s`, `2m`, `1h`, `1m 30s`. Resolution 1 ns.
///
/// # Errors
/// No unit, an unknown unit, or a value that is no whole number of nanoseconds or does not fit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("a duration needs its unit, such as {text}ms or {text}s"));
    }
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => "the duration is too long, or finer than 1ns".to_owned(),
        humantime::DurationError::InvalidCharacter(_)
        | humantime::DurationError::NumberExpected(_)
        | humantime::DurationError::UnknownUnit { .. }
        | humantime::DurationError::Empty => {
            "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h".to_owned()
        }
    })
}

/// A number of bytes: `1500`, `64KiB`, `4MiB`. `KB`, `MB` and `GB` are powers of 1000,
/// `KiB`, `MiB` and `GiB` powers of 1024 (IEC 80000-13).
///
/// Not the crate `bytesize`: it reads `4m` as 4,000,000, cuts fractions of a byte off and lets
/// a number that is too large saturate.
///
/// # Errors
/// No whole number, an unknown unit (units are spelled exactly), or more than 64 bits.
pub fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size in bytes such as 1500, 64KiB or 4MiB";
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ if number.is_empty() => return Err(EXPECTED.to_owned()),
        _ => return Err(format!("{EXPECTED} (units: B, KB, MB, GB, KiB, MiB, GiB)")),
    };
    if number.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "the size does not fit into 64 bits".to_owned())
}

/// One UDP address with a port number: `192.0.2.1:7000`, `[2001:db8::1]:7000`, `[fe80::1%2]:7000`.
///
/// Host names are refused: resolving one takes time and may change its answer.
///
/// # Errors
/// A name in the place of the address, an IPv6 address without brackets, no port.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let Some((host, port)) = host_and_port(text) else {
        return Err("expected ADDRESS:PORT such as 192.0.2.1:7000 or [2001:db8::1]:7000".to_owned());
    };
    let port = port_number(port).ok_or_else(|| "expected a port number from 0 to 65535".to_owned())?;
    match host {
        Host::V4(text) => match text.parse::<Ipv4Addr>() {
            Ok(ip) => Ok(SocketAddrV4::new(ip, port).into()),
            Err(_) if text.parse::<Ipv6Addr>().is_ok() => {
                Err(format!("an IPv6 address needs brackets: [{text}]:{port}"))
            }
            Err(_) => Err("expected an IP address, not a host name, such as 192.0.2.1:7000".to_owned()),
        },
        Host::V6 { address, zone } => {
            let ip = address.parse().map_err(|_| "expected an IPv6 address in the brackets".to_owned())?;
            let scope = match zone.map(str::parse::<u32>) {
                None => 0,
                Some(Ok(scope)) => scope,
                Some(Err(_)) => return Err("expected the number of an interface after %".to_owned()),
            };
            Ok(SocketAddrV6::new(ip, port, 0, scope).into())
        }
    }
}

/// What stands before the port, not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    /// No brackets: an IPv4 address, if it is right.
    V4(&'a str),
    /// In brackets, cut at `%` (RFC 4007, section 11).
    V6 { address: &'a str, zone: Option<&'a str> },
}

/// Cuts `HOST:PORT` at the right colon; `None` when there is no port.
pub(crate) fn host_and_port(text: &str) -> Option<(Host<'_>, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, port) = rest.split_once("]:")?;
        let (address, zone) = match inside.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (inside, None),
        };
        return Some((Host::V6 { address, zone }, port));
    }
    let (host, port) = text.rsplit_once(':')?;
    Some((Host::V4(host), port))
}

/// A decimal port number and nothing else (`str::parse` would take `+53`).
pub(crate) fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Whether `ip` has a meaning only together with an interface: link-local unicast (RFC 4291,
/// section 2.5.6) and link-local or interface-local multicast (section 2.7).
pub(crate) fn needs_zone(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => {
            let scope = ip.segments()[0];
            ip.is_unicast_link_local() || scope & 0xff0f == 0xff01 || scope & 0xff0f == 0xff02
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, String>, expected: &str) {
        assert_eq!(result.unwrap_err(), expected);
    }

    #[test]
    fn ratios() {
        assert_eq!(ratio("2.5%"), Ok(0.025));
        assert_eq!(ratio(" 10 % "), Ok(0.1));
        assert_eq!(ratio("0.025"), Ok(0.025));
        assert_eq!(ratio("1"), Ok(1.0));
        assert!(ratio("-0").unwrap().is_sign_positive());
        refused(ratio("10"), "expected a ratio from 0% to 100%, such as 2.5% or 0.025");
        refused(ratio("-1%"), "expected a ratio from 0% to 100%, such as 2.5% or 0.025");
        refused(ratio("nan"), "expected a ratio from 0% to 100%, such as 2.5% or 0.025");
        refused(ratio("half"), "expected a ratio such as 2.5% or 0.025");
        refused(ratio("%"), "expected a ratio such as 2.5% or 0.025");
    }

    #[test]
    fn durations() {
        assert_eq!(duration("15ms"), Ok(Duration::from_millis(15)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(duration("7ns"), Ok(Duration::from_nanos(7)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        refused(duration("15"), "a duration needs its unit, such as 15ms or 15s");
        refused(duration("1.5"), "a duration needs its unit, such as 1.5ms or 1.5s");
        refused(duration(""), "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h");
        refused(duration("-5s"), "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h");
        refused(duration("3 elephants"), "expected a duration such as 50us, 15ms, 1.5s, 2m or 1h");
        refused(duration("0.5ns"), "the duration is too long, or finer than 1ns");
        refused(duration("99999999999999999999s"), "the duration is too long, or finer than 1ns");
    }

    #[test]
    fn sizes() {
        assert_eq!(size("1500"), Ok(1500));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("4 MiB"), Ok(4 << 20));
        assert_eq!(size("1KB"), Ok(1000));
        assert_eq!(size("2GB"), Ok(2_000_000_000));
        refused(size("KiB"), "expected a size in bytes such as 1500, 64KiB or 4MiB");
        refused(size(""), "expected a size in bytes such as 1500, 64KiB or 4MiB");
        refused(
            size("4m"),
            "expected a size in bytes such as 1500, 64KiB or 4MiB (units: B, KB, MB, GB, KiB, MiB, GiB)",
        );
        refused(
            size("1.5MiB"),
            "expected a size in bytes such as 1500, 64KiB or 4MiB (units: B, KB, MB, GB, KiB, MiB, GiB)",
        );
        refused(size("18446744073709551615KiB"), "the size does not fit into 64 bits");
    }

    #[test]
    fn addresses() {
        assert_eq!(address("192.0.2.1:53"), Ok("192.0.2.1:53".parse().unwrap()));
        assert_eq!(address("[2001:db8::1]:53"), Ok("[2001:db8::1]:53".parse().unwrap()));
        assert_eq!(
            address("[fe80::1%2]:53"),
            Ok(SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 2).into())
        );
        refused(address("192.0.2.1"), "expected ADDRESS:PORT such as 192.0.2.1:7000 or [2001:db8::1]:7000");
        refused(address("192.0.2.1:+53"), "expected a port number from 0 to 65535");
        refused(address("192.0.2.1:70000"), "expected a port number from 0 to 65535");
        refused(address("::1:53"), "an IPv6 address needs brackets: [::1]:53");
        refused(address("localhost:53"), "expected an IP address, not a host name, such as 192.0.2.1:7000");
        refused(address("[localhost]:53"), "expected an IPv6 address in the brackets");
        refused(address("[fe80::1%eth0]:53"), "expected the number of an interface after %");
    }
}
