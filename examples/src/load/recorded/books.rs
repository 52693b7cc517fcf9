//! The books of a recording that is sent: each datagram sent ends in one of ok, late, error, lost, one way, pending.
//!
//! Pure: times are arguments. What a datagram answers is known by its request id where both are frames of PPT/1. An answer without
//! one is taken for the answer to the oldest datagram without one of the same socket and target that still waits, as with `--expect any`.

use std::collections::{HashMap, VecDeque};

use polyport_protocol::Nanos;

use super::course::Route;

/// How long after its timeout a datagram is remembered, so that a late answer is known for what it is.
const LATE_MEMORY: Nanos = 4_000_000_000;

/// Datagrams remembered after their timeout: 64 octets each, so 64 MB. Answers to those forgotten before are unasked.
const MOST_EXPIRED: usize = 1 << 20;

/// What a datagram is to its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A request or a probe of PPT/1, with its id.
    Frame(u64),
    /// A frame that nobody answers.
    Nothing,
    /// Anything else.
    Plain,
}

/// What came from a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// The request id of a frame.
    pub id: Option<u64>,
    /// Whether it is an ERROR.
    pub is_error: bool,
}

/// How the books took what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An answer in time.
    Ok,
    /// An ERROR in time.
    Error,
    /// An answer after the timeout.
    Late,
    /// A further answer to a request whose id it has.
    Duplicate,
    /// An answer to nothing that is remembered.
    Unasked,
}

/// What became of the datagrams sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Left.
    pub sent: u64,
    /// Answered in time.
    pub ok: u64,
    /// Answered by an ERROR in time.
    pub error: u64,
    /// Answered after the timeout.
    pub late: u64,
    /// Not answered.
    pub lost: u64,
    /// Frames that nobody answers.
    pub one_way: u64,
    /// Not answered and not timed out when the run was broken off.
    pub pending: u64,
    /// Further answers to one request.
    pub duplicates: u64,
    /// Answers to nothing that is remembered.
    pub unasked: u64,
}

impl Tally {
    /// The right side of `sent = ok + late + error + lost + one way + pending`.
    #[must_use]
    pub const fn accounted(&self) -> u64 {
        self.ok + self.late + self.error + self.lost + self.one_way + self.pending
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Expired,
    Answered,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    route: Route,
    id: Option<u64>,
    planned: Nanos,
    sent: Nanos,
    state: State,
}

/// Those that wait on one way, by their numbers: first those in time, then those whose timeout is over.
#[derive(Clone, Debug, Default)]
struct Queue {
    open: VecDeque<u64>,
    expired: VecDeque<u64>,
    /// Answered ones that are remembered, for their duplicates.
    answered: u32,
}

/// The books.
#[derive(Clone, Debug)]
pub struct Books {
    timeout: Nanos,
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    /// The number of the first that may be open.
    oldest_open: u64,
    open: u64,
    queues: HashMap<(Route, Option<u64>), Queue>,
    tally: Tally,
}

impl Books {
    /// Empty.
    #[must_use]
    pub fn new(timeout: Nanos) -> Self {
        Self {
            timeout,
            entries: VecDeque::new(),
            first: 0,
            oldest_open: 0,
            open: 0,
            queues: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Datagrams that wait for their answers, in time.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.open
    }

    /// A datagram has left at `now`. Times never fall.
    pub fn sent(&mut self, route: Route, asks: Asks, planned: Nanos, now: Nanos) {
        self.tally.sent += 1;
        let id = match asks {
            Asks::Nothing => {
                self.tally.one_way += 1;
                return;
            }
            Asks::Frame(id) => Some(id),
            Asks::Plain => None,
        };
        let number = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry { route, id, planned, sent: now, state: State::Open });
        self.queues.entry((route, id)).or_default().open.push_back(number);
        self.open += 1;
    }

    /// Something came from the target of `route`, at its socket. The planned and the actual time of what it answers come with the class.
    pub fn came(&mut self, route: Route, came: Came, now: Nanos) -> (Class, Option<(Nanos, Nanos)>) {
        self.expire(now);
        let key = (route, came.id);
        let Some(queue) = self.queues.get_mut(&key) else { return (self.unasked(), None) };
        let (number, is_late) = match (queue.open.pop_front(), came.id) {
            (Some(number), _) => (Some(number), false),
            (None, _) => (queue.expired.pop_front(), true),
        };
        let Some(number) = number else {
            if came.id.is_some() && queue.answered > 0 {
                self.tally.duplicates += 1;
                return (Class::Duplicate, None);
            }
            return (self.unasked(), None);
        };
        queue.answered += 1;
        if !is_late {
            self.open -= 1;
        }
        let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        let Some(entry) = self.entries.get_mut(place) else { return (self.unasked(), None) };
        entry.state = State::Answered;
        let times = (entry.planned, entry.sent);
        let class = match (is_late, came.is_error) {
            (true, _) => Class::Late,
            (false, true) => Class::Error,
            (false, false) => Class::Ok,
        };
        *match class {
            Class::Late => &mut self.tally.late,
            Class::Error => &mut self.tally.error,
            Class::Ok | Class::Duplicate | Class::Unasked => &mut self.tally.ok,
        } += 1;
        (class, Some(times))
    }

    const fn unasked(&mut self) -> Class {
        self.tally.unasked += 1;
        Class::Unasked
    }

