//! `README.md` and the pages about operating, listeners and handlers: every configuration of them is accepted, and what they show of runs
//! that repeat by a seed is what comes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use polyport_tests::client::Client;
use polyport_tests::network::Host;
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use polyport_tests::{kernel, wait};
use regex::Regex;

use crate::followed::{self, Reader, Step};
use crate::{first_hours, polyport};

/// All of them, one after the other.
fn page() -> String {
    ["README.md", "daemon/docs/operating.md", "daemon/docs/listeners.md", "plugins/HANDLERS.md"]
        .map(|page| fs::read_to_string(repository().join(page)).unwrap())
        .concat()
}

/// The blocks of a language.
fn blocks<'page>(page: &'page str, language: &str) -> Vec<&'page str> {
    let all = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    all.filter(|(of, _)| *of == language).map(|(_, block)| block).collect()
}

/// The one block of a language that has a text.
#[track_caller]
fn block<'page>(page: &'page str, language: &str, text: &str) -> &'page str {
    let all = blocks(page, language);
    let mut with = all.iter().filter(|block| block.contains(text));
    let found = with.next().unwrap_or_else(|| panic!("no block of `{language}` with {text:?}"));
    assert!(with.next().is_none(), "several blocks of `{language}` with {text:?}");
    found
}

/// Each of the five tasks, with what its reader has already, and what is left to end behind it.
const TASKS: [(&str, &[&str], &[&str]); 5] = [
    ("Student", &[], &["kill %1"]),
    ("Network engineer", &["polyport run --listen [::1]:10000=echo &"], &["kill %1"]),
    (
        "Operator",
        &[
            "printf '[[listen]]\\nname = \"farm\"\\nbind = \"127.0.0.1:20000-20999\"\\nplugin = \"echo\"\\n' > polyport.toml",
            "printf '[[listen]]\\nname = \"far-away\"\\nbind = \"127.0.0.1:7000\"\\nplugin = \"lossy\"\\n' >> polyport.toml",
            "printf 'options = { loss = \"10%%\", delay = \"20ms\" }\\n' >> polyport.toml",
            "polyport run -c polyport.toml &",
            "sed -i -e s/20999/21999/ -e s/10%/20%/ polyport.toml",
        ],
        &["kill %1"],
    ),
    (
        "Tester",
        &["polyport run --control server.sock --listen 127.0.0.1:9000=echo &"],
        &["kill %2", "kill %1"],
    ),
    ("Author of a handler", &[], &[]),
];

#[test]
fn the_five_tasks_print_what_the_page_shows() {
    if ["cc", "make", "sh"].into_iter().any(|name| tool(name).is_none()) {
        return;
    }
    let page = fs::read_to_string(repository().join("README.md")).unwrap();
    let typed = |command: &&str| Step::Type { command: (*command).to_owned(), shown: String::new() };
    for (name, before, after) in TASKS {
        let Some(host) = Host::alone() else { return };
        let (_, text) = page.split_once(&format!("\n**{name}**: ")).expect("a task");
        let text = text.split("\n**").next().and_then(|text| text.split("\n## ").next()).unwrap();
        let mut steps: Vec<Step> = before.iter().map(typed).collect();
        steps.extend(followed::steps(text));
        steps.extend(after.iter().map(typed));
        assert!(steps.len() > before.len() + after.len(), "{name}: nothing to type");
        Reader::new(&host).follow(name, &steps, first_hours::without_numbers);
    }
}

/// As they are, since `check` binds nothing.
#[test]
fn every_configuration_with_a_listener_is_accepted() {
    let page = page();
    let listeners: Vec<&str> =
        blocks(&page, "toml").into_iter().filter(|block| block.contains("[[listen]]")).collect();
    for plugin in ["lossy", "relay", "responder", "echo", "listener", "stamp"] {
        let named = format!("plugin = \"{plugin}\"");
        assert!(listeners.iter().any(|block| block.contains(&named)), "no example of {plugin} was found");
    }
    for config in listeners {
        let checked = polyport().arg("check").config(config).run();
        assert_eq!(checked.code(), Some(0), "{config}\n{}{}", checked.stdout, checked.stderr);
    }
}

/// Those of the page about the clients as well; a listener at an interface needs one of that name.
#[test]
fn every_listener_on_a_command_line_is_accepted() {
    let pages = page() + &fs::read_to_string(repository().join("examples/README.md")).unwrap();
    let spec = Regex::new(r"--listen (?:'([^']*)'|([0-9][^\s`']*))").unwrap();
    let specs: Vec<&str> = spec
        .captures_iter(&pages)
        .filter_map(|found| found.get(1).or_else(|| found.get(2)))
        .map(|spec| spec.as_str())
        .collect();
    for plugin in ["lossy", "relay", "echo"] {
        assert!(
            specs.iter().any(|spec| spec.contains(&format!("={plugin}"))),
            "no example of {plugin} was found"
        );
    }
    for spec in specs {
        let checked = polyport().arg("check").listen(spec).run();
        assert_eq!(checked.code(), Some(0), "{spec}\n{}{}", checked.stdout, checked.stderr);
    }
}

