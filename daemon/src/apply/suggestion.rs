//! A command to try each listener with, as it works where the daemon was started.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use polyport_terminal::shell_word;

use crate::config::Listen;

/// What a client of polyport's own begins with.
const OURS: &str = "polyport-";

/// Makes commands that anybody can paste.
#[derive(Debug)]
pub(super) struct Suggestions {
    place: Place,
    /// How clients are called, by their names.
    calls: BTreeMap<String, String>,
}

/// Where the daemon was started, and from what.
#[derive(Debug, Default)]
struct Place {
    /// `PATH` of the environment.
    path: Option<OsString>,
    /// The directory of the executable.
    beside: Option<PathBuf>,
    /// The working directory.
    here: Option<PathBuf>,
    /// `cargo run` started the daemon, so it can build and start a client as well.
    by_cargo: bool,
}

impl Suggestions {
    /// For whoever has started this process.
    pub(super) fn of_this_process() -> Self {
        let executable = env::current_exe().ok();
        Self::at(Place {
            path: env::var_os("PATH"),
            beside: executable.and_then(|path| path.parent().map(Path::to_path_buf)),
            here: env::current_dir().ok(),
            by_cargo: env::var_os("CARGO").is_some()
                && env::var("CARGO_PKG_NAME").is_ok_and(|name| name == env!("CARGO_PKG_NAME")),
        })
    }

    fn at(place: Place) -> Self {
        Self { place, calls: BTreeMap::new() }
    }

    /// A command for the listener at `local`.
    pub(super) fn command(&mut self, listen: &Listen, local: SocketAddr) -> String {
        let mut near = local;
        match local.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => near.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => near.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let Some(command) = &listen.example else {
            return format!("echo hi | nc -u -w1 {} {}", host(near), near.port());
        };
        let command = command.replace("{address}", &near.to_string());
        match command.split_once(' ') {
            Some((program, arguments)) if program.starts_with(OURS) => {
                format!("{} {arguments}", self.call(program))
            }
            _ => command,
        }
    }

    /// How a client is called: by its name, if the shell finds it; by its path beside the daemon; through cargo.
    fn call(&mut self, program: &str) -> &str {
        let Self { place, calls } = self;
        calls.entry(program.to_owned()).or_insert_with(|| place.call(program))
    }
}

/// The address without its port, with the interface that a link-local one needs.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(six) if six.scope_id() != 0 => format!("{}%{}", six.ip(), six.scope_id()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip().to_string(),
    }
}

impl Place {
    fn call(&self, program: &str) -> String {
        let mut on_path = self.path.iter().flat_map(env::split_paths);
        if on_path.any(|dir| dir.join(program).is_file()) {
            return program.to_owned();
        }
        let beside = self.beside.as_ref().map(|dir| dir.join(program)).filter(|file| file.is_file());
        if let Some(file) = beside {
            let below = self.here.as_ref().and_then(|here| file.strip_prefix(here).ok());
            return shell_word(&below.map_or_else(|| file.clone(), |below| Path::new(".").join(below)));
        }
        if self.by_cargo {
            let release = if cfg!(debug_assertions) { "" } else { "r" };
            return format!("cargo run -q{release}p polyport-tools --bin {program} --");
        }
        program.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_client_is_called_as_it_is_found() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = root.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (bin, build) = (dir("bin"), dir("build here"));
        let place = |by_cargo, here: &Path| Place {
            path: Some(bin.clone().into()),
            beside: Some(build.clone()),
            here: Some(here.to_path_buf()),
            by_cargo,
        };
        let call = |by_cargo, here: &Path| place(by_cargo, here).call("polyport-request");
        assert_eq!(call(false, root.path()), "polyport-request", "nothing better is known");
        assert!(call(true, root.path()).ends_with("p polyport-tools --bin polyport-request --"));
        fs::write(build.join("polyport-request"), "").unwrap();
        assert_eq!(call(true, root.path()), "'./build here/polyport-request'");
        assert_eq!(call(true, &build), "./polyport-request");
        assert_eq!(call(true, &bin), format!("'{}'", build.join("polyport-request").display()));
        fs::write(bin.join("polyport-request"), "").unwrap();
        assert_eq!(call(true, root.path()), "polyport-request");
    }
}
