//! `polyport.toml` or `--listen` arguments in, a checked [`Plan`] out.
//!
//! ```toml
//! plugin_dirs = ["plugins"]               # relative to this file
//! seed = 42                               # makes every handler's randomness repeatable
//!
//! [limits]
//! visit_datagrams = 64
//!
//! [[listen]]
//! name = "far-away"                       # default: the plugin's name
//! bind = ["127.0.0.1:7000-7099", "[::1]:7000", "127.0.0.1:domain"]
//! plugin = "lossy"                        # or a path: "./libmine.so"
//! recv_buffer = "4MiB"
//! on_fault = "exit"                       # default: "drop"
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
//! The way of a text: `tree` (TOML) or `spec` (`--listen`) makes entries with places, `listener`
//! (with `bind`, `join` and `reply`) and `limits` read them with the help of `read`, `check` compares the listeners with each other.

mod bind;
mod check;
mod join;
mod limits;
mod listener;
mod nearest;
mod plan;
mod problem;
mod read;
mod render;
mod reply;
mod spec;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::limits::Limits;
use listener::Draft;
use read::Reader;
use tree::{Entry, Value};

pub use bind::Names;
pub use listener::spec_settings;
pub use nearest::nearest;
pub use plan::{
    Bind, Join, Listen, MAX_LISTENERS, OnFault, Plan, PluginRef, RawOption, RawValue, SocketSettings,
};
pub use problem::{Problem, Problems, Source, Span, code, quoted};

/// Bytes of a configuration file: room for [`MAX_LISTENERS`] tables of 256 bytes, and an end for a path
/// that never ends, such as `/dev/zero`.
pub const MAX_SOURCE_BYTES: usize = 16 << 20;

const TOP_KEYS: [&str; 4] = ["plugin_dirs", "seed", "limits", "listen"];

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
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
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
    parse_with(Source { origin, text }, base, &Names::system())
}

/// Reads a configuration from memory; relative paths in it start at the directory of its origin.
pub fn parse(source: Source) -> Reading {
    let base = Path::new(&source.origin).parent().map(PathBuf::from).unwrap_or_default();
    parse_with(source, &base, &Names::system())
}

/// Reads a configuration from memory as [`parse`] does; the directory that relative paths start from and the
/// system's answers are arguments.
pub fn parse_with(source: Source, base: &Path, names: &Names) -> Reading {
    let mut reader = Reader { names, base, problems: Vec::new() };
    let mut plan = empty([source].into());
    let text = &plan.sources[0].text;
    let entries = if text.len() > MAX_SOURCE_BYTES {
        let title = format!("the configuration is longer than {MAX_SOURCE_BYTES} bytes");
        reader.problems.push(Problem::new(code::TOO_LARGE, title));
        Vec::new()
    } else {
        tree::from_toml(text, 0, &mut reader.problems)
    };
    let mut drafts = Vec::new();
    for entry in &entries {
        match entry.key.as_str() {
            "plugin_dirs" => plan.plugin_dirs = read_plugin_dirs(entry, &mut reader),
            "seed" => plan.seed = read_seed(entry, &mut reader),
            "limits" => plan.limits = limits::read(entry, &mut reader),
            "listen" => drafts = read_listen(entry, &mut reader),
            _ => {
                let help = format!("valid keys: {}", TOP_KEYS.join(", "));
                reader.unknown_key(entry, "at the top level", &TOP_KEYS, help);
            }
        }
    }
    finish(plan, drafts, reader.problems)
}

/// Reads the values of all `--listen` options into one plan. Each is `BIND=PLUGIN[,key=value]...`, such as
/// `127.0.0.1:7000-7099=lossy,drop=10%,name=far`; a relative path of a plugin starts at the working
/// directory.
pub fn from_listen_args(args: &[String]) -> Reading {
    from_listen_args_with(args, &Names::system())
}

/// Reads the values of all `--listen` options as [`from_listen_args`] does; the system's answers are an argument.
pub fn from_listen_args_with(args: &[String], names: &Names) -> Reading {
    let mut reader = Reader { names, base: Path::new(""), problems: Vec::new() };
    let mut drafts = Vec::new();
    for (index, text) in args.iter().enumerate() {
        if let Some(entries) = spec::entries(text, index, &mut reader.problems) {
            let span = Span { source: index, range: 0..text.len() };
            drafts.push(listener::read(&entries, &span, &mut reader));
        }
    }
    let sources = args.iter().map(|text| Source::new("--listen", text.as_str())).collect();
    finish(empty(sources), drafts, reader.problems)
}

/// The configuration of a daemon that was started without any: `daemon/default.toml`.
#[must_use]
pub fn built_in() -> Reading {
    parse(Source::new("built-in default", include_str!("../../default.toml")))
}

fn empty(sources: Arc<[Source]>) -> Plan {
    Plan { listen: Vec::new(), plugin_dirs: Vec::new(), seed: None, limits: Limits::default(), sources }
}

fn finish(mut plan: Plan, drafts: Vec<Draft>, mut found: Vec<Problem>) -> Reading {
    plan.listen = check::listeners(drafts, &mut found);
    let mut problems = plan.problems();
    problems.list = found;
    Reading { plan, problems }
}

fn unreadable(source: Source, problem: Problem) -> Reading {
    finish(empty([source].into()), Vec::new(), vec![problem])
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is more.
    File::open(path)?.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SOURCE_BYTES {
        return Err(io::Error::other(format!("longer than {MAX_SOURCE_BYTES} bytes")));
    }
    Ok(bytes)
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
