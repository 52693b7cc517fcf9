//! Answers that a handler queues, whatever it writes: the check of `output.rs` against an obvious one.
//!
//! For the fuzzer and for tests; no part of the program.

use std::net::SocketAddr;

use polyport_abi::{NO_RX, TX_DF, TX_FROM, TX_TO, pp_addr, pp_tx};

use super::send_queue::EMPTY_TX;
use super::{ArrivalFlags, Arrived, Exchange, ExchangeLimits, Output, OutputError, Queued, ReplySource};

/// A ring of four slots, and more entries than most calls have.
const LIMITS: ExchangeLimits = ExchangeLimits {
    slots: 4,
    slot_len: 256,
    stride: 272,
    rx: 64,
    present: 64,
    tx: 24,
    tx_total: 24,
    arena: 128,
    arena_chunks: 2,
    tickets: 8,
};

/// The port of the listener.
const PORT: u16 = 7;

/// Memory of the handler's own, longer than any datagram may be.
const OWN: usize = 70_000;

/// One datagram that leaves, or one entry that is refused.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Sent {
        rx: Option<usize>,
        payload: &'a [u8],
        to: SocketAddr,
        from: Option<ReplySource>,
        at_ns: u64,
        tos: u8,
        df: bool,
    },
    Refused(OutputError),
}

/// Fills a ring and a send queue as the bytes say, and compares what leaves with what should.
///
/// # Panics
/// They differ.
pub fn outputs(data: &[u8]) {
    let mut input = Input(data);
    let mut exchange = Exchange::new(LIMITS);
    exchange.clear(u64::from(input.u8()), SocketAddr::from(([192, 0, 2, 9], PORT)));
    exchange.ring_mut().iter_mut().zip(0_u32..).for_each(|(byte, at)| *byte = at.to_le_bytes()[0]);
    for _ in 0..1 + input.u8() % 5 {
        let arrived = arrived(&mut input);
        let messages = exchange.messages().len();
        let taken = exchange.push(arrived);
        assert_eq!(exchange.messages().len(), messages + usize::from(taken));
    }
    let own = vec![0x5A; OWN];
    let now_ns = exchange.received.now_ns();
    while exchange.present() > 0 {
        let entries: Vec<pp_tx> =
            (0..usize::from(input.u8()) % 25).map(|_| entry(&mut input, &own)).collect();
        exchange.queue.tx[..entries.len()].copy_from_slice(&entries);
        exchange.queue.tx_len = entries.len();
        let expected = model(&exchange, &entries, &own);
        let found: Vec<Piece<'_>> = exchange.outputs().flat_map(pieces).collect();
        assert_eq!(found, expected);
        exchange.outputs().flatten().for_each(|output| bounded(&output));
        if let Queued::One(output) = exchange.queued() {
            assert!(output.at_ns <= now_ns && exchange.datagrams() == 1);
            assert_eq!(pieces(Ok(output)), expected);
        }
    }
}

/// What a socket could have received, and what it could not.
fn arrived(input: &mut Input<'_>) -> Arrived {
    let (slot, len, segment) = (input.u8(), input.u16(), input.u8());
    let len = usize::from(len % 300);
    let v6 = [0x2001, 0xDB8, 0, 0, 0, 0, 0, 1];
    let peer = if slot & 0x80 != 0 {
        SocketAddr::from((v6, 5000))
    } else {
        SocketAddr::from(([192, 0, 2, 1], 5000))
    };
    Arrived {
        offset: usize::from(slot % 5) * LIMITS.stride,
        len,
        cap: if slot & 0x40 != 0 { len } else { LIMITS.slot_len },
        segment: usize::from(segment),
        peer,
        destination: None,
        reply_from: (slot & 0x20 != 0)
            .then(|| ReplySource { ip: SocketAddr::from(([10, 0, 0, 1], 0)).ip(), ifindex: 3 }),
        ifindex: 3,
        tos: 0,
        hop_limit: 0,
        session: 0,
        flags: ArrivalFlags::default(),
    }
}

