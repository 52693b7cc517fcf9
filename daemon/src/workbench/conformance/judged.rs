//! What a call has left behind, judged: what the plugin says that it has written, and each entry.

use std::net::SocketAddr;

use polyport_terminal::{counted, escape_payload};

use super::datagrams::{Datagram, LONGEST};
use super::end::{End, broken};
use super::heard;
use super::rules;
use super::subject::Subject;
use crate::exchange::{Exchange, Output, OutputError};

/// What leaves, as far as two runs can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    to: SocketAddr,
    session: u64,
    /// When it leaves, ns from the time of the call.
    later_ns: u64,
    bytes: Vec<u8>,
}

/// Finds more than there is room for.
pub(super) fn judge_claims(name: &str, exchange: &Exchange) -> Result<(), End> {
    let claims = exchange.claims();
    if claims.entries_over > 0 {
        return broken(
            rules::ENTRIES,
            format!("{name} queued {} than `tx_cap` allows", more(claims.entries_over, "entry", "entries")),
        );
    }
    if claims.arena_over > 0 {
        return broken(
            rules::ARENA,
            format!("{name} took {} of the arena than there are", more(claims.arena_over, "byte", "bytes")),
        );
    }
    Ok(())
}

fn more(n: u32, one: &str, many: &str) -> String {
    format!("{n} more {}", if n == 1 { one } else { many })
}

/// How a call broke its instance, and by what.
pub(super) fn fault(name: &str, exchange: &Exchange, datagrams: &[Datagram]) -> String {
    const SHOWN: usize = 32;
    let by = match exchange.handled_last() {
        Some(index) => {
            let payload = exchange.payload(index);
            let shown = payload.get(..SHOWN).unwrap_or(payload);
            let dots = if shown.len() < payload.len() { "..." } else { "" };
            let bytes = counted(payload.len(), "byte", "bytes");
            format!("at datagram {index}, '{}{dots}' ({bytes})", escape_payload(shown))
        }
        None => format!("with {}", counted(datagrams.len(), "datagram", "datagrams")),
    };
    format!("{name} broke the instance {by}: a panic or PP_FATAL{}", heard::last())
}

/// What leaves, each entry judged.
pub(super) fn sent(name: &str, exchange: &Exchange, subject: &Subject) -> Result<Vec<Sent>, End> {
    let mut all = Vec::new();
    let mut sums = Vec::new();
    for (number, output) in exchange.outputs().enumerate() {
        let output = output.or_else(|error| {
            let (rule, what) = match error {
                OutputError::Bad => (
                    rules::ENTRY,
                    "names a datagram, bytes, a flag or a session that there is not".to_owned(),
                ),
                OutputError::TooLong => {
                    (rules::ENTRY, format!("is longer than a datagram may be, {LONGEST} bytes"))
                }
                OutputError::NoDestination => (rules::DESTINATION, "goes nowhere".to_owned()),
            };
            broken(rule, format!("entry {number} of {name} {what}"))
        })?;
        subject.judge_session(name, output.session)?;
        sums.push(sum(&output));
        all.push(Sent {
            to: output.to,
            session: output.session,
            later_ns: output.at_ns.saturating_sub(subject.now_ns),
            bytes: output.payload.to_vec(),
        });
    }
    overwrite_the_stack();
    let changed = exchange.outputs().flatten().zip(sums).position(|(output, before)| sum(&output) != before);
    match changed {
        Some(number) => broken(
            rules::SENT,
            format!(
                "the bytes of entry {number} of {name} changed when it had returned: they lie on its stack, or a thread writes to them"
            ),
        ),
        None => Ok(all),
    }
}

/// A number that tells payloads apart.
fn sum(output: &Output<'_>) -> u64 {
    output.payload.iter().fold(output.payload.len() as u64, |sum, byte| {
        sum.rotate_left(5).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(*byte)
    })
}

/// Writes over what calls have left on the stack.
#[inline(never)]
fn overwrite_the_stack() {
    let bytes = [0xDE_u8; 12 << 10];
    std::hint::black_box(&bytes);
}
