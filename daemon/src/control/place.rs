//! Where the socket is, if nobody says it: the first daemon of a user has it, and clients look there.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// The word that has no socket made.
pub const OFF: &str = "off";
/// Name of the socket.
const NAME: &str = "control.sock";
/// Where services of the system have theirs.
const SYSTEM: &str = "/run/polyport";

/// Where a daemon of this user puts its socket: the first place whose directory is there, or can be made. `variable` reads the
/// environment.
pub fn default_places(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    // A service gets directories from systemd, separated by colons (systemd.exec(5)).
    let of_service = variable("RUNTIME_DIRECTORY").and_then(|dirs| first_of(dirs.as_os_str()));
    let of_system = geteuid().is_root().then(|| PathBuf::from(SYSTEM));
    let of_user = variable("XDG_RUNTIME_DIR").filter(|dir| dir.is_absolute()).map(|dir| dir.join("polyport"));
    let last = variable("TMPDIR").filter(|dir| dir.is_absolute()).unwrap_or_else(|| PathBuf::from("/tmp"));
    let last = last.join(format!("polyport-{}", geteuid().as_raw()));
    let dirs = of_service.into_iter().chain(of_system).chain(of_user).chain([last]);
    dirs.map(|dir| dir.join(NAME)).collect()
}

/// The socket that a client of this user means: the first that is there, of the places of its own daemons and then of the
/// system's.
///
/// # Errors
/// Where none is.
pub fn existing_place(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Vec<PathBuf>> {
    let mut places = default_places(variable);
    let of_system = Path::new(SYSTEM).join(NAME);
    if !places.contains(&of_system) {
        places.push(of_system);
    }
    let is_socket = |path: &&PathBuf| path.metadata().is_ok_and(|data| data.file_type().is_socket());
    places.iter().find(is_socket).cloned().ok_or(places)
}

fn first_of(dirs: &OsStr) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let first = dirs.as_bytes().split(|byte| *byte == b':').next()?;
    let first = PathBuf::from(OsStr::from_bytes(first));
    first.is_absolute().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_of_services_of_the_system_and_of_users() {
        let all = |name: &str| {
            let dir = match name {
                "RUNTIME_DIRECTORY" => "/run/a:/run/b",
                "XDG_RUNTIME_DIR" => "/run/user/7",
                "TMPDIR" => "/var/folders/x",
                _ => return None,
            };
            Some(PathBuf::from(dir))
        };
        let uid = geteuid().as_raw();
        let mut expected = vec![PathBuf::from("/run/a/control.sock")];
        if geteuid().is_root() {
            expected.push(PathBuf::from("/run/polyport/control.sock"));
        }
        expected.push(PathBuf::from("/run/user/7/polyport/control.sock"));
        expected.push(PathBuf::from(format!("/var/folders/x/polyport-{uid}/control.sock")));
        assert_eq!(default_places(all), expected);
        let relative = |_: &str| Some(PathBuf::from("here"));
        let last = default_places(relative).pop().unwrap();
        assert_eq!(last, PathBuf::from(format!("/tmp/polyport-{uid}/control.sock")));
    }
}