/// An entry. What lies behind `data` is there: to lie about that is the one thing a handler can do that nobody can check.
fn entry(input: &mut Input<'_>, own: &[u8]) -> pp_tx {
    let (form, rx, tos) = (input.u8(), input.u8(), input.u8());
    let len = match form & 3 {
        0 => u32::from(input.u8()),
        1 => u32::from(input.u16()),
        2 => u32::MAX - u32::from(input.u8()),
        _ => 65_500 + u32::from(input.u8() % 64),
    };
    let foreign = form & 4 != 0 && len as usize <= own.len();
    let address = |input: &mut Input<'_>, last: u8| pp_addr {
        ip: [192, 0, 2, last, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        port: [PORT, 9, PORT, 0][usize::from(last & 3)],
        family: [0, 4, 6, 4][usize::from(input.u8() & 3)],
        reserved: 0,
        scope: 1,
    };
    let address = |input: &mut Input<'_>| {
        let last = input.u8();
        address(input, last)
    };
    pp_tx {
        data: if foreign { own.as_ptr() } else { std::ptr::null() },
        len,
        rx: if rx == 0xFF { NO_RX } else { u32::from(rx & 0x3F) },
        at_ns: if form & 8 != 0 { u64::from(input.u8()) } else { 0 },
        segment: if form & 16 != 0 { u32::from(input.u16()) } else { 0 },
        tos,
        flags: if form & 32 != 0 { input.u8() & (TX_TO | TX_FROM | TX_DF | 4) } else { 0 },
        run: if form & 64 != 0 { u16::from(input.u8() & 0x3F) } else { 0 },
        to: address(input),
        from: address(input),
        ..EMPTY_TX
    }
}

