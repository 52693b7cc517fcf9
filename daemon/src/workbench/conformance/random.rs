//! Lives by chance, for as long as there is time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::datagrams::Datagram;
use super::dialogue::{any, something};
use super::end::{End, Verdict};
use super::serving::Fate;
use super::stage::{Room, Stage};
use super::subject::Subject;

/// Steps of a life.
const STEPS: u32 = 200;

/// One instance after the other, each with options, room, datagrams and events by chance, until it is time. What happens to an
/// instance depends on the seed and its number alone.
pub(super) fn random(stage: &mut Stage, is_time: &Arc<AtomicBool>) -> Verdict {
    for life in 0.. {
        if is_time.load(Relaxed) {
            break;
        }
        stage.rng = StdRng::seed_from_u64(stage.seed() ^ u64::wrapping_mul(life, 0x9E37_79B9_7F4A_7C15));
        lived(stage, is_time).map_err(|end| match end {
            End::Broken { rule, what } => End::Broken { rule, what: format!("{what}; in life {life}") },
            other @ (End::Skipped(_) | End::Trouble(_)) => other,
        })?;
    }
    Ok(())
}

fn lived(stage: &mut Stage, is_time: &AtomicBool) -> Verdict {
    let mut subject = begin(stage)?;
    for _ in 0..STEPS {
        if is_time.load(Relaxed) {
            break;
        }
        let room = if stage.rng.random_ratio(1, 2) { Room::PLAIN } else { Room::any(&mut stage.rng) };
        let fate = if stage.rng.random_ratio(1, 4) { Fate::Mixed } else { Fate::Open };
        match stage.rng.random_range(0..8) {
            0 => {
                let longest = *[1_000, 1_000_000, 3_000_000_000, 120_000_000_000]
                    .get(stage.rng.random_range(0..4))
                    .unwrap_or(&1_000);
                let span_ns = stage.rng.random_range(0..longest);
                stage.pass(&mut subject, &room, fate, span_ns)?;
            }
            1 => {
                stage.wake(&mut subject, &room, fate)?;
            }
            2 => {
                if let Some(id) = any(stage, &subject) {
                    something(stage, &mut subject, &room, fate, id)?;
                }
            }
            _ => {
                let most = *[1, 4, 64, 400].get(stage.rng.random_range(0..4)).unwrap_or(&1);
                let n = stage.rng.random_range(1..=most);
                let datagrams: Vec<_> = (0..n).map(|_| Datagram::any(&mut stage.rng)).collect();
                stage.serve(&mut subject, &room, fate, &datagrams)?;
            }
        }
    }
    stage.destroy(subject)
}

/// An instance, often with one option changed.
fn begin(stage: &mut Stage) -> Result<Subject, End> {
    let tried = stage.variations();
    if !tried.is_empty() && stage.rng.random_ratio(1, 2) {
        let change = tried.get(stage.rng.random_range(0..tried.len())).cloned();
        let options: Vec<_> = stage.options().iter().cloned().chain(change).collect();
        if let Ok(values) = stage.values(&options) {
            let seed = stage.rng.random();
            if let Ok(subject) = stage.create(values, seed)? {
                return Ok(subject);
            }
        }
    }
    let seed = stage.rng.random();
    stage.instance_with(seed)
}
