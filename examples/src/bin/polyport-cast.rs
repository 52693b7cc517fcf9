//! `polyport-cast`: sends to a group or broadcast address, or listens there.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use polyport_net::Source;
use polyport_protocol::Key;
use polyport_terminal::{Exit, Interrupt};
use polyport_tools::VERSION;
use polyport_tools::attempt;
use polyport_tools::cast::{Listener, Plan, Sealer, Sender, SenderOptions, join, open, stay_here};
use polyport_tools::clock::{Clock, nanos};
use polyport_tools::driver::{Driver, End};
use polyport_tools::key::{GreaseArg, KeyArgs, generator};
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::source::{SourceAddress, any_like};
use polyport_tools::target::{self, Family};
use polyport_tools::zone::{interface, with_zone, zone};

/// Sends to a multicast group or broadcast address, or listens there.
#[derive(Parser)]
#[command(
    name = "polyport-cast",
    version = VERSION,
    after_help = "Examples:\n  polyport-cast --listen --count 3 239.1.2.3:7000\n  \
    polyport-cast 239.1.2.3:7000 hello --interface lo --count 3 --interval 500ms\n  \
    polyport-cast 255.255.255.255:7000 hello --interface eth0 --answers 2s\n  \
    polyport-cast --listen --source 192.0.2.7 232.1.2.3:7000 --for 10s\n\n\
    Exit codes: 0 sent, or heard what --count asks for, 64 usage, 65 the text is too long, 68 host not found,\n\
    69 no route, or too little heard, 71, 75 and 77 the system refuses, 130 interrupted"
)]
struct Cli {
    /// Where to send or listen
    #[arg(value_name = "GROUP-OR-BROADCAST:PORT")]
    target: String,
    /// The payload
    #[arg(default_value = "hello", conflicts_with = "listen")]
    text: String,
    /// Listen instead of sending
    #[arg(long)]
    listen: bool,
    /// The interface to send or listen by, by name or index [default: as the routing table says]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// The address and port to send from, such as 192.0.2.7, 192.0.2.7:5000 or :5000; without --interface a group is
    /// reached by the interface of the address
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = SourceAddress::parse, conflicts_with = "listen")]
    from: Option<SourceAddress>,
    /// Datagrams to send [default: 1], or to wait for [default: no end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// From one datagram to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = polyport_value::duration,
        conflicts_with = "listen")]
    interval: Duration,
    /// Hear answers for this long after the last one, such as 2s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = polyport_value::duration,
        conflicts_with = "listen")]
    answers: Duration,
    /// Routers a datagram may pass; 0 keeps a group on this host, and is refused for what it cannot keep there
    #[arg(long, value_name = "HOPS", conflicts_with = "listen")]
    ttl: Option<u8>,
    /// Listeners on this host hear it, too [the default]
    #[arg(long = "loop", overrides_with = "no_loop")]
    looped: bool,
    /// Only other hosts hear it
    #[arg(long)]
    no_loop: bool,
    /// Send EVENT frames of PPT/1 with flag G instead of plain text
    #[arg(long, conflicts_with = "listen")]
    ppt: bool,
    /// How often EVENT frames carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes)]
    grease: GreaseArg,
    /// Makes ids repeatable: for tests only
    #[arg(long)]
    seed: Option<u64>,
    /// With --listen: hear this sender only (RFC 4607)
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// With --listen: for this long, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = polyport_value::duration)]
    span: Option<Duration>,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    family: Family,
}

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    // `requires` of clap stays silent when an option that conflicts with --listen is given as well.
    if !cli.listen && (cli.source.is_some() || cli.span.is_some()) {
        return Err(ExitError::usage("--source and --for are of use with --listen only"));
    }
    let candidates = target::any(&cli.target, cli.family, cli.from)?;
    let named = cli.interface.as_deref().map(interface).transpose()?;
    let key = cli.key.load()?;
    let interrupt = outcome::interrupt()?;
    attempt::each(&candidates, false, |target, _| {
        let ifindex = named.or_else(|| zone(target)).unwrap_or(0);
        let target = with_zone(target, ifindex);
        if cli.listen {
            listen(&cli, target, ifindex, key.clone(), &interrupt)
        } else {
            send(&cli, target, ifindex, key.clone(), &interrupt)
        }
    })
}

fn send(cli: &Cli, to: SocketAddr, ifindex: u32, key: Option<Key>, interrupt: &Interrupt) -> Outcome {
    // TTL 1 keeps a group on the link. A broadcast address cannot leave it; 0 means the system's default there.
    let ttl = cli.ttl.unwrap_or_else(|| to.ip().is_multicast().into());
    if cli.ttl == Some(0) {
        stay_here(to, !cli.no_loop, ifindex)?;
    }
    let own = cli.from.map_or_else(|| any_like(to), |from| from.towards(to));
    let socket = open(to, &SenderOptions { ttl, looped: !cli.no_loop, ifindex, own })?;
    let sealer = cli.ppt.then(|| Sealer::new(generator(cli.seed), cli.grease.into(), key));
    let (text, count) = (cli.text.as_bytes(), cli.count.unwrap_or(1));
    let plan = Plan { to, own, text, count, interval: nanos(cli.interval), answers: nanos(cli.answers) };
    let clock = Clock::start();
    let mut driver = Driver::new(socket, false, clock, interrupt.clone());
    if ifindex != 0 && !to.ip().is_multicast() {
        driver.send_from(Source { ip: own.ip(), ifindex });
    }
    let mut sender = Sender::new(plan, sealer, clock.now());
    let end = driver.run(&mut sender)?;
    let answered = sender.answered();
    sender.outcome()?;
    if !cli.answers.is_zero() {
        deliver(format_args!("{answered} answer{}", if answered == 1 { "" } else { "s" }))?;
    }
    Ok(if end == End::Interrupted { Exit::Interrupted } else { Exit::Ok })
}

fn listen(cli: &Cli, at: SocketAddr, ifindex: u32, key: Option<Key>, interrupt: &Interrupt) -> Outcome {
    if cli.source.is_some() && !at.ip().is_multicast() {
        return Err(ExitError::usage(format!("--source is for groups, and {} is none", at.ip())));
    }
    let socket = join(at, cli.source, ifindex)?;
    let clock = Clock::start();
    let until = cli.span.map(|span| nanos(span).saturating_add(clock.now()));
    let mut listener = Listener::new(at, cli.count, until, key);
    let mut driver = Driver::new(socket, false, clock, interrupt.clone());
    deliver(format_args!("listening at {at}"))?;
    let end = driver.run(&mut listener)?;
    let (heard, senders) = listener.heard();
    deliver(format_args!("heard {heard} from {senders}"))?;
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
