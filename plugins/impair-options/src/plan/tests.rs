//! Profiles with own options, contradictions at their option, timelines at their step.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use polyport_impair::{Cause, Family, Fate, Line, client};
use polyport_plugin::config::Value;

use super::*;
use crate::text::value;

/// A set of options as the host hands it over, defaults filled in.
fn options<C: polyport_plugin::Config>(given: &[(&str, &str)]) -> C {
    let values: Vec<Value<'_>> = C::OPTIONS
        .iter()
        .map(|option| {
            let given = given.iter().find(|(name, _)| *name == option.name()).map(|(_, text)| *text);
            given
                .or_else(|| option.default_text())
                .map_or(Value::Missing, |text| value(option, text).unwrap())
        })
        .collect();
    C::from_values(&values).unwrap()
}

type Options<'a> = &'a [(&'a str, &'a str)];

fn plan(of: Options<'_>, up: Options<'_>, down: Options<'_>) -> Result<Plan<2>, Error> {
    Plan::new(&options(of), [Way::up(&options(up)), Way::down(&options(down))])
}

/// What is wrong: the option, and why.
#[track_caller]
fn wrong(of: Options<'_>, up: Options<'_>, down: Options<'_>) -> (String, String) {
    let error = plan(of, up, down).unwrap_err();
    (error.option_name().unwrap_or_default().to_owned(), error.message().to_owned())
}

fn line() -> Line {
    let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    Line::new(client::by_address_and_port(peer, 0), Family::Ipv4)
}

/// The numbers that are lost.
fn lost(script: &Script, of: u64, at: impl Fn(u64) -> u64) -> Vec<u64> {
    let mut line = line();
    (0..of).filter(|n| matches!(line.decide(script, at(*n), 100, 0), Fate::Lost(_))).collect()
}

/// The sequences that relay.md has, computed apart from the code.
#[test]
fn texts_become_the_decisions_that_were_computed_apart() {
    let scripts = |up: Options<'_>, down: Options<'_>| {
        plan(&[("seed", "1")], up, down).unwrap().scripts(99, 0).unwrap()
    };
    let [up, down] = scripts(&[("loss", "1%")], &[("loss", "1%")]);
    assert_eq!(lost(&up, 1000, |_| 0), [39, 54, 131, 289, 434, 683, 789, 917]);
    assert_eq!(lost(&down, 1000, |_| 0), [21, 258, 368, 425, 584, 760]);
    let [up, _] = scripts(&[("loss", "10%"), ("loss_correlation", "50%")], &[]);
    assert_eq!(lost(&up, 100, |_| 0), [43, 44, 45, 52, 53, 54, 55, 92, 93]);
    let [up, _] = scripts(&[("loss_gemodel", "5% 25%")], &[]);
    assert_eq!(lost(&up, 100, |_| 0), [10, 12, 13, 14, 25, 26, 80, 81, 82, 83, 84, 85, 90, 91, 92]);
}

#[test]
fn nothing_given_is_nothing_done() {
    let plan = plan(&[], &[], &[]).unwrap();
    assert!(plan.scripts(1, 0).unwrap().iter().all(Script::is_neutral));
    assert!(!plan.delays() && plan.marks() == [false, false]);
}

/// A profile is a base: what is given goes before it, also where it says what would be the default.
#[test]
fn own_options_override_a_profile() {
    let configs = |of: Options<'_>, up: Options<'_>, down: Options<'_>| {
        plan(of, up, down).unwrap().ways.map(|way| way.config)
    };
    let [up, down] = configs(&[("profile", "3g")], &[], &[]);
    assert_eq!((up.delay, up.rate, down.rate), (150_000_000, Some(768_000), Some(1_600_000)));
    let [up, down] = configs(&[("profile", "3g")], &[("rate", "none"), ("loss", "5%")], &[("delay", "0ms")]);
    assert_eq!((up.delay, up.rate, up.loss.is_never()), (150_000_000, None, false));
    assert_eq!((down.delay, down.rate), (0, Some(1_600_000)));
    // One loss model takes the place of another.
    let [up, down] = configs(&[("profile", "bad-hotel")], &[("loss", "2%")], &[("loss", "0%")]);
    assert!(up.loss_gemodel.is_none() && !up.loss.is_never());
    assert!(down.loss_gemodel.is_none() && down.loss.is_never() && down.jitter > 0);
    // What stands under no direction is not touched.
    let only = Plan::new(&options(&[("profile", "3g")]), [Way::only(&Direction::default())]).unwrap();
    assert!(only.scripts(1, 0).unwrap()[0].is_neutral());
}

