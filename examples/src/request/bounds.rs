//! Where a request ends, whichever way it is asked.

use polyport_protocol::Nanos;

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Transmissions at most; the schedule has its own end, too.
    pub transmissions: u8,
    /// Give up at this time.
    pub deadline: Option<Nanos>,
    /// Take whatever comes as the answer.
    pub promiscuous: bool,
    /// Leave routers out.
    pub dont_route: bool,
}
