//! The cases, in the order in which they are run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::end::Verdict;
use super::stage::Stage;
use super::{dialogue, lives, random, rules, traffic};

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
pub const EVERYWHERE: &[&str] = &[
    rules::FREE,
    rules::BEHIND,
    rules::AFTER,
    rules::SENT,
    rules::BATCH,
    rules::ENTRIES,
    rules::DESTINATION,
    rules::ARENA,
    rules::ENTRY,
    rules::ANY_BYTES,
    rules::WHEN,
    rules::BLOCK,
    rules::THREADS,
    rules::UNWIND,
    rules::CRASH,
    rules::DEFAULT,
];

/// All cases.
pub const CASES: &[Case] = &[
    case("made", &[rules::REFUSAL, rules::CHECK], "it is made, serves a batch and is destroyed", lives::made),
    case("batches", &[rules::BATCH], "batches of 0 to 2048 datagrams", traffic::batches),
    case(
        "sizes",
        &[rules::EMPTY],
        "datagrams of 0 to 65,507 bytes, to one host and to groups",
        traffic::sizes,
    ),
    case("contents", &[rules::ANY_BYTES], "every first byte, at the lengths of headers", traffic::contents),
    case("trains", &[rules::BEHIND], "datagrams that share a buffer", traffic::trains),
    case(
        "small-ring",
        &[rules::ENTRIES, rules::FLUSH],
        "a ring of one entry, and a call that may queue few",
        traffic::small_ring,
    ),
    case(
        "small-arena",
        &[rules::ARENA, rules::FLUSH],
        "an arena of 16 bytes, and few of them",
        traffic::small_arena,
    ),
    case("timers", &[rules::WHEN], "a minute passes, and timers fire", traffic::timers),
    case("delays", &[rules::LATER], "no room for what leaves later", traffic::delays),
    case(
        "options",
        &[rules::CHECK, rules::OPTION],
        "each option at its bounds, each word, lists",
        lives::options,
    ),
    case("checks", &[rules::CHECK], "a hundred checks of the options leave nothing behind", lives::checks),
    case(
        "sessions",
        &[rules::SESSION],
        "sessions that are refused, fail, hear something and end",
        dialogue::sessions,
    ),
    case(
        "wakes",
        &[rules::TICKET],
        "answers that wait for a thread: in time, too late, for nobody",
        dialogue::wakes,
    ),
    case("repeats", &[rules::CLOCK], "the same calls give the same answers", traffic::repeats),
    case("neighbours", &[rules::STATE], "another instance changes nothing", traffic::neighbours),
    case("at-once", &[rules::AT_ONCE], "instances on four threads at once", traffic::at_once),
    case("waits", &[rules::BLOCK], "no call waits for anything", traffic::waits),
    case("threads", &[rules::THREADS], "what its threads do when it is destroyed", lives::threads),
    case("thousand", &[rules::LEFT_BEHIND], "a thousand instances, one after the other", lives::thousand),
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
