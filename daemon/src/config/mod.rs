//! `polyport.toml` or `--listen` arguments in, a checked [`Plan`] out.
//!
//! ```toml
//! plugin_dirs = ["plugins"]               # relative to this file
//! seed = 42                               # makes every handler's randomness repeatable
//! control = "/run/polyport/lab.sock"      # or "off"; default: see daemon/docs/control.md
//! grace = "10s"                           # how long the end waits for what is still to be sent
//!
//! [limits]
//! visit_datagrams = 64
//!
//! [sandbox]                               # or sandbox = "off"
//! user = "nobody"
//! write = ["/var/log/polyport"]
//!
//! [[listen]]
//! name = "far-away"                       # default: the plugin's name
//! bind = ["127.0.0.1:7000-7099", "[::1]:7000", "127.0.0.1:domain"]    # or ":7000", "localhost:7000", "eth0:7000"
//! plugin = "lossy"                        # or a path: "./libmine.so"
//! recv_buffer = "4MiB"
//! sessions = 100                          # default: what [limits] allows
//! allow = ["10.0.0.0/8", "2001:db8::/32"] # default: everybody; the longest prefix of `allow` and `deny` decides
//! deny = "10.9.0.0/16"
//! on_fault = "exit"                       # default: "restart"; also "off"
//! options = { loss = "10%", delay = "20ms" }
//!
//! [[listen]]
//! bind = "0.0.0.0:5353"
//! plugin = "listener"
//! join = ["239.1.2.3", "232.1.1.1 from 192.0.2.7 on eth0"]
//! share = true                            # several sockets on this address and port (SO_REUSEADDR)
//! broadcast = true                        # may send to a broadcast address (SO_BROADCAST)
//! freebind = true                         # the address may come later (IP_FREEBIND, Linux only)
//! [listen.reply]
//! groups = true                           # may answer what was sent to groups, and send there
//! ```
//!
//! The module knows the grammar of values and the limits; it knows no plugin's options, opens no socket and loads no library. Everything
//! wrong is found in one run and comes back as [`Problems`], each with its place in the text; later
//! stages add theirs through [`Plan::problems`]. With a syntax error only syntax errors are reported.
//!
//! What a problem shows of a text, `veil` says: no value that may be a secret.
//!
//! The way of a text: `include` finds the files that belong to it, `tree` (TOML) or `spec` (`--listen`) makes entries with
//! places, `listener` (with `bind`, `join`, `access` and `reply`), `limits` and `sandbox` read them with the help of `read`, `check`
//! compares the listeners with each other. `keys` is the table of all keys, `bounds` what their values are at least and at most.

mod access;
mod alter;
mod asked;
mod bind;
mod bounds;
mod check;
mod described;
mod dscp;
mod include;
mod join;
pub mod keys;
mod limits;
mod listener;
mod names;
mod nearest;
mod origin;
mod outgoing;
mod plan;
mod ports;
mod problem;
mod read;
mod refusal;
mod render;
mod reply;
mod sandbox;
mod set;
mod spec;
#[cfg(test)]
mod tests;
mod tree;
mod veil;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{GRACE, Limits};
use include::{Files, Text};
use listener::Draft;
use read::Reader;
use tree::{Entry, Value};
use veil::Veil;

pub use access::idle as idle_networks;
pub use alter::{with_listener, without_listener};
pub use described::Settings;
pub use listener::{prefixed_setting, spec_settings};
pub use names::{Content, MAX_SOURCE_BYTES, Names};
pub use nearest::nearest;
pub use origin::{By, Origin};
pub use plan::{
    AsRead, Bind, Control, Granted, Join, Listen, MAX_LISTENERS, Metrics, Named, OnFault, Plan, PluginRef,
    RawOption, RawValue, Sandbox, SocketSettings, Switch,
};
pub use problem::{Problem, Problems, Source, Span, code, quoted};
pub use set::with_settings;
pub use veil::quoted_key;

