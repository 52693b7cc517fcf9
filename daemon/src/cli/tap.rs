//! `polyport tap`: what enters and leaves a daemon that serves, as lines for people, as JSON, or as a capture.

use std::fmt::Write;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use polyport_terminal::{Escaped, Exit, Interrupt, complain, counted, delivered, remark};
use serde_json::{Value, json};

use super::capture_file::CaptureFile;
use super::ctl::{Failure, connect_to};
use crate::capture::{Live, LiveError, Shown, Step, Summary};
use crate::control::wire::{TapDirection, TapParams, Tapping};
use crate::tap::Direction;

/// How often it is looked whether Ctrl-C was pressed while nothing comes.
const LOOK: Duration = Duration::from_millis(100);
/// How many looks the daemon has for its last words, after it was asked for them.
const LAST_LOOKS: u32 = 100;
/// Bytes that are gathered before they are written, if more is there.
const GATHERED: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct TapArgs {
    /// Names of listeners
    #[arg(value_name = "LISTENER")]
    listeners: Vec<String>,
    /// All listeners, also those that a reload adds
    #[arg(long, env = "POLYPORT_TAP_ALL", hide_env_values = true, value_parser = BoolishValueParser::new())]
    all: bool,
    /// Write a capture (pcapng) to FILE, or to standard output (-), instead of a line for each datagram
    #[arg(
        short = 'w',
        long = "write",
        value_name = "FILE",
        env = "POLYPORT_TAP_WRITE",
        hide_env_values = true
    )]
    write: Option<PathBuf>,
    /// End after so many datagrams
    #[arg(long, value_name = "N", env = "POLYPORT_TAP_COUNT", hide_env_values = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 10s
    #[arg(long, value_name = "DURATION", env = "POLYPORT_TAP_DURATION", hide_env_values = true,
          value_parser = super::capture_file::duration)]
    duration: Option<Duration>,
    /// Payload bytes that are copied of each datagram; without it all, since they are mostly what is looked for
    #[arg(long, value_name = "BYTES", env = "POLYPORT_TAP_SNAPLEN", hide_env_values = true)]
    snaplen: Option<usize>,
    /// Only peers with this address, or with this prefix: 192.0.2.0/24
    #[arg(long, value_name = "ADDR[/BITS]", env = "POLYPORT_TAP_PEER", hide_env_values = true)]
    peer: Option<String>,
    /// Only datagrams with this port, of the peer or of the daemon
    #[arg(long, value_name = "PORT", env = "POLYPORT_TAP_PORT", hide_env_values = true)]
    port: Option<u16>,
    /// Only what comes in, or what goes out
    #[arg(long, env = "POLYPORT_TAP_DIRECTION", hide_env_values = true)]
    direction: Option<Way>,
    /// Only datagrams that are dropped
    #[arg(long, env = "POLYPORT_TAP_DROPS", hide_env_values = true, value_parser = BoolishValueParser::new())]
    drops: bool,
    /// A line of JSON for each datagram
    #[arg(long, env = "POLYPORT_TAP_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,
    /// Control socket of the daemon [env: `POLYPORT_CONTROL`]; without it, that of this user's daemon, or of the system's
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    In,
    Out,
}

/// Shows what comes until it ends, and says how it ended.
pub(super) fn run(args: &TapArgs) -> Exit {
    match tap(args) {
        Ok(exit) => exit,
        Err(Failure { exit, words, .. }) => {
            complain(words);
            exit
        }
    }
}

fn tap(args: &TapArgs) -> Result<Exit, Failure> {
    let usage = |words: &str| Failure { exit: Exit::Usage, words: words.to_owned(), error: None };
    if args.listeners.is_empty() && !args.all {
        return Err(usage("which listener? `polyport status` has their names; --all is all of them"));
    }
    if args.json && args.write.is_some() {
        return Err(usage("--json prints lines, and -w writes a capture: one of them at a time"));
    }
    let interrupt = Interrupt::listen().map_err(|error| Failure {
        exit: Exit::Os,
        words: format!("cannot listen to SIGINT: {error}"),
        error: None,
    })?;
    let mut client = connect_to(args.control.as_ref())?;
    let params = TapParams {
        listeners: if args.all { Vec::new() } else { args.listeners.clone() },
        peer: args.peer.clone(),
        port: args.port,
        direction: args.direction.map(|way| match way {
            Way::In => TapDirection::In,
            Way::Out => TapDirection::Out,
        }),
        drops: args.drops,
        snaplen: args.snaplen,
        count: args.count,
        duration_ms: args.duration.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    };
    let (tapping, _) = client.call::<Tapping>("tap", &json!(params))?;
    // The file is made when there is something to be written to it, and not before somebody has agreed.
    let sink = Sink::open(args)?;
    let addresses = counted(tapping.addresses, "address", "addresses");
    remark(format_args!("tapping {addresses}; Ctrl-C ends it"));
    let stream = client.into_stream();
    stream.get_ref().set_read_timeout(Some(LOOK)).map_err(|error| Failure {
        exit: Exit::Os,
        words: format!("control socket: {error}"),
        error: None,
    })?;
    let patient = Patient { stream, interrupt, asked: None, sink };
    Ok(follow(patient))
}

