//! Cases about sessions, and about answers that come later.

use rand::RngExt;

use super::datagrams::short;
use super::end::{End, Verdict};
use super::own;
use super::serving::Fate;
use super::stage::{Room, Stage};
use super::subject::Subject;
use crate::exchange::{SessionEnd, SessionNews};

/// No ticket is good for so long, ns.
const TOO_LATE_NS: u64 = 120_000_000_000;
/// Rounds of each kind.
const ROUNDS: u32 = 24;

/// Sessions are refused, fail, hear something, hear of errors, and end for every reason.
pub(super) fn sessions(stage: &mut Stage) -> Verdict {
    if !stage.plugin().has_sessions() {
        return Err(End::Skipped("it has no on_session".to_owned()));
    }
    let none = Room { sessions: 0, ..Room::PLAIN };
    let little = Room { ring: 1, arena: 64, sessions: 1, ..Room::PLAIN };
    for (room, fate) in [
        (none, Fate::Open),
        (Room::PLAIN, Fate::Fail),
        (Room::PLAIN, Fate::Open),
        (little, Fate::Mixed),
        (Room::PLAIN, Fate::Mixed),
    ] {
        let mut subject = stage.instance()?;
        for _ in 0..ROUNDS {
            let datagrams = short(&mut stage.rng, 8);
            stage.serve(&mut subject, &room, fate, &datagrams)?;
            if let Some(id) = any(stage, &subject) {
                something(stage, &mut subject, &room, fate, id)?;
            }
            stage.pass(&mut subject, &room, fate, 100_000_000)?;
        }
        stage.destroy(subject)?;
    }
    Ok(())
}

/// Answers that wait for a thread: they come in time, too late, in little room, without tickets, and for an instance that is gone.
pub(super) fn wakes(stage: &mut Stage) -> Verdict {
    if !stage.plugin().can_be_woken() {
        return Err(End::Skipped("it has no on_wake".to_owned()));
    }
    let little = Room { ring: 1, entries: 4, arena: 64, chunks: 2, ..Room::PLAIN };
    answers(
        stage,
        &[(Room::PLAIN, 1_000_000), (Room::PLAIN, TOO_LATE_NS), (little, 1_000_000), (Room::PLAIN, 0)],
    )?;
    // A wake that comes when nobody is left to be called.
    let mut subject = stage.instance()?;
    let datagrams = short(&mut stage.rng, 32);
    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
    stage.destroy(subject)?;
    own::settles(|| false);
    stage.judge_breaches("destroy")?;
    let mut none = Stage::new(stage.plugin(), stage.options(), stage.seed()).without_tickets();
    answers(&mut none, &[(Room::PLAIN, 1_000_000)])
}

/// Datagrams, each time with this room, and so long a time until it is called for those that woke it.
fn answers(stage: &mut Stage, rounds: &[(Room, u64)]) -> Verdict {
    let mut subject = stage.instance()?;
    for (room, wait_ns) in rounds {
        let datagrams = short(&mut stage.rng, 32);
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
        // Its threads get a moment, and all that they have done until then is old in the second round.
        own::settles(|| false);
        stage.pass(&mut subject, room, Fate::Open, *wait_ns)?;
        stage.wake(&mut subject, room, Fate::Open)?;
    }
    stage.destroy(subject)
}

/// One of the sessions that live.
pub(super) fn any(stage: &mut Stage, subject: &Subject) -> Option<u64> {
    let ids: Vec<u64> = subject.sessions.keys().copied().collect();
    ids.get(stage.rng.random_range(0..ids.len().max(1))).copied()
}

/// Something happens to a session.
pub(super) fn something(
    stage: &mut Stage,
    subject: &mut Subject,
    room: &Room,
    fate: Fate,
    id: u64,
) -> Verdict {
    const ENDS: &[SessionEnd] = &[SessionEnd::Idle, SessionEnd::Broken];
    match stage.rng.random_range(0..6) {
        0 => {
            let end = ENDS.get(stage.rng.random_range(0..ENDS.len())).copied().unwrap_or(SessionEnd::Idle);
            stage.tell(subject, room, fate, id, SessionNews::Closed(end))?;
        }
        1 | 2 => {
            let error = stage.any_error();
            stage.tell(subject, room, fate, id, error)?;
        }
        _ => {
            let n = stage.rng.random_range(1..=16);
            stage.hear(subject, room, fate, id, n)?;
        }
    }
    Ok(())
}
