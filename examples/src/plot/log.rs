//! The decision log as it comes, line by line, of a daemon that may still be writing it.

use std::fmt;
use std::io::{self, BufRead};

use super::decision::{Columns, Decision};
use crate::input::{LineEnd, next_line, not_text};

/// Octets of a line: four numbers of 20 digits, an address with a zone, and words, several times over.
pub const MAX_LOG_LINE: usize = 1024;

/// A log that is being read; only one line of it is in memory.
#[derive(Debug)]
pub struct Log<R> {
    from: R,
    header: Vec<u8>,
    columns: Columns,
    octets: Vec<u8>,
    line: u64,
    torn: bool,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub enum LogError {
    /// The system's reason.
    Read(io::Error),
    /// There is nothing in it, not even a header.
    Empty,
    /// A line is wrong.
    Line {
        /// Its number, the header being line 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl<R: BufRead> Log<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// There is none, or it does not name the columns of a decision log.
    pub fn open(mut from: R) -> Result<Self, LogError> {
        let mut header = Vec::new();
        let end = next_line(&mut from, MAX_LOG_LINE, &mut header).map_err(|error| at_line(1, error))?;
        match end {
            None => return Err(LogError::Empty),
            Some(LineEnd::Newline | LineEnd::File) => without_return(&mut header),
        }
        let wrong = |why| LogError::Line { line: 1, why };
        let text = str::from_utf8(&header).map_err(|_| wrong(not_text().to_string()))?;
        let columns = Columns::of(text).map_err(|why| {
            wrong(format!("{why}: a decision log begins with `ns,client,dir,n,bytes,what,wait_ns`"))
        })?;
        Ok(Self { from, header, columns, octets: Vec::new(), line: 1, torn: false })
    }

    /// The next decision; none after the last. The file's end in the middle of a line is no error: the line is left out, and
    /// [`Self::torn`] tells.
    ///
    /// # Errors
    /// A line is wrong.
    pub fn next_decision(&mut self) -> Result<Option<Decision<'_>>, LogError> {
        loop {
            let next = next_line(&mut self.from, MAX_LOG_LINE, &mut self.octets);
            match next.map_err(|error| at_line(self.line + 1, error))? {
                None => return Ok(None),
                Some(LineEnd::File) => {
                    self.torn = true;
                    return Ok(None);
                }
                Some(LineEnd::Newline) => self.line += 1,
            }
            without_return(&mut self.octets);
            // Files that were put together have a header each.
            if !self.octets.is_empty() && self.octets != self.header {
                break;
            }
        }
        let wrong = |why: String| LogError::Line { line: self.line, why };
        let text = str::from_utf8(&self.octets).map_err(|_| wrong(not_text().to_string()))?;
        self.columns.read(text).map(Some).map_err(|why| wrong(why.to_string()))
    }

    /// Whether the end of the file cut a line, which was left out.
    #[must_use]
    pub const fn torn(&self) -> bool {
        self.torn
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Empty => f.write_str("it is empty: a decision log has a header at least"),
            Self::Line { line, why } => write!(f, "line {line}: {why}"),
        }
    }
}

/// What a failure to read a line means: the line may be at fault, or the system.
fn at_line(line: u64, error: io::Error) -> LogError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return LogError::Line { line, why: format!("{error}, and so no line of a decision log") };
    }
    LogError::Read(error)
}

