//! Which streams there are: to each target one for handshake and warm-up, and one for each flow.

/// Which stream of which target; handshake and warm-up have one of their own for each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Index of the target.
    pub target: usize,
    /// Which of our own ports it leaves from, from 0.
    pub port: usize,
    /// Index of the stream; its id on the wire is this many above that of the first.
    pub index: u32,
}

/// The streams of some books: first those of handshake and warm-up, one a target; then those of the flows, target by target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    targets: usize,
    streams: usize,
    by_port: bool,
}

impl Lanes {
    /// For so many targets, with so many streams each. `by_port` says that handshake and warm-up have a port of their own.
    #[must_use]
    pub const fn new(targets: usize, streams: u32, by_port: bool) -> Self {
        Self { targets, streams: streams as usize, by_port }
    }

    /// The stream of `target` for handshake and warm-up.
    #[must_use]
    pub fn practice(self, target: usize) -> Lane {
        Lane { target, port: 0, index: u32::try_from(target).unwrap_or(u32::MAX) }
    }

    /// Stream `which` of `target`, below the number of streams.
    #[must_use]
    pub fn measured(self, target: usize, which: u32) -> Lane {
        let index = self.targets + target * self.streams + which as usize;
        let port = which as usize + usize::from(self.by_port);
        Lane { target, port, index: u32::try_from(index).unwrap_or(u32::MAX) }
    }

    /// The stream of `target` that has our port `port` for itself.
    #[must_use]
    pub fn of_port(self, target: usize, port: usize) -> Lane {
        match port.checked_sub(1) {
            None => self.practice(target),
            Some(which) => self.measured(target, u32::try_from(which).unwrap_or(u32::MAX)),
        }
    }

    /// The stream at this place of all, if there is one.
    #[must_use]
    pub fn at(self, place: usize) -> Option<Lane> {
        if place >= self.targets + self.targets * self.streams {
            return None;
        }
        Some(match place.checked_sub(self.targets) {
            None => self.practice(place),
            Some(measured) => {
                let which = u32::try_from(measured % self.streams).unwrap_or(u32::MAX);
                self.measured(measured / self.streams, which)
            }
        })
    }

    /// Whether a stream is one of handshake and warm-up.
    #[must_use]
    pub const fn is_practice(self, lane: Lane) -> bool {
        (lane.index as usize) < self.targets
    }
}
