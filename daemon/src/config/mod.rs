//! `polyport.toml` or `--listen` arguments in, a checked [`Plan`] out.
//!
//! ```toml
//! plugin_dirs = ["plugins"]               # relative to this file
//! seed = 42                               # makes every handler's randomness repeatable
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
//! on_fault = "exit"                       # default: "restart"; also "off"
//! options = { drop = "10%", delay = "20ms" }
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
//! The way of a text: `tree` (TOML) or `spec` (`--listen`) makes entries with places, `listener`
//! (with `bind`, `join` and `reply`), `limits` and `sandbox` read them with the help of `read`, `check` compares the
//! listeners with each other.

mod bind;
mod check;
mod join;
mod limits;
mod listener;
mod names;
mod nearest;
mod plan;
mod ports;
mod problem;
mod read;
mod refusal;
mod render;
mod reply;
mod sandbox;
mod spec;
#[cfg(test)]
mod tests;
mod tree;
mod veil;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits::Limits;
use listener::Draft;
use read::Reader;
use tree::{Entry, Value};
use veil::Veil;

pub use listener::spec_settings;
pub use names::Names;
pub use nearest::nearest;
pub use plan::{
    Bind, Granted, Join, Listen, MAX_LISTENERS, Named, OnFault, Plan, PluginRef, RawOption, RawValue,
    Sandbox, SocketSettings, Switch,
};
pub use problem::{Problem, Problems, Source, Span, code, quoted};
pub use veil::quoted_key;

/// Bytes of a configuration file: room for [`MAX_LISTENERS`] tables of 256 bytes, and an end for a path
/// that never ends, such as `/dev/zero`.
pub const MAX_SOURCE_BYTES: usize = 16 << 20;

const TOP_KEYS: [&str; 5] = ["plugin_dirs", "seed", "limits", "sandbox", "listen"];

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

/// Reads a configuration file. Blocks; not for the reactor's thread. A file that cannot be read, is longer
/// than [`MAX_SOURCE_BYTES`] or not UTF-8 is an empty plan and a problem.
pub fn load(path: &Path) -> Reading {
    let origin = path.to_string_lossy().into_owned();
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let (bytes, mode) = match read_file(path) {
        Ok(read) => read,
        Err(error) => {
            let title = format!("cannot read {}: {error}", quoted(&origin));
            let problem = Problem::new(code::UNREADABLE, title).help("check the path and its permissions");
            return unreadable(Source::new(origin, ""), problem);
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            // The texts are equal up to the first bad byte.
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let span = Span { source: 0, range: start..start + char::REPLACEMENT_CHARACTER.len_utf8() };
            let problem = Problem::new(code::NOT_UTF8, "the file is not UTF-8").at(&span, "first bad byte");
            return unreadable(Source { origin, text }, problem);
        }
    };
    let mut reading = parse_with(Source { origin, text }, base, &Names::system());
    reading.plan.file_mode = Some(mode);
    reading
}

