//! The command line: what was typed, and what is done about it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use polyport_terminal::{
    Exit, Hangup, Inquiry, Version, build_facts, complain, deliver, delivered, remark, survive_file_limit,
    wants_build_facts,
};

use crate::apply::{self, BuiltIn};
use crate::config::{self, Plan, Reading};
use ended::{ended, rendered, with_output};
use environment::Counts;
use logging::LogArgs;
use plan_args::PlanArgs;

mod capture_file;
mod config_args;
mod conformance;
mod ctl;
mod documents;
mod ended;
mod environment;
mod help;
mod log_level;
mod logging;
mod peers;
mod plan;
mod plan_args;
mod plugin;
mod plugin_args;
mod replay;
mod status;
mod tap;
mod top;

/// Hosts UDP services: one process, any number of ports, each served by a plugin.
#[derive(Debug, Parser)]
#[command(
    version = version(),
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    after_help = EXAMPLES
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

const EXAMPLES: &str = "\
Examples:
  polyport                                                serve the built-in default configuration
  polyport run -c polyport.toml                           serve a configuration file
  polyport run --listen 127.0.0.1:7000=echo               serve one address
  polyport run --listen '127.0.0.1:7000-7099=lossy,loss=10%,delay=20ms,seed=7'
  polyport run --listen :7000=echo,on_fault=exit          stop if the handler breaks, instead of making it again
  polyport run -c polyport.toml --sandbox user=nobody     bind as root, serve as nobody
  polyport check -c polyport.toml                         say everything that is wrong with a file
  polyport plan -c polyport.toml                          what it needs, what is in its way, what it would change
  polyport run -c polyport.toml --take-over               follow the daemon that serves, without losing a datagram
  polyport status                                         what a daemon serves, and what it has counted
  polyport top                                            follow it: rates, drops, sessions, handler times
  polyport tap echo                                       what enters and leaves, and what became of it
  polyport tap --all -w f.pcapng                          the same as a capture, for Wireshark and for replay
  polyport replay f.pcapng --to 127.0.0.1:7000            send it again, at the pace of then
  polyport config template > polyport.toml                begin a file, with every key
  polyport config explain recv_buffer                     what a key is for, and what it may be
  polyport plugin list                                    what there is to serve with
  polyport plugin new hello                               begin a plugin of your own
  polyport plugin try ./libhello.so --datagram you        see what it answers, without a socket
  polyport plugin test ./libhello.so                      see whether it keeps the rules
  polyport plugin reload hello                            have a daemon serve by its new build

Signals:
  SIGINT, SIGTERM   end it in order: take nothing new, send what is due within --grace, print the books;
                    another one, 0.3 s later at least, ends it at once
  SIGHUP            read the configuration and the libraries again: all listeners follow, or none
                    (if the terminal is gone: end in order)
  SIGUSR1           tell the log how it goes: what was counted, what waits, the busiest addresses

Configuration, the first that is there:
  --listen, -c FILE, POLYPORT_CONFIG, ./polyport.toml, $XDG_CONFIG_HOME/polyport/polyport.toml (~/.config),
  /etc/polyport/polyport.toml, the built-in default

Variables:
  A flag goes before its variable, a variable before the file; an empty one is none. Several values of POLYPORT_LISTEN or
  POLYPORT_SANDBOX have `;` or a line end between them (outside of double quotes), those of POLYPORT_PLUGIN_DIR `:`.
  POLYPORT_LOG sets log filters (for example `polyport::datagram=trace`).
  Those of a service manager are heeded as systemd sets them: LISTEN_FDS (sockets that are bound already), NOTIFY_SOCKET and
  WATCHDOG_USEC.

Without a command, `run` is meant.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until interrupted (the default)
    Run(Run),
    /// Check a configuration without serving it: plugins are loaded, nothing is bound
    Check(Check),
    /// Say what a configuration needs, what is in its way, and what it would change of a daemon that serves
    Plan(plan::Plan),
    #[command(flatten)]
    Control(ctl::ControlCommand),
    /// Follow what a daemon does: rates, drops, sessions and handler times of each listener
    Top(top::TopArgs),
    /// Show who sends most to a listener
    Peers(peers::PeersArgs),
    /// Show what enters and leaves a daemon while it serves, with what became of each datagram
    Tap(tap::TapArgs),
    /// Send the datagrams of a recording again, at the pace of then or at another one
    Replay(replay::ReplayArgs),
    /// What a configuration file may say: a template, the keys one by one, a schema
    #[command(subcommand)]
    Config(config_args::ConfigCommand),
    /// List, inspect, try, test and begin plugins, and have a daemon load one again
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print what a shell needs to complete commands and flags
    Completions(documents::CompletionsArgs),
    /// Print a page of the manual, or write all of them
    Man(documents::ManArgs),
}

