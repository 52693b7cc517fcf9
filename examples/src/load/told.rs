//! What an answer of PPT/1 tells beside what it answers.

use polyport_protocol::{Frame, FrameOption, Nanos};

use super::stream::Rstat;

/// What the responder has seen.
#[must_use]
pub fn rstat(frame: &Frame<'_>) -> Option<Rstat> {
    frame.options().iter().find_map(|option| {
        let FrameOption::Rstat { rseq, window, .. } = option else { return None };
        Some(Rstat { rseq, window: Some(window) })
    })
}

/// When the responder received a request and sent its answer, on its clock.
#[must_use]
pub fn times(frame: &Frame<'_>) -> Option<(Nanos, Nanos)> {
    frame.options().iter().find_map(|option| {
        let FrameOption::Times { rx_ns, tx_ns } = option else { return None };
        Some((rx_ns, tx_ns))
    })
}
