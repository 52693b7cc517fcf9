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
use polyport_tools::heading;
use polyport_tools::json;
use polyport_tools::key::{GreaseArg, KeyArgs, generator};
use polyport_tools::mtu::longest;
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::payload::PayloadArgs;
use polyport_tools::request::json::{AnswerReport, RequestReport};
use polyport_tools::request::socket::{SocketReport, SocketState};
use polyport_tools::request::{Answered, Bounds, Ppt, PptConfig, Raw, RawConfig, Reporter, unsent};
use polyport_tools::source::SourceArgs;
use polyport_tools::strangers::Strangers;
use polyport_tools::target::{self, Family};
use polyport_tools::text::positive_duration;

/// Sends one request and gets an answer in spite of loss.
#[derive(Parser)]
#[command(
    name = "polyport-request",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
struct Cli {
    /// The server; the port may be a service name
    #[arg(value_name = "HOST:PORT")]
    target: String,
    /// The payload; - reads it from standard input
    #[arg(default_value = "ping", conflicts_with = "payload_file")]
    text: String,
    /// Plain text and the textbook schedule (0.1 s, doubling, up to 2 s) instead of PPT/1
    #[arg(long, help_heading = heading::TARGET)]
    raw: bool,
    /// Tie the socket to the server: the kernel drops all else unseen [default with --raw]
    #[arg(long, conflicts_with = "unconnected", help_heading = heading::TARGET)]
    connect: bool,
    /// See replies from elsewhere, and count them [default with PPT/1]
    #[arg(long, help_heading = heading::TARGET)]
    unconnected: bool,
    /// Accept anything from anyone as the answer: to see why one must not
    #[arg(long, conflicts_with = "connect", help_heading = heading::TARGET)]
    promiscuous: bool,
    /// Give up after this time in all, such as 5s [default: when the last wait is over]
    #[arg(long, value_name = "TIME", value_parser = positive_duration, help_heading = heading::TIMING)]
    timeout: Option<Duration>,
    /// Retransmissions at most; PPT/1 makes no more than 5, the textbook schedule 4
    #[arg(long, value_name = "N", default_value_t = MAX_TRANSMISSIONS - 1,
        value_parser = clap::value_parser!(u8).range(..i64::from(MAX_TRANSMISSIONS)), help_heading = heading::TIMING)]
    retries: u8,
    /// First and lowest timeout of PPT/1
    #[arg(long, value_enum, default_value_t = PresetArg::Internet, help_heading = heading::TIMING)]
    preset: PresetArg,
    /// How often PPT/1 frames carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes, help_heading = heading::PROTOCOL)]
    grease: GreaseArg,
    /// Pad the request to this length, so that the answer may be as long
    #[arg(long, value_name = "OCTETS", default_value_t = 0, conflicts_with = "raw", help_heading = heading::CONTENT)]
    pad_to: usize,
    /// Reach only hosts on the own links, past no router (`SO_DONTROUTE`; over IPv6 a hop limit of 1 as well)
    #[arg(long, help_heading = heading::NETWORK)]
    dont_route: bool,
    /// Ask for a receive buffer (`SO_RCVBUF`), such as 64KiB
    #[arg(long, value_name = "SIZE", value_parser = buffer_size, help_heading = heading::NETWORK)]
    recv_buffer: Option<usize>,
    /// Ask for a send buffer (`SO_SNDBUF`)
    #[arg(long, value_name = "SIZE", value_parser = buffer_size, help_heading = heading::NETWORK)]
    send_buffer: Option<usize>,
    /// Print what getsockname(2), getpeername(2) and getsockopt(2) say of the socket, before and after
    #[arg(long, help_heading = heading::OUTPUT)]
    show_socket: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "quiet", help_heading = heading::OUTPUT)]
    json: bool,
    /// Makes ids repeatable, and thus predictable: for tests only
    #[arg(long, help_heading = heading::PROTOCOL)]
    seed: Option<u64>,
    /// Print the answer only
    #[arg(short, long, help_heading = heading::OUTPUT)]
    quiet: bool,
    #[command(flatten)]
    payload: PayloadArgs,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    family: Family,
}

const EXAMPLES: &str = "Examples:
  polyport-request localhost:7000 hello
  polyport-request --raw localhost:7001 \"how long is this?\"
  polyport-request --preset lan --key-file shared.key 192.0.2.1:7000 hello
  polyport-request --from 127.0.0.2:5000 127.0.0.1:7000 hello
  printf '\\0\\1' | polyport-request --raw --json 127.0.0.1:7001 - | jq -r .answer.payload";

