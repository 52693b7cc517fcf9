//! To whom a datagram was addressed.

use std::fmt;

use polyport_plugin::Datagram;

/// To whom a datagram was addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Unicast,
    Multicast,
    Broadcast,
}

impl Cast {
    pub(crate) fn of(datagram: &Datagram<'_>) -> Self {
        if datagram.is_multicast() {
            Self::Multicast
        } else if datagram.is_broadcast() {
            Self::Broadcast
        } else {
            Self::Unicast
        }
    }
}

impl fmt::Display for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unicast => "unicast",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
        })
    }
}
