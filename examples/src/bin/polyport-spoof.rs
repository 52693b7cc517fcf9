//! `polyport-spoof`: which forged replies which client takes, shown on loopback.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use clap::Parser;
use polyport_terminal::{Exit, Style};
use polyport_tools::VERSION;
use polyport_tools::heading;
use polyport_tools::json;
use polyport_tools::key::{GreaseArg, generator};
use polyport_tools::outcome::{self, ExitError, Outcome, deliver};
use polyport_tools::source::SourceAddress;
use polyport_tools::spoof::json::SpoofReport;
use polyport_tools::spoof::{Case, Guard, Row, Setting, play};

/// Shows case by case which forged replies a client takes that is promiscuous, connected, or checks request ids.
#[derive(Parser)]
#[command(
    name = "polyport-spoof",
    version = VERSION,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{MORE}")
)]
struct Cli {
    /// Print one JSON object
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    /// Play on `::1` instead of 127.0.0.1
    #[arg(short = '6', help_heading = heading::NETWORK)]
    ipv6: bool,
    /// Play on this address of the host, with the client at this port, such as 127.0.0.2, 127.0.0.2:5000 or :5000
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = SourceAddress::parse, help_heading = heading::NETWORK)]
    from: Option<SourceAddress>,
    /// How often requests carry what receivers must ignore
    #[arg(long, value_enum, default_value_t = GreaseArg::Sometimes, help_heading = heading::PROTOCOL)]
    grease: GreaseArg,
    /// Makes the run repeatable
    #[arg(long, help_heading = heading::PROTOCOL)]
    seed: Option<u64>,
}

const EXAMPLES: &str = "Examples:
  polyport-spoof
  polyport-spoof --json | jq .safe
  polyport-spoof --from 192.0.2.7";

const MORE: &str =
    "Everything happens on this host, between sockets of this process, on loopback if --from names no
other address.

Exit codes: 0 the request-id client took no forged reply, lost no genuine one and counted each
under its name, 64 usage, 70 it did not, 71, 75 and 77 the system refuses sockets, 74 writing failed";

fn main() -> ExitCode {
    outcome::main(run)
}

#[expect(clippy::needless_pass_by_value, reason = "outcome::main hands the arguments over")]
fn run(cli: Cli) -> Outcome {
    let wants_ipv6 = cli.ipv6 || cli.from.and_then(SourceAddress::ip).is_some_and(|ip| ip.is_ipv6());
    let loopback: SocketAddr =
        if wants_ipv6 { (Ipv6Addr::LOCALHOST, 0).into() } else { (Ipv4Addr::LOCALHOST, 0).into() };
    let own = match cli.from {
        Some(from) if !from.reaches(loopback.ip()) => {
            return Err(ExitError::usage("-6 and the address of --from are of two families"));
        }
        Some(from) if from.ip().is_some() => from.towards(loopback),
        from => SocketAddr::new(loopback.ip(), from.and_then(SourceAddress::port).unwrap_or(0)),
    };
    if own.ip().is_unspecified() {
        return Err(ExitError::usage(format!("--from {}: name one address of this host", own.ip())));
    }
    let setting = Setting { own, grease: cli.grease.into() };
    let mut rng = generator(cli.seed);
    let mut rows: Vec<Row> = Vec::new();
    for case in Case::ALL {
        let [promiscuous, connected, request_id] =
            Guard::ALL.map(|guard| play(case, guard, setting, &mut rng));
        rows.push((case, [promiscuous?, connected?, request_id?]));
    }
    let failed: Vec<&str> = rows.iter().filter(|row| !is_good(row)).map(|(case, _)| case.name()).collect();
    if cli.json {
        deliver(json::line(&SpoofReport::new(&rows, failed.is_empty()))?)?;
    } else {
        table(&rows)?;
    }
    if failed.is_empty() {
        return Ok(Exit::Ok);
    }
    let text = format!("the request-id client fails: {}", failed.join("; "));
    Err(ExitError::new(Exit::Software, text))
}

/// Only the last client has to be right.
fn is_good((case, [.., judged]): &Row) -> bool {
    judged.is_safe() && judged.is_counted(*case)
}

fn table(rows: &[Row]) -> Result<(), ExitError> {
    let style = Style::stdout();
    let line = |first: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:<12}")).collect();
        format!("{first:<32}{cells}").trim_end().to_owned()
    };
    let names = Guard::ALL.map(|guard| guard.name().to_owned());
    deliver(style.bold(line("a client that is / checks", &names)))?;
    for (case, cells) in rows {
        let texts: Vec<String> = cells
            .iter()
            .map(|cell| {
                let text = format!("{:<12}", cell.text());
                if cell.forged_taken > 0 { style.red(text) } else { style.green(text) }
            })
            .collect();
        deliver(line(case.name(), &texts))?;
    }
    let mut sums = [(0, 0); Guard::ALL.len()];
    for (_, cells) in rows {
        for ((taken, sent), cell) in sums.iter_mut().zip(cells) {
            *taken += cell.genuine_taken;
            *sent += cell.genuine;
        }
    }
    let sums = sums.map(|(taken, sent)| format!("{taken} of {sent}"));
    deliver(line("genuine replies accepted", &sums))
}
