//! What the daemon says when it stops: the equation of each listener, as numbers.

use std::collections::BTreeMap;

use crate::process::Finished;

/// The end of a daemon that served.
#[derive(Debug)]
pub struct Served {
    /// Everything it wrote.
    pub finished: Finished,
    listeners: BTreeMap<String, Listener>,
}

/// The numbers of one listener.
#[derive(Debug, Default)]
struct Listener {
    line: String,
    /// Of the received datagrams: `received`, `replied`, `consumed`, `dropped` and the reasons.
    receive: BTreeMap<String, u64>,
    /// Of the replies: `replies`, `sent`, `dropped`, `waiting` and the reasons.
    send: BTreeMap<String, u64>,
    /// `faults`, `restarts`, and what the handler counted itself.
    more: BTreeMap<String, u64>,
}

impl Served {
    /// Reads the report, and fails unless both equations of every listener hold.
    #[track_caller]
    pub(crate) fn read(finished: Finished) -> Self {
        let (_, report) = finished.stdout.split_once("\nserved:\n").expect("a report when it stops");
        let mut listeners: BTreeMap<String, Listener> = BTreeMap::new();
        let mut last = String::new();
        for line in report.lines() {
            let (name, rest) = line.trim_start().split_once("  ").unwrap_or(("", line));
            if let Some((receive, send)) = rest.split_once("; replies ") {
                last = name.to_owned();
                let listener = Listener {
                    line: line.to_owned(),
                    receive: numbers(receive),
                    send: numbers(&format!("replies {send}")),
                    more: BTreeMap::new(),
                };
                listener.check();
                listeners.insert(last.clone(), listener);
            } else if let Some(listener) = listeners.get_mut(&last) {
                listener.more.extend(numbers(line));
            }
        }
        Self { finished, listeners }
    }

    /// The line of a listener.
    #[must_use]
    #[track_caller]
    pub fn line(&self, listener: &str) -> &str {
        &self.listener(listener).line
    }

    /// Of the received datagrams: `received`, `replied`, `consumed`, `dropped`, or a reason; 0 if not there.
    #[must_use]
    #[track_caller]
    pub fn received(&self, listener: &str, what: &str) -> u64 {
        self.listener(listener).receive.get(what).copied().unwrap_or(0)
    }

    /// Of the datagrams to send: `replies`, `sent`, `dropped`, `waiting`, or a reason; 0 if not there.
    #[must_use]
    #[track_caller]
    pub fn sent(&self, listener: &str, what: &str) -> u64 {
        self.listener(listener).send.get(what).copied().unwrap_or(0)
    }

    /// `faults`, `restarts`, or a counter of the handler; 0 if not there.
    #[must_use]
    #[track_caller]
    pub fn counted(&self, listener: &str, what: &str) -> u64 {
        self.listener(listener).more.get(what).copied().unwrap_or(0)
    }

    #[track_caller]
    fn listener(&self, name: &str) -> &Listener {
        self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in:\n{}", self.finished.stdout))
    }
}

impl Listener {
    /// The equations, computed here once more: the daemon's own check is what is being tested.
    #[track_caller]
    fn check(&self) {
        let of = |side: &BTreeMap<String, u64>, key: &str| side.get(key).copied().unwrap_or(0);
        let (r, s) = (&self.receive, &self.send);
        assert_eq!(
            of(r, "received"),
            of(r, "replied") + of(r, "consumed") + of(r, "dropped"),
            "{}",
            self.line
        );
        assert_eq!(of(s, "replies"), of(s, "sent") + of(s, "dropped") + of(s, "waiting"), "{}", self.line);
        assert!(!self.line.contains("DOES NOT ADD UP"), "{}", self.line);
    }
}

/// Every pair of a word and a number behind it.
fn numbers(text: &str) -> BTreeMap<String, u64> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs.filter_map(|(word, number)| Some(((*word).to_owned(), number.parse().ok()?))).collect()
}
