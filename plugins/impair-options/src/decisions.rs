//! The log of decisions: a CSV file, written by a thread of its own.
//!
//! A line for each datagram to which something happened, and one for its copy. Two runs with the same seed have the same lines
//! but for the first column, the time, as long as no option depends on time itself. What was at the name is kept beside it.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::time::Duration;

use polyport_impair::{Decision, Direction, Fate};
use polyport_plugin::{Counter, Error, Level, Setup, Why};
use polyport_recording::{Batch, Bounds, Files, Recorder, Sink, Tally, Trouble};

use crate::arrived::Arrived;
use crate::common::Common;
use crate::key::Name;

/// Decisions that wait for the thread at most, in each of the three batches that exist.
const MOST_WAITING: usize = 16_384;
/// So many are handed over at once. Fewer wait for the next [tick](Decisions::tick).
const HAND_OVER: usize = 1024;
/// A file of so many bytes is put aside, and a new one begun: some ten million lines.
const LONGEST_FILE: u64 = 1 << 30;
/// Files put aside that are kept.
const KEPT: u32 = 5;
/// Bytes collected before a write.
const BUFFER: usize = 64 << 10;

/// Logs decisions. Its handler calls [`Self::tick`] every [`Self::EVERY`], and [`Self::finish`] when it stops.
#[derive(Debug)]
pub struct Decisions {
    file: String,
    recorder: Recorder<Lines>,
    trouble: Trouble,
    written: Counter,
    errors: Counter,
    lost: Counter,
}

impl Decisions {
    /// How often what was collected is to be handed over.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// Begins the file that the options name; none if they name none. What is there is put aside as `NAME.1.csv`, and in a
    /// reload what the predecessor still writes goes on under that name.
    ///
    /// # Errors
    /// The file cannot be made: at the option.
    pub fn open(common: &Common, setup: &mut Setup<'_>) -> Result<Option<Self>, Error> {
        let Some(file) = &common.decisions else { return Ok(None) };
        let successor = setup.why() == Why::Reload;
        let recorder = begin(file, successor)
            .map_err(|error| Error::option("decisions", format_args!("{file}: {error}")))?;
        Ok(Some(Self {
            file: file.clone(),
            recorder,
            trouble: Trouble::new(["decision", "decisions"]),
            written: setup.counter(c"log_written_total", c"Decisions written to the file"),
            errors: setup.counter(c"log_errors_total", c"Decisions that could not be written to the file"),
            lost: setup
                .counter(c"log_lost_total", c"Decisions left out of the file because the disk was slower"),
        }))
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Logs what was decided about a datagram, the `n`-th of its line.
    #[inline]
    pub fn log(&mut self, fate: Fate, direction: Direction, n: u64, datagram: &Arrived) {
        let Arrived { client, bytes, now_ns, wall_ns, .. } = *datagram;
        for line in fate.decisions(now_ns, client, direction, n, bytes).into_iter().flatten() {
            let line = Decision { ns: wall_ns, ..line };
            if !self.recorder.record(size_of::<Line>(), |lines| lines.0.push(line)) {
                self.lost.add(1);
                self.trouble.note_dropped();
            }
        }
    }

    /// Hands over what was collected, counts what was written, and returns what is worth a line in the log.
    pub fn tick(&mut self) -> Option<(Level, String)> {
        let tally = self.recorder.tick();
        self.account(tally, 0)
    }

    /// Writes the rest, for two seconds at most.
    pub fn finish(&mut self) -> Option<(Level, String)> {
        let (tally, late) = self.recorder.finish();
        self.account(tally, late)
    }

    fn account(&mut self, tally: Tally, late: u64) -> Option<(Level, String)> {
        self.written.add(tally.recorded);
        self.errors.add(tally.failed);
        self.lost.add(late);
        let (level, line) = self.trouble.line(tally, late)?;
        Some((level, format!("{} {line}", self.file)))
    }
}

fn begin(file: &str, successor: bool) -> io::Result<Recorder<Lines>> {
    let blank = format!("{}\n", Decision::HEADER);
    let files = Files::open(Path::new(file), LONGEST_FILE, KEPT, successor, blank.as_bytes())?;
    let mut csv = Csv { files, text: String::new(), ends: Vec::new() };
    let mut begun = Tally { works: true, ..Tally::default() };
    if let Err(error) = csv.flush(&mut begun, &|| false) {
        begun.note(0, 0, error);
    }
    let bytes = size_of::<Line>();
    Recorder::start(csv, begun, Bounds { batch: MOST_WAITING * bytes, hand_over: HAND_OVER * bytes })
}

type Line = Decision<Name>;

/// Decisions that wait. All the memory is there from the beginning: none is asked for while datagrams are handled.
struct Lines(Vec<Line>);

impl Default for Lines {
    fn default() -> Self {
        Self(Vec::with_capacity(MOST_WAITING))
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lines").field(&self.0.len()).finish()
    }
}

impl Batch for Lines {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<Line>()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Writes the lines, in the thread.
struct Csv {
    files: Files,
    text: String,
    /// Where each line in `text` ends.
    ends: Vec<usize>,
}

impl Sink for Csv {
    type Batch = Lines;

