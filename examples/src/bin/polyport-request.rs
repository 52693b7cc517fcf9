//! `polyport-request`: one request, and an answer in spite of loss.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use polyport_net::{SocketOptions, UdpSocket};
use polyport_protocol::client::{MAX_TRANSMISSIONS, Preset, Request, RequestConfig};
use polyport_protocol::{Key, Nanos};
use polyport_terminal::{Exit, Interrupt, Style, escape_payload, remark};
use polyport_tools::VERSION;
use polyport_tools::attempt;
use polyport_tools::clock::{Clock, nanos};
use polyport_tools::driver::{Driver, End};
use polyport_tools::key::{GreaseArg, KeyArgs, generator};
use polyport_tools::mtu::longest;
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::request::{Answered, Bounds, Ppt, PptConfig, Raw, RawConfig, Reporter};
use polyport_tools::source::SourceArgs;
use polyport_tools::strangers::Strangers;
use polyport_tools::target::{self, Family};
use polyport_tools::text::positive_duration;
use polyport_tools::unsent::unsent;

/// Sends one request and gets an answer in spite of loss.
#[derive(Parser)]
#[command(
    name = "polyport-request",
    version = VERSION,
    after_help = "Examples:\n  polyport-request localhost:7000 hello\n  \
    polyport-request --raw localhost:7001 \"how long is this?\"\n  \
    polyport-request --preset lan --key-file shared.key 192.0.2.1:7000 hello\n  \
    polyport-request --from 127.0.0.2:5000 127.0.0.1:7000 hello\n\n\
    Where a name has several addresses, the next one is asked when one refuses.\n\n\
    Exit codes: 0 answered, 64 usage, 65 bad input, 68 host not found, 69 no reply or no route,\n\
    71 the system refuses, as an address that is not ours, 75 the port of --from is taken, 76 not PPT/1 or refused,\n\
    77 not permitted, 130 interrupted"
)]
struct Cli {
    /// The server; the port may be a service name
    #[arg(value_name = "HOST:PORT")]
    target: String,
    /// The payload
    #[arg(default_value = "ping")]
    text: String,
    /// Plain text and the textbook schedule (0.1 s, doubling, up to 2 s) instead of PPT/1
    #[arg(long)]
    raw: bool,
    /// Tie the socket to the server: the kernel drops all else unseen [default with --raw]
    #[arg(long, conflicts_with = "unconnected")]
    connect: bool,
    /// See replies from elsewhere, and count them [default with PPT/1]
    #[arg(long)]
    unconnected: bool,
    /// Accept anything from anyone as the answer: to see why one must not
    #[arg(long, conflicts_with = "connect")]
    promiscuous: bool,
    /// Give up after this time in all, such as 5s [default: when the last wait is over]
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    timeout: Option<Duration>,
    /// Retransmissions at most; PPT/1 makes no more than 5, the textbook schedule 4
    #[arg(long, value_name = "N", default_value_t = MAX_TRANSMISSIONS - 1,
        value_parser = clap::value_parser!(u8).range(..i64::from(MAX_TRANSMISSIONS)))]
    retries: u8,
    /// First and lowest timeout of PPT/1
    #[arg(long, value_enum, default_value_t = PresetArg::Internet)]
    preset: PresetArg,
    /// How often PPT/1 frames carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes)]
    grease: GreaseArg,
    /// Pad the request to this length, so that the answer may be as long
    #[arg(long, value_name = "OCTETS", default_value_t = 0, conflicts_with = "raw")]
    pad_to: usize,
    /// Makes ids repeatable, and thus predictable: for tests only
    #[arg(long)]
    seed: Option<u64>,
    /// Print the answer only
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    family: Family,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetArg {
    /// 1 s, never below 100 ms
    Internet,
    /// 250 ms, never below 10 ms
    Lan,
    /// 50 ms, never below 2 ms
    Loopback,
}

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    let candidates = target::one(&cli.target, cli.family, cli.source.from)?;
    if cli.promiscuous {
        remark(Style::stderr().red("promiscuous: whatever comes is taken for the answer"));
    }
    // Before Ctrl-C is listened to: a key may come from a pipe that stays silent.
    let key = if cli.raw { None } else { cli.key.load()? };
    let (clock, interrupt) = (Clock::start(), outcome::interrupt()?);
    let deadline = cli.timeout.map(|timeout| clock.now().saturating_add(nanos(timeout)));
    attempt::each(&candidates, cli.quiet, |peer, more| {
        let asking = Asking { peer, own: cli.source.towards(peer), more, clock, deadline };
        ask(&cli, &asking, key.as_ref(), &interrupt)
    })
}

