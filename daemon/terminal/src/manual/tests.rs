//! What a page has, and in which order.

use clap::{Arg, ArgAction, Command};

use super::{Manual, Page};

const MANUAL: Manual = Manual {
    section: "1",
    of: "testing",
    environment: &[("TEST_LOG", "What is logged.")],
    files: &[("/etc/test", "It.")],
    see_also: &["test(1)", "other(5)"],
};

fn command() -> Command {
    let loud =
        Arg::new("loud").long("loud").env("TEST_LOUD").action(ArgAction::SetTrue).help("Be `very` loud");
    let port = Arg::new("port").long("port").help_heading("Way out").help("It's a port");
    let go = Command::new("go").about("Go there").arg(loud);
    let hidden = Command::new("secret").hide(true);
    Command::new("test")
        .version("1.2 (commit x)")
        .about("Tests a thing")
        .arg(port)
        .subcommands([go, hidden])
        .after_help("Examples:\n  test go   go there\n  test --port '1' \\\n    | wc\n\nAnd so on.\n\nExit codes: 0 done, 64 usage")
}

fn headings(page: &Page) -> Vec<&str> {
    page.source()
        .lines()
        .filter_map(|line| line.strip_prefix(".SH "))
        .map(|it| it.trim_matches('"'))
        .collect()
}

#[test]
fn there_is_a_page_for_every_command_that_is_shown() {
    let pages = MANUAL.pages(command());
    let names: Vec<String> = pages.iter().map(Page::file_name).collect();
    assert_eq!(names, ["test.1", "test-go.1"]);
    let sections = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ];
    assert_eq!(headings(&pages[0]), sections);
    let below: Vec<&str> =
        sections.into_iter().filter(|it| !["COMMANDS", "EXIT STATUS", "EXAMPLES"].contains(it)).collect();
    assert_eq!(headings(&pages[1]), below);
}

#[test]
fn a_page_says_what_clap_knows() {
    let pages = MANUAL.pages(command());
    for words in [
        "Tests a thing",
        "And so on.",
        ".SS \"Way out\"",
        "It\\*(Aqs a port",
        "\\fBtest\\-go(1)\\fR",
        ".TP\n\\fB64\\fR\nusage\n",
        ".EX\ntest \\-\\-port \\*(Aq1\\*(Aq \\(rs\n  | wc\n.EE\n",
        "\\fBother\\fR(5)\n",
    ] {
        assert!(pages[0].source().contains(words), "{words}: {}", pages[0].source());
    }
    for words in
        ["Be \\fBvery\\fR loud", "\\fBTEST_LOUD\\fR\nStands for \\fB\\-\\-loud\\fR.", "\\fBtest\\fR(1), "]
    {
        assert!(pages[1].source().contains(words), "{words}: {}", pages[1].source());
    }
    // Which version it is stands below every page.
    assert!(pages.iter().all(|page| page.source().contains("\"testing 1.2\"")));
    assert!(pages.iter().all(|page| page.source().lines().all(|line| !line.is_empty())));
}
