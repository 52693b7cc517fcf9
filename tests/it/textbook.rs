//! The page of exercises, `examples/docs/textbook.md`: every command and every script of it is run as a reader would, and
//! prints what the page shows.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use polyport_tests::network::{Network, WIRE};
use polyport_tests::plugins::repository;
use polyport_tests::tool::{skip, tool};
use polyport_tests::wait;

use crate::followed::{self, Reader, Step};

#[test]
fn every_exercise_has_its_command_its_script_and_something_to_look_at() {
    let exercises = page();
    let numbers: Vec<usize> = exercises.iter().map(|exercise| exercise.number).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    for exercise @ Exercise { title, text, steps, .. } in &exercises {
        let scripts = steps.iter().filter(|step| matches!(step, Step::Write { .. })).count();
        assert!(exercise.runs("polyport run ") >= 1, "{title}: no server");
        assert!(scripts > 0, "{title}: no script");
        assert_eq!(exercise.runs("python3 "), scripts, "{title}: a script that is not run");
        assert!(text.contains("Look at "), "{title}: nothing to look at");
    }
}

#[test]
fn echoes_losses_and_named_ports_print_what_the_page_shows() {
    run(1..=4);
}

#[test]
fn forgeries_duplicates_and_bound_addresses_print_what_the_page_shows() {
    run(5..=8);
}

#[test]
fn fragments_options_and_groups_print_what_the_page_shows() {
    run(9..=12);
}

/// One exercise of the page.
struct Exercise {
    number: usize,
    title: String,
    text: String,
    steps: Vec<Step>,
}

impl Exercise {
    /// How often a program is typed.
    fn runs(&self, program: &str) -> usize {
        let typed = |step: &&Step| matches!(step, Step::Type { command, .. } if command.starts_with(program));
        self.steps.iter().filter(typed).count()
    }
}

/// Each exercise begins with a heading `## NUMBER. TITLE`.
fn page() -> Vec<Exercise> {
    let path = repository().join("examples/docs/textbook.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let exercises = page.split("\n## ").skip(1);
    exercises
        .map(|text| {
            let title = text.lines().next().unwrap();
            let number = title.split_once(". ").and_then(|(number, _)| number.parse().ok());
            let number = number.unwrap_or_else(|| panic!("no number: {title}"));
            let steps = followed::steps(text);
            let blocks = text.matches("\n```console\n").count() + text.matches("\n```python\n# ").count();
            assert_eq!(2 * blocks, text.matches("\n```").count(), "{title}: a block that nobody runs");
            Exercise { number, title: title.to_owned(), text: text.to_owned(), steps }
        })
        .collect()
}

fn run(numbers: RangeInclusive<usize>) {
    if ["python3", "sh"].into_iter().any(|name| tool(name).is_none()) {
        return;
    }
    for exercise in page().iter().filter(|exercise| numbers.contains(&exercise.number)) {
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        if exercise.text.contains("/etc/services") && !services.contains("radius-acct") {
            skip("this machine has no services database");
            continue;
        }
        let Some(network) = host_of_the_page() else { return };
        Reader::new(&network.here).follow(&exercise.title, &exercise.steps, followed::normal);
    }
}

/// The host as the page describes it.
fn host_of_the_page() -> Option<Network> {
    let network = Network::new()?;
    network.here.ip(&["route", "add", "default", "via", "10.77.0.2"]);
    // An address that is still looked for on the link cannot be bound yet.
    wait::until("the link-local address is there", || network.here.inside(has_link_local));
    Some(network)
}

/// Whether the interface has a link-local address, and all its addresses are known to be nobody else's.
fn has_link_local() -> bool {
    // `linux/if_addr.h`.
    const IFA_F_TENTATIVE: u32 = 0x40;
    let table = fs::read_to_string(Path::new("/proc/thread-self/net/if_inet6")).unwrap_or_default();
    let own: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let own: Vec<_> = own.iter().filter(|fields| fields.last() == Some(&WIRE)).collect();
    let settled =
        |flags: &str| u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & IFA_F_TENTATIVE == 0);
    own.iter().any(|fields| fields[0].starts_with("fe80")) && own.iter().all(|fields| settled(fields[4]))
}