    fn write(&mut self, batch: &Lines, goes_on: &dyn Fn() -> bool) -> Tally {
        let mut tally = Tally { works: true, ..Tally::default() };
        match self.follow() {
            Ok(begun_again) => tally.begun_again = begun_again,
            Err(error) => {
                tally.note(0, batch.len(), error);
                return tally;
            }
        }
        for line in &batch.0 {
            if let Err(error) = self.add(line, &mut tally, goes_on) {
                tally.error = Some(error);
                tally.works = false;
                break;
            }
        }
        if tally.works
            && let Err(error) = self.flush(&mut tally, goes_on)
        {
            tally.error = Some(error);
            tally.works = false;
        }
        tally.failed = batch.len().saturating_sub(tally.recorded);
        tally
    }
}

impl Csv {
    /// Begins the file again, if somebody has moved it away, removed it or cut it.
    fn follow(&mut self) -> io::Result<bool> {
        let is_astray = self.files.is_astray()?;
        if is_astray {
            self.files.begin_again(format!("{}\n", Decision::HEADER).as_bytes())?;
        }
        Ok(is_astray)
    }

    fn add(&mut self, line: &Line, tally: &mut Tally, goes_on: &dyn Fn() -> bool) -> io::Result<()> {
        if self.text.len() >= BUFFER {
            self.flush(tally, goes_on)?;
        }
        // Writing to memory does not fail.
        writeln!(self.text, "{line}").unwrap_or(());
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Writes what was collected, or gives it up. What is counted is in the file, in whole lines.
    fn flush(&mut self, tally: &mut Tally, goes_on: &dyn Fn() -> bool) -> io::Result<()> {
        let result = self.flushed(tally, goes_on);
        // Also where it failed: its lines are counted as such, and are not those of the next batch.
        self.forget();
        result
    }

    fn flushed(&mut self, tally: &mut Tally, goes_on: &dyn Fn() -> bool) -> io::Result<()> {
        if self.files.is_begun() && self.files.is_full_with(self.text.len() as u64) {
            self.files.rotate()?;
        }
        if !self.files.is_begun() {
            let header = format!("{}\n", Decision::HEADER);
            let (written, result) = self.files.write(header.as_bytes(), goes_on);
            if let Err(error) = result {
                self.files.keep_only(0).unwrap_or(());
                return Err(error);
            }
            self.files.keep_all(written as u64);
        }
        let (written, result) = self.files.write(self.text.as_bytes(), goes_on);
        let whole = self.ends.partition_point(|end| *end <= written);
        tally.recorded += whole as u64;
        if result.is_ok() {
            self.files.keep_all(written as u64);
        } else {
            let end = whole.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
            // The error of the write says more.
            self.files.keep_only(end as u64).unwrap_or(());
        }
        result
    }

    fn forget(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests;
