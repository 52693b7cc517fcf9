//! `polyport-cast`: sends to a group or broadcast address, or listens there.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use polyport_net::Source;
use polyport_protocol::Key;
use polyport_terminal::{Exit, Interrupt, counted};
use polyport_tools::VERSION;
use polyport_tools::attempt;
use polyport_tools::cast::json::CastLine;
use polyport_tools::cast::{Listener, Plan, Sealer, Sender, SenderOptions, join, open, stay_here};
use polyport_tools::clock::{Clock, nanos};
use polyport_tools::driver::{Driver, End};
use polyport_tools::heading;
use polyport_tools::key::{GreaseArg, KeyArgs, generator};
use polyport_tools::mtu::longest;
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::payload::PayloadArgs;
use polyport_tools::source::{SourceAddress, any_like};
use polyport_tools::target::{self, Family};
use polyport_tools::text::duration;
use polyport_tools::zone::{interface, with_zone, zone};

/// Sends to a multicast group or broadcast address, or listens there.
#[derive(Parser)]
#[command(
    name = "polyport-cast",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
struct Cli {
    /// Where to send or listen
    #[arg(value_name = "GROUP-OR-BROADCAST:PORT")]
    target: String,
    /// The payload; - reads it from standard input
    #[arg(default_value = "hello", conflicts_with_all = ["listen", "payload_file"])]
    text: String,
    /// Listen instead of sending
    #[arg(long, help_heading = heading::TARGET)]
    listen: bool,
    /// With --listen: hear this sender only (RFC 4607)
    #[arg(long, value_name = "ADDRESS", help_heading = heading::TARGET)]
    source: Option<IpAddr>,
    /// Datagrams to send [default: 1], or to wait for [default: no end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = heading::TIMING)]
    count: Option<u64>,
    /// From one datagram to the next, such as 0.5 or 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration,
        conflicts_with = "listen", help_heading = heading::TIMING)]
    interval: Duration,
    /// Hear answers for this long after the last one, such as 2s; none at all ends with 69
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration,
        conflicts_with = "listen", help_heading = heading::TIMING)]
    answers: Duration,
    /// With --listen: for this long, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = duration, help_heading = heading::TIMING)]
    span: Option<Duration>,
    /// The interface to send or listen by, by name or index [default: as the routing table says]
    #[arg(long, value_name = "NAME", help_heading = heading::NETWORK)]
    interface: Option<String>,
    /// The address and port to send from, such as 192.0.2.7, 192.0.2.7:5000 or :5000; without --interface a group is
    /// reached by the interface of the address
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = SourceAddress::parse, conflicts_with = "listen",
        help_heading = heading::NETWORK)]
    from: Option<SourceAddress>,
    /// Routers a datagram may pass; 0 keeps a group on this host, and is refused for what it cannot keep there
    #[arg(long, value_name = "HOPS", conflicts_with = "listen", help_heading = heading::NETWORK)]
    ttl: Option<u8>,
    /// Listeners on this host hear it, too [the default]
    #[arg(long = "loop", overrides_with = "no_loop", help_heading = heading::NETWORK)]
    looped: bool,
    /// Only other hosts hear it
    #[arg(long, help_heading = heading::NETWORK)]
    no_loop: bool,
    /// Send EVENT frames of PPT/1 with flag G instead of plain text
    #[arg(long, conflicts_with = "listen", help_heading = heading::PROTOCOL)]
    ppt: bool,
    /// How often EVENT frames carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes, help_heading = heading::PROTOCOL)]
    grease: GreaseArg,
    /// Makes ids repeatable: for tests only
    #[arg(long, help_heading = heading::PROTOCOL)]
    seed: Option<u64>,
    /// Print a JSON object a line for each datagram, as it leaves or comes, and one at the end
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    #[command(flatten)]
    payload: PayloadArgs,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    family: Family,
}

const EXAMPLES: &str = "Examples:
  polyport-cast --listen --count 3 239.1.2.3:7000
  polyport-cast 239.1.2.3:7000 hello --interface lo --count 3 --interval 500ms
  polyport-cast 255.255.255.255:7000 hello --interface eth0 --answers 2s
  polyport-cast --listen --source 192.0.2.7 232.1.2.3:7000 --for 10s --json
  date | polyport-cast 239.1.2.3:7000 -";

const MORE: &str =
    "A time is a number with its unit, such as 500ms or 1m30s; without a unit it is of seconds.

