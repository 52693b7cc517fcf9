//! Before the load: every target must answer once, so that a wrong port is a sentence and not a table of losses.

use polyport_protocol::{MILLISECOND, Nanos};
use polyport_terminal::{Exit, Interrupt};

use super::pacing::Pacing;
use super::stamp::receiver;
use super::transceiver::Transceiver;
use crate::clock::Clock;
use crate::outcome::ExitError;
use crate::own_frames::echo;

/// Datagrams each target gets at most, if it stays silent. Five lose one answer in ten only once in 100 000.
pub(super) const TRIES: u32 = 5;

/// Time between two datagrams to one target: 10 a second, the rule of RFC 8085 for who knows nothing of the path
/// rounded up.
pub(super) const BETWEEN_TRIES: Nanos = 100 * MILLISECOND;

/// Time between two datagrams to different targets: 1000 ports take a tenth of a second, and each one gets a single
/// datagram of some hundred octets.
pub(super) const BETWEEN_TARGETS: Nanos = MILLISECOND / 10;

/// Unanswered targets that are named.
const MOST_NAMED: usize = 5;

/// How the handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Everybody answered.
    Answered,
    /// The user wanted the end.
    Interrupted,
}

/// Asks all targets, until all have answered. `greeted` is told how many have.
///
/// # Errors
/// [`Exit::NoReply`] with the targets that did not answer within `timeout` after the last try.
pub fn greet(
    transceiver: &mut Transceiver<'_>,
    clock: Clock,
    timeout: Nanos,
    interrupt: &Interrupt,
    greeted: impl Fn(usize),
) -> Result<Greeting, ExitError> {
    let all = transceiver.ledger.targets().len();
    let mut next = clock.now();
    for tries in 1..=TRIES {
        let round = next;
        for target in 0..transceiver.ledger.targets().len() {
            if transceiver.ledger.has_answered(target) {
                continue;
            }
            if listen(transceiver, clock, next, interrupt)? {
                return Ok(Greeting::Interrupted);
            }
            transceiver.send_practice(target);
            next = clock.now().max(next) + BETWEEN_TARGETS;
        }
        let wait = if tries == TRIES { timeout.max(BETWEEN_TRIES) } else { BETWEEN_TRIES };
        let end = if tries == TRIES { next + wait } else { next.max(round + wait) };
        while clock.now() < end {
            if let Some(peer) = transceiver.echo() {
                return Err(match transceiver.stamp {
                    Some(_) => receiver::echo(peer),
                    None => echo(peer, "use --expect echo"),
                });
            }
            let missing = silent(transceiver).count();
            greeted(all - missing);
            if missing == 0 {
                return Ok(Greeting::Answered);
            }
            if listen(transceiver, clock, end.min(clock.now() + GLANCE), interrupt)? {
                return Ok(Greeting::Interrupted);
            }
        }
        next = end;
    }
    let missing = silent(transceiver).count();
    if missing == 0 { Ok(Greeting::Answered) } else { Err(nobody(transceiver, missing)) }
}

/// How often it is looked whether all have answered.
const GLANCE: Nanos = MILLISECOND;

/// Receives until `end`; whether the user wants the end.
fn listen(
    transceiver: &mut Transceiver<'_>,
    clock: Clock,
    end: Nanos,
    interrupt: &Interrupt,
) -> Result<bool, ExitError> {
    loop {
        if interrupt.is_set() {
            return Ok(true);
        }
        let received = transceiver.receive()?;
        let now = clock.now();
        if now >= end {
            return Ok(false);
        }
        if !received {
            Pacing::Sleep
                .wait(transceiver.outbox().sockets(), &[], now, end)
                .map_err(|error| ExitError::io("wait", &error))?;
        }
    }
}

fn silent<'t>(transceiver: &'t Transceiver<'_>) -> impl Iterator<Item = usize> + 't {
    (0..transceiver.ledger.targets().len()).filter(|target| !transceiver.ledger.has_answered(*target))
}

fn nobody(transceiver: &Transceiver<'_>, missing: usize) -> ExitError {
    let targets = transceiver.ledger.targets();
    let mut names: Vec<String> =
        silent(transceiver).take(MOST_NAMED).map(|target| targets[target].to_string()).collect();
    if missing > MOST_NAMED {
        names.push("...".to_owned());
    }
    let icmp = transceiver.ledger.practice_icmp().words();
    let refusal = transceiver.refusal();
    let exit = refusal.as_ref().map_or(Exit::NoReply, |refusal| refusal.exit);
    let cause = match refusal {
        Some(refusal) => format!(" ({refusal})"),
        None if icmp.is_empty() => String::new(),
        None => format!(" (ICMP: {icmp})"),
    };
    // What came instead is the best hint.
    let heard: Vec<String> = transceiver
        .ledger
        .classes()
        .rows()
        .filter(|(name, count)| *count > 0 && *name != "warm_up")
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let from = transceiver.strangers.names().map_or_else(String::new, |names| format!(" from {names}"));
    let heard =
        if heard.is_empty() { String::new() } else { format!("; received: {}{from}", heard.join(", ")) };
    ExitError::new(
        exit,
        format!(
            "{missing} of {} targets do not answer: {}{cause}{heard}; nothing else was sent, use --no-handshake to \
             send all the same, --expect echo if the server sends datagrams back as they are, --stamp if it is a reflector of STAMP, \
             --expect any if it answers something else",
            targets.len(),
            names.join(", ")
        ),
    )
}
