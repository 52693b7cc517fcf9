//! Settling a handler call: every received datagram gets an outcome, every queued one a destination, a
//! delay, or a reason why it is dropped.

use super::io::Io;
use super::listener::Listener;
use super::machine::Core;
use super::transmit::{MAX_MESSAGES, Transmitter};
use crate::metrics::{Counters, DropReason};
use crate::plugin::host::Escaped;
use crate::plugin::{Exchange, Output, OutputError};
use arrayvec::ArrayVec;
use std::net::SocketAddr;

impl<I: Io> Core<I> {
    /// Sends, delays or drops what the handler queued, and accounts for what it got.
    pub(super) fn settle(&mut self, listener: &mut Listener<I::Socket>) {
        let now_ns = self.now.mono_ns;
        let Self { io, exchange, delayed, limits, backlog_bytes, .. } = self;
        let mut replied = Marks::default();
        let mut batch = ArrayVec::<Output<'_>, MAX_MESSAGES>::new();
        for output in exchange.outputs() {
            let output = match output {
                Ok(output) => output,
                Err(error) => {
                    bad_output(listener, error);
                    continue;
                }
            };
            if let Some(rx) = output.rx {
                replied.set(rx);
            }
            for datagram in split(output) {
                listener.counters.queued += 1;
                if let Err(reason) = destination(listener.local, datagram.to) {
                    listener.counters.drop_one(reason);
                } else if datagram.at_ns > now_ns {
                    let (most, bytes) = (limits.delayed_datagrams, limits.delayed_bytes);
                    if delayed.push(listener.token, &datagram, most, bytes) {
                        listener.delayed += 1;
                    } else {
                        listener.counters.drop_one(DropReason::DelayFull);
                    }
                } else {
                    if batch.is_full() {
                        Transmitter { io, limits, backlog_bytes }.transmit(listener, &batch);
                        batch.clear();
                    }
                    batch.push(datagram);
                }
            }
        }
        Transmitter { io, limits, backlog_bytes }.transmit(listener, &batch);
        let refused = u64::from(exchange.refused());
        listener.counters.queued += refused;
        listener.counters.drop_many(DropReason::NoRoom, refused);
        account(&mut listener.counters, exchange, &replied);
        if log::log_enabled!(target: "polyport::datagram", log::Level::Trace) {
            trace(&listener.name, listener.local, exchange);
        }
    }
}

/// I1, the half of the received datagrams.
fn account(counters: &mut Counters, exchange: &Exchange, replied: &Marks) {
    let total = exchange.arrived().len() as u64;
    let answered = replied.count();
    counters.replied += answered;
    if answered == total {
        return;
    }
    let discarded = (0..exchange.arrived().len())
        .filter(|&rx| exchange.discarded(rx) && !replied.is_set(rx))
        .count() as u64;
    counters.drop_many(DropReason::OnPurpose, discarded);
    counters.consumed += total - answered - discarded;
}

fn bad_output<S>(listener: &mut Listener<S>, error: OutputError) {
    let reason = match error {
        OutputError::Bad => DropReason::BadTx,
        OutputError::TooLong => DropReason::ReplyTooLong,
        OutputError::NoDestination => DropReason::NoDestination,
    };
    listener.counters.queued += 1;
    if listener.counters.dropped(reason) == 0 {
        log::error!("{listener}: the handler queued an invalid datagram: {reason}; this is logged once");
    }
    listener.counters.drop_one(reason);
}

/// What the kernel would refuse anyway, without the call.
fn destination(local: SocketAddr, to: SocketAddr) -> Result<(), DropReason> {
    if local.is_ipv4() != to.is_ipv4() {
        return Err(DropReason::NoDestination);
    }
    if to.port() == 0 { Err(DropReason::Invalid) } else { Ok(()) }
}

/// A queued entry with a segment size is a run of datagrams.
fn split(output: Output<'_>) -> impl Iterator<Item = Output<'_>> {
    let segment = usize::try_from(output.segment).unwrap_or(usize::MAX);
    let whole = segment == 0 || output.payload.len() <= segment;
    let pieces = if whole { None } else { Some(output.payload.chunks(segment)) };
    whole.then_some(output).into_iter().chain(pieces.into_iter().flatten().map(move |payload| Output {
        payload,
        segment: 0,
        ..output
    }))
}

/// One line a datagram, for the person who watches.
fn trace(name: &str, local: SocketAddr, exchange: &Exchange) {
    for (rx, arrived) in exchange.arrived().iter().enumerate() {
        let payload = exchange.payload(rx);
        let shown = payload.get(..TRACE_BYTES).unwrap_or(payload);
        let replies = || exchange.outputs().flatten().filter(|o| o.rx == Some(rx));
        let verdict = match (replies().count(), replies().next()) {
            (1, Some(o)) if o.to == arrived.peer => format!("replied {} bytes", o.payload.len()),
            (n, Some(_)) => format!("sent {n} datagrams"),
            (_, None) if exchange.discarded(rx) => "dropped on purpose".to_owned(),
            (_, None) => "consumed".to_owned(),
        };
        let cut = if shown.len() < payload.len() { "..." } else { "" };
        log::trace!(
            target: "polyport::datagram",
            "{name} {local}: {} says '{}{cut}': {verdict}",
            arrived.peer,
            Escaped(shown)
        );
    }
}

/// Payload bytes shown in a trace line.
const TRACE_BYTES: usize = 512;

/// One bit a received datagram; room for as many as an exchange holds.
#[derive(Debug, Default)]
struct Marks([u64; 32]);

impl Marks {
    fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    fn is_set(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::ExchangeLimits;

    #[test]
    fn there_is_a_mark_for_every_descriptor() {
        assert!(ExchangeLimits::default().rx <= 32 * 64);
        let mut marks = Marks::default();
        for index in [0, 63, 64, 2047, 64] {
            marks.set(index);
        }
        assert_eq!(marks.count(), 4);
        assert!(marks.is_set(2047) && !marks.is_set(1));
    }

    #[test]
    fn a_segmented_entry_is_split_and_the_last_piece_may_be_shorter() {
        let to = "192.0.2.1:9".parse().unwrap();
        let whole = Output { rx: None, payload: b"abcdefg", to, from: None, at_ns: 0, segment: 3, ecn: 0 };
        let pieces: Vec<_> = split(whole).map(|o| o.payload).collect();
        assert_eq!(pieces, [&b"abc"[..], b"def", b"g"]);
        assert_eq!(split(Output { segment: 7, ..whole }).count(), 1);
        assert_eq!(split(Output { segment: 0, payload: b"", ..whole }).count(), 1);
    }
}
