//! The directories in which plugins are looked up.

use std::collections::BTreeSet;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::elevated::is_elevated;
use super::refusal::{Cause, Refusal};

/// The directories in which a plugin's name is looked up, in this order: those of `--plugin-dir`, of
/// `POLYPORT_PLUGIN_PATH` and of `plugin_dirs` in the configuration, then that of the executable with its `deps`, then
/// `../lib/polyport`.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    /// The directories that the user has given.
    dirs: Vec<PathBuf>,
    /// The directory of the executable and its `deps`, which are one step of [`SearchPath::find`].
    build: Vec<PathBuf>,
    /// `../lib/polyport` of the executable's directory.
    installed: Option<PathBuf>,
    /// Names of the plugins that need no library.
    built_in: Vec<String>,
    /// Whoever started the program must not choose what it runs.
    elevated: bool,
}

impl SearchPath {
    /// A search path. `path_variable` is the value of `POLYPORT_PLUGIN_PATH`, with the separators of `PATH`.
    #[must_use]
    pub fn new(
        command_line: &[PathBuf],
        path_variable: Option<&OsStr>,
        configured: &[PathBuf],
        executable: Option<&Path>,
    ) -> Self {
        let from_variable =
            path_variable.map(|v| std::env::split_paths(v).collect::<Vec<_>>()).unwrap_or_default();
        let dirs = [command_line, &from_variable, configured].concat();
        let beside = executable.and_then(Path::parent);
        Self {
            dirs: dirs.into_iter().filter(|dir| !dir.as_os_str().is_empty()).collect(),
            build: beside.map(|dir| vec![dir.to_path_buf(), dir.join("deps")]).unwrap_or_default(),
            installed: beside.and_then(Path::parent).map(|prefix| prefix.join("lib/polyport")),
            built_in: Vec::new(),
            elevated: false,
        }
    }

    /// The search path of this process: what its environment and its executable say is added.
    #[must_use]
    pub fn of_process(command_line: &[PathBuf], configured: &[PathBuf]) -> Self {
        let variable = std::env::var_os("POLYPORT_PLUGIN_PATH");
        let executable = std::env::current_exe().ok();
        Self::new(command_line, variable.as_deref(), configured, executable.as_deref())
            .elevated(is_elevated())
    }

    /// Sets the names of the plugins that need no library, for the error that tells what there is.
    pub(in crate::plugin) fn with_built_in(self, built_in: Vec<String>) -> Self {
        Self { built_in, ..self }
    }

    /// Sets whether the program has more rights than who started it: then what that user has given is refused. The
    /// configuration counts as given, because its path is.
    #[must_use]
    pub fn elevated(self, elevated: bool) -> Self {
        Self { elevated, ..self }
    }

    /// Whether what the user has given is refused.
    pub(in crate::plugin) fn is_elevated(&self) -> bool {
        self.elevated
    }

    /// Finds the file of a plugin. A reference with a slash or a library suffix is a path. Anything else is a name:
    /// `echo` is found as `libpolyport_echo.so`, `libecho.so` or `echo.so`.
    ///
    /// If there is a file beside the executable and another in its `deps`, the newer is taken, because a build tree has
    /// both, and one of them may be of an earlier build.
    ///
    /// # Errors
    /// The directories that were searched, and the plugin with the nearest name; or the file, if it was given by somebody
    /// who must not choose.
    pub fn find(&self, reference: &str) -> Result<PathBuf, Refusal> {
        let given = |path: PathBuf| {
            if self.elevated { Err(Refusal { path, cause: Cause::ByCaller }) } else { Ok(path) }
        };
        if reference.contains('/') || reference.ends_with(DLL_SUFFIX) {
            return given(PathBuf::from(reference));
        }
        let first = |dirs: &[PathBuf]| dirs.iter().find_map(|dir| in_dir(dir, reference));
        let newest =
            || self.build.iter().rev().filter_map(|dir| in_dir(dir, reference)).max_by_key(|p| modified(p));
        if let Some(path) = first(&self.dirs) {
            return given(path);
        }
        let found = newest().or_else(|| first(self.installed.as_slice()));
        found.ok_or_else(|| {
            let given = self.dirs.iter().map(|dir| (dir.clone(), usable(dir).err()));
            let built_in = self.build.iter().chain(&self.installed).map(|dir| (dir.clone(), None));
            let searched = given.chain(built_in).collect();
            let nearest = self.nearest(reference);
            let built_in = self.built_in.clone();
            Refusal { path: PathBuf::from(reference), cause: Cause::NotFound { searched, built_in, nearest } }
        })
    }

    /// The directories that the user has given and in which nothing can be found, each with the reason.
    pub fn unusable(&self) -> impl Iterator<Item = (&Path, io::Error)> {
        self.dirs.iter().filter_map(|dir| Some((dir.as_path(), usable(dir).err()?)))
    }

    /// Every file by which a plugin of this name could be found, the one that would be chosen first where it is one of them.
    pub(in crate::plugin) fn candidates(&self, name: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = self.all().flat_map(|dir| all_in_dir(dir, name)).collect();
        let (Ok(chosen) | Err(Refusal { path: chosen, cause: Cause::ByCaller })) = self.find(name) else {
            return found;
        };
        found.retain(|path| *path != chosen);
        found.insert(0, chosen);
        found
    }

