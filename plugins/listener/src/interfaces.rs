//! The names of network interfaces, asked for once.

use std::collections::HashMap;

/// Names kept. An interface that comes and goes has a new index each time; a full table starts afresh.
const MAX_NAMES: usize = 256;

/// Names by index.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    names: HashMap<u32, String>,
}

impl Interfaces {
    /// The name of the interface with `index`, or `if` and the index where the system has none; `?` when the
    /// index is not known.
    pub(crate) fn name(&mut self, index: Option<u32>) -> &str {
        let Some(index) = index else { return "?" };
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(&index) {
            self.names.clear();
        }
        self.names.entry(index).or_insert_with(|| ask(index).unwrap_or_else(|| format!("if{index}")))
    }
}

/// Asks netdevice(7), which answers from the kernel's memory at once.
#[cfg(target_os = "linux")]
fn ask(index: u32) -> Option<String> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    netdevice::index_to_name(socket, index).ok()
}

#[cfg(not(target_os = "linux"))]
fn ask(_: u32) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_stands_for_them() {
        let mut interfaces = Interfaces::default();
        assert_eq!(interfaces.name(None), "?");
        assert_eq!(interfaces.name(Some(u32::MAX)), format!("if{}", u32::MAX));
        // Every network namespace has its loopback first.
        assert_eq!(interfaces.name(Some(1)), if cfg!(target_os = "linux") { "lo" } else { "if1" });
        for index in 1_000_000..1_001_000 {
            interfaces.name(Some(index));
        }
        assert!(interfaces.names.len() <= MAX_NAMES);
    }
}
