//! What the handler counts. The ways up and down have counters of their own, see `polyport_impair_options::Counts`.

use polyport_impair::What;
use polyport_plugin::{Counter, Setup};

use crate::channel::Answer;

/// One counter a verdict.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) datagrams: Counter,
    pub(crate) answered: Counter,
    pub(crate) dropped: Counter,
    pub(crate) duplicated: Counter,
    corrupted: Counter,
    uncorruptible: Counter,
    held: Counter,
    pub(crate) reordered: Counter,
    delayed: Counter,
    marked: Counter,
    pub(crate) no_room: Counter,
    pub(crate) peers_forgotten: Counter,
}

impl Counters {
    pub(crate) fn new(setup: &mut Setup<'_>) -> Self {
        Self {
            datagrams: setup.counter(c"datagrams_total", c"Datagrams that reached the channel"),
            answered: setup.counter(c"answered_total", c"Datagrams answered, copies not counted"),
            dropped: setup
                .counter(c"dropped_total", c"Datagrams dropped on purpose, on their way or their answer's"),
            duplicated: setup.counter(c"duplicated_total", c"Answers besides the first one to a datagram"),
            corrupted: setup.counter(c"corrupted_total", c"Answers with a bit flipped"),
            uncorruptible: setup.counter(
                c"uncorruptible_total",
                c"Empty answers picked for corruption and sent as they were",
            ),
            held: setup.counter(c"held_total", c"Answers held back by `late`, whether overtaken or not"),
            reordered: setup
                .counter(c"reordered_total", c"Answers that leave after one to a later datagram of the peer"),
            delayed: setup.counter(c"delayed_total", c"Answers that leave later than at once"),
            marked: setup.counter(c"marked_total", c"Answers marked with congestion instead of lost"),
            no_room: setup
                .counter(c"no_room_total", c"Datagrams whose answer found no room to be queued or to wait"),
            peers_forgotten: setup.counter(
                c"peers_forgotten_total",
                c"Peers whose datagrams are numbered from 0 again because the table was full",
            ),
        }
    }

    /// Counts an answer that is on its way.
    pub(crate) fn answer(&self, answer: &Answer, corrupted: bool) {
        let picked = answer.flips.iter().any(Option::is_some);
        self.corrupted.add(corrupted.into());
        self.uncorruptible.add((picked && !corrupted).into());
        self.held.add(answer.what.has(What::LATE).into());
        self.delayed.add(answer.what.has(What::DELAYED).into());
        self.marked.add(answer.mark.into());
    }
}
