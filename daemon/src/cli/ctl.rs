//! Commands to a daemon that serves, by its control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use polyport_terminal::{Escaped, Exit, complain, counted, deliver, remark};
use serde_json::{Value, json};

use super::status::{name_of, told};
use crate::control::wire::{self, Drained, Logged, Quieted, Reloaded, Status, Stopping, code};
use crate::control::{CallError, Client, OFF, existing_place};

/// How long `stop` waits for the end of the daemon: longer than a plugin may take for its last call.
const LONGEST_END: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(super) enum ControlCommand {
    /// Show what a daemon serves, and what it has counted
    Status(StatusArgs),
    /// Have a daemon read its configuration and libraries again, as SIGHUP does, and say what became of it
    Reload(To),
    /// Give a listener other options or settings, until the next reload or restart
    Set(SetArgs),
    /// Serve one more listener, until the next reload or restart
    Add(AddArgs),
    /// Serve a listener no more, until the next reload or restart; what it has still to send is dropped: drain it first
    Remove(ListenerArgs),
    /// Stop reading the sockets of a listener: what comes waits in the kernel, and what finds no room there is lost
    Pause(ListenerArgs),
    /// Read the sockets of a listener again that was paused or drained
    Resume(ListenerArgs),
    /// Stop reading the sockets of a listener, and wait until it has sent what is due and its sessions have ended
    Drain(DrainArgs),
    /// Say, or set, how much a daemon logs, until it ends
    LogLevel(LogLevelArgs),
    /// Have a daemon end in order, as SIGTERM does, and wait for it
    Stop(To),
}

/// Which daemon, and how its answer is printed.
#[derive(Debug, Args)]
pub(super) struct To {
    /// Control socket of the daemon [env: `POLYPORT_CONTROL`]; without it, that of this user's daemon, or of the system's
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Print the answer as JSON, on one line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Show the addresses of this listener one by one
    listener: Option<String>,
    /// The first entry that is shown, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// Most entries that are shown, up to 1000
    #[arg(long, value_name = "N", default_value_t = wire::PAGE)]
    limit: usize,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct PluginReload {
    /// The plugin: its name as `polyport status` shows it, what the configuration calls it, or the path of its file
    plugin: String,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Name of the listener
    listener: String,
    /// An option of its plugin, or a setting of its own, by its name behind --listen: loss=5%, `on_fault=exit`, reply.rate=100/s,
    /// listen.tos=af41, options.share=2 (an option that is called as a setting); repeatable
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The listener, as --listen takes it
    #[arg(value_name = "BIND=PLUGIN[,KEY=VALUE]...")]
    spec: String,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct ListenerArgs {
    /// Name of the listener
    listener: String,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// Name of the listener
    listener: String,
    /// How long to wait, 50s at most
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = polyport_value::duration)]
    within: Duration,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
pub(super) struct LogLevelArgs {
    /// The level; without it, the level of now is printed
    level: Option<LevelArg>,
    #[command(flatten)]
    to: To,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelArg {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LevelArg> for wire::Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Error => Self::Error,
            LevelArg::Warn => Self::Warn,
            LevelArg::Info => Self::Info,
            LevelArg::Debug => Self::Debug,
            LevelArg::Trace => Self::Trace,
        }
    }
}

/// Where `--control` and its variable say that the socket is. Not read by clap, for which a variable of the environment would
/// contradict a subcommand.
pub(super) fn place(arg: Option<&PathBuf>) -> Option<PathBuf> {
    let from_environment = || {
        let path = std::env::var_os("POLYPORT_CONTROL").filter(|path| !path.is_empty())?;
        Some(PathBuf::from(path))
    };
    arg.cloned().or_else(from_environment)
}

/// The socket of a daemon that nobody names, if there is one.
pub(super) fn existing() -> Option<PathBuf> {
    existing_place(|name| std::env::var_os(name).map(PathBuf::from)).ok()
}

/// Runs a command, and says how it ended.
pub(super) fn run(command: &ControlCommand) -> Exit {
    let (to, done) = match command {
        ControlCommand::Status(args) => (&args.to, status(args)),
        ControlCommand::Reload(to) => (to, reload(to)),
        ControlCommand::Set(args) => (&args.to, set(args)),
        ControlCommand::Add(args) => (&args.to, add(args)),
        ControlCommand::Remove(args) => (&args.to, remove(args)),
        ControlCommand::Pause(args) => (&args.to, quiet(args, "pause", "paused")),
        ControlCommand::Resume(args) => (&args.to, quiet(args, "resume", "resumed")),
        ControlCommand::Drain(args) => (&args.to, drain(args)),
        ControlCommand::LogLevel(args) => (&args.to, log_level(args)),
        ControlCommand::Stop(to) => (to, stop(to)),
    };
    finish(to, done)
}

