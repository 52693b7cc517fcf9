//! Which addresses are the host's own, and the watch for their changes.

use std::io;
use std::net::IpAddr;

use mio::Poll;
use polyport_net::{LocalAddresses, LocalPrefix, Reading};

use super::readiness;
use crate::guard::LocalAddress;
use crate::reactor::io::{AddressReading, Link};

/// Most readings of which one may be whole.
const MOST_READINGS: u32 = 100;

/// The broadcast addresses of the host's networks, as the system knows them now.
///
/// # Errors
/// Why they cannot be read.
pub fn broadcast_addresses() -> io::Result<Vec<IpAddr>> {
    let mut source = LocalAddresses::open()?;
    let mut found = Vec::new();
    for _ in 0..MOST_READINGS {
        // What torn readings have found is kept: it was there a moment ago.
        source.begin();
        let reading = loop {
            match source.read(&mut found)? {
                Reading::Part => {}
                reading @ (Reading::Whole | Reading::Torn) => break reading,
            }
        };
        if reading == Reading::Whole {
            break;
        }
    }
    Ok(found.into_iter().filter(|prefix| prefix.broadcast).map(|prefix| prefix.ip).collect())
}

/// The addresses of the host; what was wrong when they cannot be asked for.
#[derive(Debug)]
pub(crate) struct Addresses {
    source: io::Result<LocalAddresses>,
    /// Changes raise events.
    watched: bool,
    /// Memory for a part of the addresses, used again by the next.
    part: Vec<LocalPrefix>,
}

impl Addresses {
    /// Asks for the addresses, and watches for their changes where the system tells of them. What fails is told by
    /// [`Self::read`]: a daemon without this knowledge still serves.
    pub(crate) fn watch(poll: &Poll, token: mio::Token) -> Self {
        let source = LocalAddresses::open();
        let changes = source.as_ref().ok().and_then(LocalAddresses::changes);
        let watched =
            changes.is_some_and(|changes| readiness::watch_descriptor(poll, &changes, token).is_ok());
        Self { source, watched, part: Vec::new() }
    }

    /// Whether changes raise events.
    pub(crate) fn tells(&self) -> bool {
        self.watched
    }

    /// Has interfaces read and watched as well.
    pub(crate) fn watch_links(&mut self) -> io::Result<()> {
        match &mut self.source {
            Ok(source) => source.watch_links(),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// The interfaces as the last reading found them.
    pub(crate) fn links(&self) -> Vec<Link> {
        let links = self.source.as_ref().map(LocalAddresses::links).unwrap_or_default();
        let link = |link: &polyport_net::Link| Link {
            index: link.index,
            name: link.name.clone(),
            multicast: link.multicast,
        };
        links.iter().map(link).collect()
    }

    /// Takes what waits, a bounded part of it. Returns whether addresses may have changed.
    pub(crate) fn take_changes(&mut self) -> bool {
        self.source.as_mut().is_ok_and(LocalAddresses::take_changes)
    }

    /// Reads a part, and appends it to `into`; `again` begins anew.
    pub(crate) fn read(&mut self, again: bool, into: &mut Vec<LocalAddress>) -> io::Result<AddressReading> {
        let source = match &mut self.source {
            Ok(source) => source,
            Err(error) => {
                let text = error.to_string();
                return Err(io::Error::new(error.kind(), text));
            }
        };
        if again {
            source.begin();
        }
        self.part.clear();
        let reading = source.read(&mut self.part)?;
        into.extend(self.part.iter().map(|&LocalPrefix { ip, bits, broadcast }| LocalAddress {
            ip,
            bits,
            broadcast,
        }));
        Ok(match reading {
            Reading::Part => AddressReading::Part,
            Reading::Whole => AddressReading::Whole,
            Reading::Torn => AddressReading::Torn,
        })
    }
}
