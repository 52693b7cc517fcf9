//! Which configuration is meant, and reading it, the first time and again.
//!
//! What somebody names is read. What nobody has named is searched, and read only if nobody else can have written it, by the rule
//! for plugins: who starts the program in a directory of others has not asked for what they put there.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, By, Origin, Plan, Problem, Reading, code, quoted};
use crate::plugin::{Refused, own_file};

/// What was asked for, by arguments or variables of the environment.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Arguments of `--listen`, which go before any file.
    pub listen: Vec<String>,
    /// A file, and who named it.
    pub file: Option<(PathBuf, By)>,
    /// Arguments of `--sandbox`, which go before what the file says.
    pub sandbox: Vec<String>,
}

/// Where the configuration is, once and for all.
#[derive(Clone, Debug)]
pub struct Found {
    asked: Asked,
    origin: Origin,
    /// Why the place that was searched says nothing, and no further one was asked.
    stopped: Option<Problem>,
}

/// The name that is searched, in the directories of [`places`].
const NAME: &str = "polyport.toml";

impl Asked {
    /// Finds the configuration: that which was asked for, or the first that is there.
    #[must_use]
    pub fn find(self) -> Found {
        let named = |(path, by): &(PathBuf, By)| Origin::File { path: path.clone(), by: *by };
        if !self.listen.is_empty() {
            return Found { asked: self, origin: Origin::Arguments, stopped: None };
        }
        if let Some(origin) = self.file.as_ref().map(named) {
            return Found { asked: self, origin, stopped: None };
        }
        let (origin, stopped) = search(|name| env::var_os(name));
        Found { asked: self, origin, stopped }
    }
}

impl Found {
    /// Reads the configuration.
    #[must_use]
    pub fn read(&self) -> Reading {
        self.reading(config::load)
    }

    /// Reads it again, from where `before` was read. What can be read only once is what it was.
    #[must_use]
    pub fn read_again(&self, before: &Plan) -> Reading {
        self.reading(|path| config::load_again(path, before))
    }

    fn reading(&self, load: impl FnOnce(&Path) -> Reading) -> Reading {
        let mut reading = match &self.origin {
            Origin::BuiltIn => config::built_in(),
            Origin::Arguments => config::from_listen_args(&self.asked.listen),
            Origin::File { path, by } => match (&self.stopped, by) {
                (Some(problem), _) => config::refused(path, problem.clone()),
                (None, By::Flag | By::Variable) => load(path),
                (None, By::WorkingDirectory | By::User | By::System) => match open(path) {
                    Ok(file) => config::load_opened(path, file),
                    Err(problem) => config::refused(path, *problem),
                },
            },
        };
        reading.plan.origin.clone_from(&self.origin);
        config::with_sandbox_args(reading, &self.asked.sandbox)
    }
}

/// The first of the places where there is a file, or the built-in default. A place that cannot be looked at ends the search:
/// what is there may be what is meant.
fn search(variable: impl Fn(&str) -> Option<OsString>) -> (Origin, Option<Problem>) {
    for (path, by) in places(variable) {
        match path.symlink_metadata() {
            Ok(_) => return (Origin::File { path, by }, None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                log::debug!("there is no configuration {}", path.display());
            }
            Err(error) => {
                let title = format!("cannot look for {}: {error}", quoted(&path.to_string_lossy()));
                let help = "name a file: -c FILE, or POLYPORT_CONFIG";
                let problem = Problem::new(code::UNREADABLE, title).help(help);
                return (Origin::File { path, by }, Some(problem));
            }
        }
    }
    (Origin::BuiltIn, None)
}

/// Where a configuration may be that nobody names, the first to be taken first.
fn places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(PathBuf, By)> {
    // The specification of the XDG base directories has relative ones ignored.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let working = [(Path::new(".").join(NAME), By::WorkingDirectory)];
    let user = user.map(|dir| (dir.join("polyport").join(NAME), By::User));
    let system = [(Path::new("/etc/polyport").join(NAME), By::System)];
    working.into_iter().chain(user).chain(system).collect()
}

/// Opens a file that nobody has named.
fn open(path: &Path) -> Result<io::Result<File>, Box<Problem>> {
    let refused = |why: &str, help: String| {
        let title =
            format!("{} is not used, since nobody has named it: {why}", quoted(&path.to_string_lossy()));
        Box::new(Problem::new(code::UNTRUSTED, title).help(help))
    };
    let by_name = format!("if you trust it, name it: -c {}", path.display());
    match own_file(path) {
        Ok(file) => Ok(Ok(file)),
        Err(Refused::Unreadable(error)) => Ok(Err(error)),
        Err(Refused::NotAFile) => Err(refused("it is no regular file", by_name)),
        Err(Refused::Untrusted(distrust)) => {
            Err(refused(&distrust.places(), format!("{by_name}; or {}", distrust.remedy())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(variables: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
        places(value).iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn the_places_follow_the_base_directories() {
        const HERE: &str = "./polyport.toml";
        const SYSTEM: &str = "/etc/polyport/polyport.toml";
        let home = ("HOME", "/home/me");
        for (variables, user) in [
            (&[][..], None),
            (&[("HOME", "")], None),
            (&[("HOME", "me")], None),
            (&[home], Some("/home/me/.config/polyport/polyport.toml")),
            (&[home, ("XDG_CONFIG_HOME", "")], Some("/home/me/.config/polyport/polyport.toml")),
            (&[home, ("XDG_CONFIG_HOME", "etc")], Some("/home/me/.config/polyport/polyport.toml")),
            (&[home, ("XDG_CONFIG_HOME", "/x")], Some("/x/polyport/polyport.toml")),
            (&[("XDG_CONFIG_HOME", "/x")], Some("/x/polyport/polyport.toml")),
        ] {
            let expected: Vec<&str> = [Some(HERE), user, Some(SYSTEM)].into_iter().flatten().collect();
            assert_eq!(searched(variables), expected, "{variables:?}");
        }
    }
}