/// Where what is shown goes.
#[derive(Debug)]
struct Sink {
    form: Form,
    to: To,
    waiting: Vec<u8>,
    failed: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    Json,
    Capture,
}

#[derive(Debug)]
enum To {
    Stdout,
    File(CaptureFile),
}

impl Sink {
    fn open(args: &TapArgs) -> Result<Self, Failure> {
        let form = match (&args.write, args.json) {
            (Some(_), _) => Form::Capture,
            (None, true) => Form::Json,
            (None, false) => Form::Lines,
        };
        let to = match &args.write {
            Some(path) if path.as_os_str() != "-" => {
                let opened = CaptureFile::open(path);
                To::File(opened.map_err(|words| Failure { exit: Exit::CannotCreate, words, error: None })?)
            }
            _ => To::Stdout,
        };
        Ok(Self { form, to, waiting: Vec::new(), failed: None })
    }

    /// Writes what was gathered.
    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() || self.failed.is_some() {
            return;
        }
        let written = match &mut self.to {
            To::Stdout => {
                use io::Write as _;
                let mut out = io::stdout().lock();
                out.write_all(&waiting).and_then(|()| out.flush())
            }
            To::File(file) => file.write(&waiting),
        };
        self.failed = written.err();
    }
}

/// The stream, read with an eye on Ctrl-C. What is shown is written before it waits.
#[derive(Debug)]
struct Patient {
    stream: io::BufReader<UnixStream>,
    interrupt: Interrupt,
    /// The daemon was asked for its last words; it has so many looks left.
    asked: Option<u32>,
    sink: Sink,
}

impl Read for &mut Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stream.buffer().is_empty() {
            self.sink.flush();
        }
        loop {
            let gone = self.sink.failed.is_some();
            if self.asked.is_none() && (self.interrupt.is_set() || gone) {
                self.asked = Some(LAST_LOOKS);
                self.stream.get_ref().shutdown(Shutdown::Write)?;
            }
            match self.stream.read(into) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    match &mut self.asked {
                        Some(0) => return Err(io::ErrorKind::TimedOut.into()),
                        Some(left) => *left -= 1,
                        None => {}
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Shows what comes, and says how it ended.
fn follow(mut patient: Patient) -> Exit {
    let form = patient.sink.form;
    let (mut summary, mut shown) = (None, 0_u64);
    let ended = {
        let cell = std::cell::RefCell::new(&mut patient);
        follow_blocks(&cell, form, &mut summary, &mut shown)
    };
    patient.sink.flush();
    finish(patient, summary.as_ref(), shown, ended)
}

/// A stream that is read in one place and written to in another.
struct Shared<'a, 'b>(&'a std::cell::RefCell<&'b mut Patient>);

impl Read for Shared<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut patient = self.0.borrow_mut();
        (&mut **patient).read(into)
    }
}

