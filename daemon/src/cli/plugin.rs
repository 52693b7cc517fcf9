//! `polyport plugin`: what an author does with a plugin, and a user with a strange one.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use polyport_terminal::{Exit, complain, deliver, remark};

use crate::workbench::{self, Bench, Language};

/// What is done with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// What the search path offers: the file of each name, what it is found before, and why one is refused
    List(List),
    /// All that is known of one plugin; nothing of it runs unless --run is given
    Inspect(Inspect),
    /// Begin a plugin: a project that builds, passes its own test and serves
    New(New),
}

#[derive(Debug, Args)]
struct Search {
    /// Where to look for plugins first; repeatable
    #[arg(long, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    search: Search,
    /// Print one object a line
    #[arg(long)]
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
    #[arg(long)]
    json: bool,
    /// Load it, make one handler and destroy it, in a process of its own: shows metrics and wanted facts. It runs with your
    /// rights
    #[arg(long, group = "runs")]
    run: bool,
    /// An option for the handler of --run; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "runs")]
    option: Vec<(String, String)>,
    /// How long --run waits for the plugin
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = polyport_value::duration)]
    timeout: Duration,
    /// Be the process of --run
    #[arg(long, hide = true, group = "runs")]
    within: bool,
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// Name of the plugin: lower-case letters, digits and `-`
    name: String,
    /// Language
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
    /// The directory that is made for it [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of polyport, whose plugins/sdk the plugin is built with (Rust) [default: the one that this program or the
    /// working directory lies in]
    #[arg(long, value_name = "DIR")]
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

/// An argument `key=value`.
fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=`")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Does it.
pub(super) fn run(command: &PluginCommand, built_in: crate::apply::BuiltIn) -> Exit {
    let bench = |search: &Search| Bench { dirs: search.plugin_dir.clone(), built_in };
    match command {
        PluginCommand::List(args) => list(args, &bench(&args.search)),
        PluginCommand::Inspect(args) => inspect(args, &bench(&args.search)),
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

/// `exit`, if the answer could be written.
fn printed(text: String, exit: Exit) -> Exit {
    match deliver(text) {
        Ok(()) => exit,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
}