/// Reads a configuration file again from which `before` was read. What can be read only once, a pipe for example, is what it was.
pub fn load_again(path: &Path, before: &Plan) -> Reading {
    let is_read_once = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let Some(source) = before.texts.first().filter(|_| is_read_once) else { return load(path) };
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let mut reading = parse_with(source.clone(), base, &Names::system());
    reading.plan.file_mode = before.file_mode;
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
    let mut reader = Reader { names, base, problems: Vec::new(), veiled: Vec::new() };
    let mut plan = empty([source].into());
    let text = &plan.texts[0].text;
    let entries = if text.len() > MAX_SOURCE_BYTES {
        let title = format!("the configuration is longer than {MAX_SOURCE_BYTES} bytes");
        reader.problems.push(Problem::new(code::TOO_LARGE, title));
        Vec::new()
    } else {
        tree::from_toml(text, 0, &mut reader.problems)
    };
    let is_toml = reader.problems.is_empty();
    let mut drafts = Vec::new();
    for entry in &entries {
        match entry.key.as_str() {
            "plugin_dirs" => plan.plugin_dirs = read_plugin_dirs(entry, &mut reader),
            "seed" => plan.seed = read_seed(entry, &mut reader),
            "limits" => plan.limits = limits::read(entry, &mut reader),
            "sandbox" => sandbox::read(entry, &mut plan.sandbox, &mut reader),
            "listen" => drafts = read_listen(entry, &mut reader),
            key => {
                let help = match place_of(key) {
                    Some(place) => format!("`{key}` belongs into {place}"),
                    None => format!("valid keys: {}", TOP_KEYS.join(", ")),
                };
                reader.unknown_key(entry, "at the top level", &TOP_KEYS, help);
            }
        }
    }
    veil_toml(&plan, &mut reader, is_toml);
    finish(plan, drafts, reader)
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

/// Adds what of the first text is not shown, whatever the tree of it says; the tree has the exact places of the values, if
/// there is one.
fn veil_toml(plan: &Plan, reader: &mut Reader<'_>, is_toml: bool) {
    let mut own: Vec<&str> =
        [&TOP_KEYS[..], &limits::KEYS, &listener::KEYS, &reply::KEYS, &sandbox::KEYS].concat();
    own.retain(|key| *key != "options");
    let Some(source) = plan.texts.first() else { return };
    let veil = Veil::of(&source.text, &own);
    let values = if is_toml { Vec::new() } else { veil.values };
    reader.veiled.extend(veil.comments.into_iter().chain(values).map(|range| Span { source: 0, range }));
}

/// Reads the values of all `--listen` options into one plan. Each is `BIND=PLUGIN[,key=value]...`, such as
/// `127.0.0.1:7000-7099=lossy,drop=10%,name=far`; a relative path of a plugin starts at the working
/// directory.
pub fn from_listen_args(args: &[String]) -> Reading {
    from_listen_args_with(args, &Names::system())
}

/// Reads the values of all `--listen` options as [`from_listen_args`] does; the system's answers are an argument.
pub fn from_listen_args_with(args: &[String], names: &Names) -> Reading {
    let mut reader = Reader { names, base: Path::new(""), problems: Vec::new(), veiled: Vec::new() };
    let mut drafts = Vec::new();
    for (index, text) in args.iter().enumerate() {
        reader.veiled.extend(spec::veiled(text).into_iter().map(|range| Span { source: index, range }));
        if let Some(entries) = spec::entries(text, index, &mut reader.problems) {
            let span = Span { source: index, range: 0..text.len() };
            drafts.push(listener::read(&entries, &span, &mut reader));
        }
    }
    let sources = args.iter().map(|text| Source::new("--listen", text.as_str())).collect();
    finish(empty(sources), drafts, reader)
}

/// Reads the values of all `--sandbox` options into a plan that was read before; what they say comes last. Each is `off`
/// or `KEY=VALUE[,KEY=VALUE]...`, such as `user=nobody,landlock=off`; relative paths start at the working directory.
#[must_use]
pub fn with_sandbox_args(mut reading: Reading, args: &[String]) -> Reading {
    let Reading { plan, problems } = &mut reading;
    let mut texts = plan.texts.to_vec();
    let mut reader =
        Reader { names: &Names::system(), base: Path::new(""), problems: Vec::new(), veiled: Vec::new() };
    for (number, text) in args.iter().enumerate() {
        plan.overridden.extend(sandbox::overridden(text, args.get(..number).unwrap_or_default()));
        sandbox::read_arg(text, texts.len(), &mut plan.sandbox, &mut reader);
        texts.push(Source::new("--sandbox", text.as_str()));
    }
    plan.texts = texts.into();
    plan.veiled.append(&mut reader.veiled);
    problems.list.append(&mut reader.problems);
    plan.reveal(&[], problems);
    reading
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
        limits: Limits::default(),
        sandbox: Sandbox::default(),
        sources: Arc::clone(&sources),
        texts: sources,
        veiled: Vec::new(),
        file_mode: None,
        overridden: Vec::new(),
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

fn unreadable(source: Source, problem: Problem) -> Reading {
    let plan = empty([source].into());
    let mut reader =
        Reader { names: &Names::system(), base: Path::new(""), problems: vec![problem], veiled: Vec::new() };
    veil_toml(&plan, &mut reader, false);
    finish(plan, Vec::new(), reader)
}

/// The bytes of a file, and its mode.
fn read_file(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    // One byte more than allowed shows that there is more.
    file.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(io::Error::other(format!("longer than {MAX_SOURCE_BYTES} bytes")));
    }
    Ok((bytes, mode))
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
