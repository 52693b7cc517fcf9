//! What goes wrong: by seed, or by a script that a scenario wrote.

use std::collections::VecDeque;

use polyport::metrics::DropReason;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Every errno of a send that costs one datagram, and the reason it is dropped for; written down a second
/// time, apart from the reactor's own table.
pub(crate) const SEND_ERRORS: &[(i32, DropReason)] = &[
    (libc::ENOBUFS, DropReason::NoBuffers),
    (libc::ENOMEM, DropReason::NoBuffers),
    (libc::ECONNREFUSED, DropReason::Unreachable),
    (libc::EHOSTUNREACH, DropReason::Unreachable),
    (libc::ENETUNREACH, DropReason::Unreachable),
    (libc::EHOSTDOWN, DropReason::Unreachable),
    (libc::ENETDOWN, DropReason::Unreachable),
    (libc::EPROTO, DropReason::Unreachable),
    (libc::EIO, DropReason::Unreachable),
    (libc::EPERM, DropReason::Forbidden),
    (libc::EACCES, DropReason::Forbidden),
    (libc::EMSGSIZE, DropReason::TooBig),
    (libc::EINVAL, DropReason::Invalid),
    (libc::EADDRNOTAVAIL, DropReason::AddressGone),
    (libc::ENODEV, DropReason::AddressGone),
    (libc::ENXIO, DropReason::AddressGone),
    (libc::EAFNOSUPPORT, DropReason::NoDestination),
    (libc::EDESTADDRREQ, DropReason::NoDestination),
    (libc::ENOSYS, DropReason::Unsupported),
    (libc::EOPNOTSUPP, DropReason::Unsupported),
];

/// Errnos that say something about segmenting, not about the datagrams: another copy of the reactor's own list.
pub(crate) const SEGMENT_ERRORS: &[i32] =
    &[libc::EIO, libc::EMSGSIZE, libc::EINVAL, libc::EOPNOTSUPP, libc::ENOPROTOOPT];

/// Every errno of a receive that the loop outlives.
pub(crate) const RECEIVE_ERRORS: &[i32] = &[
    libc::ENOBUFS,
    libc::ENOMEM,
    libc::ECONNREFUSED,
    libc::EHOSTUNREACH,
    libc::ENETUNREACH,
    libc::EHOSTDOWN,
    libc::ENETDOWN,
    libc::EPROTO,
];

/// How often each thing goes wrong, 0 to 1 a call or a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) receive_error: f64,
    /// Of the receive errors: those that stay for a while.
    pub(crate) persistent: f64,
    pub(crate) partial_receive: f64,
    pub(crate) send_error: f64,
    pub(crate) partial_send: f64,
    /// The send buffer becomes full after a message.
    pub(crate) full: f64,
    pub(crate) spurious: f64,
    pub(crate) stale: f64,
    pub(crate) interrupted: f64,
    pub(crate) wall_step: f64,
    /// Poll tells only some of the events.
    pub(crate) few_events: f64,
    /// A segmented message is refused for being one.
    pub(crate) refused: f64,
    /// The descriptor turns out to be none, and stays so.
    pub(crate) broken: f64,
    /// The addresses of the host come in parts, or not at all.
    pub(crate) addresses: f64,
}

impl Profile {
    /// Each fault is absent, rare, or frequent, so that runs differ in kind.
    pub(crate) fn random(rng: &mut StdRng) -> Self {
        let mut level = |frequent: f64| [0.0, 0.02, frequent][rng.random_range(0..3)];
        Self {
            receive_error: level(0.3),
            persistent: level(0.3),
            partial_receive: level(0.5),
            send_error: level(0.3),
            partial_send: level(0.5),
            full: level(0.3),
            spurious: level(0.3),
            stale: level(0.3),
            interrupted: level(0.2),
            wall_step: level(0.3),
            few_events: level(0.5),
            refused: [0.0, 0.2, 0.8][rng.random_range(0..3)],
            // Most listeners shall live to see the rest.
            broken: [0.0, 0.0, 0.01][rng.random_range(0..3)],
            addresses: [0.0, 0.02, 0.4][rng.random_range(0..3)],
        }
    }
}

/// The source of all chance in a world.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) rng: StdRng,
    pub(crate) profile: Profile,
}

impl Faults {
    pub(crate) fn new(seed: u64, profile: Profile) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), profile }
    }

    pub(crate) fn hit(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random::<f64>() < share
    }

    /// How many of `n >= 1` are done, at least 1.
    pub(crate) fn part(&mut self, share: f64, n: usize) -> usize {
        if n > 1 && self.hit(share) { self.rng.random_range(1..n) } else { n }
    }

    /// The errno of a receive call, and for how many nanoseconds it stays.
    pub(crate) fn receive(&mut self) -> Option<(i32, u64)> {
        if !self.hit(self.profile.receive_error) {
            return None;
        }
        let errno = RECEIVE_ERRORS[self.rng.random_range(0..RECEIVE_ERRORS.len())];
        let lasts = if self.hit(self.profile.persistent) { self.rng.random_range(1..50_000_000) } else { 0 };
        Some((errno, lasts))
    }

    /// The errno of a message.
    pub(crate) fn send(&mut self, segmented: bool) -> Option<i32> {
        if segmented && self.hit(self.profile.refused) {
            return Some(SEGMENT_ERRORS[self.rng.random_range(0..SEGMENT_ERRORS.len())]);
        }
        self.hit(self.profile.send_error).then(|| SEND_ERRORS[self.rng.random_range(0..SEND_ERRORS.len())].0)
    }
}

/// What a scenario wants to happen to one socket, call after call; when it is used up, the seed decides.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// One entry a receive call; `None` goes well.
    pub(crate) receives: VecDeque<Option<i32>>,
    /// One entry a message; `None` leaves.
    pub(crate) sends: VecDeque<Option<i32>>,
}