const TOP_KEYS: [&str; keys::TOP.len()] = keys::named(&keys::TOP);

/// What a text said, and what is wrong with it. The plan holds what could be read, so that the stages that
/// follow can look for more problems in the same run; only [`Reading::into_result`] gives a plan to act on.
#[derive(Debug)]
pub struct Reading {
    /// Complete only if there are no problems.
    pub plan: Plan,
    /// Everything that is wrong.
    pub problems: Problems,
}

impl Reading {
    /// The plan, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the text.
    pub fn into_result(self) -> Result<Plan, Problems> {
        self.problems.into_result(self.plan)
    }
}

/// Reads a configuration file, and those that it includes. Blocks; not for the reactor's thread. A file that cannot be read, is
/// longer than [`MAX_SOURCE_BYTES`] or not UTF-8 is a problem.
pub fn load(path: &Path) -> Reading {
    load_opened(path, File::open(path))
}

/// Reads a configuration file as [`load`] does, by what opening it came to.
pub fn load_opened(path: &Path, opened: io::Result<File>) -> Reading {
    let mut reading = match opened.and_then(Content::of) {
        Ok(content) => read_texts(Text::of_file(path, content), &Names::system()),
        Err(error) => {
            let title = format!("cannot read {}: {error}", quoted(&path.to_string_lossy()));
            refused(path, Problem::new(code::UNREADABLE, title).help("check the path and its permissions"))
        }
    };
    reading.plan.origin = Origin::File { path: path.to_path_buf(), by: By::Flag };
    reading
}

/// A configuration file that is not read at all, and why.
#[must_use]
pub fn refused(path: &Path, problem: Problem) -> Reading {
    let mut problems = empty([Source::new(path.to_string_lossy(), "")].into()).problems();
    problems.push(problem);
    Reading { plan: empty(Arc::clone(&problems.sources)), problems }
}

/// Reads a configuration file again from which `before` was read. What can be read only once, a pipe for example, is what it was.
pub fn load_again(path: &Path, before: &Plan) -> Reading {
    let is_read_once = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let Some(source) = before.texts.first().filter(|_| is_read_once) else { return load(path) };
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut text = Text::alone(source.clone(), base);
    text.mode = before.file_mode(0);
    let mut reading = read_texts(text, &Names::system());
    reading.plan.origin.clone_from(&before.origin);
    reading
}

/// Reads a configuration from memory; relative paths in it start at the directory of its origin.
pub fn parse(source: Source) -> Reading {
    let base = Path::new(&source.origin).parent().map(PathBuf::from).unwrap_or_default();
    parse_with(source, &base, &Names::system())
}

/// Reads a configuration from memory as [`parse`] does; the directory that relative paths start from and the
/// system's answers are arguments.
pub fn parse_with(source: Source, base: &Path, names: &Names) -> Reading {
    read_texts(Text::alone(source, base.to_path_buf()), names)
}

