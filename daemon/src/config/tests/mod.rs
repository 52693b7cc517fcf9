//! The whole way from text to plan and to rendered problems. The system's answers are fixed here, so
//! that no test depends on the machine's services database.

mod access;
mod arbitrary;
mod described;
mod groups;
mod includes;
mod keys;
mod outgoing;
mod output;
mod plans;
mod problems;
mod replies;
mod sandbox;
mod specs;

use std::path::Path;

use super::{Bind, Names, Plan, Problems, Source, from_listen_args_with, parse_with};

/// A listener that is right; settings may be added to the end.
const LISTEN: &str = "[[listen]]\nbind = '127.0.0.1:7000'\nplugin = 'lossy'\n";

const NAMES: Names = Names {
    service: |name| match name {
        "domain" => Some(53),
        "syslog" => Some(514),
        _ => None,
    },
    interface: |name| (name == "eth0").then_some(7),
    interface_of: |ip| match ip.to_string().as_str() {
        "192.0.2.1" => Some(8),
        "::1" => Some(1),
        _ => None,
    },
    addresses_of: |index| match index {
        7 => vec!["192.0.2.7".parse().unwrap(), "fe80::7".parse().unwrap()],
        _ => Vec::new(),
    },
    ipv6: || true,
    files: |_, _| Ok(Vec::new()),
    content: |_| Err(std::io::ErrorKind::NotFound.into()),
};

fn toml(text: &str) -> Result<Plan, Problems> {
    parse_with(Source::new("etc/polyport.toml", text), Path::new("etc"), &NAMES).into_result()
}

fn specs(args: &[&str]) -> Result<Plan, Problems> {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    from_listen_args_with(&args, &NAMES).into_result()
}

/// The addresses of a plan as text, in order.
fn addresses(plan: &Plan) -> Vec<String> {
    let binds = plan.listen.iter().flat_map(|listen| &listen.bind);
    binds.flat_map(Bind::addresses).map(|address| address.to_string()).collect()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.listen.iter().map(|listen| listen.name.as_str()).collect()
}

fn codes(problems: &Problems) -> Vec<&str> {
    problems.list().iter().map(|problem| problem.code).collect()
}

/// Compares all that is rendered for `text`; without color.
#[track_caller]
fn shows(text: &str, expected: &str) {
    let shown = toml(text).unwrap_err().render(false);
    assert_eq!(shown, expected, "\n{shown}");
}
