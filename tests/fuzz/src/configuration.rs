//! `polyport.toml` and `--listen`, which strangers do not write but people do.

use std::path::Path;

use polyport::config::{MAX_LISTENERS, Names, Problems, Reading, Source, from_listen_args_with, parse_with};

/// The answers of a system, the same on every machine.
const NAMES: Names = Names {
    service: |name| (name == "domain").then_some(53),
    interface: |name| (name == "eth0").then_some(7),
    interface_of: |ip| match ip.to_string().as_str() {
        "192.0.2.1" => Some(8),
        "::1" => Some(1),
        _ => None,
    },
    addresses_of: |index| match index {
        7 => ["192.0.2.7", "fe80::7"].into_iter().filter_map(|ip| ip.parse().ok()).collect(),
        _ => Vec::new(),
    },
    ipv6: || true,
    files: |_, _| Ok(Vec::new()),
    content: |_| Err(std::io::ErrorKind::NotFound.into()),
};

/// Reads a configuration file.
pub fn toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = || parse_with(Source::new("etc/polyport.toml", text), Path::new("etc"), &NAMES);
    checked(read(), read());
}

/// Reads the arguments of `--listen`, one a line.
pub fn specs(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let args: Vec<String> = text.split('\n').map(str::to_owned).collect();
    checked(from_listen_args_with(&args, &NAMES), from_listen_args_with(&args, &NAMES));
}

/// What holds for a reading; `again` is one of the same text.
fn checked(reading: Reading, again: Reading) {
    match (reading.into_result(), again.into_result()) {
        (Ok(plan), Ok(twin)) => {
            assert_eq!(format!("{plan:?}"), format!("{twin:?}"));
            let binds = plan.listen.iter().flat_map(|listen| &listen.bind);
            assert_eq!(binds.map(|bind| bind.addresses().len()).sum::<usize>(), plan.sockets());
            assert!(plan.sockets() <= MAX_LISTENERS, "{}", plan.sockets());
            let mut names: Vec<_> = plan.listen.iter().map(|listen| &listen.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), plan.listen.len(), "two listeners of one name");
            assert!(plan.listen.iter().all(|listen| !listen.bind.is_empty() && !listen.name.is_empty()));
        }
        (Err(problems), Err(twin)) => {
            assert_eq!(problems.render(false), twin.render(false));
            pointed(&problems);
        }
        (one, other) => assert_eq!(one.is_ok(), other.is_ok(), "the same text twice"),
    }
}

/// Every caret lies in the text, and what is printed is safe to print.
fn pointed(problems: &Problems) {
    assert!(!problems.is_empty());
    for span in problems.list().iter().filter_map(|problem| problem.span.as_ref()) {
        let text = &problems.sources()[span.source].text;
        assert!(text.get(span.range.clone()).is_some(), "{span:?} of {} bytes", text.len());
    }
    let plain = problems.render(false);
    assert!(plain.starts_with("error: "), "{plain}");
    assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
    assert!(!problems.render(true).is_empty());
    let json = problems.to_json();
    // As many as it lists.
    assert_eq!(json.lines().count(), problems.list().len().min(1000));
}
