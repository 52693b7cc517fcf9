//! Cases about instances: how they are made, what their options may be, what they leave behind.

use super::datagrams::{Datagram, LONGEST, content, short};
use super::end::{Verdict, broken};
use super::own;
use super::rules;
use super::serving::Fate;
use super::stage::{Room, Stage};

/// How many instances are made one after the other.
const LIVES: u64 = 1000;
/// Those after which the process is measured for the first time: a library may keep something for all its instances.
const FIRST_LIVES: u64 = 50;
/// Descriptors or threads more than before that may be a coincidence.
const SLACK: usize = 16;
/// Resident memory more than before, bytes, that is not worth a word: about 1 KiB an instance.
const MEMORY_SLACK: u64 = 1 << 20;
/// How often options are checked.
const CHECKS: u32 = 100;

/// It is made, served and destroyed, and its check agrees.
pub(super) fn made(stage: &mut Stage) -> Verdict {
    let values = stage.values(stage.options())?;
    let refused = stage.plugin().check(&values).err();
    let mut subject = stage.instance()?;
    if let Some(error) = refused {
        return broken(rules::CHECK, format!("check refuses what create takes: {}", error.message));
    }
    let datagrams = short(&mut stage.rng, 16);
    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
    stage.destroy(subject)
}

/// Every option at its bounds, every word of it, lists of no element and of several.
pub(super) fn options(stage: &mut Stage) -> Verdict {
    for (name, value) in stage.variations() {
        let mut options = stage.options().to_vec();
        options.push((name.clone(), value.clone()));
        // What the host refuses the plugin never sees.
        let Ok(values) = stage.values(&options) else { continue };
        let is_checked = stage.plugin().has_check();
        let checked = stage.plugin().check(&values);
        stage.judge_breaches("check")?;
        let made = stage.create(values, stage.seed())?;
        match (made, checked) {
            (Ok(_), Err(error)) if is_checked => {
                let what =
                    format!("check refuses {name} = {value:?}, and create takes it: {}", error.message);
                return broken(rules::CHECK, what);
            }
            (Err(refused), Ok(())) if is_checked && refused.option.is_some() => {
                let what =
                    format!("check takes {name} = {value:?}, and create refuses the option: {refused}");
                return broken(rules::OPTION, what);
            }
            (Ok(mut subject), _) => {
                for _ in 0..3 {
                    let datagrams = short(&mut stage.rng, 16);
                    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
                    stage.pass(&mut subject, &Room::PLAIN, Fate::Open, 1_000_000_000)?;
                }
                // What an option bounds may be the length of an answer.
                for len in [1472, LONGEST] {
                    let payload = content(&mut stage.rng, len);
                    let long = Datagram::new(&mut stage.rng, payload);
                    stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &[long])?;
                }
                stage.destroy(subject)?;
            }
            (Err(_), _) => {}
        }
    }
    Ok(())
}

/// Checking leaves nothing behind.
pub(super) fn checks(stage: &mut Stage) -> Verdict {
    if !stage.plugin().has_check() {
        return Err(super::end::End::Skipped("it has no check".to_owned()));
    }
    let values = stage.values(stage.options())?;
    let before = (own::descriptors(), own::threads());
    for _ in 0..CHECKS {
        // Whether it takes them is another case.
        stage.plugin().check(&values).unwrap_or(());
        stage.judge_breaches("check")?;
    }
    let has = |what: &str, before: usize, now: usize| {
        format!("after {CHECKS} checks there are {now} {what}, {before} before")
    };
    if own::descriptors() > before.0 + SLACK {
        return broken(rules::CHECK, has("descriptors", before.0, own::descriptors()));
    }
    if !own::settles(|| own::threads() <= before.1 + SLACK) {
        return broken(rules::CHECK, has("threads", before.1, own::threads()));
    }
    Ok(())
}

/// A thousand instances, each for a few datagrams.
pub(super) fn thousand(stage: &mut Stage) -> Verdict {
    lives(stage, FIRST_LIVES)?;
    let before = (own::descriptors(), own::threads(), own::resident());
    lives(stage, LIVES - FIRST_LIVES)?;
    let has = |what: &str, before: usize, now: usize| {
        format!(
            "after {LIVES} instances were made and destroyed there are {now} {what}; after {FIRST_LIVES} there were {before}"
        )
    };
    if !own::settles_at_last(|| own::descriptors() <= before.0 + SLACK) {
        return broken(rules::LEFT_BEHIND, has("descriptors", before.0, own::descriptors()));
    }
    if !own::settles_at_last(|| own::threads() <= before.1 + SLACK) {
        return broken(rules::LEFT_BEHIND, has("threads", before.1, own::threads()));
    }
    let grown = own::resident().saturating_sub(before.2);
    if grown > MEMORY_SLACK {
        let each = grown / (LIVES - FIRST_LIVES);
        stage
            .remarks
            .insert(format!("memory grows by about {each} bytes with each instance that was destroyed"));
    }
    Ok(())
}

fn lives(stage: &mut Stage, n: u64) -> Verdict {
    for _ in 0..n {
        let mut subject = stage.instance()?;
        let datagrams = short(&mut stage.rng, 4);
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
        stage.destroy(subject)?;
    }
    Ok(())
}

/// What its threads do when it is gone.
pub(super) fn threads(stage: &mut Stage) -> Verdict {
    let before = own::threads();
    let mut subject = stage.instance()?;
    for _ in 0..8 {
        let datagrams = short(&mut stage.rng, 64);
        stage.serve(&mut subject, &Room::PLAIN, Fate::Open, &datagrams)?;
    }
    let most = own::threads();
    stage.destroy(subject)?;
    // Whoever still runs gets a second to do something wrong.
    let have_ended = own::settles(|| own::threads() <= before);
    stage.judge_breaches("destroy, by a thread")?;
    if !have_ended {
        let left = own::threads().saturating_sub(before);
        stage
            .remarks
            .insert(format!("{left} of {} threads run on when it is destroyed", most.saturating_sub(before)));
    }
    Ok(())
}
