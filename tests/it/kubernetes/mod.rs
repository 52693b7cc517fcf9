//! The manifests in `examples/kubernetes`: rendered by `kubectl kustomize`, held against the schemas of the Kubernetes API, and their
//! containers run as their pods would, without a cluster.
//!
//! ```text
//! manifests  what they say: fields, ports, rights, times
//! pods       what their containers do: probes, changes of the `ConfigMap`, the end
//! page       the commands of daemon/docs/kubernetes.md
//! ```

mod manifests;
mod page;
mod pods;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use polyport_tests::plugins::repository;
use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::skip;
use serde_json::Value;
use tempfile::TempDir;

const POLYPORT: &str = env!("CARGO_BIN_EXE_polyport-under-test");

/// A program of `tests/python/requirements.txt`, which `.ci/run tools` installs; none, and a visible word, without it.
#[track_caller]
fn installed(name: &str) -> Option<PathBuf> {
    let program = repository().join("target/python/bin").join(name);
    if !program.is_file() {
        skip(&format!("there is no {}: bash .ci/run tools", program.display()));
        return None;
    }
    Some(program)
}

#[track_caller]
fn run(program: impl AsRef<OsStr>, arguments: &[&OsStr]) -> Finished {
    Process::spawn(Command::new(program).args(arguments)).finish()
}

/// What a kustomization comes to.
struct Rendered {
    text: String,
    objects: Vec<Value>,
}

impl Rendered {
    /// Of a folder of `examples/kubernetes`, or of any other.
    #[track_caller]
    fn of(folder: impl AsRef<Path>) -> Option<Self> {
        const TO_JSON: &str =
            "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin.read()))))";
        let folder = repository().join("examples/kubernetes").join(folder);
        let (kubectl, python) = (installed("kubectl")?, installed("python")?);
        let rendered = run(kubectl, &["kustomize".as_ref(), folder.as_os_str()]);
        rendered.expect_code(0);
        assert_eq!(rendered.stderr, "", "{}", folder.display());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &rendered.stdout).unwrap();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("exec \"$1\" -c \"$2\" <\"$3\"")
            .arg("sh")
            .arg(python)
            .arg(TO_JSON)
            .arg(file.path());
        let json = Process::spawn(&mut command).finish();
        let objects = serde_json::from_str(&json.expect_code(0).stdout).unwrap();
        Some(Self { text: rendered.stdout, objects })
    }

    #[track_caller]
    fn one(&self, kind: &str) -> &Value {
        let found = self.objects.iter().find(|object| object["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} in:\n{}", self.text))
    }

    /// The Deployment, `DaemonSet` or Job.
    #[track_caller]
    fn workload(&self) -> &Value {
        let is_one = |object: &&Value| !object["spec"]["template"].is_null();
        self.objects.iter().find(is_one).expect("something with pods")
    }

    fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    /// The container of this name.
    #[track_caller]
    fn container(&self, name: &str) -> &Value {
        let containers = self.pod()["containers"].as_array().unwrap();
        containers.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
    }

    /// The configuration that the pods get.
    fn configuration(&self) -> &str {
        text(&self.one("ConfigMap")["data"]["polyport.toml"])
    }
}

/// A copy of `examples/kubernetes` beside a kustomization of its own.
fn copied(kustomization: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let copied = run(
        "cp",
        &["-r".as_ref(), repository().join("examples/kubernetes").as_os_str(), dir.path().as_os_str()],
    );
    copied.expect_code(0);
    fs::write(dir.path().join("kustomization.yaml"), kustomization).unwrap();
    dir
}

/// A kustomization of the base with components.
fn with_components(names: &[&str]) -> TempDir {
    let components: String = names.iter().map(|name| format!("  - kubernetes/components/{name}\n")).collect();
    copied(&format!("resources:\n  - kubernetes/base\ncomponents:\n{components}"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Texts of a list, or none.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// Lays a configuration out as the kubelet does that of a `ConfigMap`, in place of what is there: all files at once.
fn lay_out(directory: &Path, version: u32, configuration: &str) {
    let data = format!("..{version}");
    fs::create_dir(directory.join(&data)).unwrap();
    fs::write(directory.join(&data).join("polyport.toml"), configuration).unwrap();
    let (name, new) = (directory.join("polyport.toml"), directory.join("..data_tmp"));
    symlink(&data, &new).unwrap();
    fs::rename(new, directory.join("..data")).unwrap();
    if name.symlink_metadata().is_err() {
        symlink("..data/polyport.toml", name).unwrap();
    }
    if let Some(before) = version.checked_sub(1) {
        fs::remove_dir_all(directory.join(format!("..{before}"))).unwrap();
    }
}