/// Reads a text and all that it includes.
fn read_texts(main: Text, names: &Names) -> Reading {
    let mut reader = Reader::new(names);
    let mut plan = empty(Arc::default());
    let (mut sources, mut drafts) = (Vec::new(), Vec::new());
    let mut files = Files::beginning(main, names);
    while let Some(text) = files.next() {
        let number = sources.len();
        let before = reader.problems.len();
        let entries = entries(&text, number, &mut reader.problems);
        let is_toml = reader.problems.len() == before;
        reader.base.clone_from(&text.base);
        for entry in &entries {
            match entry.key.as_str() {
                "include" => files.follow(entry, &text, &mut reader),
                "listen" => drafts.extend(read_listen(entry, &mut reader)),
                key if text.is_included() && TOP_KEYS.contains(&key) => {
                    let title = format!("`{key}` stands in a file that another one includes");
                    let help = format!(
                        "it is about the whole daemon: move it to the first file; here there are only {}",
                        include::KEYS.join(" and ")
                    );
                    let problem = Problem::new(code::MISPLACED_KEY, title).at(&entry.key_span, "");
                    reader.problems.push(problem.help(help));
                }
                "plugin_dirs" => plan.plugin_dirs = read_plugin_dirs(entry, &mut reader),
                "seed" => plan.seed = read_seed(entry, &mut reader),
                "control" => plan.control = read_control(entry, &mut reader),
                "metrics" => plan.metrics = read_metrics(entry, &mut reader),
                "grace" => plan.grace = reader.duration(entry, &bounds::GRACE).unwrap_or(plan.grace),
                "limits" => plan.limits = limits::read(entry, &mut reader),
                "sandbox" => sandbox::read(entry, &mut plan.sandbox, &mut reader),
                key => {
                    let help = match place_of(key) {
                        Some(place) => format!("`{key}` belongs into {place}"),
                        None => format!("valid keys: {}", TOP_KEYS.join(", ")),
                    };
                    reader.unknown_key(entry, "at the top level", &TOP_KEYS, help);
                }
            }
        }
        veil_toml(&text.source.text, number, &mut reader, is_toml);
        sources.push(text.source);
        plan.modes.push(text.mode);
    }
    plan.searched = files.searched;
    plan.sources = sources.into();
    plan.texts = Arc::clone(&plan.sources);
    finish(plan, drafts, reader)
}

/// The entries of a text, which is the source with a number; none if it is no TOML.
fn entries(text: &Text, number: usize, problems: &mut Vec<Problem>) -> Vec<Entry> {
    if let Some(range) = &text.bad_byte {
        let span = Span { source: number, range: range.clone() };
        problems.push(Problem::new(code::NOT_UTF8, "the file is not UTF-8").at(&span, "first bad byte"));
        return Vec::new();
    }
    if text.source.text.len() > MAX_SOURCE_BYTES {
        let title = format!("the configuration is longer than {MAX_SOURCE_BYTES} bytes");
        problems.push(Problem::new(code::TOO_LARGE, title));
        return Vec::new();
    }
    tree::from_toml(&text.source.text, number, problems)
}

/// The table of a listener that a key or a table at the top level was probably meant for.
fn place_of(key: &str) -> Option<&'static str> {
    if key == "reply" {
        Some("a listener: write [listen.reply] behind its [[listen]]")
    } else if key == "options" {
        Some("a listener: write [listen.options] behind its [[listen]]")
    } else if listener::KEYS.contains(&key) {
        Some("a table [[listen]]")
    } else if reply::KEYS.contains(&key) {
        Some("a table [listen.reply] behind the [[listen]] of its listener")
    } else if limits::KEYS.contains(&key) {
        Some("the table [limits]")
    } else if sandbox::KEYS.contains(&key) {
        Some("the table [sandbox]")
    } else {
        None
    }
}

/// Adds what of a text is not shown, whatever the tree of it says; the tree has the exact places of the values, if there is
/// one.
fn veil_toml(text: &str, source: usize, reader: &mut Reader<'_>, is_toml: bool) {
    let mut own: Vec<&str> =
        [&TOP_KEYS[..], &limits::KEYS, &listener::KEYS, &reply::KEYS, &sandbox::KEYS].concat();
    own.retain(|key| *key != "options");
    let veil = Veil::of(text, &own);
    let values = if is_toml { Vec::new() } else { veil.values };
    reader.veiled.extend(veil.comments.into_iter().chain(values).map(|range| Span { source, range }));
}

/// Reads the values of all `--listen` options into one plan. Each is `BIND=PLUGIN[,key=value]...`, such as
/// `127.0.0.1:7000-7099=lossy,loss=10%,name=far`; a relative path of a plugin starts at the working
/// directory.
pub fn from_listen_args(args: &[String]) -> Reading {
    from_listen_args_with(args, &Names::system())
}