/// Prints what came of a command.
pub(super) fn finish(to: &To, done: Result<String, Failure>) -> Exit {
    match done {
        Ok(text) => print(text.trim_end_matches('\n'), Exit::Ok),
        Err(Failure { exit, words, error }) => {
            if let Some(error) = error.as_ref().filter(|_| to.json) {
                return print(json!({ "error": error }), exit);
            }
            if let Some(data) = error.as_ref().and_then(|error| error.data.as_ref()) {
                // Carets and all, as the daemon has rendered it for a terminal that it does not know.
                remark(shown_text(&data.text).trim_end_matches('\n'));
            }
            complain(words);
            exit
        }
    }
}

/// Prints what was asked for. `exit`, unless that fails.
fn print(text: impl std::fmt::Display, exit: Exit) -> Exit {
    match deliver(text) {
        Ok(()) => exit,
        Err(error) => {
            complain(error);
            Exit::Io
        }
    }
}

/// Why a command has not done what it is for.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) words: String,
    pub(super) error: Option<wire::Error>,
}

/// The code that says why there was no answer.
pub(super) fn exit_of(error: &CallError) -> Exit {
    match error {
        CallError::Nobody(..) | CallError::Broken(..) => Exit::NoReply,
        CallError::Denied(_) => Exit::Permission,
        CallError::Strange(..) => Exit::Protocol,
        CallError::Refused(error) => match error.code {
            code::REFUSED => Exit::Config,
            code::NO_LISTENER | code::NO_PLUGIN => Exit::BadInput,
            code::BUSY | code::NO_ROOM => Exit::Busy,
            code::STRANGER => Exit::Permission,
            code::UNANSWERED | code::ENDING => Exit::NoReply,
            _ => Exit::Protocol,
        },
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = exit_of(&error);
        let words = error.to_string();
        let error = if let CallError::Refused(error) = error { Some(error) } else { None };
        Self { exit, words, error }
    }
}

impl Failure {
    /// Says it, and which code the program ends with.
    pub(super) fn tell(self) -> Exit {
        complain(self.words);
        self.exit
    }

    /// Why, in words.
    pub(super) fn words(self) -> String {
        self.words
    }

    /// Whether only another command line helps.
    pub(super) fn is_usage(&self) -> bool {
        self.exit as u8 == Exit::Usage as u8
    }
}

pub(super) fn connect(to: &To) -> Result<Client, Failure> {
    connect_to(to.control.as_ref())
}

/// Connects to the daemon whose control socket is there, or where it is found.
pub(super) fn connect_to(control: Option<&PathBuf>) -> Result<Client, Failure> {
    Ok(Client::connect(&socket(control)?)?)
}

/// Where the daemon is that is meant.
pub(super) fn socket(control: Option<&PathBuf>) -> Result<PathBuf, Failure> {
    match place(control) {
        Some(path) if path == Path::new(OFF) => {
            let words = "--control names the socket of a daemon here: `off` is for `polyport run`";
            Err(Failure { exit: Exit::Usage, words: words.to_owned(), error: None })
        }
        Some(path) => Ok(path),
        None => existing_place(|name| std::env::var_os(name).map(PathBuf::from)).map_err(|places| {
            let places: Vec<String> =
                places.iter().map(|path| Escaped(path.as_os_str().as_encoded_bytes()).to_string()).collect();
            let words = format!(
                "no daemon has a control socket here: {}; --control PATH names another place",
                places.join(", ")
            );
            Failure { exit: Exit::NoReply, words, error: None }
        }),
    }
}

/// The whole answer, or what a person wants to know of it.
pub(super) fn printed(to: &To, whole: &Value, text: impl FnOnce() -> String) -> String {
    if to.json { whole.to_string() } else { text() }
}

fn reload(to: &To) -> Result<String, Failure> {
    let (reloaded, whole) = connect(to)?.call::<Reloaded>("reload", &json!({}))?;
    Ok(printed(to, &whole, || {
        format!("reloaded: {}, in {} ms", Escaped(reloaded.summary.as_bytes()), reloaded.took_ms)
    }))
}

