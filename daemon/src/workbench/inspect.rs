//! All that is known of one plugin, as a person or a program reads it.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use polyport_terminal::counted;
use serde_json::{Value, json};

use super::amount;
use super::list::shown;
use super::sources::Bench;
use super::trial::Trial;
use crate::plugin::{File, Inspection, OptionSpec, OptionType, Parts, Refusal, Said, host_abi, host_layout};

/// A plugin that was looked into.
#[derive(Debug)]
pub struct Inspected {
    plugin: Inspection,
    /// How it was called.
    reference: String,
    /// What it did when it was made, if that was asked for.
    pub trial: Option<Trial>,
}

/// Looks into the plugin with this name or path. None of its code runs.
///
/// # Errors
/// There is none of this name, or who started the program must not choose it.
pub fn inspect(bench: &Bench, reference: &str) -> Result<Inspected, Refusal> {
    let plugin = bench.loader().inspect(reference)?;
    Ok(Inspected { plugin, reference: reference.to_owned(), trial: None })
}

impl Inspected {
    /// Whether this polyport would load it.
    #[must_use]
    pub fn is_loadable(&self) -> bool {
        self.plugin.refusal.is_none()
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut rows = Rows(Vec::new());
        let title = self.plugin.said.as_ref().map_or_else(
            || format!("{}: no plugin that can be named", self.reference),
            |said| format!("{} {}: {}", said.name, said.version, said.about),
        );
        self.loadable(&mut rows);
        match &self.plugin.file {
            Some(file) => of_file(file, &mut rows),
            None if self.plugin.refusal.is_none() => rows.add("file", "none: it is built in"),
            None => {}
        }
        if let Some(said) = &self.plugin.said {
            of_identity(said, &mut rows);
        }
        if let Some(parts) = &self.plugin.parts {
            of_parts(parts, &mut rows);
        }
        if let Some(table) = &self.plugin.table {
            rows.add("functions", &table.functions.join(" "));
            of_options(&table.options, &mut rows);
        } else if self.plugin.refusal.is_none() {
            rows.add("options", "known only when it runs (--run): its file has no section headers");
        }
        match &self.trial {
            Some(trial) => trial.rows(&mut |name, text| rows.add(name, text)),
            None => rows.add("metrics", "known only when it runs (--run), as the facts that it wants"),
        }
        rows.under(&title)
    }

    fn loadable(&self, rows: &mut Rows) {
        match &self.plugin.refusal {
            None => rows.add("loadable", "yes"),
            Some(cause) => {
                rows.add("loadable", &format!("no: {cause}"));
                cause.help().into_iter().for_each(|help| rows.add("help", &help));
            }
        }
    }

    /// The options whose values are never shown; none if the file does not tell which there are.
    #[must_use]
    pub fn secrets(&self) -> Option<Vec<String>> {
        let options = &self.plugin.table.as_ref()?.options;
        Some(options.iter().filter(|option| option.secret).map(|option| option.name.clone()).collect())
    }

    /// What an option is, for a person.
    ///
    /// # Errors
    /// None is called so; the names of those that there are.
    pub fn option(&self, name: &str) -> Result<String, Vec<&str>> {
        let options = self.plugin.table.as_ref().map(|table| table.options.as_slice()).unwrap_or_default();
        let Some(spec) = options.iter().find(|option| option.name == name) else {
            return Err(options.iter().map(|option| option.name.as_str()).collect());
        };
        let [name, kind, default, help] = option_cells(spec);
        let plugin = &self.reference;
        Ok(format!(
            "{plugin}.{name}, in the options of plugin {plugin}: {help}\n\n  values    {kind}\n  default   {default}\n"
        ))
    }

    /// For a program: one object.
    #[must_use]
    pub fn json(&self) -> String {
        let Inspection { file, said, table, parts, refusal } = &self.plugin;
        let (major, minor) = host_abi();
        let object = json!({
            "reference": self.reference,
            "loadable": refusal.is_none(),
            "why_not": refusal.as_ref().map(ToString::to_string),
            "help": refusal.as_ref().and_then(crate::plugin::Cause::help),
            "name": said.as_ref().map(|said| &said.name),
            "version": said.as_ref().map(|said| &said.version),
            "about": said.as_ref().map(|said| &said.about),
            "abi": said.as_ref().map(|said| format!("{}.{}", said.abi.0, said.abi.1)),
            "oldest_host": said.as_ref().map(|said| format!("{}.{}", said.abi.0, said.min_host_minor)),
            "host_abi": format!("{major}.{minor}"),
            "layout": said.as_ref().map(|said| format!("{:#010x}", said.layout)),
            "toolchain": said.as_ref().map(|said| &said.toolchain),
            "panic": said.as_ref().and_then(panics),
            "debug_build": said.as_ref().map(Said::is_debug_build),
            "instance": said.as_ref().map(|said| if said.is_per_listener() { "listener" } else { "address" }),
            "built_in": file.is_none() && refusal.is_none(),
            "file": file.as_ref().map(file_json),
            "compilers": parts.as_ref().map(|parts| &parts.compilers),
            "needs": parts.as_ref().map(|parts| &parts.needed),
            "search": parts.as_ref().map(|parts| &parts.search),
            "glibc": parts.as_ref().map(|parts| &parts.glibc),
            "other_exports": parts.as_ref().map(|parts| &parts.exports),
            "more_exports": parts.as_ref().map(|parts| parts.more_exports),
            "stripped": parts.as_ref().map(|parts| parts.stripped),
            "functions": table.as_ref().map(|table| &table.functions),
            "options": table.as_ref().map(|table| table.options.iter().map(option_json).collect::<Vec<_>>()),
            "run": self.trial.as_ref().map(Trial::json),
        });
        object.to_string()
    }
}

