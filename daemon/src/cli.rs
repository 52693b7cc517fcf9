//! The command line: what was typed, and what is done about it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use clap::error::ContextKind;
use clap::{Args, Parser, Subcommand};
use env_logger::{Target, WriteStyle};
use polyport_terminal::{
    Exit, Hangup, Output, Style, Version, complain, deliver, delivered, remark, survive_file_limit,
};

use crate::apply::{self, BuiltIn, Sources};
use crate::config::{self, Plan, Problems, Reading};

mod conformance;
mod plugin;
mod plugin_args;

/// Hosts UDP services: one process, any number of ports, each served by a plugin.
#[derive(Debug, Parser)]
#[command(version = version(), args_conflicts_with_subcommands = true, max_term_width = 100, after_help = EXAMPLES)]
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
  polyport run --listen '127.0.0.1:7000-7099=lossy,drop=10%,delay=20ms,seed=7'
  polyport run --listen 127.0.0.1:7000=echo,on_fault=exit stop if the handler breaks, instead of making it again
  polyport run -c polyport.toml --sandbox user=nobody     bind as root, serve as nobody
  polyport check -c polyport.toml                         say everything that is wrong with a file
  polyport plugin list                                    what there is to serve with
  polyport plugin new hello                               begin a plugin of your own
  polyport plugin try ./libhello.so --datagram you        see what it answers, without a socket
  polyport plugin test ./libhello.so                      see whether it keeps the rules

Signals:
  SIGINT, SIGTERM   end it in order; another one, 0.3 s later at least, ends it at once
  SIGHUP            read the configuration and the libraries again: all listeners follow, or none
                    (if the terminal is gone: end in order)

Without a command, `run` is meant. POLYPORT_LOG sets log filters (for example `polyport::datagram=trace`).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until interrupted (the default)
    Run(Run),
    /// Check a configuration without serving it: plugins are loaded, nothing is bound
    Check(Check),
    /// List, inspect, try, test and begin plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    plan: PlanArgs,
    /// Print problems as JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Clone, Debug, Args)]
struct PlanArgs {
    /// Configuration file [env: `POLYPORT_CONFIG`]; without it and --listen, the built-in default
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen without a file; repeatable. BIND is 127.0.0.1:7000, 0.0.0.0:7000-7099, 127.0.0.1:domain, :7000
    /// (every interface), localhost:7000 or eth0:7000 (all addresses of an interface)
    #[arg(long, value_name = "BIND=PLUGIN[,KEY=VALUE]...", conflicts_with = "config")]
    listen: Vec<String>,
    /// Where to look for plugins first; repeatable
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// What is given up before serving: `off`, or for example `user=nobody,landlock=off`; repeatable
    #[arg(long, value_name = "off|KEY=VALUE[,KEY=VALUE]...")]
    sandbox: Vec<String>,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// More log lines: -v debug, -vv one line a datagram
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Only errors: no table at the start, no books at the end
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

/// What `--version` says: which build this is, and which plugins it takes.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let abi = format!("plugin ABI {}", apply::plugin_abi());
        Version { package: env!("CARGO_PKG_VERSION"), more: abi }.to_string()
    });
    &TEXT
}

/// Runs the program on `args`, the first of which is its own name, with these plugins built in.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>, built_in: BuiltIn) -> Exit {
    // The system refuses that for no signal that can be caught.
    survive_file_limit().unwrap_or(());
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &args),
    };
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(run) => serve(&run, built_in),
        Command::Check(check) => check_plan(&check, built_in),
        Command::Plugin(command) => plugin::run(&command, built_in),
    }
}

/// Prints what is wrong with a command line, or the help that was asked for.
fn refuse(error: &clap::Error, args: &[OsString]) -> Exit {
    let shown = without_values(error, args);
    if shown != error.to_string() {
        remark(shown.trim_end_matches('\n'));
        return Exit::Usage;
    }
    let printed = error.print();
    // A closed standard error leaves nobody to tell.
    if error.use_stderr() { Exit::Usage } else { ended(delivered(printed), Exit::Ok) }
}