/// The relay in front of the responder: the client needs three transmissions, and the books are those of the page but for bytes, which
/// depend on what the client adds by chance.
#[test]
fn the_bad_line_in_front_of_a_responder_loses_what_the_page_shows() {
    let Some(host) = Host::alone() else { return };
    let page = page();
    let config = block(&page, "toml", "name = \"bad-line\"");
    let daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).config(config).serve();
    let console = block(&page, "console", "polyport-request 127.0.0.1:7000 hello");
    let (command, shown) = console.split_once('\n').unwrap();
    let command: Vec<&str> = command.trim_start_matches("$ polyport-request ").split(' ').collect();
    let mut asked = host.launch(env!("CARGO_BIN_EXE_polyport-request-under-test")).args(&command);
    let asked = Process::spawn(asked.command()).finish();
    asked.expect_code(0);
    assert_eq!(without_chance(&asked.stdout), without_chance(shown), "{}", asked.stderr);
    let served = daemon.stop().finished.stdout;
    let books = served.split_once("served:\n").unwrap().1;
    // The language is none, so the line of the fence is the end of another one.
    let shown = page.split("\n```\n").find(|block| block.starts_with("  bad-line  ")).expect("the books");
    assert_eq!(without_chance(books), without_chance(shown));
}

/// Without times, ports of the system, bytes and calls that a busy machine makes slow.
fn without_chance(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("slow calls "));
    let text = lines.map(str::trim_end).collect::<Vec<_>>().join("\n");
    let chance = [
        (r"0\.0\.0\.0:\d{4,5} ", "0.0.0.0:PORT "),
        (r"\d+(\.\d+)? m?s\b", "TIME"),
        (r"_bytes_total \d+", "_bytes_total N"),
    ];
    let text = chance.iter().fold(text, |text, (pattern, instead)| {
        Regex::new(pattern).unwrap().replace_all(&text, *instead).into_owned()
    });
    text.trim().to_owned()
}

/// The numbers of a datagram count, and not when it comes: a load at another pace loses the same.
#[test]
fn the_first_fifteen_thousand_meet_what_the_page_about_the_clients_shows() {
    /// As many as find room in any receive buffer.
    const AT_ONCE: usize = 50;
    let Some(host) = Host::alone() else { return };
    let page = fs::read_to_string(repository().join("examples/README.md")).unwrap();
    let console = block(&page, "console", "duplicate=2%");
    let spec = console.split('\'').nth(1).unwrap();
    let daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).listen(spec).serve();
    let pid = daemon.pid();
    let came = host.inside(|| {
        let client = Client::of(SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)));
        let mut came = 0;
        for _ in 0..15_000 / AT_ONCE {
            (0..AT_ONCE).for_each(|_| client.send(b"one of many"));
            wait::until("an empty receive buffer", || {
                came += std::iter::from_fn(|| client.receive_within(Duration::from_millis(1))).count();
                kernel::udp_waiting(&pid) == 0
            });
        }
        came
    });
    let served = daemon.stop().finished.stdout;
    let books = without_chance(served.split_once("served:\n").unwrap().1);
    assert!(console.contains(&books), "{came} answers came: {books}");
}

/// `three.py` of the page: three runs from three ports lose the same.
#[test]
fn three_runs_with_a_seed_lose_the_numbers_that_the_page_shows() {
    let Some(host) = Host::alone() else { return };
    let page = page();
    let console = block(&page, "console", "python3 three.py");
    let spec = console.split("--listen ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let shown: Vec<&str> = console.lines().filter_map(|line| Some(line.split_once(" lost ")?.1)).collect();
    assert_eq!(shown.len(), 3);
    let daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).listen(spec).serve();
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 1061));
    for shown in shown {
        let lost = host.inside(|| {
            let client = Client::of(server);
            (0..30_u8).for_each(|number| client.send(&[number]));
            // What has no delay leaves in the order in which it came.
            let mut answered: Vec<u8> = Vec::new();
            while answered.len() < 26 {
                answered.push(client.receive()[0]);
            }
            (0..30_u8).filter(|number| !answered.contains(number)).collect::<Vec<_>>()
        });
        assert_eq!(format!("{lost:?}"), shown);
    }
    assert_eq!(daemon.stop().sent("lossy", "sent"), 3 * 26);
}