#[test]
fn every_profile_can_be_used() {
    for profile in crate::Profile::ALL {
        let plan = plan(&[("profile", profile.described().name)], &[], &[]).unwrap();
        assert!(plan.scripts(1, 0).unwrap().iter().all(|script| !script.is_neutral()), "{profile:?}");
        assert!(plan.delays(), "{profile:?}");
    }
}

#[test]
fn a_contradiction_is_told_at_its_option() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (table, trace) = (file("a.dist", "1 2\nx\n"), file("a.trace", "5\n3\n"));
    let delays = file("a.delays", "1ms\n2 parsecs\n");
    for (up, option, why) in [
        (&[("reorder", "5%")][..], "up.reorder", "what is not delayed cannot be overtaken"),
        (&[("ecn", "true")], "up.ecn", "nothing is lost that could be marked"),
        (&[("loss", "1%"), ("loss_gemodel", "1%")], "up.loss_gemodel", "another loss model"),
        (&[("loss_gemodel", "1% 250%")], "up.loss_gemodel", "number 2, `r`, is `250%`"),
        (&[("loss_state", "")], "up.loss_state", "number 1, `p13`, is missing"),
        (&[("loss_state", "60% 1% 1% 1% 60%")], "up.loss_state", "p13 and p14"),
        (&[("loss_burst", "2%")], "up.loss_burst", "expected the share"),
        (&[("rate", "5")], "up.rate", "a rate needs its unit"),
        (&[("slot", "x")], "up.slot", "number 1, the shortest time between slots"),
        (&[("cell_size", "48")], "up.cell_size", "no link carries cells"),
        (&[("gap", "5")], "up.gap", "there is nothing to reorder"),
        (
            &[("jitter", "1ms"), ("distribution", "file")],
            "up.distribution",
            "\"file\" needs distribution_file",
        ),
        (&[("distribution", "normal")], "up.distribution", "there is no jitter"),
        (
            &[("jitter", "1ms"), ("distribution_file", &table)],
            "up.distribution_file",
            &format!("{table}: line 2: "),
        ),
        (&[("trace", &trace)], "up.trace", &format!("{trace}: line 2: ")),
        (&[("delay_trace", &delays)], "up.delay_trace", &format!("{delays}: line 2: ")),
        (&[("trace", "/nowhere/a")], "up.trace", "/nowhere/a: No such file"),
        (&[("late", "5%"), ("order", "keep")], "up.late", "order = \"keep\""),
    ] {
        let (at, told) = wrong(&[], up, &[]);
        assert!(at == option && told.starts_with(why), "{up:?}: {at}: {told}");
    }
    // Of a profile it is told at the profile, if its own option is not to blame.
    let (at, told) = wrong(&[("profile", "wifi")], &[], &[("late", "5%")]);
    assert_eq!(at, "down.late", "{told}");
    let (at, told) = wrong(&[("profile", "wifi")], &[], &[("jitter", "0ms")]);
    assert!(
        at == "profile" && told.starts_with("\"wifi\" with the other options: down.distribution: "),
        "{told}"
    );
}

#[test]
fn files_are_read_as_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "0\n8192\n").unwrap();
    let shaped = [("delay", "1ms"), ("jitter", "1ms"), ("distribution_file", file)];
    let config = plan(&[], &shaped, &[]).unwrap().ways[0].config.clone();
    assert!(matches!(config.distribution, impair::Distribution::Table(table) if table.values() == [0, 8192]));
    std::fs::write(&path, "10\n20\n").unwrap();
    let config = plan(&[], &[("trace", file)], &[]).unwrap().ways[0].config.clone();
    assert_eq!(config.trace.unwrap().period_ns(), 20_000_000);
    std::fs::write(&path, "10ms\n20ms\n").unwrap();
    let config = plan(&[], &[("delay_trace", file)], &[]).unwrap().ways[0].config.clone();
    assert_eq!(config.delay_trace.unwrap().delays(), [10_000_000, 20_000_000]);
}