/// `exit`, unless what was asked for could not be written.
fn ended(written: io::Result<()>, exit: Exit) -> Exit {
    match written {
        Ok(()) => exit,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
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
    // From the first moment on: a start takes its time, and SIGHUP must not end it.
    let hangup = match Hangup::listen() {
        Ok(hangup) => hangup,
        Err(error) => {
            complain(format_args!("cannot listen to SIGHUP: {error}"));
            return Exit::Os;
        }
    };
    with_output(&args.log, |output| {
        let plan = args.plan.clone();
        let again = Arc::new(move |before: &Plan| plan.read_again(before));
        match apply::serve(args.plan.read("run"), &args.plan.sources(built_in), output, hangup, again) {
            Ok(exit) => exit,
            Err(refused) => {
                output.remark(rendered(&refused.problems));
                refused.exit
            }
        }
    })
}

fn check_plan(args: &Check, built_in: BuiltIn) -> Exit {
    with_output(&args.log, |output| {
        match apply::prepare(args.plan.read("check"), &args.plan.sources(built_in)) {
            Ok(prepared) => {
                apply::foresee(&prepared);
                if args.json || args.log.quiet {
                    return Exit::Ok;
                }
                ended(deliver(apply::checked(&prepared)), Exit::Ok)
            }
            Err(problems) if args.json => {
                ended(deliver(problems.to_json().trim_end_matches('\n')), Exit::Config)
            }
            Err(problems) => {
                output.remark(rendered(&problems));
                Exit::Config
            }
        }
    })
}

/// Runs a command whose log and remarks are written by threads, and waits for what they still have to write.
fn with_output(log: &LogArgs, command: impl FnOnce(&Output) -> Exit) -> Exit {
    let output = match Output::new() {
        Ok(output) => output,
        Err(error) => {
            complain(format_args!("cannot duplicate the descriptors of the output: {error}"));
            return Exit::Os;
        }
    };
    let output = if log.quiet { output.hushed() } else { output };
    output.print_panics();
    if let Err(error) = apply::tell_of_crashes() {
        output.remark(format_args!("warn: a crash will not say which plugin did it: {error}"));
    }
    init_log(log, &output);
    let exit = command(&output);
    output.finish();
    exit
}

/// A configuration that many programs would take by itself.
const BESIDE: &str = "polyport.toml";

impl PlanArgs {
    /// Where plugins come from, besides what the plan says.
    fn sources(&self, built_in: BuiltIn) -> Sources {
        Sources { dirs: self.plugin_dir.clone(), built_in }
    }

    /// What was asked for. `command` is what is about to be done with it.
    fn read(&self, command: &str) -> Reading {
        let reading = if !self.listen.is_empty() {
            config::from_listen_args(&self.listen)
        } else if let Some(path) = self.file() {
            config::load(&path)
        } else {
            if Path::new(BESIDE).exists() {
                log::warn!(
                    "there is a ./{BESIDE}, and it is not used: a file must be named, as in `polyport {command} -c {BESIDE}`"
                );
            }
            config::built_in()
        };
        config::with_sandbox_args(reading, &self.sandbox)
    }

    /// What is asked for now, after `before` was read; what can be read only once is what it was.
    fn read_again(&self, before: &Plan) -> Reading {
        let reading = if !self.listen.is_empty() {
            config::from_listen_args(&self.listen)
        } else if let Some(path) = self.file() {
            config::load_again(&path, before)
        } else {
            config::built_in()
        };
        config::with_sandbox_args(reading, &self.sandbox)
    }

    /// The configuration file. Not read by clap, for which a variable of the environment would contradict `--listen`.
    fn file(&self) -> Option<PathBuf> {
        let from_environment = || {
            let path = std::env::var_os("POLYPORT_CONFIG").filter(|path| !path.is_empty())?;
            Some(PathBuf::from(path))
        };
        self.config.clone().or_else(from_environment)
    }
}

fn init_log(args: &LogArgs, output: &Output) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => log::LevelFilter::Error,
        (false, 0) => log::LevelFilter::Info,
        (false, 1) => log::LevelFilter::Debug,
        (false, _) => log::LevelFilter::Trace,
    };
    let terminal = io::stderr().is_terminal();
    let mut builder = env_logger::Builder::new();
    // The libraries below have nothing to say to a user at the level of their traces.
    builder.filter_level(level.min(log::LevelFilter::Warn)).filter_module("polyport", level);
    builder.parse_env("POLYPORT_LOG").format(move |out, record| {
        let level = record.level().as_str().to_lowercase();
        if terminal {
            let style = out.default_level_style(record.level());
            writeln!(out, "{style}{level}{style:#}: {}", record.args())
        } else {
            writeln!(out, "{} {level}: {}", out.timestamp_millis(), record.args())
        }
    });
    // Of a pipe the logger does not know whether colours are welcome.
    let colours = if Style::stderr().is_coloured() { WriteStyle::Always } else { WriteStyle::Never };
    builder.write_style(colours).target(Target::Pipe(Box::new(output.log())));
    // Only a second logger in one process is refused, and the first one serves as well.
    builder.try_init().unwrap_or(());
}

fn rendered(problems: &Problems) -> String {
    problems.render(Style::stderr().is_coloured()).trim_end_matches('\n').to_owned()
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
