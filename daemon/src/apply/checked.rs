//! What `polyport check` says: of a plan that can be served, and of one that cannot, in words and as JSON.
//!
//! `daemon/docs/configuration.md` has the members of the objects. They are an interface: new ones may come, none goes.

use std::fmt::Write;

use polyport_terminal::{Escaped, counted, shell_word};
use serde_json::Value;

use super::banner::{configuration, plugins, scope};
use super::prepare::Prepared;
use super::refused::Refused;
use super::sockets::{self, Surroundings};
use super::steps::{addresses, shown};
use crate::broker::Maker;
use crate::config::{Bind, Origin, Plan};

/// Binds every address of a plan and joins its groups, as a start does, and lets go of all of them.
///
/// # Errors
/// Each address that cannot be bound, and why.
pub fn try_binding(prepared: &Prepared) -> Result<(), Refused> {
    let plan = &prepared.plan;
    sockets::bind(plan, addresses(plan), plan.sockets(), &Surroundings::of(plan), &mut Maker::Here).map(drop)
}

/// What is said of a plan in which nothing is wrong: how much it is, where it and its plugins come from, and what its bind
/// addresses stand for.
pub(crate) fn accepted(prepared: &Prepared, is_bound: bool) -> String {
    let plan = &prepared.plan;
    let mut out = format!("ok: {}\n  configuration: {}", scope(plan), configuration(plan));
    if is_bound {
        let sockets = counted(plan.sockets(), "address", "addresses");
        write!(out, "\n  bound: {sockets}, and let go of").unwrap_or(());
    }
    for plugin in plugins(&prepared.entries).values() {
        let origin = plugin.path().map_or_else(|| "built in".to_owned(), shell_word);
        write!(out, "\n  {}: {origin}", plugin.identity()).unwrap_or(());
    }
    out + &meanings(plan)
}

/// A plan in which nothing is wrong, as an object.
pub(crate) fn accepted_json(prepared: &Prepared, is_bound: bool) -> String {
    let Prepared { plan, entries, .. } = prepared;
    let listeners = plan.listen.iter().map(|listen| {
        let ranges = listen.bind.iter().filter_map(|bind| Some(shown(bind, bind.addresses().next()?)));
        let sockets: usize = listen.bind.iter().map(Bind::count).sum();
        object(&[
            ("name", text(&listen.name)),
            ("plugin", text(&listen.plugin.text)),
            ("bind", array(ranges.map(|range| text(&range)))),
            ("sockets", sockets.to_string()),
        ])
    });
    let plugins = plugins(entries);
    let plugins = plugins.values().map(|plugin| {
        let path = plugin.path().map(|path| path.to_string_lossy().into_owned());
        object(&[
            ("name", text(plugin.name())),
            ("version", text(&plugin.identity().version)),
            ("path", Value::from(path).to_string()),
        ])
    });
    let included = plan.files().skip(1).map(|path| text(&path.to_string_lossy()));
    object(&[
        ("ok", "true".to_owned()),
        ("configuration", origin(&plan.origin)),
        ("included", array(included)),
        ("listeners", array(listeners)),
        ("sockets", plan.sockets().to_string()),
        ("bound", is_bound.to_string()),
        ("plugins", array(plugins)),
        ("problems", array([])),
        ("problems_total", "0".to_owned()),
    ])
}

/// What is wrong, as an object. Of very many problems only the first are in it, and how many there are.
pub(crate) fn refused_json(refused: &Refused, from: &Origin) -> String {
    let problems = &refused.problems;
    object(&[
        ("ok", "false".to_owned()),
        ("configuration", origin(from)),
        ("problems", array(problems.to_json().lines().map(str::to_owned))),
        ("problems_total", problems.list().len().to_string()),
    ])
}

fn origin(origin: &Origin) -> String {
    let source = |source: &str| ("source", text(source));
    match origin {
        Origin::BuiltIn => object(&[source("built-in")]),
        Origin::Arguments => object(&[source("listen")]),
        Origin::File { path, by } => {
            object(&[source("file"), ("file", text(&path.to_string_lossy())), ("named_by", text(by.words()))])
        }
    }
}

/// An object of members that are JSON already, in this order: people read it as well.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// What the bind addresses that were not written as such stand for; empty if all were.
fn meanings(plan: &Plan) -> String {
    let mut lines = vec![["LISTENER", "BIND", "ADDRESS"].map(str::to_owned)];
    for listen in &plan.listen {
        let (mut name, mut last) = (listen.name.as_str(), None);
        for bind in &listen.bind {
            let Some(first) = bind.addresses().next() else { continue };
            let address = shown(bind, first);
            if address == bind.text {
                continue;
            }
            // The addresses of one text lie side by side.
            let again = last.replace(&bind.span) == Some(&bind.span);
            let text = if again { "" } else { &bind.text };
            lines.push([std::mem::take(&mut name).to_owned(), Escaped(text.as_bytes()).to_string(), address]);
        }
    }
    if lines.len() == 1 {
        return String::new();
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let (a, b) = (width(0), width(1));
    let rows = lines.iter().map(|[name, text, address]| format!("  {name:a$}  {text:b$}  {address}"));
    format!("\n\n{}", rows.collect::<Vec<_>>().join("\n"))
}
