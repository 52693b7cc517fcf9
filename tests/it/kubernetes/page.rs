//! The commands of `daemon/docs/kubernetes.md`: what needs no cluster is done as it stands there, and what needs one says so.

use std::fs;
use std::process::Command;

use polyport_tests::network::Host;
use polyport_tests::plugins::repository;
use polyport_tests::process::Process;

use super::pods::Pod;
use super::{POLYPORT, Rendered, copied, installed};

/// What stands before a command that is run in a pod.
const EXEC: &str = "kubectl exec -n polyport deploy/polyport -- ";

#[test]
fn its_commands_do_what_they_say() {
    let page = fs::read_to_string(repository().join("daemon/docs/kubernetes.md")).unwrap();
    let (Some(kubectl), Some(base)) = (installed("kubectl"), Rendered::of("base")) else { return };
    let Some(host) = Host::alone() else { return };
    let Some(pod) = Pod::serving(&host, &base, "127.0.0.1") else { return };
    let dir = operator();
    let (mut rendered, mut executed, mut left) = (0, 0, 0);
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "yaml" => {
                let (name, _) = text.split_once('\n').unwrap();
                fs::write(dir.path().join(name.trim_start_matches("# ")), text).unwrap();
            }
            "sh" => {
                assert!(
                    text.starts_with("# needs a cluster\n"),
                    "{text}: nobody runs it, and it does not say so"
                );
                left += 1;
            }
            "console" => {
                for command in text.lines() {
                    let command =
                        command.strip_prefix("$ ").unwrap_or_else(|| panic!("{command}: no command"));
                    if let Some(words) = command.strip_prefix(EXEC) {
                        let words: Vec<&str> = words.split(' ').collect();
                        let finished = pod.exec(&words);
                        assert_eq!(finished.code(), Some(0), "{command}\n{}", finished.stderr);
                        assert!(!finished.stdout.is_empty(), "{command} says nothing");
                        executed += 1;
                        continue;
                    }
                    let words: Vec<&str> = command.split(' ').collect();
                    let program = match words[0] {
                        "kubectl" => kubectl.as_os_str(),
                        "polyport" => POLYPORT.as_ref(),
                        other => panic!("{other}: nobody runs it"),
                    };
                    let mut command = Command::new(program);
                    let finished = Process::spawn(command.args(&words[1..]).current_dir(dir.path())).finish();
                    finished.expect_code(0);
                    rendered += u32::from(words[0] == "kubectl");
                }
            }
            other => panic!("a block of `{other}`, which nobody runs"),
        }
    }
    assert!(rendered >= 2 && executed >= 4 && left >= 1, "{rendered} {executed} {left}");
    let Some(own) = Rendered::of(dir.path()) else { return };
    assert_eq!(own.container("polyport")["image"], "registry.example/polyport:0.2.0");
    for kind in ["PodMonitor", "NetworkPolicy", "PodDisruptionBudget", "Service"] {
        own.one(kind);
    }
}

/// A directory as the page has it: the repository beside it as `polyport`, and a configuration.
fn operator() -> tempfile::TempDir {
    let dir = copied("");
    for parent in ["polyport/examples", "examples"] {
        let to = dir.path().join(parent);
        fs::create_dir_all(&to).unwrap();
        let from = dir.path().join("kubernetes");
        let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
        assert!(copied.success());
    }
    fs::copy(dir.path().join("kubernetes/base/polyport.toml"), dir.path().join("polyport.toml")).unwrap();
    dir
}