const MORE: &str =
    "Where a name has several addresses, the next one is asked when one refuses. A time is a number
with its unit, such as 500ms or 1m30s; without a unit it is of seconds.

Exit codes: 0 answered, 64 usage, 65 bad input, 68 host not found, 69 no reply or no route,
71 the system refuses, as an address that is not ours, 74 reading or writing failed,
75 the port of --from is taken, 76 not PPT/1 or refused, 77 not permitted, 130 interrupted";

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
    let payload = cli.payload.or(&cli.text)?;
    let (clock, interrupt) = (Clock::start(), outcome::interrupt()?);
    let deadline = cli.timeout.map(|timeout| clock.now().saturating_add(nanos(timeout)));
    attempt::each(&candidates, cli.quiet, |peer, more| {
        let asking = Asking {
            cli: &cli,
            payload: &payload,
            peer,
            own: cli.source.towards(peer),
            more,
            clock,
            deadline,
        };
        ask(&asking, key.as_ref(), &interrupt)
    })
}

/// One address that is asked.
#[derive(Clone, Copy)]
struct Asking<'a> {
    cli: &'a Cli,
    payload: &'a [u8],
    peer: SocketAddr,
    /// Where from.
    own: SocketAddr,
    /// Whether there is another address for when this one refuses.
    more: bool,
    clock: Clock,
    deadline: Option<Nanos>,
}

fn ask(asking: &Asking<'_>, key: Option<&Key>, interrupt: &Interrupt) -> Outcome {
    let Asking { cli, payload, peer, own, clock, deadline, .. } = *asking;
    if cli.pad_to > longest(peer) {
        return Err(ExitError::usage(format!(
            "--pad-to: no datagram has more than {} octets",
            longest(peer)
        )));
    }
    if payload.len() > longest(peer) {
        let long =
            format!("the payload has {} octets, and a datagram at most {}", payload.len(), longest(peer));
        return Err(ExitError::new(Exit::BadInput, long));
    }
    let connected = !cli.promiscuous && (cli.connect || (cli.raw && !cli.unconnected));
    let reporter = Reporter::new(cli.quiet || cli.json);
    let socket = open(asking)?;
    let before = if cli.show_socket { Some(state(&socket)?) } else { None };
    reporter.before(&socket)?;
    let exchange = Exchange { asking, before };
    if connected && let Err(error) = socket.connect(peer) {
        let failure = unsent("connect to", peer, own, &error, cli.dont_route);
        return exchange.report(&socket, &[], &Strangers::default(), Err(failure));
    }
    let mut driver = Driver::new(socket, connected, clock, interrupt.clone());
    let transmissions = cli.retries.saturating_add(1);
    let bounds = Bounds { transmissions, deadline, promiscuous: cli.promiscuous, dont_route: cli.dont_route };
    if cli.raw {
        if asking.more && !connected {
            // An unconnected socket is not told of a refusal, which here leads to the next address.
            driver.watch_errors()?;
        }
        let mut client = Raw::new(RawConfig { target: peer, own, text: payload, bounds }, reporter);
        let end = driver.run(&mut client);
        let strangers = client.strangers().clone();
        let foreign = (strangers.count() > 0).then(|| ("wrong_source".to_owned(), strangers.count()));
        let rejected: Vec<_> = foreign.into_iter().collect();
        return exchange.report(driver.socket(), &rejected, &strangers, answer(end, || client.outcome()));
    }
    driver.watch_errors()?;
    let machine = RequestConfig {
        preset: cli.preset.into(),
        key,
        grease: cli.grease.into(),
        ..RequestConfig::new(peer)
    };
    // Room for a cookie costs 20 octets and saves a refusal when the answer is longer than the request.
    let request = Request { payload, pad_to: cli.pad_to, want_cookie: true, ..Request::default() };
    let config = PptConfig { machine, own, bounds };
    let mut client = Ppt::new(config, request, reporter, generator(cli.seed), clock.now())?;
    let end = driver.run(&mut client);
    let strangers = client.strangers().clone();
    let rejected: Vec<_> =
        client.rejects().iter().map(|(reject, count)| (reject.to_string(), count)).collect();
    exchange.report(driver.socket(), &rejected, &strangers, answer(end, || client.outcome()))
}