Exit codes: 0 sent, or heard what --count asks for, 64 usage, 65 the payload is too long or not
there, 68 host not found, 69 no route, or too little heard, or no answer with --answers,
71, 75 and 77 the system refuses, 74 reading or writing failed, 130 interrupted";

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    // `requires` of clap stays silent when an option that conflicts with --listen is given as well.
    if !cli.listen && (cli.source.is_some() || cli.span.is_some()) {
        return Err(ExitError::usage("--source and --for are of use with --listen only"));
    }
    if cli.listen && cli.payload.payload_file.is_some() {
        return Err(ExitError::usage("--payload-file is of no use with --listen"));
    }
    let candidates = target::any(&cli.target, cli.family, cli.from)?;
    let named = cli.interface.as_deref().map(interface).transpose()?;
    let key = cli.key.load()?;
    // Before Ctrl-C is listened to: a pipe may stay silent.
    let payload = if cli.listen { Vec::new() } else { cli.payload.or(&cli.text)? };
    let interrupt = outcome::interrupt()?;
    attempt::each(&candidates, false, |target, _| {
        let ifindex = named.or_else(|| zone(target)).unwrap_or(0);
        let target = with_zone(target, ifindex);
        if cli.listen {
            listen(&cli, target, ifindex, key.clone(), &interrupt)
        } else {
            send(&cli, &payload, (target, ifindex), key.clone(), &interrupt)
        }
    })
}

fn send(
    cli: &Cli,
    text: &[u8],
    (to, ifindex): (SocketAddr, u32),
    key: Option<Key>,
    interrupt: &Interrupt,
) -> Outcome {
    if text.len() > longest(to) {
        let long = format!(
            "the payload is too long: it has {} octets, and a datagram at most {}",
            text.len(),
            longest(to)
        );
        return Err(ExitError::new(Exit::BadInput, long));
    }
    // TTL 1 keeps a group on the link. A broadcast address cannot leave it; 0 means the system's default there.
    let ttl = cli.ttl.unwrap_or_else(|| to.ip().is_multicast().into());
    if cli.ttl == Some(0) {
        stay_here(to, !cli.no_loop, ifindex)?;
    }
    let own = cli.from.map_or_else(|| any_like(to), |from| from.towards(to));
    let socket = open(to, &SenderOptions { ttl, looped: !cli.no_loop, ifindex, own })?;
    let sealer = cli.ppt.then(|| Sealer::new(generator(cli.seed), cli.grease.into(), key));
    let (count, interval, answers) = (cli.count.unwrap_or(1), nanos(cli.interval), nanos(cli.answers));
    let plan = Plan { to, own, text, count, interval, answers, json: cli.json };
    let clock = Clock::start();
    let mut driver = Driver::new(socket, false, clock, interrupt.clone());
    if ifindex != 0 && !to.ip().is_multicast() {
        driver.send_from(Source { ip: own.ip(), ifindex });
    }
    let mut sender = Sender::new(plan, sealer, clock.now());
    let end = driver.run(&mut sender)?;
    let answered = sender.answered();
    let sent = sender.outcome()?;
    if cli.json {
        CastLine::End { sent, answers: answered, heard: 0, senders: 0 }.deliver()?;
    } else if !cli.answers.is_zero() {
        deliver(counted(answered, "answer", "answers"))?;
    }
    if end == End::Interrupted {
        return Ok(Exit::Interrupted);
    }
    if !cli.answers.is_zero() && answered == 0 {
        return Err(ExitError::new(Exit::NoReply, format!("no answer to what was sent to {to}")));
    }
    Ok(Exit::Ok)
}

fn listen(cli: &Cli, at: SocketAddr, ifindex: u32, key: Option<Key>, interrupt: &Interrupt) -> Outcome {
    if cli.source.is_some() && !at.ip().is_multicast() {
        return Err(ExitError::usage(format!("--source is for groups, and {} is none", at.ip())));
    }
    let socket = join(at, cli.source, ifindex)?;
    let clock = Clock::start();
    let until = cli.span.map(|span| nanos(span).saturating_add(clock.now()));
    let mut listener = Listener::new(at, cli.count, until, key).with_json(cli.json);
    let mut driver = Driver::new(socket, false, clock, interrupt.clone());
    if cli.json {
        CastLine::Listening { at }.deliver()?;
    } else {
        deliver(format_args!("listening at {at}"))?;
    }
    let end = driver.run(&mut listener)?;
    if listener.is_unread() {
        return Ok(Exit::Ok);
    }
    let (heard, senders) = listener.heard();
    if cli.json {
        CastLine::End { sent: 0, answers: 0, heard, senders: senders as u64 }.deliver()?;
    } else {
        deliver(format_args!("heard {heard} from {senders}"))?;
    }
    if end == End::Interrupted {
        return Ok(Exit::Interrupted);
    }
    let wanted = cli.count.unwrap_or(1);
    if heard < wanted {
        return Err(ExitError::new(
            Exit::NoReply,
            format!("heard {heard} of {wanted} before the time ran out"),
        ));
    }
    Ok(Exit::Ok)
}
