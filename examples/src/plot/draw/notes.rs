//! What stands around the panels in words: what is counted, and moments that the user named.

use polyport_protocol::Nanos;
use polyport_terminal::counted;
use svg::node::element::Group;

use super::sheet::{Anchor, FAINT, INK, RIGHT, WIDTH, part, shown, step, stroke, text, wide, wrapped};
use super::time::Time;
use super::{delay, lanes};
use crate::picture::scale;
use crate::plot::few::MAX_TICKS;
use crate::plot::run::Run;
use crate::plot::span::after;

/// Size of the font of notes.
const SIZE: f64 = 11.0;
/// From a line of notes to the next.
const LINE: f64 = 15.0;

/// The names of moments, in as many rows as they need, and the height of these.
pub(super) fn moments(moments: &[(Nanos, String)], time: &Time, top: f64) -> (Group, f64) {
    let mut group = part("moments", "Moments that were named on the command line");
    // Where the last name of each row ends.
    let mut rows: Vec<f64> = Vec::new();
    let mut sorted: Vec<_> = moments.iter().filter(|(at, _)| time.has(after(*at))).collect();
    sorted.sort_by_key(|(at, _)| *at);
    for (at, name) in sorted {
        let words = format!("{}: {}", scale::span(*at), shown(name));
        let width = wide(&words, SIZE);
        let left = time.at(after(*at)).min(RIGHT + 50.0 - width);
        let row = rows.iter().position(|end| *end + 10.0 < left).unwrap_or(rows.len());
        if row == rows.len() {
            rows.push(0.0);
        }
        rows[row] = left + width;
        let y = top + LINE * f64::from(u32::try_from(row).unwrap_or(u32::MAX)) + 6.0;
        group = group.add(text((left, y), SIZE, Anchor::Start, words));
    }
    (group, LINE * f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX)))
}

/// A line at each moment, through all panels.
pub(super) fn lines(moments: &[(Nanos, String)], time: &Time, panels: &[(f64, f64)]) -> Group {
    let shown = moments.iter().map(|(at, _)| after(*at)).filter(|at| time.has(*at));
    shown.fold(Group::new(), |group, at| {
        let mut data = String::new();
        for (top, height) in panels {
            step(&mut data, 'M', (time.at(at), *top));
            step(&mut data, 'L', (time.at(at), top + height));
        }
        group.add(stroke(data, INK, 1.0).set("stroke-dasharray", "4 3").set("class", "moment"))
    })
}

/// What is counted how, and the height of that.
pub(super) fn explained(run: &Run, top: f64) -> (Group, f64) {
    let mut group = part("notes", "What is counted");
    let width = WIDTH - 40.0;
    let all = sentences(run);
    let lines = all.iter().flat_map(|sentence| wrapped(sentence, SIZE, width));
    let mut y = top;
    for line in lines {
        group = group.add(text((20.0, y), SIZE, Anchor::Start, line).set("fill", FAINT));
        y += LINE;
    }
    (group, y - top)
}

fn sentences(run: &Run) -> Vec<String> {
    let bin = scale::span(run.bins().width().unsigned_abs());
    let mut delay = "Delay: how long each datagram waited, drawn at the moment when it came".to_owned();
    let thinned: Vec<String> = run
        .directions()
        .map(|direction| (direction, run.side(direction).points.step()))
        .filter(|(_, step)| *step > 1)
        .map(|(direction, step)| format!("one of {step} {}", direction.name()))
        .collect();
    if !thinned.is_empty() {
        delay.push_str(&format!(" ({} is drawn)", thinned.join(", ")));
    }
    if run.directions().any(|direction| delay::has_lines(run, direction)) {
        delay.push_str(&format!("; the lines are of all that waited, in bins of {bin}"));
    }
    delay.push_str(". What did not wait is not in the log, and not in this panel.");
    let mut lost = format!(
        "Lost: the part of the datagrams that came in {bin} which do not arrive, lost or for a full queue. How many came is \
         known by their numbers: those between two lines of the log are spread evenly over the time between, and what came \
         after a client's last line is not known."
    );
    if run.directions().any(|direction| run.is_shared(direction)) {
        lost.push_str(" The clients share a channel, as their numbers tell: its datagrams are counted, whosever they are.");
    }
    if run.uncounted() > 0 {
        lost.push_str(&format!(
            " Of {}, only those datagrams are counted that the log has: there are too many clients.",
            counted(run.uncounted(), "decision", "decisions")
        ));
    }
    let mut events = "Events: one mark each, for up above the middle of its lane, for down below.".to_owned();
    if lanes::is_crowded(run) {
        events = format!(
            "Events: for up above the middle of a lane, for down below; one mark each, or where there are more than {MAX_TICKS} \
             in a lane their number in {bin}."
        );
    }
    let mut all = vec![delay, lost];
    if lanes::are_there(run) {
        all.push(events);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_moments_do_not_overlap() {
        let mut run = Run::new(crate::plot::Selection::default());
        let text = "ns,client,dir,n,bytes,what,wait_ns\n0,a,up,0,1,lost,0\n60000000000,a,up,9,1,lost,0\n";
        let mut log = crate::plot::Log::open(text.as_bytes()).unwrap();
        while let Some(decision) = log.next_decision().unwrap() {
            run.take(&decision);
        }
        run.finish();
        let time = Time::of(&run);
        let second = 1_000_000_000;
        let named = |times: &[u64]| -> Vec<(Nanos, String)> {
            times.iter().map(|at| (at * second, "a name of some length".to_owned())).collect()
        };
        for (times, rows) in [
            (&[][..], 0.0),
            (&[10], 1.0),
            (&[10, 40], 1.0),
            (&[30, 31, 32], 3.0),
            (&[70], 0.0),
            (&[59, 60], 2.0),
        ] {
            let (group, height) = moments(&named(times), &time, 0.0);
            assert!((height - rows * LINE).abs() < 0.1, "{times:?}: {height}");
            assert!(group.to_string().matches("<text").count() <= times.len());
        }
    }
}
