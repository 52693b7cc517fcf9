//! The machine of a run: figures without it cannot be compared.

use std::fs;
use std::io::Read;
use std::thread::available_parallelism;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// Its name, as `uname -n` says it.
    pub name: String,
    /// Its system and the release of that: `Linux 6.12.0`.
    pub system: String,
    /// Its kind of processor, as `uname -m` says it.
    pub architecture: String,
    /// Its processors by their maker's name, where the system tells.
    pub processor: Option<String>,
    /// Processors that this program may run on.
    pub processors: usize,
    /// Octets of its memory, where the system tells.
    pub memory: Option<u64>,
}

/// Octets that are read of a file of proc(5): the first processor and the size of the memory stand at their start.
const HEAD: u64 = 4096;

impl HostReport {
    /// The machine we run on.
    #[must_use]
    pub fn here() -> Self {
        let uname = rustix::system::uname();
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        Self {
            name: text(uname.nodename()),
            system: format!("{} {}", text(uname.sysname()), text(uname.release())),
            architecture: text(uname.machine()),
            processor: field("/proc/cpuinfo", "model name"),
            processors: available_parallelism().map_or(1, usize::from),
            memory: field("/proc/meminfo", "MemTotal").as_deref().and_then(kibibytes),
        }
    }

    /// The machine in one line.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts = vec![self.name.clone(), self.system.clone(), self.architecture.clone()];
        let count = polyport_terminal::counted(self.processors as u64, "processor", "processors");
        let model = self.processor.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        parts.push(format!("{count}{model}"));
        parts.extend(self.memory.map(|octets| format!("{} MiB", octets >> 20)));
        parts.join(", ")
    }
}

/// The first value of this name in a file of `name : value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(HEAD).read_to_end(&mut text).ok()?;
    value(&String::from_utf8_lossy(&text), name)
}

fn value(text: &str, name: &str) -> Option<String> {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_processors() {
        let here = HostReport::here();
        assert!(!here.name.is_empty() && here.processors > 0 && here.system.contains(' '), "{here:?}");
        assert!(here.words().contains(&here.architecture));
    }

    #[test]
    fn files_of_proc_are_read() {
        let text = "processor\t: 0\nmodel name\t: A Processor: Fast\nmodel name\t: Another\n";
        assert_eq!(value(text, "model name").as_deref(), Some("A Processor: Fast"));
        assert_eq!(value(text, "cpu MHz"), None);
        assert_eq!(kibibytes("16384 kB"), Some(16 << 20));
        assert_eq!(kibibytes("16384"), None);
    }
}
