//! `polyport plugin`: what an author does with a plugin, a user with a strange one, and an operator with a new build.

use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgMatches, Args, Subcommand, ValueEnum};
use data_encoding::HEXLOWER_PERMISSIVE;
use polyport_terminal::{Exit, complain, counted, escape_payload, remark, say};

use super::conformance::{Test, test};
use super::ctl::{PluginReload, reload_plugin};
use super::plugin_args::{Search, key_value, printed};
use crate::workbench::{self, Arrival, Bench, Language, Play, Seen};

/// What is done with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// What the search path offers: the file of each name, what it is found before, and why one is refused
    List(List),
    /// All that is known of one plugin; nothing of it runs unless --run is given
    Inspect(Inspect),
    /// Let a plugin serve datagrams in a virtual network with virtual time, and print each that it sends
    Try(Try),
    /// Test whether a plugin keeps the rules of the ABI, each case in a process of its own. It runs with your rights
    Test(Test),
    /// Have a daemon load the library of one plugin again, and make its handlers anew from it: all of them, or none. Nothing else
    /// is read or changed
    Reload(PluginReload),
    /// Begin a plugin: a project that builds, passes its own test and serves
    New(New),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    search: Search,
    /// Print one object a line
    #[arg(
        long,
        env = "POLYPORT_PLUGIN_LIST_JSON",
        hide_env_values = true,
        value_parser = BoolishValueParser::new()
    )]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Name of a plugin as in a configuration, or the path of a library
    #[arg(value_name = "NAME|FILE")]
    plugin: String,
    #[command(flatten)]
    search: Search,
    /// Print an object
    #[arg(
        long,
        env = "POLYPORT_PLUGIN_INSPECT_JSON",
        hide_env_values = true,
        value_parser = BoolishValueParser::new()
    )]
    json: bool,
    /// Load it, make one handler and destroy it, in a process of its own: shows metrics and wanted facts. It runs with your
    /// rights
    #[arg(long, group = "runs")]
    run: bool,
    /// An option for the handler of --run; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "runs")]
    option: Vec<(String, String)>,
    /// How long --run waits for the plugin
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = polyport_value::duration,
        env = "POLYPORT_PLUGIN_INSPECT_TIMEOUT",
        hide_env_values = true
    )]
    timeout: Duration,
    /// Be the process of --run
    #[arg(long, hide = true, group = "runs")]
    within: bool,
}

#[derive(Debug, Args)]
pub(super) struct Try {
    /// Name of a plugin as in a configuration, or the path of a library
    #[arg(value_name = "NAME|FILE")]
    plugin: String,
    #[command(flatten)]
    search: Search,
    /// An option of the plugin; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    option: Vec<(String, String)>,
    #[command(flatten)]
    input: Input,
    /// Who sends the datagrams, those of --pcap apart
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "192.0.2.1:5000",
        value_parser = polyport_value::address,
        env = "POLYPORT_PLUGIN_TRY_FROM",
        hide_env_values = true
    )]
    from: SocketAddr,
    /// An address of the listener; repeatable. The datagrams are sent to them in turn, and each line names one [default: one of
    /// IPv4 and one of IPv6]
    #[arg(long, value_name = "ADDRESS", value_parser = polyport_value::address)]
    to: Vec<SocketAddr>,
    /// Time between two datagrams, those of --pcap apart
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1ms",
        value_parser = polyport_value::duration,
        env = "POLYPORT_PLUGIN_TRY_EVERY",
        hide_env_values = true
    )]
    every: Duration,
    /// How long the network lasts after the last datagram, for delayed answers and timers
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = polyport_value::duration,
        env = "POLYPORT_PLUGIN_TRY_FOR",
        hide_env_values = true
    )]
    lasting: Duration,
    /// Seed of all randomness: equal seeds give equal runs
    #[arg(long, default_value_t = 0, env = "POLYPORT_PLUGIN_TRY_SEED", hide_env_values = true)]
    seed: u64,
    /// More log lines: -v debug, -vv one line a datagram
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// What arrives; several kinds come in this order.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Input {
    /// A datagram with this text; repeatable
    #[arg(long, value_name = "TEXT")]
    datagram: Vec<String>,
    /// A datagram with these bytes, in hexadecimal digits; repeatable
    #[arg(long, value_name = "DIGITS")]
    hex: Vec<String>,
    /// The UDP datagrams of a recording, with its senders and its times
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// A datagram for each line of standard input, without its end
    #[arg(long)]
    stdin: bool,
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// Name of the plugin: lower-case letters, digits and `-`
    name: String,
    /// Language
    #[arg(long, value_enum, default_value_t, env = "POLYPORT_PLUGIN_NEW_LANG", hide_env_values = true)]
    lang: Lang,
    /// The directory that is made for it [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of polyport, whose plugins/sdk the plugin is built with (Rust) [default: the one that this program or the
    /// working directory lies in]
    #[arg(long, value_name = "DIR", env = "POLYPORT_PLUGIN_NEW_SDK", hide_env_values = true)]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Lang {
    /// With the crate polyport-plugin
    #[default]
    Rust,
    /// C11 with the header alone
    C,
}