    /// Notices timeouts, and forgets what is long over.
    pub fn expire(&mut self, now: Nanos) {
        while let Some(entry) =
            usize::try_from(self.oldest_open - self.first).ok().and_then(|at| self.entries.get_mut(at))
        {
            if entry.state == State::Open {
                if now <= entry.sent.saturating_add(self.timeout) {
                    break;
                }
                entry.state = State::Expired;
                self.open -= 1;
                if let Some(queue) = self.queues.get_mut(&(entry.route, entry.id)) {
                    // All wait equally long, so it is the first of its queue.
                    queue.expired.extend(queue.open.pop_front());
                }
            }
            self.oldest_open += 1;
        }
        let over = self.timeout.saturating_add(LATE_MEMORY);
        while self.first < self.oldest_open
            && self.entries.front().is_some_and(|entry| {
                now > entry.sent.saturating_add(over) || self.oldest_open - self.first > MOST_EXPIRED as u64
            })
        {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.first += 1;
        let key = (entry.route, entry.id);
        if let Some(queue) = self.queues.get_mut(&key) {
            match entry.state {
                State::Answered => queue.answered = queue.answered.saturating_sub(1),
                State::Expired => drop(queue.expired.pop_front()),
                State::Open => drop(queue.open.pop_front()),
            }
            if queue.answered == 0 && queue.open.is_empty() && queue.expired.is_empty() {
                self.queues.remove(&key);
            }
        }
        if entry.state == State::Expired {
            self.tally.lost += 1;
        }
    }

    /// Closes the books at `now`: what is without an answer is lost, or pending after an abort as long as its timeout has not passed.
    pub fn finish(&mut self, now: Nanos, aborted: bool) {
        self.expire(now);
        for entry in self.entries.drain(..) {
            match entry.state {
                State::Answered => {}
                State::Open if aborted => self.tally.pending += 1,
                State::Open | State::Expired => self.tally.lost += 1,
            }
        }
        self.queues.clear();
        self.open = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Route = Route { socket: 0, target: 0 };
    const THERE: Route = Route { socket: 1, target: 0 };
    const PLAIN: Came = Came { id: None, is_error: false };

    const fn reply(id: u64) -> Came {
        Came { id: Some(id), is_error: false }
    }

    #[test]
    fn answers_are_matched_by_id_or_in_turn_of_their_port() {
        let mut books = Books::new(100);
        for (route, asks, planned) in [
            (HERE, Asks::Plain, 1),
            (HERE, Asks::Plain, 2),
            (THERE, Asks::Plain, 3),
            (HERE, Asks::Frame(7), 4),
        ] {
            books.sent(route, asks, planned, planned + 10);
        }
        books.sent(HERE, Asks::Nothing, 5, 15);
        assert_eq!(books.in_flight(), 4);
        assert_eq!(books.came(HERE, reply(7), 20), (Class::Ok, Some((4, 14))));
        assert_eq!(books.came(HERE, reply(7), 20), (Class::Duplicate, None));
        assert_eq!(books.came(HERE, reply(8), 20), (Class::Unasked, None));
        assert_eq!(books.came(THERE, PLAIN, 20), (Class::Ok, Some((3, 13))));
        assert_eq!(books.came(THERE, PLAIN, 20), (Class::Unasked, None));
        assert_eq!(books.came(HERE, PLAIN, 20), (Class::Ok, Some((1, 11))));
        books.finish(1000, false);
        let tally = books.tally();
        assert_eq!((tally.sent, tally.ok, tally.lost, tally.one_way), (5, 3, 1, 1));
        assert_eq!((tally.duplicates, tally.unasked, tally.accounted()), (1, 2, 5));
    }

    #[test]
    fn late_is_not_lost_and_an_error_is_an_answer() {
        let mut books = Books::new(100);
        (1..=4).for_each(|at| books.sent(HERE, Asks::Frame(at), at, at));
        assert_eq!(books.came(HERE, Came { id: Some(1), is_error: true }, 101).0, Class::Error);
        assert_eq!(books.came(HERE, reply(2), 103).0, Class::Late);
        assert_eq!(books.in_flight(), 2);
        books.finish(104, true);
        let tally = *books.tally();
        assert_eq!((tally.error, tally.late, tally.lost, tally.pending), (1, 1, 1, 1));
        assert_eq!(tally.accounted(), tally.sent);
    }

    #[test]
    fn an_id_that_comes_again_in_the_next_pass_is_another_request() {
        let mut books = Books::new(100);
        for at in [1, 50] {
            books.sent(HERE, Asks::Frame(7), at, at);
        }
        assert_eq!(books.came(HERE, reply(7), 60).1, Some((1, 1)));
        assert_eq!(books.came(HERE, reply(7), 61).1, Some((50, 50)));
        assert_eq!(books.came(HERE, reply(7), 62).0, Class::Duplicate);
    }

    #[test]
    fn what_is_long_over_is_forgotten() {
        let mut books = Books::new(100);
        for at in 1..=10 {
            books.sent(HERE, Asks::Plain, at, at);
            books.sent(HERE, Asks::Frame(at), at, at);
        }
        assert_eq!(books.came(HERE, PLAIN, 50).0, Class::Ok);
        assert_eq!(books.came(HERE, PLAIN, 200).0, Class::Late);
        books.expire(LATE_MEMORY + 105);
        assert_eq!((books.entries.len(), books.tally().lost), (12, 6), "of four, two were answered");
        books.expire(LATE_MEMORY + 111);
        assert!(books.entries.is_empty() && books.queues.is_empty());
        assert_eq!(books.came(HERE, PLAIN, LATE_MEMORY + 112).0, Class::Unasked);
        books.finish(LATE_MEMORY + 113, false);
        assert_eq!(books.tally().accounted(), 20);
    }
}
