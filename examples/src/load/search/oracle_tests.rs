//! The library of the draft's authors and this search find the same, in about the same time, of the same servers.
//!
//! `tests/bench/mlrsearch.py` has written what the library found, and says how.

use polyport_protocol::{Nanos, SECOND};
use serde::Deserialize;

use super::Goal;
use super::simulated::Server;

#[derive(Debug, Deserialize)]
struct Scenario {
    name: String,
    server: Server,
    goals: Vec<Wanted>,
    lowest: f64,
    highest: f64,
    found: Vec<Bracket>,
    trials: u64,
    seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    loss_ratio: f64,
    exceed_ratio: f64,
    width: f64,
    initial: f64,
    r#final: f64,
    sum: f64,
}

#[derive(Debug, Deserialize)]
struct Bracket {
    lower: Option<f64>,
    upper: Option<f64>,
    throughput: Option<f64>,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a scenario")]
fn nanos(seconds: f64) -> Nanos {
    (seconds * 1e9).round() as Nanos
}

fn scenarios() -> Vec<Scenario> {
    serde_json::from_str(include_str!("oracle.json")).unwrap()
}

fn goals(scenario: &Scenario) -> Vec<Goal> {
    let goal = |wanted: &Wanted| Goal {
        loss_ratio: wanted.loss_ratio,
        exceed_ratio: wanted.exceed_ratio,
        width: wanted.width,
        initial: nanos(wanted.initial),
        last: nanos(wanted.r#final),
        sum: nanos(wanted.sum),
    };
    scenario.goals.iter().map(goal).collect()
}

/// How far the server itself is from having one limit.
fn noise(server: &Server) -> f64 {
    match server {
        Server::Noisy { noise, .. } => *noise,
        Server::Sharp { .. } | Server::Soft { .. } | Server::Stalling { .. } | Server::Queue { .. } => 0.0,
    }
}

#[test]
fn brackets_are_those_of_the_oracle() {
    let all = scenarios();
    assert_eq!(all.len(), 41);
    for scenario in &all {
        let (search, _) = scenario.server.search(&goals(scenario), scenario.lowest, scenario.highest);
        let name = &scenario.name;
        for ((found, oracle), goal) in search.found().iter().zip(&scenario.found).zip(&scenario.goals) {
            assert!(found.reached, "{name}: {found:?}");
            let near = goal.width + noise(&scenario.server);
            let pairs = [
                ("lower", found.lower.map(|bound| bound.rate), oracle.lower),
                ("upper", found.upper.map(|bound| bound.rate), oracle.upper),
                ("throughput", found.throughput, oracle.throughput),
            ];
            for (what, ours, theirs) in pairs {
                let same = match (ours, theirs) {
                    (Some(ours), Some(theirs)) => (ours - theirs).abs() <= near * theirs,
                    (ours, theirs) => ours.is_none() && theirs.is_none(),
                };
                assert!(same, "{name}, {what}: {ours:?} against {theirs:?}");
            }
        }
    }
}

#[test]
fn it_takes_as_long_as_the_oracle() {
    let (mut ours, mut theirs) = (0.0, 0.0);
    for scenario in scenarios() {
        let (_, past) = scenario.server.search(&goals(&scenario), scenario.lowest, scenario.highest);
        println!(
            "{}: {} trials, {:.0} s; oracle {} trials, {:.0} s",
            scenario.name, past.trials, past.seconds, scenario.trials, scenario.seconds
        );
        // Of noise, where the steps lie decides which trials are made, and luck what they find: the sum tells.
        let lucky = noise(&scenario.server) > 0.0;
        assert!(lucky || past.seconds <= scenario.seconds * 1.1, "{}", scenario.name);
        ours += past.seconds;
        theirs += scenario.seconds;
    }
    println!("together {ours:.0} s; oracle {theirs:.0} s");
    assert!(ours <= theirs * 1.1, "{ours} s against {theirs} s");
    assert!(ours >= theirs * 0.7, "{ours} s against {theirs} s: something is not measured");
}

#[test]
fn a_second_of_ours_is_one_of_theirs() {
    assert_eq!(nanos(0.1), SECOND / 10);
}
