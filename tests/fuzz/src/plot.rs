//! Decision logs at the picture of a run.

use polyport_tools::plot::bins::MAX_BINS;
use polyport_tools::plot::draw::{Caption, picture};
use polyport_tools::plot::report::PlotReport;
use polyport_tools::plot::{Direction, Kind, Log, LogError, Run, Selection};

/// Octets that a picture has at most, whatever the log: points and ticks of three directions are bounded, and so is the rest.
const LARGEST: usize = 1 << 20;

/// Reads a log, and draws what could be read.
pub fn log(data: &[u8]) {
    let (svg, report) = drawn(data, Selection::default());
    assert_eq!((&svg, &report), (&drawn(data, Selection::default()).0, &report), "a picture repeats");
    let until = Some(report.length_ns / 2);
    let directions = vec![Direction::Up];
    let (_, half) = drawn(data, Selection { until, directions, ..Selection::default() });
    assert!(half.shown <= report.shown && half.read == report.read, "{half:?} of {report:?}");
}

fn drawn(data: &[u8], selection: Selection) -> (String, PlotReport) {
    let mut run = Run::new(selection);
    let mut torn = false;
    let lines = data.iter().filter(|octet| **octet == b'\n').count() as u64 + 1;
    match Log::open(data) {
        Ok(mut log) => {
            loop {
                match log.next_decision() {
                    Ok(Some(decision)) => run.take(&decision),
                    Ok(None) => break,
                    Err(error) => {
                        said(&error, lines);
                        break;
                    }
                }
            }
            torn = log.torn();
        }
        Err(error) => said(&error, lines),
    }
    run.finish();
    adds_up(&run);
    let report = PlotReport::new(&run, torn);
    let caption = Caption {
        title: String::from_utf8_lossy(data.get(..100).unwrap_or(data)).into_owned(),
        moments: vec![(report.length_ns, "the end".to_owned()), (report.length_ns / 2, "half".to_owned())],
    };
    let svg = picture(&run, &caption, &report.text());
    assert!(svg.len() <= LARGEST, "{} octets", svg.len());
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'), "{svg}");
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    for path in document.descendants().filter_map(|node| node.attribute("d")) {
        assert!(!path.contains("NaN") && !path.contains("inf"), "{path}");
    }
    (svg, report)
}

/// An error is a sentence for a terminal that names a line of the input.
fn said(error: &LogError, lines: u64) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
    match error {
        LogError::Line { line, .. } => assert!((1..=lines).contains(line), "{text}"),
        LogError::Empty => assert_eq!(lines, 1),
        LogError::Read(error) => panic!("memory can be read: {error}"),
    }
}

/// Bins and directions count the same.
fn adds_up(run: &Run) {
    assert!(run.shown() <= run.read());
    assert!(run.bins().iter().count() as u64 <= MAX_BINS);
    for direction in Direction::ALL {
        let (side, index) = (run.side(direction), direction.index());
        for kind in Kind::ALL {
            let counted: u64 = run.bins().iter().map(|(_, sums)| sums[index].count(kind)).sum();
            assert_eq!(counted, side.count(kind), "{direction:?} {kind:?}");
        }
        let dropped: u64 = run.bins().iter().map(|(_, sums)| sums[index].dropped).sum();
        assert_eq!(dropped, side.dropped);
        assert!(side.points.kept().len() as u64 <= side.delayed());
        assert!(side.delay(1.0).unwrap_or(0) <= side.longest());
    }
}