#[test]
fn options_change_at_their_datagram_and_at_their_time() {
    let by_number =
        plan(&[("timeline", "#3 up.blackout=true; #5 up.blackout=false; #7 down.mtu=10")], &[], &[]).unwrap();
    let [up, down] = by_number.scripts(1, 0).unwrap();
    assert_eq!((lost(&up, 10, |_| 0), lost(&down, 10, |_| 0)), (vec![3, 4], vec![7, 8, 9]));
    let mut line = line();
    (0..3).for_each(|_| _ = line.decide(&up, 0, 1, 0));
    assert_eq!(line.decide(&up, 0, 1, 0), Fate::Lost(Cause::Blackout));

    let by_time = &[("timeline", "2s up.blackout=true; 4s up.blackout=false"), ("timeline_repeat", "6s")];
    let plan_of = |more: Options<'_>| plan(&[&by_time[..], more].concat(), &[], &[]).unwrap();
    let [up, _] = plan_of(&[]).scripts(1, 1_000_000_000).unwrap();
    assert_eq!(lost(&up, 16, |n| n * 1_000_000_000), [3, 4, 9, 10, 15], "from the start at 1 s, every 6 s");
    let [up, _] = plan_of(&[("timeline_from", "session")]).scripts(1, 1_000_000_000).unwrap();
    assert_eq!(lost(&up, 6, |n| (n + 5) * 1_000_000_000), [2, 3], "from the first datagram");
}

#[test]
fn a_mistake_in_a_timeline_is_told_at_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("steps");
    std::fs::write(&path, "# steps\n1s up.loss=1%\n2s up.loss=x\n").unwrap();
    let path = path.to_str().unwrap();
    let three = "1s up.loss=1%; 2s up.loss=2%; 3s up.reorder=5%";
    for (of, option, why) in [
        (
            &[("timeline", three)][..],
            "timeline",
            "step 3, `3s up.reorder=5%`: `up.reorder`: what is not delayed",
        ),
        (
            &[("timeline", "1s up.rate=5")],
            "timeline",
            "step 1, `1s up.rate=5`: `up.rate`: a rate needs its unit",
        ),
        (
            &[("timeline_file", path)],
            "timeline_file",
            &format!("{path}: line 3, `2s up.loss=x`: `up.loss`: expected a ratio"),
        ),
        (&[("timeline_file", "/nowhere")], "timeline_file", "/nowhere: No such file"),
        (&[("timeline", three), ("timeline_file", path)], "timeline_file", "timeline is given as well"),
        (&[("timeline_repeat", "5s")], "timeline_repeat", "there is no timeline to repeat"),
        (
            &[("timeline", "1s up.loss=1%"), ("timeline_repeat", "#5")],
            "timeline_repeat",
            "`#5`: the steps of the timeline are times",
        ),
        (
            &[("timeline", "1s up.loss=1%"), ("timeline_repeat", "1s")],
            "timeline_repeat",
            "`1s`: it begins again before",
        ),
        (
            &[("timeline", "1s up.loss=1%"), ("timeline_repeat", "x")],
            "timeline_repeat",
            "`x`: expected a duration",
        ),
    ] {
        let (at, told) = wrong(of, &[], &[]);
        assert!(at == option && told.starts_with(why), "{of:?}: {at}: {told}");
    }
}

/// What takes milliseconds to build is not built for each direction and each step, on the thread that serves.
#[test]
fn the_tables_are_built_once() {
    let normal = [("delay", "5ms"), ("jitter", "1ms"), ("distribution", "normal")];
    let steps = [("timeline", "1s up.distribution=pareto; 2s up.distribution=normal down.loss=1%")];
    let plans = [(); 2].map(|()| plan(&steps, &normal, &normal).unwrap());
    let tables: Vec<_> = plans
        .iter()
        .flat_map(|plan| &plan.ways)
        .flat_map(Planned::configs)
        .filter_map(|config| match &config.distribution {
            impair::Distribution::Table(table) => Some(Arc::as_ptr(table)),
            impair::Distribution::Uniform => None,
        })
        .collect();
    assert_eq!(tables.len(), 10, "two plans of three steps up and two down");
    let kinds: BTreeSet<_> = tables.iter().collect();
    assert_eq!(kinds.len(), 2, "{tables:?}");
}

