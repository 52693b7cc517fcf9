//! A file, sent at its pace.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::pace::{Pace, Speed};
use super::report::{Lateness, Report};
use super::sources::Sources;
use crate::capture::{CaptureReader, Datagram, ReadError};
use crate::tap::Direction;

/// Sockets, if nobody says how many: half of the descriptors that a shell gives a program.
pub const SOURCES: usize = 512;
/// Datagrams that are sent before it is looked for answers, where there is no time to wait for any.
const SENT_A_LOOK: u64 = 32;
/// How often it is looked whether to end, while nothing is due.
const LOOK: Duration = Duration::from_millis(100);

/// Where datagrams go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To where they went, which only a tap's file may say: others are recordings of other hosts.
    Recorded,
    /// To this host, each to the port it went to.
    Host(IpAddr),
    /// All to this address.
    Address(SocketAddr),
}

impl Target {
    /// Reads `192.0.2.1:53`, or `192.0.2.1`, or `[::1]:53`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let ip = text.trim_start_matches('[').trim_end_matches(']');
        ip.parse().map(Self::Host).map_err(|_| {
            "expected an address such as 127.0.0.1:7000 or [::1]:7000, or one without a port".to_owned()
        })
    }

    fn of(self, datagram: &Datagram) -> SocketAddr {
        match self {
            Self::Recorded => datagram.to,
            Self::Host(ip) => SocketAddr::new(ip, datagram.to.port()),
            Self::Address(address) => address,
        }
    }
}

/// What is sent, where, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where to.
    pub to: Target,
    /// How fast.
    pub speed: Speed,
    /// How long answers are waited for after the last datagram.
    pub wait: Duration,
    /// How many are sent; none is all.
    pub count: Option<u64>,
    /// Only what was sent to this port.
    pub port: Option<u16>,
    /// Sockets at most.
    pub sources: usize,
}

/// Why a replay has not come to its end. What was sent before is in the report.
#[derive(Debug)]
pub enum Failure {
    /// The file.
    Read(ReadError),
    /// The file does not say where to, as far as one may follow it.
    NoTarget,
    /// Waiting for answers has failed.
    System(io::Error),
    /// Somebody asked to end.
    Asked,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::NoTarget => f.write_str(
                "it does not say to which server: only what `polyport tap` writes does; --to ADDR:PORT says it",
            ),
            Self::System(error) => write!(f, "waiting for answers failed: {error}"),
            Self::Asked => f.write_str("asked to end"),
        }
    }
}

/// Sends what is in `file`. `now` is a clock that only goes forward, `ends` whether to end early.
pub fn run(
    file: impl Read,
    settings: &Settings,
    now: &dyn Fn() -> Duration,
    ends: &dyn Fn() -> bool,
) -> (Report, Result<(), Failure>) {
    let mut replay = Replay {
        settings,
        now,
        ends,
        sources: Sources::new(settings.sources.max(1)),
        lateness: Lateness::new(),
        report: Report::default(),
        is_of_tap: false,
        pace: None,
    };
    let mut result = replay.send_all(file);
    // What came before a fault may be answered all the same.
    if replay.report.sent > 0 {
        let waited = replay.listen_until((replay.now)().saturating_add(settings.wait));
        result = result.and(waited);
    }
    (replay.finish(), result)
}

struct Replay<'a> {
    settings: &'a Settings,
    now: &'a dyn Fn() -> Duration,
    ends: &'a dyn Fn() -> bool,
    sources: Sources,
    lateness: Lateness,
    report: Report,
    is_of_tap: bool,
    pace: Option<(Pace, Duration)>,
}

impl Replay<'_> {
    fn send_all(&mut self, file: impl Read) -> Result<(), Failure> {
        let mut reader = CaptureReader::new(file).map_err(Failure::Read)?;
        while let Some(packet) = reader.next_packet().map_err(Failure::Read)? {
            match packet {
                Ok(datagram) if self.wants(&datagram) => {
                    if self.settings.count.is_some_and(|most| self.report.sent + self.report.failed >= most) {
                        return Ok(());
                    }
                    self.send(&datagram)?;
                }
                Ok(_) => {}
                Err(why) => *self.report.skipped.entry(why.text().to_owned()).or_default() += 1,
            }
        }
        Ok(())
    }

    /// Whether a datagram is sent; notes what it says of answers.
    fn wants(&mut self, datagram: &Datagram) -> bool {
        if let Some(said) = &datagram.said {
            self.is_of_tap = true;
            if datagram.direction == Some(Direction::Out) || said.upstream {
                self.report.other_direction += 1;
                if !said.upstream && said.verdict == "sent" {
                    self.sources.recorded(datagram.to, datagram.payload.len());
                }
                return false;
            }
        }
        let is_elsewhere = self.settings.port.is_some_and(|port| port != datagram.to.port());
        self.report.other_direction += u64::from(is_elsewhere);
        !is_elsewhere
    }

    fn send(&mut self, datagram: &Datagram) -> Result<(), Failure> {
        let to = self.settings.to.of(datagram);
        let is_known = datagram.said.is_some() && !to.ip().is_unspecified();
        if to.port() == 0 || (self.settings.to == Target::Recorded && !is_known) {
            return Err(Failure::NoTarget);
        }
        let start = (self.now)();
        let speed = self.settings.speed;
        let (pace, _) = self.pace.get_or_insert_with(|| (Pace::new(speed, start), start));
        let due = pace.due(datagram.at_ns);
        match due {
            Some(due) => self.listen_until(due)?,
            None if (self.ends)() => return Err(Failure::Asked),
            None if self.report.sent.is_multiple_of(SENT_A_LOOK) => {
                self.sources.listen(Duration::ZERO).map_err(Failure::System)?;
            }
            None => {}
        }
        let at = (self.now)();
        match self.sources.send(datagram.from, to, &datagram.payload) {
            Ok(()) => {
                self.report.sent += 1;
                self.report.sent_bytes += datagram.payload.len() as u64;
                if let Some(due) = due {
                    self.lateness.note(at.saturating_sub(due));
                }
            }
            Err(error) => {
                self.report.failed += 1;
                self.report.first_failure.get_or_insert_with(|| format!("to {to}: {error}"));
            }
        }
        if let Some((_, last)) = &mut self.pace {
            *last = at;
        }
        Ok(())
    }

    /// Takes answers until a moment. It is looked for them once where that is over.
    fn listen_until(&mut self, until: Duration) -> Result<(), Failure> {
        loop {
            if (self.ends)() {
                return Err(Failure::Asked);
            }
            let left = until.saturating_sub((self.now)());
            self.sources.listen(left.min(LOOK)).map_err(Failure::System)?;
            if (self.now)() >= until {
                return Ok(());
            }
        }
    }

    fn finish(self) -> Report {
        let (came, recorded, differing) = self.sources.answers();
        // Of a part there is no telling which answers belong to it.
        let is_of_tap = self.is_of_tap && self.settings.count.is_none();
        let (backwards, seconds) = match &self.pace {
            Some((pace, last)) => (pace.backwards, last.saturating_sub(pace.start()).as_secs_f64()),
            None => (0, 0.0),
        };
        Report {
            sources: self.sources.len(),
            shared_sources: self.sources.shared,
            backwards,
            late: self.lateness.told(),
            answers: came.datagrams,
            answer_bytes: came.bytes,
            recorded_answers: is_of_tap.then_some(recorded.datagrams),
            recorded_answer_bytes: is_of_tap.then_some(recorded.bytes),
            differing: is_of_tap.then_some(differing),
            seconds,
            ..self.report
        }
    }
}
