//! Cases about datagrams and the room of a call.

use std::thread;

use rand::RngExt;

use super::datagrams::{Datagram, LENGTHS, LONGEST, content, short};
use super::end::{End, Verdict, broken};
use super::judged::Sent;
use super::own;
use super::rules;
use super::serving::Fate;
use super::stage::{Room, Stage};

/// Most datagrams of a batch.
const LARGEST_BATCH: usize = 2048;

/// Batches of every awkward size.
pub(super) fn batches(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for n in [1, 2, 3, 7, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025, LARGEST_BATCH - 1, LARGEST_BATCH, 1] {
        let datagrams = short(&mut stage.rng, n);
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
        // A call without datagrams: that of a timer, if it has set one.
        stage.pass(&mut subject, &Room::PLAIN, Fate::Open, 1_000_000)?;
    }
    stage.destroy(subject)
}

/// Datagrams of every awkward length, alone and side by side, and to groups.
pub(super) fn sizes(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    let mut all = Vec::new();
    for len in LENGTHS {
        let payload = content(&mut stage.rng, *len);
        let mut one = Datagram::new(&mut stage.rng, payload);
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, std::slice::from_ref(&one))?;
        one.to_group = true;
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, std::slice::from_ref(&one))?;
        all.push(one);
    }
    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &all)?;
    let empty = vec![Datagram::new(&mut stage.rng, Vec::new()); 64];
    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &empty)?;
    stage.destroy(subject)
}

/// Every first byte, every second byte, at lengths of headers.
pub(super) fn contents(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for len in [1, 2, 4, 8, 12, 20, 28, 44, 64, 112] {
        let mut datagrams = Vec::new();
        for first in 0..=u8::MAX {
            let mut payload = content(&mut stage.rng, len);
            if let Some(byte) = payload.get_mut(usize::from(stage.rng.random_ratio(1, 4)).min(len - 1)) {
                *byte = first;
            }
            if let Some(byte) = payload.first_mut() {
                *byte = first;
            }
            datagrams.push(Datagram::new(&mut stage.rng, payload));
        }
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
    }
    stage.destroy(subject)
}

/// Trains: datagrams that share a buffer.
pub(super) fn trains(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for (len, segment) in
        [(2, 1), (3, 2), (64, 1), (1472 * 40, 1472), (60_000, 1000), (1001, 1000), (640, 10)]
    {
        let payload = content(&mut stage.rng, len);
        let mut train = Datagram::new(&mut stage.rng, payload);
        train.segment = segment;
        let mut datagrams = short(&mut stage.rng, 2);
        datagrams.insert(1, train.clone());
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &[train])?;
    }
    stage.destroy(subject)
}

/// A ring of one entry: a flush for each datagram. Then a call that may queue no more than a few.
pub(super) fn small_ring(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for (ring, entries) in [(1, 16_384), (2, 16_384), (1, 1), (1, 5), (64, 3)] {
        let room = Room { ring, entries, ..Room::PLAIN };
        for n in [1, 2, 64, 300] {
            let datagrams = short(&mut stage.rng, n);
            stage.serve(&mut subject, &room, Fate::Open, &datagrams)?;
        }
        stage.pass(&mut subject, &room, Fate::Open, 1_000_000_000)?;
    }
    stage.destroy(subject)
}

/// An arena in which nearly nothing has room, and few of them.
pub(super) fn small_arena(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for (arena, chunks) in [(16, 1), (16, 64), (64, 4), (2048, 2), (65_536, 1)] {
        let room = Room { arena, chunks, ..Room::PLAIN };
        for len in [0, 1, 8, 15, 16, 17, 64, 2000, 2048, LONGEST] {
            let datagrams: Vec<_> = (0..8)
                .map(|_| {
                    let payload = content(&mut stage.rng, len);
                    Datagram::new(&mut stage.rng, payload)
                })
                .collect();
            stage.serve(&mut subject, &room, Fate::Open, &datagrams)?;
        }
        stage.pass(&mut subject, &room, Fate::Open, 1_000_000_000)?;
    }
    stage.destroy(subject)
}

/// Timers fire for a minute, with and without datagrams between, in much room and in little.
pub(super) fn timers(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    let little = Room { ring: 1, entries: 4, arena: 64, chunks: 2, ..Room::PLAIN };
    for (room, span_ns) in [
        (Room::PLAIN, 1_000_000),
        (little, 1_000_000_000),
        (Room::PLAIN, 10_000_000_000),
        (little, 50_000_000_000),
    ] {
        let datagrams = short(&mut stage.rng, 32);
        stage.serve(&mut subject, &room, Fate::Open, &datagrams)?;
        stage.pass(&mut subject, &room, Fate::Open, span_ns)?;
    }
    stage.destroy(subject)
}

/// No room for anything that leaves later.
pub(super) fn delays(stage: &mut Stage) -> Verdict {
    let mut subject = stage.instance()?;
    for delays in [0, 1, 65_536] {
        let room = Room { delays, ..Room::PLAIN };
        let datagrams = short(&mut stage.rng, 64);
        stage.serve(&mut subject, &room, Fate::Open, &datagrams)?;
        stage.pass(&mut subject, &room, Fate::Open, 1_000_000_000)?;
    }
    stage.destroy(subject)
}

