//! The cases, in the order in which they are run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::end::Verdict;
use super::stage::Stage;
use super::{dialogue, lives, random, traffic};

/// What is done in a case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// This, to its end.
    Whole(fn(&mut Stage) -> Verdict),
    /// This, until it is time.
    Timed(fn(&mut Stage, &Arc<AtomicBool>) -> Verdict),
}

/// A case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, for `--case`.
    pub name: &'static str,
    /// The rules of `plugins/ABI.md` that it is about, besides those that every call is judged by.
    pub rules: &'static [&'static str],
    /// What is done.
    pub about: &'static str,
    pub(super) run: Run,
}

/// Rules that every call of every case is judged by.
pub const EVERYWHERE: &[&str] =
    &["3.1", "3.2", "3.6", "3.7", "4.1", "4.2", "4.3", "4.6", "4.12", "4.15", "5", "6.3", "6.4", "7.1", "7.4", "9.4"];

/// All cases.
pub const CASES: &[Case] = &[
    case("made", &["2.2", "2.4"], "it is made, serves a batch and is destroyed", lives::made),
    case("batches", &["4.1"], "batches of 0 to 2048 datagrams", traffic::batches),
    case("sizes", &["3.3"], "datagrams of 0 to 65,507 bytes, to one host and to groups", traffic::sizes),
    case("contents", &["4.15"], "every first byte, at the lengths of headers", traffic::contents),
    case("trains", &["3.2"], "datagrams that share a buffer", traffic::trains),
    case("small-ring", &["4.2", "4.7"], "a ring of one entry, and a call that may queue few", traffic::small_ring),
    case("small-arena", &["4.6", "4.7"], "an arena of 16 bytes, and few of them", traffic::small_arena),
    case("timers", &["5"], "a minute passes, and timers fire", traffic::timers),
    case("delays", &["4.5"], "no room for what leaves later", traffic::delays),
    case("options", &["2.4", "9.5"], "each option at its bounds, each word, lists", lives::options),
    case("checks", &["2.4"], "a hundred checks of the options leave nothing behind", lives::checks),
    case("sessions", &["12.4"], "sessions that are refused, fail, hear something and end", dialogue::sessions),
    case("repeats", &["8"], "the same calls give the same answers", traffic::repeats),
    case("neighbours", &["2.11"], "another instance changes nothing", traffic::neighbours),
    case("at-once", &["6.2"], "instances on four threads at once", traffic::at_once),
    case("waits", &["6.3"], "no call waits for anything", traffic::waits),
    case("threads", &["6.4"], "what its threads do when it is destroyed", lives::threads),
    case("thousand", &["2.10"], "a thousand instances, one after the other", lives::thousand),
    Case {
        name: "random",
        rules: &[],
        about: "all of it by chance, for --seconds",
        run: Run::Timed(random::random),
    },
];

const fn case(
    name: &'static str,
    rules: &'static [&'static str],
    about: &'static str,
    run: fn(&mut Stage) -> Verdict,
) -> Case {
    Case { name, rules, about, run: Run::Whole(run) }
}

/// The case of this name.
pub(super) fn find(name: &str) -> Option<&'static Case> {
    CASES.iter().find(|case| case.name == name)
}
