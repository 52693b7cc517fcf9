//! What must not be cut is told to the host, of one datagram alone; and what an older host does not have.

use core::time::Duration;

use super::Harness;
use crate::prelude::*;
use crate::{Facts, later};

const PEER: &str = "192.0.2.1:5000";
const OTHER: &str = "192.0.2.2:5000";

/// Sends in every way there is; what begins with "df" must not be cut.
#[derive(Debug)]
struct Uncut;

impl Handler for Uncut {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            if datagram.payload().starts_with(b"df") {
                datagram.dont_fragment();
            }
            if datagram.payload().ends_with(b"vouch") {
                datagram.prove_peer();
            }
            datagram.reply(b"reply");
            datagram.reply_with(1, |_, _| 1);
            batch.send_to(datagram.peer(), b"fresh");
            let datagram = datagram.freeze();
            datagram.echo();
            datagram.echo_at(1);
            datagram.forward(OTHER.parse().unwrap());
        }
    }
}

/// What is sent of a datagram, but nothing else; and echoes that may be cut are no run with one that may not.
#[test]
fn what_must_not_be_cut_is_said_of_one_datagram_and_to_hosts_that_know_it() {
    let uncut = [true, true, false, true, true, true];
    for (minor, expected) in [(2, uncut), (1, [false; 6]), (0, [false; 6])] {
        let mut h = Harness::<Uncut>::new(&[]);
        h.set_host_minor(minor);
        for payload in [&b"df"[..], b"df vouch"] {
            h.send_batch(&[(PEER, b"no"), (PEER, payload), (PEER, b"no")]);
            let sent = h.sent();
            assert_eq!(h.bad(), 0);
            let seen: Vec<bool> = sent.iter().map(|sent| sent.df).collect();
            assert_eq!(seen, [[false; 6], expected, [false; 6]].concat(), "1.{minor}");
            let proved = sent.iter().filter(|sent| sent.proved).count();
            assert_eq!(proved, if payload == b"df" || minor == 0 { 0 } else { 4 });
        }
    }
}

/// Some echoes may be cut.
#[derive(Debug)]
struct SomeUncut;

impl Handler for SomeUncut {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for (number, datagram) in batch.datagrams().enumerate() {
            if number % 3 == 1 {
                datagram.dont_fragment();
            }
            datagram.echo();
        }
    }
}

#[test]
fn a_run_of_echoes_ends_at_one_that_must_not_be_cut() {
    let mut h = Harness::<SomeUncut>::new(&[]);
    h.send_batch(&[(PEER, &b"a"[..]); 8]);
    let df: Vec<bool> = h.sent().iter().map(|sent| sent.df).collect();
    assert_eq!(df, [false, true, false, false, true, false, false, true]);
}

/// Wants a fact, and answers later; what it is told is its answer.
#[derive(Debug)]
struct Newcomer(bool);

impl Handler for Newcomer {
    type Config = ();

    fn new((): (), setup: &mut Setup<'_>) -> Result<Self> {
        Ok(Self(setup.want(Facts::TOS).contains(Facts::TOS)))
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let at_ns = later(batch.now_ns(), Duration::from_secs(1));
        for datagram in batch.datagrams() {
            let peer = datagram.peer();
            let fits = datagram.echo_at(at_ns).is_queued();
            batch.send_to(peer, format!("{} {fits}", self.0).as_bytes());
        }
    }
}

/// An older host has no such function, and a batch that ends before the fields.
#[test]
fn what_a_minor_added_is_not_there_in_an_older_host() {
    for (minor, told) in [(2, "true false"), (1, "false true"), (0, "false true")] {
        let mut h = Harness::<Newcomer>::new(&[]);
        h.set_host_minor(minor);
        h.set_delay_room(0);
        h.restart().unwrap();
        h.send(PEER, b"?");
        assert!(h.sent().iter().any(|sent| sent.payload == told.as_bytes()), "1.{minor}: {:?}", h.sent());
    }
}