/// Makes sockets for the daemon that has started this, by standard input. It is no command of anybody else's, so no help, page or
/// completion has it.
#[cfg(target_os = "linux")]
#[derive(Debug, Parser)]
struct SocketBroker {
    /// Of the ports below 1024, those that may be bound
    ports: Vec<u16>,
}

#[derive(Clone, Debug, Args)]
struct Run {
    #[command(flatten)]
    plan: PlanArgs,
    /// Where the control socket is made, for `polyport status` and its like, or `off`; without it, the key `control` of the file
    /// says it, or it is where clients look for it
    #[arg(long, value_name = "PATH|off", env = "POLYPORT_CONTROL", hide_env_values = true)]
    control: Option<PathBuf>,
    /// Where /metrics, /healthz and /readyz are answered by HTTP, for example `127.0.0.1:9100` or
    /// `[::1]:9100`, or `off`; without it, the key `metrics` of the file says it, or it is nowhere
    #[arg(
        long,
        value_name = "ADDR|off",
        value_parser = metrics,
        env = "POLYPORT_METRICS",
        hide_env_values = true
    )]
    metrics: Option<Endpoint>,
    /// How long the end waits for what is still to be sent, instead of `grace` of the file [default: 5s]; 0s ends at once
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = config::grace,
        env = "POLYPORT_GRACE",
        hide_env_values = true
    )]
    grace: Option<Duration>,
    /// Take over from the daemon that serves already: its sockets are handed over with what waits in them, and it ends; if anything is
    /// wrong here, it goes on
    #[arg(long, env = "POLYPORT_TAKE_OVER", hide_env_values = true, value_parser = BoolishValueParser::new())]
    take_over: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// The value of `--metrics`: an address, or none for `off`. A type of its own, since clap gives `Option` a meaning.
#[derive(Clone, Copy, Debug)]
struct Endpoint(Option<SocketAddr>);

fn metrics(text: &str) -> Result<Endpoint, String> {
    config::metrics(text).map(Endpoint)
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    plan: PlanArgs,
    /// Print one object: {"ok": true, ...} with the listeners, or {"ok": false, ...} with the problems
    #[arg(long, env = "POLYPORT_CHECK_JSON", hide_env_values = true, value_parser = BoolishValueParser::new())]
    json: bool,
    /// Bind every address as well, join its groups, and let go of all of them
    #[arg(long, env = "POLYPORT_CHECK_BIND", hide_env_values = true, value_parser = BoolishValueParser::new())]
    bind: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// What `--version` says: which build this is, and which plugins it takes.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let abi = format!("plugin ABI {}", apply::plugin_abi());
        Version { package: env!("CARGO_PKG_VERSION"), more: abi }.to_string()
    });
    &TEXT
}

/// What `--version --verbose` says beside that.
fn facts(built_in: BuiltIn) -> String {
    let plugins = apply::built_in_names(built_in);
    let plugins = if plugins.is_empty() { "none".to_owned() } else { plugins.join(", ") };
    build_facts(&[("plugin-abi", apply::plugin_abi()), ("built-in-plugins", plugins)])
}

/// Runs the program on `args`, the first of which is its own name, with these plugins built in.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>, built_in: BuiltIn) -> Exit {
    // The system refuses that for no signal that can be caught.
    survive_file_limit().unwrap_or(());
    let args: Vec<OsString> = args.into_iter().collect();
    #[cfg(target_os = "linux")]
    if args.get(1).is_some_and(|name| name == apply::SOCKET_BROKER) {
        return match SocketBroker::try_parse_from(args.iter().skip(1)) {
            Ok(SocketBroker { ports }) => apply::serve_sockets(&ports),
            Err(error) => refuse(&error, &args, built_in),
        };
    }
    let cli = match Cli::parsed(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &args, built_in),
    };
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(run) => serve(&run, built_in),
        Command::Control(command) => ctl::run(&command),
        Command::Top(args) => top::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Tap(args) => tap::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Check(check) => check_plan(&check, built_in),
        Command::Plan(plan) => plan::plan(&plan, built_in),
        Command::Config(command) => config_args::run(&command, built_in),
        Command::Plugin(command) => plugin::run(&command, built_in),
        Command::Completions(args) => documents::complete(&args, Cli::described()),
        Command::Man(args) => documents::man(&args, Cli::described()),
    }
}