impl PluginCommand {
    /// Takes apart what variables say. `matches` are those of the command itself.
    pub(super) fn resolve(&mut self, matches: &ArgMatches) {
        match self {
            Self::List(List { search, .. })
            | Self::Inspect(Inspect { search, .. })
            | Self::Try(Try { search, .. })
            | Self::Test(Test { search, .. }) => search.resolve(matches),
            Self::Reload(_) | Self::New(_) => {}
        }
    }
}

/// Does it.
pub(super) fn run(command: &PluginCommand, built_in: crate::apply::BuiltIn) -> Exit {
    let bench = |search: &Search| Bench { dirs: search.plugin_dir.clone(), built_in };
    match command {
        PluginCommand::List(args) => list(args, &bench(&args.search)),
        PluginCommand::Inspect(args) => inspect(args, &bench(&args.search)),
        PluginCommand::Try(args) => play(args, &bench(&args.search)),
        PluginCommand::Test(args) => test(args, &bench(&args.search)),
        PluginCommand::Reload(args) => reload_plugin(args),
        PluginCommand::New(args) => new(args, &Bench { dirs: Vec::new(), built_in }),
    }
}

fn list(args: &List, bench: &Bench) -> Exit {
    let listed = workbench::list(bench);
    for line in &listed.unusable {
        remark(format_args!("warning: {line}"));
    }
    printed(if args.json { listed.json() } else { listed.text() }, Exit::Ok)
}

fn inspect(args: &Inspect, bench: &Bench) -> Exit {
    if args.within {
        return workbench::examine(bench, &args.plugin, &args.option);
    }
    let mut inspected = match workbench::inspect(bench, &args.plugin) {
        Ok(inspected) => inspected,
        Err(refusal) => {
            complain(refusal);
            return Exit::Config;
        }
    };
    let mut exit = if inspected.is_loadable() { Exit::Ok } else { Exit::Config };
    // What would not be loaded is not run either: the trial would say the same.
    if args.run && inspected.is_loadable() {
        match workbench::try_out(bench, &args.plugin, &args.option, args.timeout) {
            Ok(trial) => {
                if !trial.is_well() {
                    exit = Exit::Software;
                }
                inspected.trial = Some(trial);
            }
            Err(error) => {
                complain(format_args!("no process can be started for --run: {error}"));
                return Exit::Os;
            }
        }
    }
    printed(if args.json { inspected.json() } else { inspected.text() }, exit)
}

fn play(args: &Try, bench: &Bench) -> Exit {
    let arrivals = match args.arrivals() {
        Ok(arrivals) => arrivals,
        Err(error) => {
            complain(error);
            return Exit::BadInput;
        }
    };
    init_inline_log(args.verbose);
    let play = Play {
        options: args.option.clone(),
        arrivals,
        addresses: args.to.clone(),
        lasting: args.lasting,
        seed: args.seed,
    };
    let names = !args.to.is_empty();
    match workbench::play(bench, &args.plugin, &play, &mut |seen| say(line(&seen, names))) {
        Ok((books, held)) => printed(books, if held { Exit::Ok } else { Exit::Software }),
        Err(why) => {
            complain(why);
            Exit::Config
        }
    }
}

