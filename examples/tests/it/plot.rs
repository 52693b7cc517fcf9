//! `polyport-plot` with logs as handlers write them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use polyport_tools::plot::report::PlotReport;
use roxmltree::{Document, Node};

use crate::support::{Run, command, finish, object, run};

const HEADER: &str = "ns,client,dir,n,bytes,what,wait_ns\n";
const MILLISECOND: u64 = 1_000_000;
const GAME: &str = "192.0.2.7:50211";
const OTHER: &str = "[2001:db8::7]:50211";

/// A file of one test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("polyport-plot-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// How often each kind happens in each direction, of each client.
type Counts = BTreeMap<(String, &'static str, &'static str), usize>;

/// A log of two clients over 40 s, a datagram each 20 ms and direction; what it has, it has by its numbers. `clock` is what
/// the clock showed at its beginning.
fn log(clock: u64) -> (String, Counts) {
    let mut text = HEADER.to_owned();
    let mut counts = Counts::new();
    for n in 0..2000_u64 {
        let at = clock + n * 20 * MILLISECOND;
        for client in [GAME, OTHER] {
            let up = match n % 100 {
                3 => "lost",
                17 => "duplicated",
                29 => "duplicated+late",
                57 => "corrupted",
                _ => "",
            };
            let down = match n {
                1000..1100 => "lost",
                _ if n % 50 == 7 => "queue_full",
                _ if n % 50 == 9 => "corrupted+reordered",
                _ => "delayed",
            };
            for (direction, what) in [("up", up), ("down", down)] {
                if what.is_empty() {
                    continue;
                }
                let wait = match what {
                    "delayed" => 35 * MILLISECOND,
                    "duplicated+late" => 10 * MILLISECOND,
                    _ => 0,
                };
                writeln!(text, "{at},{client},{direction},{n},100,{what},{wait}").unwrap();
                if what.starts_with("duplicated") {
                    writeln!(text, "{at},{client},{direction},{n},100,copy,0").unwrap();
                }
                for word in what.split('+').filter(|word| *word != "delayed") {
                    let word = WORDS.iter().find(|known| **known == word).unwrap();
                    *counts.entry((client.to_owned(), direction, word)).or_default() += 1;
                }
            }
        }
    }
    (text, counts)
}

const WORDS: [&str; 6] = ["lost", "duplicated", "late", "corrupted", "queue_full", "reordered"];

/// A picture that is well-formed, and whose ground covers all of it.
#[track_caller]
fn picture(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
    let ground =
        root.children().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "rect"))).unwrap();
    let number = |node: Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
    let (width, height) = (number(root, "width"), number(root, "height"));
    assert_eq!(root.attribute("viewBox"), Some(&*format!("0 0 {width} {height}")));
    assert_eq!((number(ground, "width"), number(ground, "height")), (width, height));
    assert_eq!(ground.attribute("fill"), Some("#ffffff"), "it is read on dark pages too");
    for path in root.descendants().filter(|node| node.tag_name().name() == "path") {
        for (x, y) in places(path.attribute("d").unwrap()) {
            assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y), "{x} {y}: outside");
        }
    }
    for text in root.descendants().filter(|node| node.tag_name().name() == "text") {
        // The narrowest letters that a font may have: what is longer is cut for sure.
        let words = text.text().unwrap();
        let letters = f64::from(u32::try_from(words.chars().count()).unwrap());
        let (x, wide) = (number(text, "x"), letters * number(text, "font-size") * 0.5);
        let (left, right) = match text.attribute("text-anchor").unwrap() {
            "start" => (x, x + wide),
            "middle" => (x - wide / 2.0, x + wide / 2.0),
            _ => (x - wide, x),
        };
        assert!(left >= 0.0 && right <= width, "{words}: from {left} to {right}");
        assert!((0.0..=height).contains(&number(text, "y")), "{words}");
    }
    document
}

