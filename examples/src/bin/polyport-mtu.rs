//! `polyport-mtu`: how long a datagram may be on the way to a host, and how one knows.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use polyport_net::{PathMtuDiscovery, SocketOptions, UdpSocket};
use polyport_protocol::Key;
use polyport_protocol::client::MtuConfig;
use polyport_terminal::{Exit, Interrupt};
use polyport_tools::VERSION;
use polyport_tools::attempt;
use polyport_tools::clock::{Clock, nanos};
use polyport_tools::driver::{Driver, End};
use polyport_tools::heading;
use polyport_tools::json;
use polyport_tools::key::{GreaseArg, KeyArgs, generator};
use polyport_tools::mtu::json::MtuReport;
use polyport_tools::mtu::{Back, Method, SurveyConfig, kernel_mtu, longest, survey};
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::source::SourceArgs;
use polyport_tools::target::{self, Family};
use polyport_tools::text::positive_duration;

/// Finds the path MTU to a host, with the evidence for it.
#[derive(Parser)]
#[command(
    name = "polyport-mtu",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
struct Cli {
    /// The target; the port may be a service name
    #[arg(value_name = "HOST:PORT")]
    target: String,
    /// For echo servers that do not speak PPT/1: their answers measure the way back, too
    #[arg(long, conflicts_with = "both", help_heading = heading::TARGET)]
    raw: bool,
    /// Measure the way back, too: by answers as long as the probes
    #[arg(long, help_heading = heading::TARGET)]
    both: bool,
    /// Longest UDP payload to try [default: 65507, or 65527 over IPv6]
    #[arg(long, value_name = "OCTETS", help_heading = heading::CONTENT)]
    max: Option<usize>,
    /// How long to wait for an answer; RFC 8899 wants at least 1s on the Internet
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = positive_duration, help_heading = heading::TIMING)]
    timer: Duration,
    /// Print one JSON object
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    /// Tell of each probe on stderr
    #[arg(short, long, help_heading = heading::OUTPUT)]
    verbose: bool,
    /// How often probes carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes, help_heading = heading::PROTOCOL)]
    grease: GreaseArg,
    /// Makes ids repeatable, and thus predictable: for tests only
    #[arg(long, help_heading = heading::PROTOCOL)]
    seed: Option<u64>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    family: Family,
}

const EXAMPLES: &str = "Examples:
  polyport-mtu localhost:7000
  polyport-mtu --raw --timer 200ms 192.0.2.1:7
  polyport-mtu --json --both '[2001:db8::1]:7000'";

const MORE: &str = "The target answers PROBE frames (or, with --raw, echoes anything). Probes never leave in
fragments: DF is set and what the kernel believes about the path is ignored. Answers may leave in
fragments, and are told from whole ones (Linux). \"at least\" stands where a way may take more:
answers are never longer than what gets there.
A time is a number with its unit, such as 200ms; without a unit it is of seconds.

Exit codes: 0 found, 64 usage, 68 host not found, 69 no peer answered (what is printed is local
knowledge), 71, 75 and 77 the system refuses, 74 writing failed, 76 probes are refused, or --both
and the target does not echo, 130 interrupted";

/// Octets of the first probe: a header, and options that a receiver must skip.
const SHORTEST: usize = 64;

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    let candidates = target::one(&cli.target, cli.family, cli.source.from)?;
    let key = cli.key.load()?;
    let interrupt = outcome::interrupt()?;
    attempt::each(&candidates, false, |peer, _| search(&cli, peer, key.as_ref(), &interrupt))
}

fn search(cli: &Cli, peer: SocketAddr, key: Option<&Key>, interrupt: &Interrupt) -> Outcome {
    let max = cli.max.unwrap_or_else(|| longest(peer));
    if max > longest(peer) {
        return Err(ExitError::usage(format!("--max: no datagram has more than {} octets", longest(peer))));
    }
    if max < SHORTEST {
        return Err(ExitError::usage(format!("--max: the shortest probe has {SHORTEST} octets")));
    }
    let method = match (cli.raw, cli.both) {
        (true, _) => Method::Raw,
        (false, true) => Method::Padded,
        (false, false) => Method::Forward,
    };
    let options =
        SocketOptions { path_mtu_discovery: Some(PathMtuDiscovery::Probe), ..SocketOptions::default() };
    let own = cli.source.towards(peer);
    let socket = UdpSocket::bind(own, &options)?;
    let search = MtuConfig {
        probe_timer: nanos(cli.timer),
        key,
        grease: cli.grease.into(),
        ..MtuConfig::new(peer, max)
    };
    let before = kernel_mtu(own, peer);
    let mut driver = Driver::new(socket, false, Clock::start(), interrupt.clone());
    driver.watch_errors()?;
    let tells_fragments = driver.watch_fragments()?;
    let config = SurveyConfig { search, method, own, tells_fragments, verbose: cli.verbose };
    let mut searches = 0;
    let (mut finding, end) = survey(&mut driver, &config, || {
        searches += 1;
        generator(cli.seed.map(|seed| seed.wrapping_add(searches - 1)))
    })?;
    (finding.kernel_before, finding.kernel_after) = (before, kernel_mtu(own, peer));
    if cli.json {
        deliver(json::line(&MtuReport::new(&finding))?)?;
    } else {
        deliver(finding.text())?;
    }
    if end == End::Interrupted {
        return Ok(Exit::Interrupted);
    }
    let echoes = finding.back != Back::NoEcho;
    if finding.found().is_some() && echoes {
        return Ok(Exit::Ok);
    }
    if finding.cut_echoes > 0 || !echoes {
        return Err(ExitError::new(
            Exit::Protocol,
            format!("{peer} answers, but does not echo what it gets"),
        ));
    }
    if finding.rejects.iter().any(|(name, _)| *name != "wrong_source") {
        let advice = if cli.raw { "it is no echo server" } else { "does it speak PPT/1? else --raw" };
        return Err(ExitError::new(Exit::Protocol, format!("no valid answer from {peer}: {advice}")));
    }
    let why = if finding.answers > 0 {
        format!("answers from {peer} come later than --timer allows: try a longer one")
    } else {
        format!("no answer from {peer}: it may be down, or drops probes")
    };
    let hint = finding.strangers.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
    Err(ExitError::new(Exit::NoReply, format!("{why}{hint}")))
}
