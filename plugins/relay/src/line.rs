//! What is written about a session that has ended.

use std::fmt;
use std::net::SocketAddr;

use polyport_plugin::{End, Report, Traffic};

use crate::clients::{Leaving, Session};

/// `192.0.2.7:50211 -> 10.0.0.5:27015 by :41022, 31.2s, idle; up 1204 (93 KiB, lost 11), down 1190 (1.2 MiB, lost 24); errors 0`.
pub(crate) struct Line<'a> {
    pub(crate) report: &'a Report,
    pub(crate) session: &'a Session,
    /// What the network lost, up and down.
    pub(crate) lost: [u32; 2],
    pub(crate) end: End,
    pub(crate) now_ns: u64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, session, .. } = *self;
        let text = |address: Option<SocketAddr>| {
            address.map_or_else(|| "?".to_owned(), |address| address.to_string())
        };
        write!(f, "{} -> {}", text(report.client()), text(report.upstream()))?;
        if let Some(local) = report.local() {
            write!(f, " by :{}", local.port())?;
        }
        let lasted_ns = self.now_ns.saturating_sub(report.opened_ns().unwrap_or(self.now_ns));
        write!(f, ", {}, {}; ", Lasted(lasted_ns), self.why())?;
        direction(f, "up", report.sent(), report.dropped().saturating_add(self.lost[0].into()))?;
        f.write_str(", ")?;
        direction(f, "down", report.received(), self.lost[1].into())?;
        write!(f, "; errors {}", session.errors)
    }
}

/// `192.0.2.7:50211 -> 10.0.0.5:27015, open at the end; up 1204 (lost 11), down 1190 (lost 24); errors 0`: of a session that is open when
/// the relay stops. Bytes, port and age are the host's, which tells them of those that have ended.
pub(crate) struct Open<'a> {
    pub(crate) session: &'a Session,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) lost: [u32; 2],
}

impl fmt::Display for Open<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, upstream, lost: [up, down] } = self;
        write!(f, "{} -> ", session.client.peer())?;
        match upstream {
            Some(upstream) => write!(f, "{upstream}")?,
            None => f.write_str("?")?,
        }
        write!(f, ", open at the end; up {} (lost {up})", session.requests)?;
        write!(f, ", down {} (lost {down}); errors {}", session.answers, session.errors)
    }
}

impl Line<'_> {
    fn why(&self) -> String {
        match (self.end, self.session.leaving) {
            (End::Asked, Some(Leaving::Replies)) => "answered".to_owned(),
            (End::Asked, Some(Leaving::Full)) => "silent for longest".to_owned(),
            (End::Asked, Some(Leaving::Moved)) => "moved".to_owned(),
            (end, _) => end.to_string(),
        }
    }
}

fn direction(f: &mut fmt::Formatter<'_>, name: &str, traffic: Traffic, lost: u64) -> fmt::Result {
    write!(f, "{name} {} ({}, lost {lost})", traffic.datagrams, Bytes(traffic.bytes))
}

/// Bytes with a binary unit: `512 B`, `93 KiB`, `1.2 MiB`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // The largest unit of which there is one.
        let mut scale = 1024_u128;
        let mut units = UNITS.iter();
        let mut unit = units.next();
        let tenths = |scale: u128| (u128::from(self.0) * 10 + scale / 2) / scale;
        while tenths(scale) >= 10_240
            && let Some(next) = units.next()
        {
            (scale, unit) = (scale * 1024, Some(next));
        }
        let (tenths, unit) = (tenths(scale), unit.unwrap_or(&"B"));
        if tenths < 100 {
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            write!(f, "{} {unit}", (tenths + 5) / 10)
        }
    }
}

/// How long it was there: `0.4s`, `31.2s`, `12m 5s`, `3h 0m 20s`.
struct Lasted(u64);

impl fmt::Display for Lasted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        let tenths = self.0.saturating_add(SECOND / 20) / (SECOND / 10);
        let (seconds, tenths) = (tenths / 10, tenths % 10);
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => write!(f, "{seconds}.{tenths}s"),
            (0, minutes, seconds) => write!(f, "{minutes}m {seconds}s"),
            (hours, minutes, seconds) => write!(f, "{hours}h {minutes}m {seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit_and_two_digits_at_least() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (95_000, "93 KiB"),
            (1_258_291, "1.2 MiB"),
            (1_048_575, "1.0 MiB"),
            (10 << 20, "10 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_are_as_people_say_them() {
        let ms = |ms: u64| Lasted(ms * 1_000_000).to_string();
        assert_eq!([ms(0), ms(440), ms(31_200), ms(59_960)], ["0.0s", "0.4s", "31.2s", "1m 0s"]);
        assert_eq!([ms(725_000), ms(10_820_000)], ["12m 5s", "3h 0m 20s"]);
    }
}
