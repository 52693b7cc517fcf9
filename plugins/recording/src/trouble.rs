//! What is said about a recording that does not get everything: a line when it begins, one when it ends, and none meanwhile.

use polyport_plugin::Level;

use crate::tally::Tally;

/// Seconds between two lines about a disk that is slower than the datagrams.
const SLOW_PAUSE: u32 = 60;

/// What was said so far.
#[derive(Debug)]
pub struct Trouble {
    /// One of what is recorded, and several.
    of: [&'static str; 2],
    /// It was said that writing fails.
    failing: bool,
    /// How many were not recorded and of which nothing was said.
    missing: u64,
    /// How many found no room, of which nothing was said.
    dropped: u64,
    /// Seconds until a slow disk is worth another line.
    pause: u32,
}

impl Trouble {
    /// Nothing was said yet. `of` are the words for one of what is recorded, and for several: `["datagram", "datagrams"]`.
    #[must_use]
    pub const fn new(of: [&'static str; 2]) -> Self {
        Self { of, failing: false, missing: 0, dropped: 0, pause: 0 }
    }

    /// Notes that one found no room.
    pub const fn note_dropped(&mut self) {
        self.dropped += 1;
    }

    /// What is to be said behind the name of the file, once a second and at the end, when `late` ones were not written
    /// in time.
    pub fn line(&mut self, tally: Tally, late: u64) -> Option<(Level, String)> {
        let [one, all] = self.of;
        self.missing += tally.failed;
        self.pause = self.pause.saturating_sub(1);
        if let Some(error) = tally.error {
            if !std::mem::replace(&mut self.failing, true) {
                let until = format!("{all} are counted and not recorded until it can");
                return Some((Level::Error, format!("cannot be written: {error}; {until}")));
            }
        } else if tally.works && tally.recorded > 0 && std::mem::take(&mut self.failing) {
            let missing = std::mem::take(&mut self.missing);
            let what = if missing == 1 { format!("{one} is") } else { format!("{all} are") };
            return Some((Level::Warn, format!("is written again; {missing} {what} not in it")));
        }
        if late > 0 {
            let last = if late == 1 { format!("the last {one}") } else { format!("the last {late} {all}") };
            let line = format!("takes too long to be written: {last} may not be in it");
            return Some((Level::Error, line));
        }
        if tally.begun_again {
            let line = "was moved away, removed or cut by somebody: it is begun again";
            return Some((Level::Info, line.to_owned()));
        }
        if self.dropped > 0 && self.pause == 0 {
            self.pause = SLOW_PAUSE;
            let dropped = std::mem::take(&mut self.dropped);
            let are = if dropped == 1 { "is" } else { "are" };
            let line = format!("is written more slowly than {all} come; {dropped} {are} not in it");
            return Some((Level::Warn, line));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn tally(recorded: u64, failed: u64) -> Tally {
        let error = (failed > 0).then(|| io::Error::other("no room"));
        Tally { recorded, failed, works: error.is_none(), error, ..Tally::default() }
    }

    #[test]
    fn a_line_at_the_beginning_and_one_at_the_end() {
        let mut trouble = Trouble::new(["datagram", "datagrams"]);
        assert!(trouble.line(tally(7, 0), 0).is_none() && trouble.line(Tally::default(), 0).is_none());
        let (level, line) = trouble.line(tally(1, 2), 0).unwrap();
        assert!(level == Level::Error && line.starts_with("cannot be written: no room"), "{line}");
        for _ in 0..100 {
            assert!(trouble.line(tally(0, 10), 0).is_none() && trouble.line(Tally::default(), 0).is_none());
        }
        let (level, line) = trouble.line(tally(5, 0), 0).unwrap();
        assert_eq!((level, line.as_str()), (Level::Warn, "is written again; 1002 datagrams are not in it"));
        assert!(trouble.line(tally(5, 0), 0).is_none());
    }

    #[test]
    fn a_slow_disk_is_worth_a_line_a_minute() {
        let mut trouble = Trouble::new(["datagram", "datagrams"]);
        let mut lines = Vec::new();
        for _ in 0..121 {
            (0..10).for_each(|_| trouble.note_dropped());
            lines.extend(trouble.line(tally(5, 0), 0));
        }
        let numbers: Vec<_> = lines.iter().map(|(_, line)| line.split(' ').nth_back(4).unwrap()).collect();
        assert_eq!(numbers, ["10", "600", "600"], "{lines:?}");
        assert!(trouble.line(tally(0, 0), 3).unwrap().1.contains("the last 3 datagrams"));
    }
}