/// The places that a path goes to or begins at.
fn places(data: &str) -> Vec<(f64, f64)> {
    let steps = data.split(['M', 'L']).filter(|step| !step.is_empty());
    let number = |text: &str| -> f64 {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
        // A relative step may follow without a separator.
        let end = text[1..end].find('-').map_or(end, |minus| minus + 1);
        text[..end].parse().unwrap()
    };
    steps.map(|step| step.split_once(' ').unwrap()).map(|(x, y)| (number(x), number(y))).collect()
}

/// How many marks a part of the picture has.
fn marks(document: &Document<'_>, class: &str) -> usize {
    let part = document.descendants().find(|node| node.attribute("class") == Some(class));
    let paths =
        part.into_iter().flat_map(|part| part.children()).filter(|node| node.tag_name().name() == "path");
    paths.map(|path| path.attribute("d").unwrap().matches('M').count()).sum()
}

/// All that a picture says, in one line.
fn words(document: &Document<'_>) -> String {
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
    texts.filter_map(|node| node.text()).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn drawn(arguments: &[&str]) -> Run {
    let ended = run("plot", arguments);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    ended
}

#[track_caller]
fn report(arguments: &[&str]) -> PlotReport {
    let ended = drawn(&[&["--json"], arguments].concat());
    object::<PlotReport>(&ended.out);
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn every_event_of_a_log_is_a_mark() {
    let (text, counts) = log(1 << 62);
    let file = Temporary::new("marks", text);
    let svg = drawn(&[file.name()]).out;
    let document = picture(&svg);
    let told = report(&[file.name()]);
    for direction in ["up", "down"] {
        for word in WORDS {
            let sum: usize = [GAME, OTHER]
                .iter()
                .filter_map(|client| counts.get(&((*client).to_owned(), direction, word)))
                .sum();
            assert_eq!(marks(&document, &format!("{word} {direction}")), sum, "{word} {direction}");
            let events = &told.directions[direction].events;
            assert_eq!(
                events.get(word).copied().unwrap_or(0),
                u64::try_from(sum).unwrap(),
                "{word} {direction}"
            );
        }
    }
    assert_eq!(marks(&document, "delay up"), 40, "late ones");
    // 3,648 wait, of which one of four is drawn.
    assert_eq!(told.directions["down"].delay.as_ref().unwrap().count, 3648);
    assert_eq!(marks(&document, "delay down"), 912);
    assert!(words(&document).contains("one of 4 down is drawn"), "it says so");
    let down = told.directions["down"].delay.as_ref().unwrap();
    assert_eq!(down.max, 35 * MILLISECOND);
    assert!(down.p50.abs_diff(35 * MILLISECOND) < MILLISECOND / 10 && down.p50 == down.p99, "{down:?}");
}

#[test]
fn how_many_came_is_known_by_their_numbers() {
    let file = Temporary::new("numbers", log(0).0);
    let told = report(&[file.name()]);
    // The last line about up has the number 1957, about down 1999; the first number is 0.
    assert_eq!((told.directions["up"].datagrams, told.directions["down"].datagrams), (2 * 1958, 4000));
    assert_eq!((told.directions["up"].dropped, told.directions["down"].dropped), (40, 2 * (100 + 38)));
    assert_eq!((told.read, told.shown, told.clients, told.torn), (told.shown, told.read, 2, false));
    assert_eq!((told.length_ns, told.bin_ns), (1999 * 20 * MILLISECOND, 500 * MILLISECOND));
    let text = drawn(&["-o", "/dev/null", file.name()]).out;
    assert!(text.contains("down: 4000 datagrams, 276 dropped (6.90%), lost 200, queue_full 76, "), "{text}");
    assert!(text.starts_with("4240 decisions of 4240, about 2 clients, in 39.9s\n"), "{text}");
}

/// With `channel = "shared"` a relay has one row of numbers for all clients.
#[test]
fn a_shared_channel_is_told_from_a_channel_of_each() {
    let mut text = HEADER.to_owned();
    for n in (0..3000_u64).filter(|n| n % 10 == 9) {
        let at = n * 10 * MILLISECOND;
        writeln!(text, "{at},192.0.2.{},down,{n},100,lost,0", n * 7 % 13).unwrap();
    }
    let file = Temporary::new("shared", text);
    let told = report(&[file.name()]);
    let down = &told.directions["down"];
    assert_eq!((down.shared, down.datagrams, down.dropped), (true, 3000, 300));
    // Of one client alone, the channel's.
    let told = report(&["--client", "192.0.2.3", file.name()]);
    let down = &told.directions["down"];
    assert!(down.shared && down.dropped < 30 && down.datagrams > 2800, "{down:?}");
    let svg = drawn(&[file.name()]).out;
    assert!(words(&picture(&svg)).contains("The clients share a channel, as their numbers tell"), "{svg}");
    let apart = Temporary::new("apart", log(0).0);
    assert!(report(&[apart.name()]).directions.values().all(|side| !side.shared));
}

#[test]
fn clients_directions_and_a_window_are_chosen() {
    let (text, counts) = log(77);
    let file = Temporary::new("chosen", text);
    for (client, wanted) in [(GAME, "192.0.2.7"), (GAME, GAME), (OTHER, "2001:db8::7"), (OTHER, OTHER)] {
        let svg = drawn(&["--client", wanted, "--direction", "up", file.name()]).out;
        let document = picture(&svg);
        assert!(svg.contains(&format!("client {client};")), "{wanted}");
        assert_eq!(marks(&document, "lost up"), counts[&(client.to_owned(), "up", "lost")]);
        assert_eq!(marks(&document, "lost down") + marks(&document, "delay down"), 0);
    }
    let both = report(&[
        "--client",
        GAME,
        "--client",
        OTHER,
        "--direction",
        "down",
        "--direction",
        "up",
        file.name(),
    ]);
    assert_eq!((both.shown, both.clients, both.directions.len()), (4240, 2, 2));
    // From number 995 to number 1104: 5 before the link breaks, 100 lost, 5 after it.
    let part = ["--since", "19.9s", "--until", "22.1s", "--client", GAME, "--direction", "down", file.name()];
    let told = report(&part);
    assert_eq!((told.shown, told.directions["down"].dropped, told.length_ns), (110, 100, 2200 * MILLISECOND));
    assert_eq!(told.directions["down"].datagrams, 110);
    let svg = drawn(&part).out;
    let document = picture(&svg);
    assert_eq!((marks(&document, "lost down"), marks(&document, "delay down")), (100, 10));
}

#[test]
fn moments_are_marked_where_they_are() {
    let file = Temporary::new("moments", log(5).0);
    let arguments = [
        "--moment",
        "20s=the link <breaks>",
        "--moment",
        "22s=back",
        "--title",
        "Seed 7 & \"more\"",
        file.name(),
    ];
    let svg = drawn(&arguments).out;
    let document = picture(&svg);
    let texts: Vec<_> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for words in ["20 s: the link <breaks>", "22 s: back", "Seed 7 & \"more\""] {
        assert!(texts.contains(&words), "{words} is not in {texts:?}");
    }
    let lines = document.descendants().filter(|node| node.attribute("class") == Some("moment"));
    let middles: Vec<f64> = lines.map(|line| places(line.attribute("d").unwrap())[0].0).collect();
    // The axis goes from 0 s at 86 to 39.98 s at 842.
    let expected = [20.0, 22.0].map(|at| 86.0 + at / 39.98 * 756.0);
    assert!(
        middles.len() == 2 && middles.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.1),
        "{middles:?}"
    );
    let ended = run("plot", &["--moment", "50s=never", file.name()]);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (0, "warning: the moment `never` lies outside of the picture\n")
    );
}