/// Takes the carriage return away that some editors put before the end of a line.
fn without_return(octets: &mut Vec<u8>) {
    if octets.last() == Some(&b'\r') {
        octets.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::{Direction, Kind, Kinds};
    use super::*;

    const HEADER: &str = "ns,client,dir,n,bytes,what,wait_ns\n";

    /// Numbers of all lines that are read, whether one was torn, and why reading ended.
    fn all(text: &str) -> (Vec<u64>, bool, Option<String>) {
        let mut log = match Log::open(text.as_bytes()) {
            Ok(log) => log,
            Err(error) => return (Vec::new(), false, Some(error.to_string())),
        };
        let mut numbers = Vec::new();
        loop {
            match log.next_decision() {
                Ok(Some(decision)) => numbers.push(decision.number),
                Ok(None) => return (numbers, log.torn(), None),
                Err(error) => {
                    let why = error.to_string();
                    return (numbers, log.torn(), Some(why));
                }
            }
        }
    }

    #[test]
    fn a_line_says_who_when_and_what() {
        let text = format!("{HEADER}7,[fe80::1%eth0]:5000,down,12,1200,duplicated+late,35000000\n");
        let mut log = Log::open(text.as_bytes()).unwrap();
        let decision = log.next_decision().unwrap().unwrap();
        assert_eq!(
            decision,
            Decision {
                at: 7,
                client: "[fe80::1%eth0]:5000",
                direction: Direction::Down,
                number: 12,
                bytes: 1200,
                words: "duplicated+late",
                what: Kinds::default().with(Kind::Late).with(Kind::Duplicated),
                wait: 35_000_000,
            }
        );
        assert!(!decision.what.drops());
        assert!(log.next_decision().unwrap().is_none() && !log.torn());
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let text = "what,port,n,dir,client,ns,wait_ns,bytes\r\nlost,9,3,up,a,1,0,5\r\n";
        let mut log = Log::open(text.as_bytes()).unwrap();
        let decision = log.next_decision().unwrap().unwrap();
        assert_eq!((decision.at, decision.number, decision.bytes), (1, 3, 5));
        assert!(decision.what.drops() && decision.client == "a");
    }

    #[test]
    fn what_a_daemon_is_still_writing_is_left_out() {
        let whole = format!("{HEADER}1,a,up,1,9,lost,0\n");
        assert_eq!(all(&whole), (vec![1], false, None));
        // Even a part that could pass for a whole line: its last number may go on.
        for torn in ["2,a,up,2,9,delayed,350", "2,a,up,2,9", "2", "2,a,up,2,9,delayed,x"] {
            assert_eq!(all(&format!("{whole}{torn}")), (vec![1], true, None), "{torn}");
        }
    }

    #[test]
    fn headers_and_blank_lines_between_are_skipped_and_counted_as_lines() {
        let text = format!("{HEADER}1,a,up,1,9,lost,0\n\n{HEADER}2,a,up,2,9,lost,0\n2\n");
        let (numbers, _, why) = all(&text);
        assert_eq!(numbers, [1, 2]);
        assert_eq!(why.unwrap(), "line 6: the header has 7 columns, and this line has 1");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        let number = "a whole number below 2^64 is expected";
        for (line, told) in [
            ("x,a,up,1,9,lost,0", format!("column `ns`: {number}")),
            ("-1,a,up,1,9,lost,0", format!("column `ns`: {number}")),
            ("1,a,up,+1,9,lost,0", format!("column `n`: {number}")),
            ("1,a,up,1,,lost,0", format!("column `bytes`: {number}")),
            ("1,a,up,1,9,lost,18446744073709551616", format!("column `wait_ns`: {number}")),
            ("1,a,sideways,1,9,lost,0", "column `dir`: up, down or only is expected".to_owned()),
            ("1,,up,1,9,lost,0", "column `client`: an address or a name is expected".to_owned()),
            ("1,a,up,1,9,,0", "column `what`: what happened to the datagram is expected".to_owned()),
            ("1,a,up,1,9,lost,0,0", "the header has 7 columns, and this line has 8".to_owned()),
        ] {
            let text = format!("{HEADER}1,a,up,0,9,lost,0\n{line}\n");
            assert_eq!(all(&text), (vec![0], false, Some(format!("line 3: {told}"))), "{line}");
        }
    }

    #[test]
    fn what_is_no_log_is_refused_at_its_first_line() {
        assert_eq!(all("").2.unwrap(), "it is empty: a decision log has a header at least");
        for text in ["1,a,up,1,9,lost,0\n", "ns,client,dir,n,bytes,wait_ns\n", "\u{7f}ELF\n"] {
            let why = all(text).2.unwrap();
            assert!(why.starts_with("line 1: the header names no column `"), "{why}");
            assert!(why.ends_with("begins with `ns,client,dir,n,bytes,what,wait_ns`"), "{why}");
        }
        let binary = Log::open(&b"\xff\n"[..]).unwrap_err();
        assert_eq!(binary.to_string(), "line 1: not UTF-8");
        let endless = Log::open(io::BufReader::new(io::repeat(b'0'))).unwrap_err();
        assert!(endless.to_string().starts_with("line 1: longer than 1024 octets"), "{endless}");
    }

    #[test]
    fn every_word_is_known_or_told_apart() {
        for kind in Kind::ALL {
            let text = format!("{HEADER}1,a,up,1,9,{},0\n", kind.name());
            let mut log = Log::open(text.as_bytes()).unwrap();
            let what = log.next_decision().unwrap().unwrap().what;
            assert_eq!(what.iter().collect::<Vec<_>>(), [kind]);
        }
        for (words, kinds) in [
            ("swallowed+lost", &[Kind::Lost, Kind::Other][..]),
            ("delayed", &[]),
            ("passed", &[]),
            ("copy+late", &[Kind::Late]),
            ("", &[]),
        ] {
            let text = format!("{HEADER}1,a,up,1,9,{words},0\n");
            let mut log = Log::open(text.as_bytes()).unwrap();
            let Ok(decision) = log.next_decision() else {
                assert_eq!(words, "");
                continue;
            };
            assert_eq!(decision.unwrap().what.iter().collect::<Vec<_>>(), kinds, "{words}");
        }
    }
}