    /// Names by which the files of all directories could be called, each once.
    pub(in crate::plugin) fn names(&self) -> BTreeSet<String> {
        self.all().flat_map(|dir| stems(dir)).collect()
    }

    /// Every directory, in order.
    pub(in crate::plugin) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.dirs.iter().chain(&self.build).chain(&self.installed)
    }

    /// The plugin with the most similar name, if at most two letters differ.
    fn nearest(&self, reference: &str) -> Option<String> {
        self.all()
            .flat_map(|dir| stems(dir))
            .chain(self.built_in.iter().cloned())
            .map(|name| (strsim::damerau_levenshtein(&name, reference), name))
            .filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, name)| name)
    }
}

/// Whether files of a directory can be found: the errno if not.
fn usable(dir: &Path) -> io::Result<()> {
    // The path goes through the directory, so that it has to be one, and open to who asks.
    fs::metadata(dir.join(".")).map(drop)
}

/// What plugins could be called by the names of the files of a directory.
fn stems(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).ok().into_iter().flatten();
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    files
        .filter_map(|file| Some(file.strip_suffix(DLL_SUFFIX)?.trim_start_matches(DLL_PREFIX).to_owned()))
        .map(|stem| stem.trim_start_matches("polyport_").replace('_', "-"))
}

/// The file of a plugin in one directory.
fn in_dir(dir: &Path, name: &str) -> Option<PathBuf> {
    all_in_dir(dir, name).next()
}

/// The files of a plugin in one directory, the first of which is taken.
fn all_in_dir(dir: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let stem = name.replace('-', "_");
    [
        format!("{DLL_PREFIX}polyport_{stem}{DLL_SUFFIX}"),
        format!("{DLL_PREFIX}{stem}{DLL_SUFFIX}"),
        format!("{stem}{DLL_SUFFIX}"),
    ]
    .into_iter()
    .map(|file| dir.join(file))
    .filter(|path| path.is_file())
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|m| m.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_flag_variable_config_executable_installed() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = root.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            dir
        };
        let (flag, variable, config, bin) = (dir("flag"), dir("variable"), dir("config"), dir("prefix/bin"));
        let (deps, installed) = (dir("prefix/bin/deps"), dir("prefix/lib/polyport"));
        let path = SearchPath::new(
            std::slice::from_ref(&flag),
            Some(variable.as_os_str()),
            std::slice::from_ref(&config),
            Some(&bin.join("polyport")),
        );
        let file = format!("{DLL_PREFIX}polyport_echo{DLL_SUFFIX}");
        for dir in [installed, deps, bin, config, variable, flag] {
            fs::write(dir.join(&file), "").unwrap();
            assert_eq!(path.find("echo").unwrap(), dir.join(&file));
        }
    }

    #[test]
    fn of_two_builds_the_newer_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let deps = root.path().join("deps");
        fs::create_dir(&deps).unwrap();
        let file = format!("{DLL_PREFIX}polyport_echo{DLL_SUFFIX}");
        fs::write(deps.join(&file), "").unwrap();
        fs::write(root.path().join(&file), "").unwrap();
        let stale = fs::File::options().write(true).open(root.path().join(&file)).unwrap();
        stale.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let path = SearchPath::new(&[], None, &[], Some(&root.path().join("polyport")));
        assert_eq!(path.find("echo").unwrap(), deps.join(&file));
    }

    #[test]
    fn a_missing_plugin_names_the_nearest() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(format!("{DLL_PREFIX}polyport_echo{DLL_SUFFIX}")), "").unwrap();
        let path = SearchPath::new(&[root.path().to_path_buf()], None, &[], None);
        let text = path.find("ehco").unwrap_err().to_string();
        assert!(text.starts_with("ehco: no such plugin; looked in "), "{text}");
        assert!(text.ends_with("there is a plugin `echo`"), "{text}");
        assert!(path.find("something-else").unwrap_err().to_string().ends_with("POLYPORT_PLUGIN_PATH"));
    }

    #[test]
    fn who_must_not_choose_gets_what_is_built_in_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (theirs, bin) = (root.path().join("theirs"), root.path().join("bin"));
        for dir in [&theirs, &bin] {
            fs::create_dir(dir).unwrap();
        }
        let file = |dir: &Path, name: &str| dir.join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
        for path in [file(&theirs, "echo"), file(&bin, "echo"), file(&bin, "lossy")] {
            fs::write(path, "").unwrap();
        }
        let given = [theirs];
        for (flag, configured) in [(&given[..], &[][..]), (&[], &given)] {
            let path = SearchPath::new(flag, None, configured, Some(&bin.join("polyport"))).elevated(true);
            let refused =
                |reference: &str| matches!(path.find(reference), Err(Refusal { cause: Cause::ByCaller, .. }));
            assert!(refused("echo") && refused("./x.so") && refused("/x/y"));
            assert_eq!(path.find("lossy").unwrap(), file(&bin, "lossy"));
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(SearchPath::default().find("./x.so").unwrap(), Path::new("./x.so"));
    }
}