/// The datagrams of an output; `answers` names those of a train one after the other.
fn pieces(output: Result<Output<'_>, OutputError>) -> Vec<Piece<'_>> {
    let output = match output {
        Ok(output) => output,
        Err(error) => return vec![Piece::Refused(error)],
    };
    let answers = output.answers;
    let of = move |(place, piece): (usize, Output<'_>)| {
        let rx = (answers.count > 0).then(|| answers.first + if answers.count > 1 { place } else { 0 });
        (rx, piece.payload.len())
    };
    let split: Vec<_> = output.split().enumerate().map(of).collect();
    assert_eq!(split.len(), output.datagrams());
    assert!(answers.count <= 1 || answers.count == split.len(), "{output:?}");
    let mut rest = output.payload;
    let pieces = split.into_iter().map(|(rx, len)| {
        let (payload, behind) = rest.split_at(len);
        rest = behind;
        Piece::Sent {
            rx,
            payload,
            to: output.to,
            from: output.from,
            at_ns: output.at_ns,
            tos: output.tos,
            df: output.df,
        }
    });
    pieces.collect()
}

/// No datagram is longer than its family allows.
fn bounded(output: &Output<'_>) {
    let most = most(output.to);
    assert!(output.split().all(|piece| piece.payload.len() <= most), "{output:?}");
    assert!(output.datagrams() > 0 && output.session == 0);
}

fn most(to: SocketAddr) -> usize {
    if to.is_ipv4() { 65_507 } else { 65_527 }
}

/// What should leave, entry by entry, as `plugins/ABI.md` says in section 5.
fn model<'a>(exchange: &'a Exchange, entries: &[pp_tx], own: &'a [u8]) -> Vec<Piece<'a>> {
    let mut allowance = (LIMITS.tx_total * 64).max(exchange.datagrams());
    let mut all = Vec::new();
    for tx in entries {
        if tx.run == 0 {
            all.extend(single(exchange, tx, own));
        } else {
            all.extend(run(exchange, tx, &mut allowance));
        }
    }
    all
}

/// An entry that stands for itself.
fn single<'a>(exchange: &'a Exchange, tx: &pp_tx, own: &'a [u8]) -> Vec<Piece<'a>> {
    let len = tx.len as usize;
    let refused = |error| vec![Piece::Refused(error)];
    let answered = (tx.rx != NO_RX).then(|| exchange.received.datagram(tx.rx as usize));
    let answered = match answered {
        Some(None) => return refused(OutputError::Bad),
        Some(found) => found,
        None => None,
    };
    if tx.flags & !(TX_TO | TX_FROM | TX_DF) != 0 {
        return refused(OutputError::Bad);
    }
    let to = if tx.flags & TX_TO != 0 { tx.to.socket_addr() } else { answered.map(|rx| rx.message.peer) };
    let Some(to) = to else { return refused(OutputError::NoDestination) };
    if tx.flags & TX_FROM != 0 && ![0, PORT].contains(&tx.from.port) {
        return refused(OutputError::Bad);
    }
    if len > most(to) {
        return refused(OutputError::TooLong);
    }
    let payload = if !tx.data.is_null() {
        own.get(..len)
    } else {
        answered.and_then(|rx| {
            let cap = if rx.message.segment == 0 { rx.message.cap } else { rx.len };
            exchange.received.ring.slice(rx.offset, cap).get(..len)
        })
    };
    let Some(payload) = payload else { return refused(OutputError::Bad) };
    let rx = answered.map(|_| tx.rx as usize);
    let from = if tx.flags & TX_FROM != 0 {
        tx.from.socket_addr().map(|from| ReplySource { ip: from.ip(), ifindex: tx.from.scope })
    } else {
        answered.and_then(|rx| rx.message.reply_from)
    };
    let segment = tx.segment as usize;
    let cut: Vec<&[u8]> =
        if segment == 0 || payload.is_empty() { vec![payload] } else { payload.chunks(segment).collect() };
    let sent = |payload| Piece::Sent {
        rx,
        payload,
        to,
        from,
        at_ns: tx.at_ns,
        tos: tx.tos,
        df: tx.flags & TX_DF != 0,
    };
    cut.into_iter().map(sent).collect()
}

/// An entry that stands for its neighbours too: each goes back whole. One message that cannot go counts once.
fn run<'a>(exchange: &'a Exchange, tx: &pp_tx, allowance: &mut usize) -> Vec<Piece<'a>> {
    let (first, count) = (tx.rx as usize, usize::from(tx.run) + 1);
    let whole = exchange.received.datagram(first).is_some_and(|rx| rx.len == tx.len as usize);
    let plain = tx.data.is_null() && tx.segment == 0 && tx.flags & !(TX_TO | TX_FROM | TX_DF) == 0;
    if !whole || !plain || first + count > exchange.datagrams() || count > *allowance {
        return vec![Piece::Refused(OutputError::Bad)];
    }
    *allowance -= count;
    let (mut all, mut refused) = (Vec::new(), None);
    for rx in
        (first..first + count).filter_map(|index| exchange.received.datagram(index).map(|rx| (index, rx)))
    {
        let (index, rx) = rx;
        let tx = pp_tx {
            rx: u32::try_from(index).unwrap_or(NO_RX),
            len: u32::try_from(rx.len).unwrap_or(NO_RX),
            run: 0,
            ..*tx
        };
        match single(exchange, &tx, &[]).pop() {
            Some(Piece::Refused(error)) => {
                if refused != Some(rx.number) {
                    all.push(Piece::Refused(error));
                }
                refused = Some(rx.number);
            }
            piece => all.extend(piece),
        }
    }
    all
}

/// Bytes as a source of numbers; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpus_of_queued_answers_holds() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/exchange_outputs");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 10, "{corpus}: {} files", files.len());
        for file in files {
            println!("{}", file.display());
            outputs(&std::fs::read(file).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn any_entries_leave_as_an_obvious_check_says(data in prop::collection::vec(any::<u8>(), 0..400)) {
            outputs(&data);
        }
    }
}
