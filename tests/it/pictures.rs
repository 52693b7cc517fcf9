//! What a bad network logs of a run, `polyport-plot` reads, counts and draws: all say the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use polyport_impair::{Cause, Direction as Way, Duplicate, Fate, Pass, What};
use polyport_tests::client::Client;
use polyport_tools::plot::draw::{Caption, picture};
use polyport_tools::plot::report::PlotReport;
use polyport_tools::plot::{Direction, Kind, Log, Run, Selection};

use crate::polyport;

/// Datagrams of the run come in so many bursts, of so many each.
const BURSTS: usize = 30;
const BURST: usize = 20;

/// Until a datagram is sent again that has no answer.
const AGAIN: Duration = Duration::from_millis(50);
/// So often.
const TRIES: usize = 600;

/// A log, read to its end.
#[track_caller]
fn read(text: &str) -> Run {
    let mut log = Log::open(text.as_bytes()).unwrap();
    let mut run = Run::new(Selection::default());
    while let Some(decision) = log.next_decision().unwrap() {
        run.take(&decision);
    }
    assert!(!log.torn(), "a daemon that has ended leaves whole lines");
    run.finish();
    run
}

/// Asks until this very datagram is answered: then all that was sent before it has been decided about.
#[track_caller]
fn ask(client: &Client, datagram: &[u8]) {
    for _ in 0..TRIES {
        client.send(datagram);
        while let Some(answer) = client.receive_within(AGAIN) {
            if answer == datagram {
                return;
            }
        }
    }
    panic!("no answer");
}

#[test]
fn what_was_logged_is_drawn_and_is_what_the_daemon_counted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("decisions.csv");
    // Of a burst eight may wait, so that the queue is full now and then.
    let options = "seed=7,up.loss=5%,up.duplicate=5%,up.corrupt=5%,up.late=5%,up.late_by=1ms,up.mtu=12,\
        down.loss=10%,down.duplicate=10%,down.delay=1ms,down.jitter=500us,down.rate=2Mbit,down.limit=8";
    let listen = format!("127.0.0.1:0=lossy,name=bad,decisions={},{options}", file.display());
    let daemon = polyport().listen(listen).serve();
    let client = daemon.client(0);
    for burst in 0..BURSTS {
        (1..BURST).for_each(|_| client.send(b"twelve bytes"));
        client.send(b"one byte more");
        ask(&client, format!("end {burst}").as_bytes());
    }
    let served = daemon.stop();
    let run = read(&fs::read_to_string(&file).unwrap());
    let counted = |name: &str| served.counted("bad", name);
    for (direction, prefix) in [(Direction::Up, "up_"), (Direction::Down, "down_")] {
        let side = run.side(direction);
        let total = |name: &str| counted(&format!("{prefix}{name}_total"));
        let seen = |kinds: &[Kind]| kinds.iter().map(|kind| side.count(*kind)).sum::<u64>();
        assert_eq!(seen(&[Kind::Lost, Kind::Mtu, Kind::Blackout]), total("lost"), "{prefix}");
        assert_eq!(seen(&[Kind::QueueFull, Kind::CopyLost]), total("queue_full"), "{prefix}");
        for (kind, name) in [
            (Kind::Duplicated, "duplicated"),
            (Kind::Corrupted, "corrupted"),
            (Kind::Late, "late"),
            (Kind::Reordered, "reordered"),
            (Kind::Marked, "marked"),
        ] {
            assert_eq!(side.count(kind), total(name), "{prefix}{name}");
        }
        assert!(seen(&[Kind::Lost]) > 0 && seen(&[Kind::Duplicated]) > 0, "{prefix}");
    }
    let (up, down) = (run.side(Direction::Up), run.side(Direction::Down));
    assert_eq!(up.count(Kind::Mtu), BURSTS as u64);
    assert!(down.count(Kind::QueueFull) > 0 && up.count(Kind::Late) > 0);
    // Something happens to each answer, so that each is in the log; of what comes, nothing is known after the last line.
    assert_eq!(down.datagrams, counted("down_datagrams_total"));
    assert!(up.datagrams <= counted("up_datagrams_total") && up.datagrams >= (BURSTS * BURST) as u64);
    assert!(run.unknown_words().is_empty(), "{:?}", run.unknown_words());
    let report = PlotReport::new(&run, false);
    let svg = picture(&run, &Caption { title: "a run".to_owned(), moments: Vec::new() }, &report.text());
    assert!(svg.contains(&format!("lost, up: {}", up.count(Kind::Lost))), "{svg}");
}

/// Each word that the engine can say is one that the picture knows.
#[test]
fn the_words_of_the_engine_are_known() {
    let read = |fate: Fate, way: Way| {
        let lines = fate.decisions(1_000, "192.0.2.1", way, 7, 1200).into_iter().flatten();
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        read(&format!("{}\n{text}", polyport_impair::Decision::HEADER))
    };
    for (way, direction) in
        [(Way::Up, Direction::Up), (Way::Down, Direction::Down), (Way::Only, Direction::Only)]
    {
        for (cause, kind) in [
            (Cause::Loss, Kind::Lost),
            (Cause::Blackout, Kind::Blackout),
            (Cause::Mtu, Kind::Mtu),
            (Cause::QueueFull, Kind::QueueFull),
        ] {
            let run = read(Fate::Lost(cause), way);
            let side = run.side(direction);
            assert_eq!((side.count(kind), side.dropped, side.delayed()), (1, 1, 0), "{cause:?}");
        }
        for (what, kinds) in [
            (What::MARKED, &[Kind::Marked][..]),
            (What::DUPLICATED, &[Kind::Duplicated]),
            (What::COPY_LOST, &[Kind::CopyLost]),
            (What::CORRUPTED, &[Kind::Corrupted]),
            (What::REORDERED, &[Kind::Reordered]),
            (What::LATE, &[Kind::Late]),
            (What::DELAYED, &[]),
            (What::DELAYED | What::LATE | What::CORRUPTED, &[Kind::Late, Kind::Corrupted]),
        ] {
            let copy = Duplicate { at_ns: 3_000, corrupt: None, what: What::LATE };
            let pass = Pass { at_ns: 2_500, corrupt: None, mark: false, copy: None, what };
            let run = read(Fate::Pass(pass), way);
            let side = run.side(direction);
            let seen: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| side.count(*kind) > 0).collect();
            assert_eq!((&seen[..], side.dropped, side.datagrams), (kinds, 0, 8), "{what:?}");
            assert_eq!((side.delayed(), side.longest()), (1, 1_500));
            let run = read(Fate::Pass(Pass { copy: Some(copy), ..pass }), way);
            let side = run.side(direction);
            assert_eq!(
                (side.datagrams, side.delayed(), side.longest()),
                (8, 2, 2_000),
                "the copy is no other datagram"
            );
        }
    }
}

/// The picture in the README is a file that a browser shows, and was made by this program.
#[test]
fn the_committed_pictures_are_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/docs/pictures");
    let mut count = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "py") {
            // Makes some of them.
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{}", path.display());
        assert!(text.len() < 200_000, "{}", path.display());
        count += 1;
    }
    assert!(count > 0);
}