/// Reads the values of all `--listen` options as [`from_listen_args`] does; the system's answers are an argument.
pub fn from_listen_args_with(args: &[String], names: &Names) -> Reading {
    let mut reader = Reader::new(names);
    let mut drafts = Vec::new();
    for (index, text) in args.iter().enumerate() {
        reader.veiled.extend(spec::veiled(text).into_iter().map(|range| Span { source: index, range }));
        if let Some(entries) = spec::entries(text, index, &mut reader.problems) {
            let span = Span { source: index, range: 0..text.len() };
            drafts.push(listener::read(&entries, &span, &mut reader));
        }
    }
    let sources = args.iter().map(|text| Source::new("--listen", text.as_str())).collect();
    let mut plan = empty(sources);
    plan.origin = Origin::Arguments;
    finish(plan, drafts, reader)
}

/// Reads the values of all `--sandbox` options into a plan that was read before; what they say comes last. Each is `off`
/// or `KEY=VALUE[,KEY=VALUE]...`, such as `user=nobody,landlock=off`; relative paths start at the working directory.
#[must_use]
pub fn with_sandbox_args(mut reading: Reading, args: &[String]) -> Reading {
    let Reading { plan, problems } = &mut reading;
    let mut texts = plan.texts.to_vec();
    let names = Names::system();
    let mut reader = Reader::new(&names);
    for (number, text) in args.iter().enumerate() {
        plan.overridden.extend(sandbox::overridden(text, args.get(..number).unwrap_or_default()));
        sandbox::read_arg(text, texts.len(), &mut plan.sandbox, &mut reader);
        texts.push(Source::new("--sandbox", text.as_str()));
    }
    if !args.is_empty() {
        plan.fixed.push("sandbox");
    }
    plan.texts = texts.into();
    plan.veiled.append(&mut reader.veiled);
    problems.list.append(&mut reader.problems);
    plan.reveal(&[], problems);
    reading
}

/// Reads the value of `--grace`.
///
/// # Errors
/// It is no duration, or longer than an hour.
pub fn grace(text: &str) -> Result<Duration, String> {
    let grace = polyport_value::duration(text)?;
    if bounds::GRACE.contains(&grace) {
        return Ok(grace);
    }
    Err(format!("expected {:?} to {:?}", bounds::GRACE.start(), bounds::GRACE.end()))
}

/// The configuration of a daemon that was started without any: `daemon/default.toml`, and what only Linux can bind.
#[must_use]
pub fn built_in() -> Reading {
    parse(Source::new("built-in default", BUILT_IN))
}

#[cfg(target_os = "linux")]
const BUILT_IN: &str = concat!(include_str!("../../default.toml"), include_str!("../../default-linux.toml"));
#[cfg(not(target_os = "linux"))]
const BUILT_IN: &str = include_str!("../../default.toml");

fn empty(sources: Arc<[Source]>) -> Plan {
    Plan {
        listen: Vec::new(),
        plugin_dirs: Vec::new(),
        seed: None,
        origin: Origin::default(),
        grace: GRACE,
        limits: Limits::default(),
        sandbox: Sandbox::default(),
        control: None,
        metrics: None,
        sources: Arc::clone(&sources),
        texts: sources,
        veiled: Vec::new(),
        modes: Vec::new(),
        searched: Vec::new(),
        overridden: Vec::new(),
        fixed: Vec::new(),
    }
}

fn finish(mut plan: Plan, drafts: Vec<Draft>, reader: Reader<'_>) -> Reading {
    let mut found = reader.problems;
    plan.listen = check::listeners(drafts, &mut found);
    plan.veiled = reader.veiled;
    let mut problems = plan.problems();
    problems.list = found;
    plan.reveal(&[], &mut problems);
    Reading { plan, problems }
}

fn read_plugin_dirs(entry: &Entry, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    const EXPECTED: &str = "an array of strings";
    let Value::List(list) = &entry.value else {
        reader.wrong_type("plugin_dirs", EXPECTED, &entry.value, &entry.value_span);
        return Vec::new();
    };
    let mut dirs = Vec::with_capacity(list.len());
    for (value, span) in list {
        let Value::Text(dir) = value else {
            reader.wrong_type("plugin_dirs", EXPECTED, value, span);
            continue;
        };
        if dir.is_empty() || dir.contains('\0') {
            reader.bad_value("plugin_dirs", span, "expected a directory");
        } else {
            dirs.push(reader.base.join(dir));
        }
    }
    dirs
}