/// A socket that has no port of its own until it needs one, so that the user sees when it gets it.
fn open(asking: &Asking<'_>) -> Result<UdpSocket, ExitError> {
    let Asking { cli, peer, own, .. } = *asking;
    let options = SocketOptions {
        recv_buffer: cli.recv_buffer,
        send_buffer: cli.send_buffer,
        ..SocketOptions::default()
    };
    let socket = UdpSocket::bind(own, &options)?;
    let set = |what: &'static str| move |error| ExitError::io(what, &error);
    if cli.dont_route {
        socket.set_dont_route(true).map_err(set("set SO_DONTROUTE"))?;
        if peer.is_ipv6() {
            // Linux takes the option and routes all the same; what has one hop left no router passes on.
            socket.set_ttl(1).map_err(set("set the hop limit"))?;
        }
    }
    // Binding to port 0 takes a port at once; this gives it back (Linux), and the first send takes another. What --from
    // names stays.
    if let Err(error) = socket.disconnect() {
        log::debug!("the port stays: {error}");
    }
    Ok(socket)
}

fn state(socket: &UdpSocket) -> Result<SocketState, ExitError> {
    let told = socket.describe();
    told.map(SocketState::from).map_err(|error| ExitError::io("ask for the socket's options", &error))
}

/// What a run ended with: none for the user's own end.
fn answer(
    end: Result<End, ExitError>,
    outcome: impl FnOnce() -> Result<Answered, ExitError>,
) -> Result<Option<Answered>, ExitError> {
    match end? {
        End::Interrupted => Ok(None),
        End::Finished => outcome().map(Some),
    }
}

/// What was asked, of whom, and the socket as it was before.
struct Exchange<'a> {
    asking: &'a Asking<'a>,
    before: Option<SocketState>,
}

impl Exchange<'_> {
    /// Prints what came of it, also of a failure, with which it then ends.
    fn report(
        &self,
        socket: &UdpSocket,
        rejected: &[(String, u64)],
        strangers: &Strangers,
        answer: Result<Option<Answered>, ExitError>,
    ) -> Outcome {
        let Asking { cli, clock, deadline, .. } = *self.asking;
        // Where no time is left, nobody else can be asked.
        let is_over = deadline.is_some_and(|deadline| deadline <= clock.now());
        let answer = match answer {
            Err(failure) if is_over => Err(failure.of_all_addresses()),
            // The object is of the address that is asked last.
            Err(failure) if cli.json && self.asking.more && failure.is_of_one_address() => {
                return Err(failure);
            }
            answer => answer,
        };
        let socket = match self.before {
            Some(before) => Some(SocketReport { before, after: state(socket)? }),
            None => None,
        };
        let answered = answer.as_ref().ok().and_then(Option::as_ref);
        if cli.json {
            let report = RequestReport {
                target: self.asking.peer,
                answer: answered.map(AnswerReport::from),
                rejected: rejected.iter().cloned().collect(),
                wrong_sources: strangers.named().to_vec(),
                socket,
            };
            deliver(json::line(&report)?)?;
        } else {
            self.print(rejected, strangers, answered, socket.as_ref())?;
        }
        answer.map(|answer| if answer.is_some() { Exit::Ok } else { Exit::Interrupted })
    }

    fn print(
        &self,
        rejected: &[(String, u64)],
        strangers: &Strangers,
        answered: Option<&Answered>,
        socket: Option<&SocketReport>,
    ) -> Result<(), ExitError> {
        let cli = self.asking.cli;
        if !rejected.is_empty() && !cli.quiet {
            let rejected: Vec<String> =
                rejected.iter().map(|(name, count)| format!("{name} {count}")).collect();
            deliver(format_args!("rejected: {}", rejected.join(", ")))?;
        }
        if let Some(names) = strangers.names().filter(|_| !cli.quiet) {
            deliver(format_args!("wrong_source: from {names}"))?;
        }
        if let Some(answer) = answered {
            let text = escape_payload(&answer.payload);
            if cli.quiet {
                deliver(text)?;
            } else {
                let style = Style::stdout();
                let line = format!("answer from {}: \"{text}\"", answer.from);
                deliver(if cli.promiscuous { style.red(line) } else { style.green(line) })?;
                deliver(answer.effort())?;
            }
        }
        match socket {
            Some(socket) => deliver(socket.table()),
            None => Ok(()),
        }
    }
}

/// A size that the kernel can be asked for: it keeps sizes in an `int`.
fn buffer_size(text: &str) -> Result<usize, String> {
    let size = polyport_value::size(text)?;
    i32::try_from(size)
        .ok()
        .and_then(|size| size.try_into().ok())
        .ok_or_else(|| "less than 2GiB is needed".to_owned())
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
