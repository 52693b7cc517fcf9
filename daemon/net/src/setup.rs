//! How a socket is set up beyond its options.

use crate::Facts;

/// How a socket is set up beyond its options: what whoever has it next has to know, as the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// What [`crate::UdpSocket::want`] has asked for.
    pub wanted: Facts,
    /// Datagrams may come with control data that nobody asked for.
    pub surprises: bool,
    /// They are not joined into trains.
    pub apart: bool,
}

/// What is to be set once the other process does not read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    pub(crate) wanted: Facts,
    pub(crate) apart: bool,
}