/// The word of `control` that has no socket made.
const NO_CONTROL: &str = "off";

fn read_control(entry: &Entry, reader: &mut Reader<'_>) -> Option<Control> {
    let text = reader.text(entry)?.to_owned();
    if text.is_empty() || text.contains('\0') {
        reader.bad_value("control", &entry.value_span, "expected a path or \"off\"");
        return None;
    }
    let path = (text != NO_CONTROL).then(|| reader.base.join(text));
    Some(Control { path, span: Some(entry.value_span.clone()) })
}

/// Has `--control` say where the control socket is, whatever the text says: a path, or `off`.
#[must_use]
pub fn with_control_arg(mut reading: Reading, arg: Option<&Path>) -> Reading {
    if let Some(path) = arg {
        let path = (path != Path::new(NO_CONTROL)).then(|| path.to_path_buf());
        reading.plan.control = Some(Control { path, span: None });
        reading.plan.fixed.push("control");
    }
    reading
}

/// What `--grace` says instead of the configuration.
#[must_use]
pub fn with_grace_arg(mut reading: Reading, arg: Option<Duration>) -> Reading {
    if let Some(grace) = arg {
        reading.plan.grace = grace;
        reading.plan.fixed.push("grace");
    }
    reading
}

/// Where metrics are told.
///
/// # Errors
/// It is neither an address with a port nor `off`.
pub fn metrics(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == NO_METRICS {
        return Ok(None);
    }
    let words = "expected an address with a port, such as 127.0.0.1:9100 or [::1]:9100, or off";
    text.parse().map(Some).map_err(|_| words.to_owned())
}

/// The word of `metrics` that has nothing told.
const NO_METRICS: &str = "off";

fn read_metrics(entry: &Entry, reader: &mut Reader<'_>) -> Option<Metrics> {
    let text = reader.text(entry)?.to_owned();
    match metrics(&text) {
        Ok(address) => Some(Metrics { address, span: Some(entry.value_span.clone()) }),
        Err(words) => {
            reader.bad_value("metrics", &entry.value_span, words);
            None
        }
    }
}

/// Has `--metrics` say where metrics are told, whatever the text says: an address, or `off`.
#[must_use]
pub fn with_metrics_arg(mut reading: Reading, arg: Option<Option<SocketAddr>>) -> Reading {
    if let Some(address) = arg {
        reading.plan.metrics = Some(Metrics { address, span: None });
        reading.plan.fixed.push("metrics");
    }
    reading
}

fn read_seed(entry: &Entry, reader: &mut Reader<'_>) -> Option<u64> {
    let Value::Int(number) = entry.value else {
        reader.wrong_type("seed", "an integer", &entry.value, &entry.value_span);
        return None;
    };
    let seed = u64::try_from(number).ok();
    if seed.is_none() {
        reader.bad_value("seed", &entry.value_span, format!("expected 0 to {}", u64::MAX));
    }
    seed
}

fn read_listen(entry: &Entry, reader: &mut Reader<'_>) -> Vec<Draft> {
    const EXPECTED: &str = "an array of tables, each headed [[listen]]";
    let Value::List(list) = &entry.value else {
        // Of [listen] the value's place is the header itself.
        reader.wrong_type("listen", EXPECTED, &entry.value, &entry.value_span);
        return Vec::new();
    };
    let mut drafts = Vec::with_capacity(list.len());
    for (value, span) in list {
        if let Value::Table(entries) = value {
            drafts.push(listener::read(entries, span, reader));
        } else {
            reader.wrong_type("listen", EXPECTED, value, span);
        }
    }
    drafts
}
