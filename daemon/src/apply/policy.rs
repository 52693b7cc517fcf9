//! What a plan lets the process give up, and the words for what cannot be had.

use std::path::{Path, PathBuf};

use polyport_terminal::Escaped;

use crate::config::{Granted, Listen, Named, Plan, Problem, RawValue, Sandbox, Switch};
use crate::plugin::{FileUse, OptionSpec};
use crate::sandbox::{self, Identity, Layer, Part, Policy, Refusal};

/// What the plan lets the process give up: names are looked up, and the files are known that the options of plugins name.
/// `options` are those that the plugin of each listener declares; `sessions` is whether one of them has any. Nothing is given up yet.
///
/// # Errors
/// Users, groups and paths that are not there, each at its place.
pub(super) fn policy<'a>(
    plan: &Plan,
    options: impl Iterator<Item = &'a [OptionSpec]>,
    sessions: bool,
) -> Result<Policy, Vec<Problem>> {
    let wanted = &plan.sandbox;
    let mut problems = Vec::new();
    let text = |named: &Option<Named>| named.as_ref().map(|named| named.text.clone());
    let (user, group) = (text(&wanted.user), text(&wanted.group));
    let identity: Option<Identity> =
        sandbox::resolve(user.as_deref(), group.as_deref()).unwrap_or_else(|refusal| {
            problems.push(problem(plan, &refusal));
            None
        });
    let mut allowed = allowed(wanted);
    if sessions && !wanted.network {
        allowed.push("UDP sockets for sessions".to_owned());
    }
    let mut read = existing(&wanted.read, &mut problems);
    let mut write = existing(&wanted.write, &mut problems);
    for (listen, options) in plan.listen.iter().zip(options) {
        for spec in options {
            match spec.file {
                Some(FileUse::Reads) => {
                    read.extend(value(listen, spec).map(PathBuf::from).filter(|path| path.exists()));
                }
                Some(FileUse::Writes) => {
                    write.extend(value(listen, spec).and_then(|path| written(Path::new(path))));
                }
                None => {}
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let layer = |switch| match switch {
        Switch::Off => Layer::Off,
        Switch::IfPossible => Layer::IfPossible,
        Switch::On => Layer::Required,
    };
    Ok(Policy {
        identity,
        capabilities: layer(wanted.capabilities),
        seccomp: layer(wanted.seccomp),
        landlock: layer(wanted.landlock),
        network: wanted.network,
        sessions,
        read,
        write,
        allowed,
        copies: Vec::new(),
        removable: Vec::new(),
        again: Vec::new(),
    })
}

/// What the operator asks for, in words: it stands behind the layers in the line of the start.
fn allowed(wanted: &Sandbox) -> Vec<String> {
    const MOST: usize = 8; // Paths of a kind in the line.
    let paths = |verb: &str, granted: &[Granted]| {
        let shown = |granted: &Granted| Escaped(granted.path.as_os_str().as_encoded_bytes()).to_string();
        let mut text = granted.iter().take(MOST).map(shown).collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = granted.len().checked_sub(MOST) {
            text += &format!(" and {more} more");
        }
        (!granted.is_empty()).then(|| format!("{verb} {text}"))
    };
    let group = wanted.group.as_ref().map(|group| format!("group {}", Escaped(group.text.as_bytes())));
    let network = wanted.network.then(|| "network open".to_owned());
    let (read, write) = (paths("reads", &wanted.read), paths("writes", &wanted.write));
    [group, network, read, write].into_iter().flatten().collect()
}

/// A refusal at the place that is to blame.
pub(super) fn problem(plan: &Plan, refusal: &Refusal) -> Problem {
    let problem = Problem::new("sandbox", format!("sandbox: {refusal}"));
    let (user, group) = (plan.sandbox.user.as_ref(), plan.sandbox.group.as_ref());
    match refusal.part {
        Part::User | Part::Group => {
            let (named, label) = if refusal.part == Part::User {
                (user.or(group), "this user")
            } else {
                (group, "this group")
            };
            match named {
                Some(named) => problem.at(&named.span, label),
                None => problem,
            }
        }
        Part::Capabilities | Part::Seccomp | Part::Landlock => {
            problem.help("\"on\" demands the layer; without it, what the system has is used")
        }
    }
}

/// Paths that are there.
fn existing(granted: &[Granted], problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    for Granted { path, span } in granted {
        if let Err(error) = path.metadata() {
            let title = format!("sandbox: {} cannot be allowed", path.display());
            let help = "what is allowed has to be there when the daemon starts: make it, or name the directory it will be in";
            problems.push(Problem::new("sandbox", title).at(span, error.to_string()).help(help));
        }
    }
    granted.iter().map(|granted| granted.path.clone()).collect()
}

/// What the system shows of itself, and of others.
const SYSTEM: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Directories that hold the files of others as well.
const SHARED: [&str; 12] = [
    "/",
    "/etc",
    "/root",
    "/home",
    "/tmp",
    "/var",
    "/var/tmp",
    "/run",
    "/opt",
    "/srv",
    "/usr/local/etc",
    "/dev/shm",
];

/// What a reload has to be able to read to find these files and directories again. A file that was replaced is another one under
/// its name, so its directory is read; but not one that holds the files of others: there the file that is there now is all. A name
/// may be a link that is led elsewhere, as those of a Kubernetes `ConfigMap` are, so the directory of the name is read as well as that
/// to which it leads.
pub(super) fn read_again<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        paths.flat_map(|path| [leads_to(path), own_directory_of_file(path)]).flatten().collect();
    all.sort();
    all.dedup();
    all
}

/// The directory to which a path leads, or the file where the directory is everybody's.
fn leads_to(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let dir = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
    match dir.filter(|dir| !is_shared(dir)) {
        Some(dir) => Some(dir.to_path_buf()),
        None => Some(path).filter(|path| path.is_file()),
    }
}

fn own_directory_of_file(path: &Path) -> Option<PathBuf> {
    path.is_file().then(|| own_directory(path)).flatten()
}

/// The directory in which a name lies, unless others have their files there as well: who may remove one file there may remove them
/// all, and who may read one may read them all.
pub(super) fn own_directory(path: &Path) -> Option<PathBuf> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let dir = dir.canonicalize().ok()?;
    (!is_shared(&dir)).then_some(dir)
}

fn is_shared(dir: &Path) -> bool {
    let home = || std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    SHARED.iter().any(|shared| dir == Path::new(shared))
        || SYSTEM.iter().any(|of_system| dir.starts_with(of_system)) && !dir.starts_with("/dev/shm")
        || home().as_deref() == Some(dir)
}

/// The text of an option, given or not.
pub(super) fn value<'a>(listen: &'a Listen, spec: &'a OptionSpec) -> Option<&'a str> {
    match listen.options.iter().find(|option| option.name == spec.name) {
        Some(option) => match &option.value {
            RawValue::Text(text) => Some(text),
            RawValue::Bool(_)
            | RawValue::Int(_)
            | RawValue::Float(_)
            | RawValue::Table(_)
            | RawValue::Other(_) => None,
        },
        None => spec.default.as_deref(),
    }
}

/// What has to be writable for a plugin to make the file at `path` and to put others in its place: its directory. What is
/// there and no regular file, a device for example, is itself enough.
pub(super) fn written(path: &Path) -> Option<PathBuf> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Some(path.to_path_buf());
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    dir.is_dir().then(|| dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_is_the_directory_unless_it_is_everybodys() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (file, library) = (dir.join("polyport.toml"), dir.join("libmine.so"));
        std::fs::write(&file, "").unwrap();
        std::fs::write(&library, "").unwrap();
        let again = |paths: &[&Path]| read_again(paths.iter().copied());
        assert_eq!(again(&[&file, &library, &dir, Path::new("/no/such/file")]), [dir]);
        assert_eq!(again(&[Path::new("/etc/passwd")]), [PathBuf::from("/etc/passwd")]);
        assert_eq!(again(&[Path::new("/etc"), Path::new("/")]), Vec::<PathBuf>::new());
        let own = PathBuf::from(format!("/proc/{}/status", std::process::id()));
        assert_eq!(again(&[Path::new("/proc/self/status")]), [own], "and nothing beside it");
    }

    /// As the kubelet lays a `ConfigMap` out: a file is a link by way of `..data`, which is led to a new directory at a change.
    #[test]
    fn a_name_that_is_a_link_is_found_again_where_it_is_led_to() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let [named, one, plugins] = ["named", "named/..1", "plugins"].map(|name| dir.join(name));
        for dir in [&named, &one, &plugins] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(one.join("polyport.toml"), "").unwrap();
        let (data, name, link) = (named.join("..data"), named.join("polyport.toml"), named.join("plugins"));
        std::os::unix::fs::symlink("..1", data).unwrap();
        std::os::unix::fs::symlink("..data/polyport.toml", &name).unwrap();
        std::os::unix::fs::symlink(&plugins, &link).unwrap();
        assert_eq!(read_again([name.as_path()].into_iter()), [named, one]);
        assert_eq!(
            read_again([link.as_path()].into_iter()),
            [plugins],
            "a directory says nothing of its parent"
        );
    }

    #[test]
    fn a_file_to_write_opens_its_directory_and_a_device_itself() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        std::fs::write(&there, "").unwrap();
        for path in [there, dir.path().join("new")] {
            assert_eq!(written(&path), Some(dir.path().to_path_buf()));
        }
        assert_eq!(written(Path::new("new")), Some(PathBuf::from(".")));
        assert_eq!(written(Path::new("/dev/null")), Some(PathBuf::from("/dev/null")));
        assert_eq!(written(&dir.path().join("no/such")), None, "the plugin says what is wrong");
    }
}