/// One address that is asked.
struct Asking {
    peer: SocketAddr,
    /// Where from.
    own: SocketAddr,
    /// Whether there is another address for when this one refuses.
    more: bool,
    clock: Clock,
    deadline: Option<Nanos>,
}

fn ask(cli: &Cli, asking: &Asking, key: Option<&Key>, interrupt: &Interrupt) -> Outcome {
    let Asking { peer, own, clock, deadline, .. } = *asking;
    if cli.pad_to > longest(peer) {
        return Err(ExitError::usage(format!(
            "--pad-to: no datagram has more than {} octets",
            longest(peer)
        )));
    }
    let connected = !cli.promiscuous && (cli.connect || (cli.raw && !cli.unconnected));
    let reporter = Reporter::new(cli.quiet);
    let socket = open(peer, own, connected, reporter)?;
    let mut driver = Driver::new(socket, connected, clock, interrupt.clone());
    let transmissions = cli.retries.saturating_add(1);
    let bounds = Bounds { transmissions, deadline, promiscuous: cli.promiscuous };
    if cli.raw {
        let text = cli.text.as_bytes();
        if text.len() > longest(peer) {
            let long =
                format!("the text has {} octets, and a datagram at most {}", text.len(), longest(peer));
            return Err(ExitError::new(Exit::BadInput, long));
        }
        if asking.more && !connected {
            // An unconnected socket is not told of a refusal, which here leads to the next address.
            driver.watch_errors()?;
        }
        let mut client = Raw::new(RawConfig { target: peer, own, text, bounds }, reporter);
        let end = driver.run(&mut client)?;
        let foreign = client.strangers().count();
        if foreign > 0 && !cli.quiet {
            deliver(format_args!("rejected: wrong_source {foreign}"))?;
        }
        name(cli, client.strangers())?;
        return finish(cli, end, || client.outcome());
    }
    driver.watch_errors()?;
    let machine = RequestConfig {
        preset: cli.preset.into(),
        key,
        grease: cli.grease.into(),
        ..RequestConfig::new(peer)
    };
    // Room for a cookie costs 20 octets and saves a refusal when the answer is longer than the request.
    let request =
        Request { payload: cli.text.as_bytes(), pad_to: cli.pad_to, want_cookie: true, ..Request::default() };
    let config = PptConfig { machine, own, bounds };
    let mut client = Ppt::new(config, request, reporter, generator(cli.seed), clock.now())?;
    let end = driver.run(&mut client)?;
    let rejects: Vec<String> =
        client.rejects().iter().map(|(reject, count)| format!("{reject} {count}")).collect();
    if !rejects.is_empty() && !cli.quiet {
        deliver(format_args!("rejected: {}", rejects.join(", ")))?;
    }
    name(cli, client.strangers())?;
    finish(cli, end, || client.outcome())
}

/// Who else answered.
fn name(cli: &Cli, strangers: &Strangers) -> Result<(), ExitError> {
    match strangers.names() {
        Some(names) if !cli.quiet => deliver(format_args!("wrong_source: from {names}")),
        _ => Ok(()),
    }
}

/// A socket that has no port of its own until it needs one, so that the user sees when it gets it.
fn open(
    peer: SocketAddr,
    own: SocketAddr,
    connected: bool,
    reporter: Reporter,
) -> Result<UdpSocket, ExitError> {
    let socket = UdpSocket::bind(own, &SocketOptions::default())?;
    // Binding to port 0 takes a port at once; this gives it back (Linux), and the first send takes another. What --from
    // names stays.
    if let Err(error) = socket.disconnect() {
        log::debug!("the port stays: {error}");
    }
    reporter.before(&socket)?;
    if connected {
        socket.connect(peer).map_err(|error| unsent("connect to", peer, own, &error))?;
    }
    Ok(socket)
}

fn finish(cli: &Cli, end: End, outcome: impl FnOnce() -> Result<Answered, ExitError>) -> Outcome {
    if end == End::Interrupted {
        return Ok(Exit::Interrupted);
    }
    let answer = outcome()?;
    let text = escape_payload(&answer.payload);
    if cli.quiet {
        deliver(text)?;
        return Ok(Exit::Ok);
    }
    let style = Style::stdout();
    let line = format!("answer from {}: \"{text}\"", answer.from);
    deliver(if cli.promiscuous { style.red(line) } else { style.green(line) })?;
    deliver(answer.effort())?;
    Ok(Exit::Ok)
}

impl From<PresetArg> for Preset {
    fn from(preset: PresetArg) -> Self {
        match preset {
            PresetArg::Internet => Self::INTERNET,
            PresetArg::Lan => Self::LAN,
            PresetArg::Loopback => Self::LOOPBACK,
        }
    }
}
