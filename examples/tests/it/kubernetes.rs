//! The manifest of a load by several generators says what the load tester understands.

use std::fs;
use std::path::Path;

use clap::Parser;
use polyport_tools::load::args::Args;
use saphyr::{LoadableYamlNode, Yaml};

#[test]
fn the_job_has_a_generator_for_each_shard() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/load-job.yaml");
    let text = fs::read_to_string(path).unwrap().replace("START-AT", "2026-11-30T18:00:00Z");
    let documents = Yaml::load_from_str(&text).unwrap();
    let [job] = documents.as_slice() else { panic!("one document is expected") };
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("Job")));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"), "else there is no JOB_COMPLETION_INDEX");
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
    for index in 0..completions {
        let line = line.iter().map(|word| word.replace("$(JOB_COMPLETION_INDEX)", &index.to_string()));
        let args = Args::try_parse_from(line).unwrap();
        let shard = args.target.shard.unwrap();
        assert_eq!((i64::from(shard.index), i64::from(shard.count)), (index, completions));
        assert!(
            args.timing.start_at.is_some()
                && args.shown.forms.json
                && args.shown.quiet
                && args.target.i_own_the_target
        );
    }
}