impl Cli {
    /// The command line with all that its help says.
    fn described() -> clap::Command {
        help::described(Self::command())
    }

    /// What was typed, and what variables of the environment say of the rest.
    fn parsed(args: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = environment::without_empty(Self::described());
        let matches = command.try_get_matches_from_mut(args)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let Some((name, matches)) = matches.subcommand() else {
            cli.run.resolve(&mut command, &matches)?;
            return Ok(cli);
        };
        match (&mut cli.command, command.find_subcommand_mut(name)) {
            (Some(Command::Run(run)), Some(command)) => run.resolve(command, matches)?,
            (Some(Command::Check(check)), Some(command)) => check.resolve(command, matches)?,
            (Some(Command::Plan(plan)), Some(command)) => {
                plan.plan.resolve(command, matches)?;
                plan.log.resolve(command, matches)?;
            }
            (Some(Command::Plugin(plugin)), _) => {
                if let Some((_, matches)) = matches.subcommand() {
                    plugin.resolve(matches);
                }
            }
            _ => {}
        }
        Ok(cli)
    }
}

/// Prints what is wrong with a command line, or the help that was asked for.
fn refuse(error: &clap::Error, args: &[OsString], built_in: BuiltIn) -> Exit {
    let shown = without_values(error, args);
    if shown != error.to_string() {
        remark(shown.trim_end_matches('\n'));
        return Exit::Usage;
    }
    let mut printed = error.print();
    if error.kind() == ErrorKind::DisplayVersion && wants_build_facts(args) {
        printed = printed.and_then(|()| deliver(facts(built_in).trim_end()));
    }
    // A closed standard error leaves nobody to tell.
    if error.use_stderr() { Exit::Usage } else { ended(delivered(printed), Exit::Ok) }
}

/// What clap says, without what stands behind the `=` of an argument, and without words that it does not know: one that is
/// at the wrong place may be `key=` and a key, or the key alone.
fn without_values(error: &clap::Error, args: &[OsString]) -> String {
    let suggests = |kind| error.get(kind).is_some();
    let is_near = suggests(ContextKind::SuggestedArg) || suggests(ContextKind::SuggestedSubcommand);
    let args = args.iter().map(|arg| arg.to_string_lossy());
    args.fold(error.to_string(), |text, arg| match arg.split_once('=') {
        Some((name, value)) if !value.is_empty() => {
            // Of a flag that takes none, the value is named alone, in quotes.
            text.replace(&*arg, &format!("{name}=...")).replace(&format!("'{value}'"), "'...'")
        }
        None if !is_near && !is_flag(&arg) => text.replace(&format!("'{arg}'"), "'...'"),
        _ => text,
    })
}

