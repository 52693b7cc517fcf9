//! Where log lines go when it is no terminal: written without waiting for whoever reads them.
//!
//! The thread that serves writes the log as well. A collector that hangs fills its pipe, and a write that waits for it
//! would stop the whole program, its signals included. So a line that finds no room is left out, and counted.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What a pipe that is ready takes at once, bytes (`pipe(7)`); a stream socket that is ready takes more (`unix(7)`).
const AT_ONCE: usize = libc::PIPE_BUF;

/// How long a line may wait for a reader that is only slow. One that hangs costs this much in all.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const NONE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Writes log lines to a pipe, a socket or a file, and leaves out what nobody reads in time.
///
/// Each call of `write` takes a whole line, and always succeeds. A reader that is slow is waited for, 100 ms at most; once
/// that was in vain, no line waits until one has gone through. The line that goes through first says how many are missing.
#[derive(Debug)]
pub struct PatientWriter<F> {
    to: F,
    patience: Timespec,
    /// Lines left out since the last that went through.
    lost: u64,
    /// The last line that went through lacks its end.
    torn: bool,
}

impl<F: AsFd + Write> PatientWriter<F> {
    /// A writer to `to`.
    pub const fn new(to: F) -> Self {
        Self { to, patience: PATIENCE, lost: 0, torn: false }
    }

    /// False when there is no room for the whole of it. A reader that is gone takes everything.
    fn put(&mut self, line: &[u8]) -> bool {
        line.chunks(AT_ONCE).all(|part| {
            let ready = self.is_ready();
            if ready {
                // An error is not logged for want of a log.
                self.to.write_all(part).unwrap_or(());
                self.torn = !part.ends_with(b"\n");
            }
            ready
        })
    }

    fn is_ready(&self) -> bool {
        let wait = if self.lost == 0 { self.patience } else { NONE };
        let mut fds = [PollFd::new(&self.to, PollFlags::OUT)];
        loop {
            match poll(&mut fds, Some(&wait)) {
                Err(Errno::INTR) => {}
                // What cannot be polled is written to all the same.
                result => return !matches!(result, Ok(0)),
            }
        }
    }
}

impl<F: AsFd + Write> Write for PatientWriter<F> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lost > 0 {
            let end = if self.torn { "\n" } else { "" };
            let report = format!(
                "{end}warn: {} lines of the log were left out: nobody read them in time\n",
                self.lost
            );
            if !self.put(report.as_bytes()) {
                self.lost += 1;
                return Ok(line.len());
            }
            self.lost = 0;
        }
        if !self.put(line) {
            self.lost = 1;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::time::{Duration, Instant};

    use super::*;

    /// A writer that waits for nobody.
    fn hasty<F: AsFd + Write>(to: F) -> PatientWriter<F> {
        PatientWriter { patience: NONE, ..PatientWriter::new(to) }
    }

    #[test]
    fn a_reader_that_hangs_holds_nobody_and_hears_what_it_missed() {
        // The pipe of the third ends within a line: it takes 16 parts, a line has 3.
        for len in [100, AT_ONCE + 100, 2 * AT_ONCE + 100] {
            let (mut reader, writer) = pipe().unwrap();
            let mut log = hasty(writer);
            let line = |number: u64| format!("{number:0len$}\n");
            for number in 0..5000 {
                log.write_all(line(number).as_bytes()).unwrap();
            }
            let lost = log.lost;
            assert!((1..5000).contains(&lost), "{lost}");
            // Room for the two lines to come, and no more is read than there is.
            let mut text = vec![0; 32 * 1024];
            reader.read_exact(&mut text).unwrap();
            log.write_all(line(5000).as_bytes()).unwrap();
            drop(log);
            reader.read_to_end(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let report = format!("\nwarn: {lost} lines of the log were left out: nobody read them in time\n");
            let (before, after) = text.split_once(&report).unwrap();
            assert_eq!(after, line(5000));
            assert!(!before.ends_with('\n'), "only what is torn wants an end");
            let whole = before.lines().filter(|text| text.len() == len).count() as u64;
            assert_eq!(whole + lost, 5000);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the wait is what is tested")]
    fn a_reader_that_hangs_is_waited_for_once() {
        let (_reader, writer) = pipe().unwrap();
        let mut full = hasty(writer.try_clone().unwrap());
        while full.lost == 0 {
            full.write_all(&[b'x'; AT_ONCE]).unwrap();
        }
        let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut log = PatientWriter { patience, ..PatientWriter::new(writer) };
        let start = Instant::now();
        log.write_all(b"in vain\n").unwrap();
        assert!(log.lost == 1 && start.elapsed() >= Duration::from_millis(50));
        for _ in 0..1000 {
            log.write_all(b"at once\n").unwrap();
        }
        assert!(log.lost == 1001 && start.elapsed() < Duration::from_secs(20), "50 s if each had waited");
    }

    #[test]
    fn a_reader_that_is_gone_and_a_file_are_no_reason_to_lose_count() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut log = hasty(writer);
        log.write_all(b"to nobody\n").unwrap();
        assert_eq!(log.lost, 0);
        let mut log = hasty(tempfile::tempfile().unwrap());
        for _ in 0..1000 {
            log.write_all(&[b'x'; 1000]).unwrap();
        }
        assert_eq!((log.lost, log.to.metadata().unwrap().len()), (0, 1_000_000));
    }
}
