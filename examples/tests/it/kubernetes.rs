//! The manifest of a load by several generators says what the load tester understands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::Parser;
use polyport_tools::load::args::Args;
use saphyr::{LoadableYamlNode, Yaml};

#[test]
fn the_job_has_a_generator_for_each_shard() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/overlays/load-test");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').expect("NAME=VALUE");
        // A name of a cluster means nothing here, and its ports do.
        (name.to_owned(), value.replace("polyport:", "127.0.0.1:"))
    };
    let mut variables: BTreeMap<String, String> = read("load.env").lines().map(pair).collect();
    let (text, index) = (read("load-job.yaml"), "JOB_COMPLETION_INDEX");
    let documents = Yaml::load_from_str(&text).unwrap();
    let [job] = documents.as_slice() else { panic!("one document is expected") };
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("Job")));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"), "else there is no {index}");
    let completions = spec["completions"].as_integer().unwrap();
    assert_eq!(spec["parallelism"].as_integer(), Some(completions), "all at once");
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"));
    let container = &pod["containers"][0];
    let words = |name: &str| {
        let words = container[name].as_sequence().unwrap().iter();
        words.map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    let line = [words("command"), words("args")].concat();
    for number in 0..completions {
        variables.insert(index.to_owned(), number.to_string());
        let expanded = |word: &String| {
            let replaced =
                |word: String, (name, value): (&String, &String)| word.replace(&format!("$({name})"), value);
            variables.iter().fold(word.clone(), replaced)
        };
        let args = Args::try_parse_from(line.iter().map(expanded)).unwrap();
        let shard = args.target.shard.unwrap();
        assert_eq!((i64::from(shard.index), i64::from(shard.count)), (number, completions));
        assert!(
            args.timing.start_at.is_some()
                && args.shown.forms.json
                && args.shown.quiet
                && args.target.i_own_the_target
        );
        args.config().expect("a target for each generator");
    }
}