fn follow_blocks(
    patient: &std::cell::RefCell<&mut Patient>,
    form: Form,
    summary: &mut Option<Summary>,
    shown: &mut u64,
) -> Result<(), LiveError> {
    let mut live = Live::new(Shared(patient))?;
    loop {
        let step = live.step()?;
        let blocks = live.take();
        let mut patient = patient.borrow_mut();
        let sink = &mut patient.sink;
        match (form, &step) {
            (Form::Capture, _) => sink.waiting.extend(blocks),
            (Form::Lines, Some(Step::Shown(datagram))) => {
                sink.waiting.extend(format!("{}\n", line(datagram)).into_bytes());
            }
            (Form::Json, Some(Step::Shown(datagram))) => {
                sink.waiting.extend(format!("{}\n", object(datagram)).into_bytes());
            }
            _ => {}
        }
        if sink.waiting.len() >= GATHERED {
            sink.flush();
        }
        match step {
            Some(Step::Shown(_)) if sink.failed.is_none() => *shown += 1,
            Some(Step::End(said)) => *summary = Some(said),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

fn finish(patient: Patient, summary: Option<&Summary>, shown: u64, ended: Result<(), LiveError>) -> Exit {
    if let Some(error) = patient.sink.failed {
        return match patient.sink.to {
            To::File(file) => {
                complain(format_args!("{file}: {error}; what was written before is whole"));
                Exit::Io
            }
            // A reader that has gone (`| head`) is no fault.
            To::Stdout => delivered(Err(error)).map_or_else(
                |error| {
                    complain(error);
                    Exit::Io
                },
                |()| Exit::Ok,
            ),
        };
    }
    let datagrams = |n: u64| counted(usize::try_from(n).unwrap_or(usize::MAX), "datagram", "datagrams");
    let Some(summary) = summary else {
        let why = match ended {
            Ok(()) => "the daemon is gone without a word".to_owned(),
            Err(error) => Escaped(error.to_string().as_bytes()).to_string(),
        };
        complain(format_args!("the tap broke off after {}: {why}", datagrams(shown)));
        return Exit::NoReply;
    };
    let why = match summary.ended.as_str() {
        "count" | "duration" => "all that was asked for",
        "daemon" => "the daemon ends",
        _ => "asked to end",
    };
    let mut words = format!("{} shown, {} left out", datagrams(summary.shown), summary.left_out);
    if summary.unseen > 0 {
        write!(words, ", {} dropped without a trace", summary.unseen).unwrap_or(());
    }
    remark(format_args!("{words}; {why}"));
    Exit::Ok
}

/// A datagram for people. All of it is numbers, addresses and our own words, but for the name of the listener.
fn line(shown: &Shown) -> String {
    let Shown { at_ns, direction, listener, from, to, len, said } = shown;
    let at = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_nanos(*at_ns));
    let (way, peer, arrow, local) = match direction {
        Direction::In => ("in ", from, ">", to),
        Direction::Out => ("out", to, "<", from),
    };
    let mut line = format!("{at} {way} {}  {peer} {arrow} {local}", Escaped(listener.as_bytes()));
    let bytes = counted(*len, "byte", "bytes");
    write!(line, "  {bytes}  {}", Escaped(said.verdict.as_bytes())).unwrap_or(());
    if let Some(reason) = &said.reason {
        write!(line, ": {}", Escaped(reason.as_bytes())).unwrap_or(());
    }
    if let Some(latency_ns) = said.latency_ns {
        write!(line, "  after {}", time(latency_ns)).unwrap_or(());
    }
    if said.session != 0 {
        write!(line, "  session {}", said.session).unwrap_or(());
    }
    if said.upstream {
        line.push_str(" upstream");
    }
    line
}

/// A duration in a unit of its size.
fn time(ns: u64) -> String {
    let parts = |unit: u64, name: &str| format!("{}.{} {name}", ns / unit, ns % unit * 10 / unit);
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => parts(1_000, "us"),
        1_000_000..1_000_000_000 => parts(1_000_000, "ms"),
        _ => parts(1_000_000_000, "s"),
    }
}

/// A datagram for programs.
fn object(shown: &Shown) -> Value {
    let Shown { at_ns, direction, listener, from, to, len, said } = shown;
    let (direction, peer, local) = match direction {
        Direction::In => ("in", from, to),
        Direction::Out => ("out", to, from),
    };
    let mut object = json!({
        "unix_ns": at_ns, "listener": listener, "direction": direction, "peer": peer.to_string(),
        "local": local.to_string(), "bytes": len, "verdict": said.verdict,
    });
    let more = [
        ("reason", said.reason.as_ref().map(|reason| json!(reason))),
        ("latency_ns", said.latency_ns.map(|ns| json!(ns))),
        ("upstream", said.upstream.then_some(Value::Bool(true))),
        ("session", (said.session != 0).then(|| json!(said.session))),
    ];
    if let Value::Object(members) = &mut object {
        members.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Said;

    #[test]
    fn a_line_says_what_a_comment_does_and_commands_no_terminal() {
        let said = Said {
            verdict: "dropped".into(),
            reason: Some("on_\u{1b}[2Jpurpose".into()),
            latency_ns: Some(13_250),
            session: 7,
            upstream: true,
        };
        let shown = Shown {
            at_ns: 1_500,
            direction: Direction::In,
            listener: "e\u{7}cho".into(),
            from: "192.0.2.1:5".parse().unwrap(),
            to: "[::]:7".parse().unwrap(),
            len: 1,
            said,
        };
        let line = line(&shown);
        assert!(!line.contains(['\u{1b}', '\u{7}']), "{line:?}");
        assert!(line.starts_with("1970-01-01T00:00:00.000001Z in  "), "{line}");
        assert!(line.ends_with("  after 13.2 us  session 7 upstream"), "{line}");
        assert!(line.contains("192.0.2.1:5 > [::]:7  1 byte  dropped: on_"), "{line}");
        let object = object(&shown);
        assert_eq!((&object["session"], &object["bytes"]), (&json!(7), &json!(1)));
        assert_eq!([time(999), time(1_000_000), time(2_340_000_000)], ["999 ns", "1.0 ms", "2.3 s"]);
    }
}