/// Has the library of one plugin loaded again.
pub(super) fn reload_plugin(args: &PluginReload) -> Exit {
    let done = || {
        let params = json!(wire::PluginParams { plugin: args.plugin.clone() });
        let (reloaded, whole) = connect(&args.to)?.call::<Reloaded>("plugin-reload", &params)?;
        Ok(printed(&args.to, &whole, || {
            format!("reloaded: {}, in {} ms", Escaped(reloaded.summary.as_bytes()), reloaded.took_ms)
        }))
    };
    finish(&args.to, done())
}

/// Of an argument `KEY=VALUE`, both.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

fn set(args: &SetArgs) -> Result<String, Failure> {
    let options = args.options.iter().cloned().collect();
    let params = json!(wire::SetParams { listener: args.listener.clone(), options });
    let (reloaded, whole) = connect(&args.to)?.call::<Reloaded>("set", &params)?;
    Ok(printed(&args.to, &whole, || {
        let summary = Escaped(reloaded.summary.as_bytes());
        format!("set: {summary}, in {} ms; the next reload takes it back", reloaded.took_ms)
    }))
}

fn add(args: &AddArgs) -> Result<String, Failure> {
    let params = json!(wire::AddParams { spec: args.spec.clone() });
    let (reloaded, whole) = connect(&args.to)?.call::<Reloaded>("add", &params)?;
    Ok(printed(&args.to, &whole, || altered("added", &reloaded)))
}

fn remove(args: &ListenerArgs) -> Result<String, Failure> {
    let params = json!(wire::ListenerParams { listener: args.listener.clone() });
    let (reloaded, whole) = connect(&args.to)?.call::<Reloaded>("remove", &params)?;
    Ok(printed(&args.to, &whole, || altered("removed", &reloaded)))
}

fn altered(done: &str, reloaded: &Reloaded) -> String {
    let summary = Escaped(reloaded.summary.as_bytes());
    format!("{done}: {summary}, in {} ms; the next reload takes it back", reloaded.took_ms)
}

fn quiet(args: &ListenerArgs, method: &str, done: &str) -> Result<String, Failure> {
    let params = json!(wire::ListenerParams { listener: args.listener.clone() });
    let (quieted, whole) = connect(&args.to)?.call::<Quieted>(method, &params)?;
    Ok(printed(&args.to, &whole, || {
        format!("{done}: {}", counted(quieted.addresses, "address", "addresses"))
    }))
}

fn drain(args: &DrainArgs) -> Result<String, Failure> {
    let within_ms = Some(u64::try_from(args.within.as_millis()).unwrap_or(u64::MAX));
    let params = json!(wire::DrainParams { listener: args.listener.clone(), within_ms });
    let (drained, whole) = connect(&args.to)?.call::<Drained>("drain", &params)?;
    let text = || {
        format!("drained: {}, in {} ms", counted(drained.addresses, "address", "addresses"), drained.took_ms)
    };
    if drained.drained {
        return Ok(printed(&args.to, &whole, text));
    }
    let left = counted(drained.left, "address", "addresses");
    let words =
        format!("not drained in {} ms: something waits, or sessions are open, at {left}", drained.took_ms);
    Err(Failure { exit: Exit::NoReply, words, error: None })
}

fn log_level(args: &LogLevelArgs) -> Result<String, Failure> {
    let level = args.level.map(wire::Level::from);
    let params = json!(wire::LogLevelParams { level });
    let (logged, whole) = connect(&args.to)?.call::<Logged>("log-level", &params)?;
    Ok(printed(&args.to, &whole, || name_of(logged.level)))
}

fn stop(to: &To) -> Result<String, Failure> {
    let mut client = connect(to)?;
    let (_, whole) = client.call::<Stopping>("stop", &json!({}))?;
    client.wait_for_end(LONGEST_END).map_err(|error| {
        let words =
            format!("the daemon was asked to end, and has not in {} s: {error}", LONGEST_END.as_secs());
        Failure { exit: Exit::NoReply, words, error: None }
    })?;
    Ok(printed(to, &whole, || "stopped".to_owned()))
}

fn status(args: &StatusArgs) -> Result<String, Failure> {
    let params =
        wire::StatusParams { listener: args.listener.clone(), offset: args.offset, limit: Some(args.limit) };
    let (status, whole) = connect(&args.to)?.call::<Status>("status", &json!(params))?;
    Ok(printed(&args.to, &whole, || told(&status)))
}

/// Several lines of a daemon, without what would command the terminal.
fn shown_text(text: &str) -> String {
    text.lines().map(|line| Escaped(line.as_bytes()).to_string()).collect::<Vec<_>>().join("\n")
}