/// Whether an argument looks like the name of a flag: nothing in it is a digit, which a key is full of.
fn is_flag(arg: &str) -> bool {
    const LONGEST: usize = 24;
    let name = arg.trim_start_matches('-');
    arg.starts_with('-') && name.len() <= LONGEST && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

fn serve(args: &Run, built_in: BuiltIn) -> Exit {
    // Before this process opens anything of its own, and before there are threads.
    let manager = match apply::Manager::meet() {
        Ok(manager) => manager,
        Err(error) => {
            complain(format_args!("the sockets that the service manager has given cannot be had: {error}"));
            return Exit::Config;
        }
    };
    // From the first moment on: a start takes its time, and SIGHUP must not end it.
    let hangup = match Hangup::listen() {
        Ok(hangup) => hangup,
        Err(error) => {
            complain(format_args!("cannot listen to SIGHUP: {error}"));
            return Exit::Os;
        }
    };
    let inquiry = match Inquiry::listen() {
        Ok(inquiry) => inquiry,
        Err(error) => {
            complain(format_args!("cannot listen to SIGUSR1: {error}"));
            return Exit::Os;
        }
    };
    with_output(&args.log, |output, log_level| {
        let sources = args.plan.sources(built_in);
        let found = args.plan.asked().find();
        let reading = args.on_top_of(found.read());
        let run = args.clone();
        let again = Arc::new(move |before: &Plan| run.on_top_of(found.read_again(before)));
        manager.say();
        let start = if args.take_over { apply::Start::TakingOver } else { apply::Start::Afresh };
        match apply::serve(reading, &sources, output, (hangup, &inquiry), again, log_level, (manager, start))
        {
            Ok(exit) => exit,
            Err(refused) => {
                output.remark(rendered(&refused.problems, output));
                refused.exit
            }
        }
    })
}

/// Checks a configuration, and says what came out.
fn check_plan(args: &Check, built_in: BuiltIn) -> Exit {
    with_output(&args.log, |output, _| {
        let reading = args.plan.asked().find().read();
        let origin = reading.plan.origin.clone();
        let checked = apply::prepare(reading, &args.plan.sources(built_in)).map_err(apply::Refused::from);
        let checked = checked.and_then(|prepared| {
            apply::foresee(&prepared);
            if args.bind {
                apply::try_binding(&prepared)?;
            }
            Ok(prepared)
        });
        match checked {
            Ok(prepared) if args.json => ended(deliver(apply::accepted_json(&prepared, args.bind)), Exit::Ok),
            Ok(_) if args.log.quiet => Exit::Ok,
            Ok(prepared) => ended(deliver(apply::accepted(&prepared, args.bind)), Exit::Ok),
            Err(refused) if args.json => ended(deliver(apply::refused_json(&refused, &origin)), refused.exit),
            Err(refused) => {
                output.remark(rendered(&refused.problems, output));
                refused.exit
            }
        }
    })
}

impl Run {
    /// What was read, with what these arguments say instead.
    fn on_top_of(&self, reading: Reading) -> Reading {
        let reading = config::with_control_arg(reading, self.control.as_deref());
        let reading = config::with_metrics_arg(reading, self.metrics.map(|Endpoint(address)| address));
        config::with_grace_arg(reading, self.grace)
    }

    fn resolve(&mut self, command: &mut clap::Command, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.plan.resolve(command, matches)?;
        self.log.resolve(command, matches)
    }
}

impl Check {
    fn resolve(&mut self, command: &mut clap::Command, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.plan.resolve(command, matches)?;
        self.log.resolve(command, matches)
    }
}

impl LogArgs {
    fn resolve(&mut self, command: &mut clap::Command, matches: &ArgMatches) -> Result<(), clap::Error> {
        // A variable may also say that something is not wanted.
        if !self.quiet || self.verbose == 0 {
            return Ok(());
        }
        match environment::either(command, matches, ("quiet", "--quiet"), ("verbose", "--verbose..."))? {
            Counts::Both => {}
            Counts::First => self.verbose = 0,
            Counts::Second => self.quiet = false,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_value_at_the_wrong_place_is_not_shown() {
        let shown = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(Into::into).collect();
            without_values(&Cli::try_parse_from(&args).unwrap_err(), &args)
        };
        for args in [
            &["polyport", "run", "127.0.0.1:1=responder,key=5ec4e7"][..],
            &["polyport", "127.0.0.1:1=responder,key=5ec4e7"],
            &["polyport", "run", "--listen", "127.0.0.1:1=responder", "key=5ec4e7"],
            &["polyport", "--lisen=127.0.0.1:1=responder,key=5ec4e7"],
            &["polyport", "check", "--json=5ec4e7"],
            &["polyport", "5ec4e7"],
            &["polyport", "run", "5ec4e7"],
            &["polyport", "check", "--listen", "127.0.0.1:1=responder", "key:5ec4e7"],
            &["polyport", "run", "--key:5ec4e7"],
        ] {
            let text = shown(args);
            assert!(!text.contains("5ec4e7") && text.contains("error: "), "{text}");
        }
    }

    #[test]
    fn a_mistyped_word_is_shown_with_what_was_meant() {
        for (args, words) in [
            (&["polyport", "chekc"][..], ["'chekc'", "'check'"]),
            (&["polyport", "run", "--lisen", "x"], ["'--lisen'", "'--listen'"]),
            (&["polyport", "--frobnicate"], ["'--frobnicate'", "Usage"]),
        ] {
            let os: Vec<OsString> = args.iter().map(Into::into).collect();
            let text = without_values(&Cli::try_parse_from(&os).unwrap_err(), &os);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn run_is_the_default_command() {
        let cli = Cli::try_parse_from(["polyport", "--listen", "127.0.0.1:1=echo"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.plan.listen, ["127.0.0.1:1=echo"]);
    }
}