/// Whether the thread gives up the processor in calls.
pub(super) fn waits(stage: &mut Stage) -> Verdict {
    const CALLS: u32 = 64;
    let mut subject = stage.instance()?;
    if own::waits().is_none() {
        return Err(End::Skipped("this system does not tell how often a thread waits".to_owned()));
    }
    let mut waited = 0;
    for _ in 0..CALLS {
        let datagrams = short(&mut stage.rng, 8);
        let before = own::waits();
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
        waited += u32::from(own::waits() != before);
    }
    if waited > CALLS / 2 {
        return broken(rules::BLOCK, format!("on_batch waited for something in {waited} of {CALLS} calls"));
    }
    if waited > 0 {
        stage.remarks.insert(format!("on_batch waited for something in {waited} of {CALLS} calls"));
    }
    stage.destroy(subject)
}

/// Two runs of equal calls give equal answers, with a moment of real time between.
pub(super) fn repeats(stage: &mut Stage) -> Verdict {
    let script = script(stage);
    let first = alone(stage, &script)?;
    // A clock that it must not read goes on meanwhile.
    own::settles(|| false);
    let second = alone(stage, &script)?;
    match differ(&first, &second) {
        None => Ok(()),
        Some(at) => broken(
            rules::CLOCK,
            format!(
                "two instances with the same seed, options and datagrams answer differently in call {at}: by a clock, \
                 an address, or what another instance has left"
            ),
        ),
    }
}

/// What one instance is told changes nothing for another.
pub(super) fn neighbours(stage: &mut Stage) -> Verdict {
    let script = script(stage);
    let alone = alone(stage, &script)?;
    let mut other = stage.instance_with(stage.seed().wrapping_add(1))?;
    let mut subject = stage.instance()?;
    let mut beside = Vec::new();
    for datagrams in &script {
        let strange = short(&mut stage.rng, 9);
        stage.serve(&mut other, &Room::PLAIN, Fate::Open, &strange)?;
        beside.push(step(stage, &mut subject, datagrams)?);
    }
    stage.destroy(other)?;
    stage.destroy(subject)?;
    match differ(&alone, &beside) {
        None => Ok(()),
        Some(at) => broken(
            rules::STATE,
            format!(
                "an instance answers differently in call {at} when another one is beside it: they share a `static`"
            ),
        ),
    }
}

/// Instances on four threads at once.
pub(super) fn at_once(stage: &mut Stage) -> Verdict {
    const THREADS: u64 = 4;
    const CALLS: u32 = 40;
    let begin = |n: u64| {
        let (plugin, options, seed) =
            (stage.plugin().clone(), stage.options().to_vec(), stage.seed().wrapping_add(n));
        thread::spawn(move || {
            crate::plugin::Doing::of_this_thread();
            let mut stage = Stage::new(&plugin, &options, seed);
            let mut subject = stage.instance()?;
            for _ in 0..CALLS {
                let datagrams = short(&mut stage.rng, 16);
                stage.serve(&mut subject, &Room::PLAIN, Fate::Mixed, &datagrams)?;
                stage.pass(&mut subject, &Room::PLAIN, Fate::Mixed, 1_000_000)?;
            }
            stage.destroy(subject)
        })
    };
    let threads: Vec<_> = (0..THREADS).map(begin).collect();
    let ends = threads.into_iter().map(thread::JoinHandle::join);
    // All are waited for, also when one has found something.
    let ends: Vec<_> = ends.collect();
    for end in ends {
        end.map_err(|_| End::Trouble("a thread of the case has panicked".to_owned()))??;
    }
    Ok(())
}

/// Datagrams of some calls.
fn script(stage: &mut Stage) -> Vec<Vec<Datagram>> {
    (0..24)
        .map(|_| {
            let n = stage.rng.random_range(1..=16);
            short(&mut stage.rng, n)
        })
        .collect()
}

/// What an instance of its own sends.
fn alone(stage: &mut Stage, script: &[Vec<Datagram>]) -> Result<Vec<Vec<Sent>>, End> {
    let mut subject = stage.instance()?;
    let sent =
        script.iter().map(|datagrams| step(stage, &mut subject, datagrams)).collect::<Result<_, _>>()?;
    stage.destroy(subject)?;
    Ok(sent)
}

fn step(
    stage: &mut Stage,
    subject: &mut super::subject::Subject,
    datagrams: &[Datagram],
) -> Result<Vec<Sent>, End> {
    let mut sent = stage.serve(subject, &Room::PLAIN, Fate::Open, datagrams)?;
    sent.extend(stage.pass(subject, &Room::PLAIN, Fate::Open, 10_000_000)?);
    Ok(sent)
}

/// The first call in which they differ.
fn differ(one: &[Vec<Sent>], other: &[Vec<Sent>]) -> Option<usize> {
    one.iter().zip(other).position(|(one, other)| one != other)
}
