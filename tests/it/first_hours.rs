//! The first hours of five readers, `examples/docs/first-hour`: every command of them is typed, on a host of their own and in an empty
//! directory, and prints what the page shows but for numbers.
//!
//! `POLYPORT_WRITE_DOCS=1` has what was printed written into the pages.

use std::fs;
use std::sync::LazyLock;

use polyport_tests::network::Host;
use polyport_tests::plugins::repository;
use polyport_tests::tool::tool;
use regex::Regex;

use crate::followed::{self, Reader, Step};

const PAGES: [&str; 5] = ["student", "network-engineer", "operator", "tester", "author"];

#[test]
fn a_student_sees_what_the_page_shows() {
    follow("student", &["python3"]);
}

#[test]
fn a_network_engineer_sees_what_the_page_shows() {
    follow("network-engineer", &[]);
}

#[test]
fn an_operator_sees_what_the_page_shows() {
    follow("operator", &["nc", "curl"]);
}

#[test]
fn a_tester_sees_what_the_page_shows() {
    follow("tester", &["python3"]);
}

#[test]
fn an_author_of_handlers_sees_what_the_page_shows() {
    follow("author", &["cc", "make", "nc"]);
}

#[test]
fn there_is_no_other_page() {
    let pages = fs::read_dir(repository().join("examples/docs/first-hour")).unwrap();
    let mut pages: Vec<_> = pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    let mut followed = PAGES.map(|page| format!("{page}.md"));
    pages.sort();
    followed.sort();
    assert_eq!(pages, followed);
}

fn follow(name: &str, tools: &[&str]) {
    assert!(PAGES.contains(&name));
    if tools.iter().any(|name| tool(name).is_none()) {
        return;
    }
    let Some(host) = Host::alone() else { return };
    // Groups are heard there.
    host.ip(&["link", "set", "lo", "multicast", "on"]);
    let path = repository().join(format!("examples/docs/first-hour/{name}.md"));
    let page = fs::read_to_string(&path).unwrap();
    let steps = followed::steps(&page);
    let typed = steps.iter().filter(|step| matches!(step, Step::Type { .. })).count();
    assert!(typed >= 5, "{name}: {typed} commands");
    let mut reader = Reader::new(&host);
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        fs::write(&path, reader.written_anew(&page)).unwrap();
    } else {
        reader.follow(name, &steps, without_numbers);
    }
}

/// Lines without what depends on the machine and the moment: numbers with their units, and where programs lie.
pub(crate) fn without_numbers(text: &str) -> Vec<String> {
    static PLACES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(/[\w.-]+)+/").unwrap());
    static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(late sends )?\d[\d.]*( ?(ns|us|ms|s|[KMG]?i?B)\b|%)?|-(\s|$)").unwrap()
    });
    let lines = followed::normal(text).into_iter().filter(|line| !only_here(line));
    let lines = lines.map(|line| NUMBERS.replace_all(&PLACES.replace_all(&line, "/"), "N ").into_owned());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Lines that are there or not by how busy the machine is, or by what it has.
fn only_here(line: &str) -> bool {
    ["trains ", "warning: more than ", "losses in a row", "order displaced", "other ", "rate "]
        .iter()
        .any(|begin| line.starts_with(begin))
}
