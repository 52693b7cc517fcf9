//! Tests of entries that cover several datagrams, and of the shortcuts: both must give what single entries give.

use std::net::SocketAddr;
use std::ptr;

use polyport_abi::{NO_RX, TX_FROM, TX_PROVED, TX_TO, pp_addr, pp_tx};

use super::tests::{BOUND, SMALL, arrived, echo, set};
use super::*;

/// An exchange with a datagram, a train of three, and two datagrams: indexes 0, 1 to 3, 4 and 5.
fn exchange() -> Exchange {
    let mut e = Exchange::new(ExchangeLimits { rx: 16, tx: 16, tx_total: 32, present: 16, ..SMALL });
    e.ring_mut().iter_mut().zip((0..=255).cycle()).for_each(|(byte, n)| *byte = n);
    let train = Arrived { segment: 10, cap: 64, ..arrived(80, 25) };
    for a in [arrived(0, 4), train, arrived(160, 0), arrived(240, 7)] {
        assert!(e.push(a));
    }
    assert_eq!(e.present(), 6);
    e
}

/// The shape of each output: index of the first datagram it answers, how many it answers, its bytes, its segment size.
fn outputs(e: &Exchange) -> Vec<Result<(usize, usize, usize, usize), OutputError>> {
    let shape = |o: Output<'_>| (o.answers.first, o.answers.count, o.payload.len(), o.segment);
    e.outputs().map(|output| output.map(shape)).collect()
}

#[test]
fn a_run_is_an_output_for_each_message_it_covers() {
    let mut e = exchange();
    set(&mut e, &[pp_tx { run: 5, ..echo(0, 4) }]);
    assert_eq!(outputs(&e), [Ok((0, 1, 4, 0)), Ok((1, 3, 25, 10)), Ok((4, 1, 0, 0)), Ok((5, 1, 7, 0))]);
    set(&mut e, &[pp_tx { run: 1, ..echo(2, 10) }, pp_tx { run: 0, ..echo(5, 7) }]);
    assert_eq!(outputs(&e), [Ok((2, 2, 15, 10)), Ok((5, 1, 7, 0))]);
    set(&mut e, &[pp_tx { run: 1, ..echo(3, 5) }]);
    assert_eq!(outputs(&e), [Ok((3, 1, 5, 0)), Ok((4, 1, 0, 0))]);
}

#[test]
fn a_run_says_the_same_as_single_entries() {
    let lengths = [4, 10, 10, 5, 0, 7];
    for first in 0..6_usize {
        for last in first..6 {
            let (mut run, mut single) = (exchange(), exchange());
            let number = |n: usize| u32::try_from(n).unwrap();
            let more = u16::try_from(last - first).unwrap();
            set(&mut run, &[pp_tx { run: more, ..echo(number(first), lengths[first]) }]);
            let entries: Vec<_> = (first..=last).map(|n| echo(number(n), lengths[n])).collect();
            set(&mut single, &entries);
            let bytes = |e: &Exchange| -> Vec<Vec<u8>> {
                let outputs: Vec<_> = e.outputs().map(Result::unwrap).collect();
                outputs.iter().flat_map(Output::split).map(|o| o.payload.to_vec()).collect()
            };
            assert_eq!(outputs(&run), outputs(&single), "{first}..={last}");
            assert_eq!(bytes(&run), bytes(&single), "{first}..={last}");
        }
    }
}

#[test]
fn a_run_takes_its_moment_its_destination_and_its_mark_along() {
    let mut e = exchange();
    let to = pp_addr::from("198.51.100.1:9".parse::<SocketAddr>().unwrap());
    let entry = pp_tx { run: 1, at_ns: 7, tos: 0xB9, flags: TX_TO, to, ..echo(0, 4) };
    set(&mut e, &[entry]);
    let seen: Vec<_> = e.outputs().map(Result::unwrap).map(|o| (o.to.to_string(), o.at_ns, o.tos)).collect();
    assert_eq!(seen, vec![("198.51.100.1:9".to_owned(), 7, 0xB9); 2]);
}

#[test]
fn runs_that_make_no_sense_are_refused() {
    let foreign = [0_u8; 8];
    let cases = [
        pp_tx { run: 6, ..echo(0, 4) },
        pp_tx { run: u16::MAX, ..echo(5, 7) },
        pp_tx { run: 1, ..echo(6, 0) },
        pp_tx { run: 1, ..echo(NO_RX, 0) },
        pp_tx { run: 1, ..echo(0, 3) },
        pp_tx { run: 1, segment: 2, ..echo(0, 4) },
        pp_tx { run: 1, flags: 0x80, ..echo(0, 4) },
        pp_tx { run: 1, data: foreign.as_ptr(), ..echo(0, 4) },
    ];
    for entry in cases {
        let mut e = exchange();
        set(&mut e, &[entry, echo(5, 7)]);
        assert_eq!(outputs(&e), [Err(OutputError::Bad), Ok((5, 1, 7, 0))], "{entry:?}");
    }
}

#[test]
fn runs_stand_for_no_more_than_a_call_may_queue() {
    let mut e = exchange();
    e.limits.tx_total = 1;
    set(&mut e, &vec![pp_tx { run: 5, ..echo(0, 4) }; 12]);
    // Ten runs of six datagrams are 60 of the 64 allowed, so an eleventh does not fit.
    let all = outputs(&e);
    assert_eq!((all.len(), all.iter().filter(|o| o.is_ok()).count()), (10 * 4 + 2, 10 * 4));
}

#[test]
fn a_whole_batch_may_go_back_however_few_entries_there_are() {
    let mut e = exchange();
    e.limits.tx_total = 0;
    set(&mut e, &[pp_tx { run: 5, ..echo(0, 4) }, echo(5, 7)]);
    assert_eq!(outputs(&e).iter().filter(|o| o.is_ok()).count(), 4 + 1);
}

#[test]
fn the_short_way_says_what_the_long_one_does_or_nothing() {
    let foreign = [1_u8; 8];
    let from = pp_addr::from("203.0.113.9:0".parse::<SocketAddr>().unwrap());
    let mut taken = 0;
    for len in [0, 3, 4, 5, 65_507, 65_508] {
        for data in [ptr::null(), foreign.as_ptr()] {
            for entry in [
                echo(0, len),
                echo(1, len),
                echo(NO_RX, len),
                pp_tx { at_ns: 3, tos: 3, ..echo(0, len) },
                pp_tx { segment: 2, ..echo(0, len) },
                pp_tx { flags: TX_FROM, from, ..echo(0, len) },
                pp_tx { flags: 0x80, ..echo(0, len) },
                pp_tx { flags: TX_PROVED, ..echo(0, len) },
                pp_tx { flags: TX_PROVED | TX_FROM, from, ..echo(0, len) },
                pp_tx { run: 1, ..echo(0, len) },
            ] {
                if len as usize > foreign.len() && !data.is_null() {
                    continue;
                }
                let mut e = Exchange::new(SMALL);
                e.clear(3, BOUND.parse().unwrap());
                assert!(e.push(arrived(0, 4)));
                e.present();
                set(&mut e, &[pp_tx { data, ..entry }]);
                let Queued::One(short) = e.queued() else { continue };
                let long = e.outputs().next().unwrap().unwrap();
                assert_eq!(format!("{short:?}"), format!("{long:?}"));
                taken += 1;
            }
        }
    }
    assert_eq!(taken, 3 * (3 + 4), "plain, delayed and proved, of every length that there is");
}
