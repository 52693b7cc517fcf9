//! `polyport replay`: the datagrams of a recording are sent again.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use polyport_terminal::{Escaped, Exit, Interrupt, complain, counted, deliver};
use serde_json::json;

use crate::apply::Clock;
use crate::replay::{self, Failure, Late, Report, Settings, Speed, Target};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Recording, pcapng or pcap, of `polyport tap` or of anybody else; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Server that it is sent to; without a port, to the ports of the recording. Without --to, what `polyport tap` has written goes
    /// where it went
    #[arg(long, value_name = "ADDR[:PORT]", env = "POLYPORT_REPLAY_TO", hide_env_values = true,
          value_parser = Target::read)]
    to: Option<Target>,
    /// How many times as fast as recorded: 2, 0.5, or max, as fast as possible
    #[arg(long, value_name = "FACTOR", env = "POLYPORT_REPLAY_SPEED", hide_env_values = true,
          value_parser = Speed::read, default_value = "1")]
    speed: Speed,
    /// How long answers are waited for after the last datagram
    #[arg(long, value_name = "DURATION", env = "POLYPORT_REPLAY_WAIT", hide_env_values = true,
          value_parser = polyport_value::duration, default_value = "1s")]
    wait: Duration,
    /// Send so many datagrams at most
    #[arg(long, value_name = "N", env = "POLYPORT_REPLAY_COUNT", hide_env_values = true)]
    count: Option<u64>,
    /// Send only what was recorded to this port: recordings of others have both directions
    #[arg(long, value_name = "PORT", env = "POLYPORT_REPLAY_PORT", hide_env_values = true)]
    port: Option<u16>,
    /// Sockets at most, one for each source of the recording; further sources share them
    #[arg(long, value_name = "N", env = "POLYPORT_REPLAY_SOURCES", hide_env_values = true,
          value_parser = clap::value_parser!(u16).range(1..), default_value_t = 512)]
    sources: u16,
    /// Print what came of it as JSON, on one line
    #[arg(long, env = "POLYPORT_REPLAY_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,
}

/// Sends the file, and says what came of it.
pub(super) fn run(args: &ReplayArgs) -> Exit {
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            complain(format_args!("cannot listen to SIGINT: {error}"));
            return Exit::Os;
        }
    };
    let name = Escaped(args.file.as_os_str().as_encoded_bytes()).to_string();
    let file: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        match File::open(&args.file) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => {
                complain(format_args!("{name}: {error}"));
                return Exit::BadInput;
            }
        }
    };
    let settings = Settings {
        to: args.to.unwrap_or(Target::Recorded),
        speed: args.speed,
        wait: args.wait,
        count: args.count,
        port: args.port,
        sources: usize::from(args.sources),
    };
    let clock = Clock::new();
    let now = || Duration::from_nanos(clock.mono_ns());
    let (report, result) = replay::run(file, &settings, &now, &|| interrupt.is_set());
    let told = match &result {
        // Nothing was done, so there is nothing to tell.
        Err(Failure::Read(_) | Failure::NoTarget) if report.sent + report.failed == 0 => Ok(()),
        _ if args.json => deliver(json!(report)),
        _ => deliver(told(&report)),
    };
    if let Err(error) = told {
        complain(error);
        return Exit::Io;
    }
    match result {
        Err(Failure::Asked) => Exit::Interrupted,
        Err(failure) => {
            complain(format_args!("{name}: {failure}"));
            match failure {
                Failure::Read(_) => Exit::BadInput,
                Failure::NoTarget => Exit::Usage,
                Failure::System(_) | Failure::Asked => Exit::Os,
            }
        }
        Ok(()) if report.sent == 0 && report.failed > 0 => {
            complain(format_args!("{name}: nothing could be sent"));
            Exit::Os
        }
        Ok(()) if report.sent == 0 => {
            complain(format_args!("{name}: there is no datagram in it to be sent"));
            Exit::BadInput
        }
        Ok(()) => Exit::Ok,
    }
}

/// A report for people.
fn told(report: &Report) -> String {
    let datagrams = |n: u64| counted(usize::try_from(n).unwrap_or(usize::MAX), "datagram", "datagrams");
    let mut out = format!(
        "sent {}, {} bytes, of {}, in {:.3} s",
        datagrams(report.sent),
        report.sent_bytes,
        counted(report.sources, "source", "sources"),
        report.seconds,
    );
    if report.shared_sources > 0 {
        write!(out, "; {} of them share sockets (--sources)", report.shared_sources).unwrap_or(());
    }
    if let Some(why) = &report.first_failure {
        write!(out, "\nnot sent: {}; the first {why}", datagrams(report.failed)).unwrap_or(());
    }
    if let Some(Late { p50_ns, p99_ns, max_ns }) = report.late {
        let ms = |ns| Duration::from_nanos(ns).as_secs_f64() * 1000.0;
        write!(out, "\nlate: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms", ms(p50_ns), ms(p99_ns), ms(max_ns))
            .unwrap_or(());
    }
    write!(out, "\nanswers: {}, {} bytes", datagrams(report.answers), report.answer_bytes).unwrap_or(());
    if let (Some(recorded), Some(bytes), Some(differing)) =
        (report.recorded_answers, report.recorded_answer_bytes, report.differing)
    {
        write!(out, "; recorded: {recorded}, {bytes} bytes").unwrap_or(());
        let sockets = counted(differing, "source", "sources");
        let all_same = if differing == 0 {
            "; each source got as many".to_owned()
        } else {
            format!("; {sockets} got others")
        };
        out.push_str(&all_same);
    }
    for (why, n) in &report.skipped {
        write!(out, "\nleft out: {n} {why}").unwrap_or(());
    }
    if report.other_direction > 0 {
        write!(out, "\nnot for the server: {}", datagrams(report.other_direction)).unwrap_or(());
    }
    if report.backwards > 0 {
        write!(out, "\nthe time of the recording goes backwards {} times", report.backwards).unwrap_or(());
    }
    out
}