/// Lines of a name and a text.
struct Rows(Vec<(String, String)>);

impl Rows {
    fn add(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
    }

    /// The rows below a title; a name that repeats is written once.
    fn under(&self, title: &str) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = title.to_owned();
        let mut before = "";
        for (name, row) in &self.0 {
            let shown = if name == before { "" } else { name };
            write!(text, "\n  {shown:width$}  {row}").unwrap_or(());
            before = name;
        }
        text
    }
}

fn of_file(file: &File, rows: &mut Rows) {
    let len = counted(file.len, "byte", "bytes");
    let kind = file.kind.as_deref().unwrap_or("no library");
    rows.add("file", &format!("{}, {kind}, {len}", shown(&file.path)));
    if file.real != file.path {
        rows.add("file", &format!("which is {}", shown(&file.real)));
    }
    if let Some(digest) = &file.sha256 {
        rows.add("sha256", &HEXLOWER.encode(digest));
    }
    for path in &file.brings {
        rows.add("brings", &shown(path));
    }
}

fn of_identity(said: &Said, rows: &mut Rows) {
    let (major, minor) = host_abi();
    let (built, least) = (said.abi, said.min_host_minor);
    rows.add(
        "ABI",
        &format!(
            "{}.{}, needs a host of {}.{least}; this polyport has {major}.{minor}",
            built.0, built.1, built.0
        ),
    );
    let same = if said.layout == host_layout() { "same as" } else { "not that of" };
    rows.add("layout", &format!("{:#010x}, {same} this polyport's", said.layout));
    let made =
        if said.is_per_listener() { "one for all addresses of a listener" } else { "one for each address" };
    rows.add("instances", made);
    let optimised = if said.is_debug_build() { ", not optimised" } else { "" };
    let panics = panics(said).map(|how| format!(", a panic {how}s")).unwrap_or_default();
    rows.add("built", &format!("{}{optimised}{panics}", said.toolchain));
}

/// What a panic does; none if there are none, or nobody knows.
fn panics(said: &Said) -> Option<&'static str> {
    said.aborts_on_panic().map(|aborts| if aborts { "abort" } else { "unwind" })
}

fn of_parts(parts: &Parts, rows: &mut Rows) {
    for compiler in &parts.compilers {
        rows.add("compilers", compiler);
    }
    let glibc = parts.glibc.as_ref().map(|version| format!("; glibc {version} or later"));
    let needed = if parts.needed.is_empty() { "no library".to_owned() } else { parts.needed.join(" ") };
    rows.add("needs", &format!("{needed}{}", glibc.unwrap_or_default()));
    if !parts.search.is_empty() {
        rows.add("looks in", &parts.search.join(" "));
    }
    let more = match parts.more_exports {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let exports = match parts.exports.as_slice() {
        [] => "polyport_plugin_v1 and nothing else".to_owned(),
        others => format!("polyport_plugin_v1, and besides {}{more}", others.join(" ")),
    };
    rows.add("exports", &exports);
    rows.add("symbols", if parts.stripped { "stripped" } else { "not stripped" });
}

fn of_options(options: &[OptionSpec], rows: &mut Rows) {
    if options.is_empty() {
        return rows.add("options", "none");
    }
    let cells: Vec<[String; 4]> = options.iter().map(option_cells).collect();
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [name, kind, default, help] in &cells {
        let [a, b, c] = widths;
        rows.add("options", &format!("{name:a$}  {kind:b$}  {default:c$}  {help}"));
    }
}

/// Name, type with bounds, default, help with remarks.
fn option_cells(spec: &OptionSpec) -> [String; 4] {
    let kind = match (amount::range(spec), &spec.kind) {
        (Some(choices), OptionType::Enum(_)) => choices,
        (Some(range), kind) => format!("{} {range}", amount::type_name(kind)),
        (None, kind) => amount::type_name(kind).into_owned(),
    };
    let remarks = amount::remarks(spec);
    let remarks = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
    [spec.name.clone(), kind, amount::default(spec), format!("{}{remarks}", spec.help)]
}

fn option_json(spec: &OptionSpec) -> Value {
    let choices = if let OptionType::Enum(choices) = spec.kind.element() { Some(choices) } else { None };
    json!({
        "name": spec.name,
        "type": amount::type_name(&spec.kind),
        "choices": choices,
        "range": spec.bounds.and_then(|_| amount::range(spec)),
        "min": spec.bounds.map(|(min, _)| min),
        "max": spec.bounds.map(|(_, max)| max),
        "default": spec.default,
        "required": spec.required,
        "remarks": amount::remarks(spec),
        "help": spec.help,
    })
}

fn file_json(file: &File) -> Value {
    json!({
        "path": file.path.to_string_lossy(),
        "real_path": file.real.to_string_lossy(),
        "kind": file.kind,
        "bytes": file.len,
        "sha256": file.sha256.as_ref().map(|digest| HEXLOWER.encode(digest)),
        "brings": file.brings.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_stand_below_each_other() {
        let rows = Rows(vec![
            ("a".to_owned(), "1".to_owned()),
            ("a".to_owned(), "2".to_owned()),
            ("longer".to_owned(), "3".to_owned()),
        ]);
        assert_eq!(rows.under("title"), "title\n  a       1\n          2\n  longer  3");
    }
}