/// Options that contradict each other are refused, whether they stand there at once or come together in a step.
#[test]
fn a_jitter_above_the_delay_is_refused_wherever_it_comes_from() {
    let why = |delay: &str| format!("is more than the delay, {delay}: nothing leaves before it came");
    for (up, delay) in [
        (&[("jitter", "1ms")][..], "0ns"),
        (&[("delay", "5ms"), ("jitter", "5001us")], "5ms"),
        (&[("jitter", "1ms"), ("rate", "5Mbit")], "0ns"),
    ] {
        assert_eq!(wrong(&[], up, &[]), ("up.jitter".to_owned(), why(delay)));
    }
    for (profile, down, at, told) in [
        ("3g", ("jitter", "151ms"), "down.jitter", why("150ms")),
        (
            "wifi",
            ("delay", "1ms"),
            "profile",
            format!("\"wifi\" with the other options: down.jitter: {}", why("1ms")),
        ),
    ] {
        assert_eq!(wrong(&[("profile", profile)], &[], &[down]), (at.to_owned(), told));
    }
    let well = [("delay", "5ms"), ("jitter", "5ms")];
    for step in ["3s up.jitter=6ms", "3s up.delay=4ms", "3s up.delay=none"] {
        let timeline = format!("1s up.loss=1%; 2s down.loss=1%; {step}");
        let (at, told) = wrong(&[("timeline", &timeline)], &well, &[]);
        assert_eq!(at, "timeline");
        assert!(
            told.starts_with(&format!("step 3, `{step}`: `up.jitter`: is more than the delay, ")),
            "{told}"
        );
    }
    plan(&[("timeline", "1s up.jitter=9ms up.delay=9ms; 2s up.jitter=none up.delay=none")], &well, &[])
        .unwrap();
}

/// What was recorded may be short now and then: that is cut, and said, with the step where it comes from one.
#[test]
fn a_jitter_above_a_recorded_delay_is_noted_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "1ms\n9ms\n").unwrap();
    let file = path.to_str().unwrap();
    let notes = |of: Options<'_>, jitter| {
        plan(of, &[("delay_trace", file), ("jitter", jitter)], &[]).unwrap().ways[0].notes.clone()
    };
    let why = "up.jitter: jitter is larger than the delay: what would leave before it came leaves at once";
    assert_eq!(notes(&[], "1ms"), [""; 0]);
    assert_eq!(notes(&[], "2ms"), [why]);
    let step = "1s up.jitter=2ms";
    assert_eq!(notes(&[("timeline", step)], "1ms"), [format!("step 1, `{step}`: {why}")]);
}

/// The host opens its sandbox to the files that options name, and reads no timelines.
#[test]
fn a_step_changes_only_to_files_that_options_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let trace = file("a.trace", "10\n20\n");
    let (delays, table) = (file("a.delays", "1ms\n"), file("a.dist", "0\n1\n"));
    for (option, file) in [("trace", &trace), ("delay_trace", &delays), ("distribution_file", &table)] {
        let step = format!("2s down.{option}={file}");
        let (at, told) = wrong(&[("timeline", &format!("1s up.loss=1%; {step}"))], &[], &[]);
        assert_eq!(at, "timeline");
        let place = "step 2, `2s down.";
        let what = format!(
            "`: `down.{option}`: a step names only files that an option names too, as the sandbox lets no other be read: give the option \
             down.{option} = \"{file}\"; down.{option}=none in a step at 0s leaves it until then"
        );
        assert!(told.starts_with(place) && told.ends_with(&what), "{told}");
    }
    let path = file("steps", &format!("# one\n2s up.trace={trace}\n"));
    let (at, told) = wrong(&[("timeline_file", &path)], &[], &[]);
    assert!(at == "timeline_file" && told.starts_with(&format!("{path}: line 2, `2s up.trace=")), "{told}");
    // What an option names may be left and come again, also in the other direction.
    let timeline = format!("0s up.trace=none; 1s up.trace={trace}; 2s up.rate=5Mbit; 3s down.trace={trace}");
    let plan = plan(&[("timeline", &timeline)], &[("trace", &trace)], &[]).unwrap();
    let traced =
        |way: usize| plan.ways[way].configs().map(|config| config.trace.is_some()).collect::<Vec<_>>();
    assert_eq!((traced(0), traced(1)), (vec![true, false, true, false], vec![false, true]));
}