/// Pictures are compared and committed: nothing in them is by chance.
#[test]
fn a_log_makes_the_same_picture_however_it_comes() {
    let (text, _) = log(5);
    let file = Temporary::new("same", &text);
    let titled = |log: &str| vec!["--title".to_owned(), "t".to_owned(), log.to_owned()];
    let by_name = drawn(&titled(file.name()).iter().map(String::as_str).collect::<Vec<_>>()).out;
    let svg = Temporary::new("same.svg", "what was there before, and is longer than nothing");
    drawn(&["--title", "t", "-o", svg.name(), file.name()]);
    assert_eq!(fs::read_to_string(&svg.0).unwrap(), by_name);
    let mut child = command("plot", &["--title", "t", "-o", "-", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let ended = finish(child);
    writer.join().unwrap();
    assert_eq!((ended.code, ended.out), (0, by_name));
}

/// However long a run was, its picture is not larger, and nothing that was summed up is lost.
#[test]
fn a_long_log_makes_a_small_picture() {
    const LINES: u64 = 120_000;
    let mut child = command("plot", &["-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let mut text = HEADER.to_owned();
        for n in 0..LINES {
            let (at, wait) = (n * 50 * MILLISECOND, n % 97 * MILLISECOND);
            let what = ["delayed", "late", "lost"][usize::try_from(n % 3).unwrap()];
            writeln!(text, "{at},192.0.2.{}:5000,up,{},100,{what},{wait}", n % 200, n / 200).unwrap();
        }
        stdin.write_all(text.as_bytes()).unwrap();
    });
    let ended = finish(child);
    writer.join().unwrap();
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.len() < 150_000, "{} octets", ended.out.len());
    let document = picture(&ended.out);
    let title = |class: &str| {
        let part = document.descendants().find(|node| node.attribute("class") == Some(class)).unwrap();
        part.children()
            .find_map(|node| (node.tag_name().name() == "title").then(|| node.text().unwrap().to_owned()))
    };
    assert_eq!(title("lost up").unwrap(), "lost, up: 40000");
    assert_eq!(title("loss up").unwrap(), "lost, up: 40000 of 120000");
    let bars = document.descendants().find(|node| node.attribute("class") == Some("bars")).unwrap();
    let bars = bars.attribute("d").unwrap().matches('M').count();
    assert!((40..=240).contains(&bars), "{bars}");
}

#[test]
fn a_log_that_is_being_written_is_drawn_without_its_last_line() {
    let file = Temporary::new("torn", format!("{HEADER}1,a,up,0,9,lost,0\n2,a,up,1,9,delayed,35"));
    let ended = run("plot", &["--json", file.name()]);
    let warned = format!(
        "warning: the last line of {} is not whole, and left out: is it still being written?\n",
        file.name()
    );
    assert_eq!((ended.code, ended.err), (0, warned));
    let told: PlotReport = serde_json::from_str(&ended.out).unwrap();
    assert!(told.torn && told.shown == 1);
}

#[test]
fn what_is_no_log_is_refused_with_its_line() {
    for (name, text, told) in [
        ("empty", "", "it is empty: a decision log has a header at least"),
        ("no-header", "1,a,up,0,9,lost,0\n", "line 1: the header names no column `ns`"),
        (
            "number",
            "1,a,up,0,9,lost,0\n2,a,up,zero,9,lost,0\n",
            "line 3: column `n`: a whole number below 2^64",
        ),
        ("direction", "1,a,left,0,9,lost,0\n", "line 2: column `dir`: up, down or only is expected"),
        ("short", "1,a,up,0\n", "line 2: the header has 7 columns, and this line has 4"),
        ("nothing", "", "has a header and no decision: nothing happened to any datagram so far"),
    ] {
        let header = if ["empty", "no-header"].contains(&name) { "" } else { HEADER };
        let file = Temporary::new(name, format!("{header}{text}"));
        let ended = run("plot", &[file.name()]);
        ended.fails(65, told);
        assert!(ended.err.contains(file.name()) && ended.out.is_empty(), "{ended:?}");
    }
    let binary = Temporary::new("binary", [HEADER.as_bytes(), b"1,\xff,up,0,9,lost,0\n"].concat());
    run("plot", &[binary.name()]).fails(65, "line 2: not UTF-8");
    run("plot", &["/nonexistent/log"]).fails(65, "cannot read /nonexistent/log: No such file");
    run("plot", &["/"]).fails(74, "cannot read /: Is a directory");
}

#[test]
fn what_a_log_does_not_have_is_not_drawn() {
    let file = Temporary::new("other", log(5).0);
    let told = format!("4240 decisions, and none of what is to be drawn; its clients: {GAME}, {OTHER}");
    run("plot", &["--client", "192.0.2.8", file.name()]).fails(65, &told);
    run("plot", &["--direction", "only", file.name()]).fails(65, &told);
    run("plot", &["--since", "1h", file.name()]).fails(65, &told);
}

#[test]
fn unknown_words_are_told_and_drawn_apart() {
    let file = Temporary::new("unknown", format!("{HEADER}1,a,up,0,9,lost,0\n2,a,up,1,9,swallowed,0\n"));
    let ended = run("plot", &[file.name()]);
    let told = "warning: 1 line say `swallowed`, which this program does not know\n";
    assert_eq!((ended.code, ended.err.as_str()), (0, told.replace("say", "says").as_str()));
    assert_eq!(marks(&picture(&ended.out), "other up"), 1);
}

/// A name in a log may be anything, and a picture is shown by browsers.
#[test]
fn names_command_nothing() {
    let evil = "<script>alert(1)</script>&\"'\u{1b}[31m\u{202e}";
    let file = Temporary::new("evil", format!("{HEADER}1,{evil},up,0,9,lost,0\n"));
    let svg = drawn(&["--title", evil, file.name()]).out;
    let document = picture(&svg);
    assert!(!document.descendants().any(|node| node.tag_name().name() == "script"));
    assert!(!svg.contains('\u{1b}') && !svg.contains('\u{202e}') && !svg.contains("<script"));
    let ended = run("plot", &["--client", "b", file.name()]);
    assert!(
        ended.code == 65 && !ended.err.contains('\u{1b}') && !ended.err.contains('\u{202e}'),
        "{ended:?}"
    );
}

#[test]
fn the_log_is_never_overwritten() {
    let file = Temporary::new("itself", format!("{HEADER}1,a,up,0,9,lost,0\n"));
    let link = Temporary::new("link", "");
    fs::remove_file(&link.0).unwrap();
    std::os::unix::fs::symlink(&file.0, &link.0).unwrap();
    for output in [file.name(), link.name()] {
        run("plot", &["-o", output, file.name()]).fails(64, "--output names the log itself");
    }
    assert_eq!(fs::read_to_string(&file.0).unwrap().lines().count(), 2);
}

#[test]
fn wrong_command_lines_are_told() {
    let file = Temporary::new("usage", log(5).0);
    let name = file.name();
    for (arguments, told) in [
        (&["--since", "5s", "--until", "5s", name][..], "--since must be earlier than --until"),
        (&["--json", "-o", "-", name], "--json and the picture would both go to standard output"),
        (&["--since", "soon", name], "expected a duration"),
        (&["--direction", "left", name], "left"),
        (&["--moment", "5s", name], "TIME=NAME is expected"),
        (&["--moment", "soon=x", name], "expected a duration"),
        (&[], "LOG"),
    ] {
        let ended = run("plot", arguments);
        assert!(ended.code == 64 && ended.err.contains(told), "{arguments:?}: {ended:?}");
    }
    let missing = Path::new(name).join("picture.svg");
    run("plot", &["-o", missing.to_str().unwrap(), name]).fails(73, "cannot make ");
    run("plot", &["--help"]).prints("Examples:");
}

/// One decision, or all at one moment: there is no time to draw along, and yet a picture.
#[test]
fn the_shortest_runs_are_drawn() {
    for text in [
        "7,a,only,0,9,lost,0\n",
        "7,a,up,0,9,delayed,5\n7,a,up,1,9,delayed,5\n",
        "0,a,up,18446744073709551615,0,mtu,0\n18446744073709551615,a,up,0,9,late,18446744073709551615\n",
    ] {
        let file = Temporary::new("short", format!("{HEADER}{text}"));
        let svg = drawn(&[file.name()]).out;
        picture(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{text}");
    }
}
