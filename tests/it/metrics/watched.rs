//! What is built on the series, `examples/watching`, names those that there are, with labels that they have.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use polyport::control::http::family::{Family, Kind};
use polyport::control::http::table::FAMILIES;
use polyport_tests::plugins::repository;
use polyport_tests::tool::tool;
use regex::Regex;
use serde_json::Value;

fn example(name: &str) -> String {
    fs::read_to_string(repository().join("examples/watching").join(name)).unwrap()
}

/// Every name that a scrape may have.
fn names() -> BTreeSet<String> {
    let of_family = |family: &Family| match family.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![family.name.to_owned()],
    };
    FAMILIES.iter().flat_map(of_family).collect()
}

/// What an expression asks for, checked: names that there are, and labels that each of them has.
#[track_caller]
fn check(expression: &str) {
    let selector = Regex::new(r"\b((?:polyport|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?(\[)?").unwrap();
    let label = Regex::new(r#"([a-z_]+)\s*(?:=~|!=|!~|=)\s*""#).unwrap();
    let names = names();
    let mut found = 0;
    for captures in selector.captures_iter(expression) {
        let name = &captures[1];
        found += 1;
        if name == "up" {
            continue;
        }
        assert!(names.contains(name), "{name}: {expression}");
        let of_name = FAMILIES.iter().filter(|family| name.starts_with(family.name));
        let family = of_name.max_by_key(|family| family.name.len()).unwrap();
        let given = captures.get(2).map_or("", |labels| labels.as_str());
        for given in label.captures_iter(given) {
            let known = ["job", "instance"].contains(&&given[1]) || family.labels.contains(&&given[1]);
            assert!(known, "{name} has no label {}: {expression}", &given[1]);
        }
        // A counter says something as a rate, and only then.
        let grows = family.kind != Kind::Gauge;
        assert_eq!(grows, captures.get(3).is_some(), "{name}: {expression}");
    }
    assert!(found > 0, "{expression}");
    for by in Regex::new(r"by \(([^)]*)\)").unwrap().captures_iter(expression) {
        for label in by[1].split(',').map(str::trim) {
            let known = ["job", "instance", "le"].contains(&label)
                || FAMILIES.iter().any(|family| family.labels.contains(&label));
            assert!(known, "no series has a label {label}: {expression}");
        }
    }
}

#[test]
fn the_dashboard_names_series_that_there_are() {
    let dashboard: Value = serde_json::from_str(&example("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 25, "{}", expressions.len());
    expressions.iter().for_each(|expression| check(expression));
    // Those that fill the lists of choices name a label behind the series.
    let lists = dashboard["templating"]["list"].as_array().unwrap();
    let queries: Vec<&str> = lists.iter().filter_map(|list| list["definition"].as_str()).collect();
    assert_eq!(queries.len(), 3);
    for query in queries {
        let inner = query.strip_prefix("label_values(").unwrap();
        let name = inner.split(['{', ',']).next().unwrap();
        assert!(names().contains(name), "{query}");
    }
    // No two panels lie on each other, and none has the number of another.
    let mut places = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && places.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
    let numbers: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
}

#[test]
fn the_alerts_name_series_that_there_are() {
    let text = example("alerts.yml");
    let expression = Regex::new(r"(?m)^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)").unwrap();
    let expressions: Vec<&str> = expression
        .captures_iter(&text)
        .map(|found| found.get(1).or_else(|| found.get(2)).unwrap().as_str())
        .collect();
    assert_eq!(expressions.len(), text.matches("- alert:").count());
    expressions.iter().for_each(|expression| check(expression));
    let Some(promtool) = tool("promtool") else { return };
    for words in [["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]] {
        let mut check = Command::new(&promtool);
        let checked = check.args(words).current_dir(repository().join("examples/watching")).output().unwrap();
        assert!(checked.status.success(), "{words:?}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}
