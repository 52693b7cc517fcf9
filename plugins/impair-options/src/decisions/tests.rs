//! What is in the file, and what becomes of it when there is no room.

use std::fs;

use polyport_impair::Cause;

use super::*;

fn line(n: u64) -> Line {
    let fate = Fate::Lost(Cause::Loss);
    let [line, _] = fate.decisions(n, Name::Order(0), Direction::Up, n, 100);
    line.unwrap()
}

#[test]
fn a_file_has_a_header_and_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let name = path.to_str().unwrap();
    for kept in ["a.csv", "a.1.csv"] {
        let mut recorder = begin(name, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ns,client,dir,n,bytes,what,wait_ns\n");
        assert!((0..3).all(|n| recorder.record(size_of::<Line>(), |lines| lines.0.push(line(n)))));
        let (tally, late) = recorder.finish();
        assert_eq!((tally.recorded, tally.failed, late), (3, 0, 0));
        assert!(dir.path().join(kept).exists());
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, fs::read_to_string(dir.path().join("a.1.csv")).unwrap(), "of the run before");
    assert_eq!(text.lines().nth(2), Some("1,#0,up,1,100,lost,0"));
    // Runs that logged nothing push none out.
    drop(begin(name, false).unwrap());
    drop(begin(name, false).unwrap());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn a_full_file_is_put_aside_and_the_next_one_has_a_header_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let files = Files::open(&path, 1000, 2, false, b"").unwrap();
    let mut csv = Csv { files, text: String::new(), ends: Vec::new() };
    for from in [0, 30, 60] {
        let batch = Lines((from..from + 30).map(line).collect());
        assert_eq!(csv.write(&batch, &|| true).recorded, 30);
    }
    for name in ["a.csv", "a.1.csv", "a.2.csv"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.starts_with(Decision::HEADER) && text.lines().count() == 31, "{name}: {text}");
    }
}

/// A directory stands where the file is to be put aside, so it cannot be: once, and then it is gone.
#[test]
fn a_file_that_cannot_be_put_aside_costs_its_lines_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let files = Files::open(&path, 1000, 1, false, b"").unwrap();
    let mut csv = Csv { files, text: String::new(), ends: Vec::new() };
    let mut write = |from: u64| csv.write(&Lines((from..from + 30).map(line).collect()), &|| true);
    assert_eq!(write(0).recorded, 30);
    let in_the_way = dir.path().join("a.1.csv");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    for from in [30, 60] {
        let tally = write(from);
        assert!(tally.error.is_some() && !tally.works, "{tally:?}");
        assert_eq!((tally.recorded, tally.failed), (0, 30));
    }
    fs::remove_dir_all(&in_the_way).unwrap();
    let tally = write(90);
    assert_eq!((tally.recorded, tally.failed, tally.works), (30, 0, true));
    let first = |name: &str| {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        (text.lines().count(), text.lines().nth(1).unwrap().split(',').nth(3).unwrap().to_owned())
    };
    assert_eq!((first("a.1.csv"), first("a.csv")), ((31, "0".to_owned()), (31, "90".to_owned())));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_lines_and_nothing_else() {
    let mut recorder = begin("/dev/full", false).unwrap();
    let (mut taken, mut failed) = (0, 0);
    for _ in 0..60_000 {
        if failed >= 10 {
            break;
        }
        taken += u64::from(recorder.record(size_of::<Line>(), |lines| lines.0.push(line(0))));
        failed += recorder.tick().failed;
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert!(failed >= 10, "{failed} within a minute");
    let (tally, late) = recorder.finish();
    assert_eq!((failed + tally.failed, late), (taken, 0));
}

/// Nobody takes what is recorded, so the batch is as full as it gets.
#[test]
fn what_waits_is_bounded_and_takes_no_more_memory() {
    #[derive(Debug)]
    struct Stuck(std::sync::mpsc::Receiver<()>);
    impl Sink for Stuck {
        type Batch = Lines;

        fn write(&mut self, batch: &Lines, _: &dyn Fn() -> bool) -> Tally {
            self.0.recv().unwrap_or(());
            Tally { recorded: batch.len(), works: true, ..Tally::default() }
        }
    }
    let (go, stuck) = std::sync::mpsc::channel();
    let bytes = size_of::<Line>();
    let bounds = Bounds { batch: MOST_WAITING * bytes, hand_over: HAND_OVER * bytes };
    let mut recorder = Recorder::start(Stuck(stuck), Tally::default(), bounds).unwrap();
    let taken = (0..100_000).filter(|n| recorder.record(bytes, |lines| lines.0.push(line(*n)))).count();
    assert!((MOST_WAITING..=MOST_WAITING + 2 * (HAND_OVER + 1) + MOST_WAITING).contains(&taken), "{taken}");
    drop(go);
    assert_eq!(recorder.finish().0.recorded, taken as u64);
}