impl Try {
    /// All that arrives.
    fn arrivals(&self) -> Result<Vec<Arrival>, String> {
        let mut payloads: Vec<Vec<u8>> =
            self.input.datagram.iter().map(|text| text.clone().into_bytes()).collect();
        for digits in &self.input.hex {
            let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
            payloads.push(bytes.map_err(|error| format!("--hex {digits}: {error}"))?);
        }
        if self.input.stdin {
            let lines = io::stdin().lock().split(b'\n').collect::<io::Result<Vec<_>>>();
            payloads.extend(lines.map_err(|error| format!("standard input: {error}"))?);
        }
        if let Some(long) = payloads.iter().find(|payload| payload.len() > LONGEST_DATAGRAM) {
            return Err(format!("{} bytes are no datagram: at most {LONGEST_DATAGRAM} are", long.len()));
        }
        let every = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        let mut arrivals: Vec<Arrival> = (0..)
            .zip(payloads)
            .map(|(i, payload): (u64, _)| Arrival {
                at_ns: every.saturating_mul(i),
                peer: self.from,
                payload,
            })
            .collect();
        if let Some(path) = &self.input.pcap {
            let recorded = workbench::recorded(path).map_err(|why| format!("{}: {why}", path.display()))?;
            if recorded.is_empty() {
                return Err(format!("{}: there is no UDP datagram in it", path.display()));
            }
            arrivals.extend(recorded);
        }
        Ok(arrivals)
    }
}

/// Payload of the longest datagram over IPv4.
const LONGEST_DATAGRAM: usize = 65_507;

/// What happened, as a line; with the address of the listener if it `names` them.
fn line(seen: &Seen, names: bool) -> String {
    let here = |local: &SocketAddr| if names { format!("{local} ") } else { String::new() };
    let at = |ns: u64| format!("{:>12.6} ms", Duration::from_nanos(ns).as_secs_f64() * 1e3);
    match seen {
        Seen::In { arrival: Arrival { at_ns, peer, payload }, local } => {
            format!("{}  {peer} -> {}{}", at(*at_ns), here(local), said(payload))
        }
        Seen::Out { local, at_ns, to, payload, df } => {
            format!(
                "{}  {to} <- {}{}{}",
                at(*at_ns),
                here(local),
                said(payload),
                if *df { ", not to be fragmented" } else { "" }
            )
        }
    }
}

/// A payload and its length.
fn said(payload: &[u8]) -> String {
    /// Bytes that are shown.
    const MOST: usize = 256;
    let shown = payload.get(..MOST).unwrap_or(payload);
    let more = if shown.len() < payload.len() { "..." } else { "" };
    format!("'{}{more}' ({})", escape_payload(shown), counted(payload.len(), "byte", "bytes"))
}

/// Log lines among the datagrams, on standard output, without a time: theirs is not that of the network.
fn init_inline_log(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Info,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Warn)
        .filter_module("polyport", level)
        .target(env_logger::Target::Stdout);
    builder.format(|out, record| {
        writeln!(out, "{:15}  {}: {}", "", record.level().as_str().to_lowercase(), record.args())
    });
    // Only a second logger in one process is refused, and the first one serves as well.
    builder.try_init().unwrap_or(());
}

fn new(args: &New, bench: &Bench) -> Exit {
    let dir = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let language = match args.lang {
        Lang::Rust => Language::Rust,
        Lang::C => Language::C,
    };
    match workbench::create(bench, &args.name, language, &dir, args.sdk.as_deref()) {
        Ok(project) => printed(project.to_string(), Exit::Ok),
        Err(error) => {
            let exit = match &error {
                workbench::NewError::Name(_) => Exit::Usage,
                workbench::NewError::NoSdk(_) => Exit::Config,
                workbench::NewError::Elevated => Exit::Permission,
                workbench::NewError::Exists(_) | workbench::NewError::Io(..) => Exit::CannotCreate,
            };
            complain(error);
            exit
        }
    }
}
