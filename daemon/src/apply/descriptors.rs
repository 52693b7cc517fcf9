//! How many sessions the process has descriptors for.

use polyport_terminal::counted;
use rustix::process::{Resource, getrlimit};

use super::sockets::OTHER_DESCRIPTORS;
use crate::limits::Limits;

/// The limits with as many sessions as there are descriptors beside those of `sockets` listeners: who runs out of them on the
/// way could open no file either.
pub(super) fn resolve(limits: Limits, sockets: usize) -> Limits {
    Limits { sessions: sessions(&limits, sockets, limits.sessions), ..limits }
}

/// How many sessions there may be beside so many listeners, where there may be `now` so far.
pub(super) fn sessions(limits: &Limits, sockets: usize, now: usize) -> usize {
    let all =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let other = usize::try_from(OTHER_DESCRIPTORS).unwrap_or(0);
    let sessions = fitting(limits.sessions, all, sockets.saturating_add(other));
    if sessions < limits.sessions && sessions != now {
        log::warn!(
            "`sessions` is {}, and {} of {all} are left for them; raise the limit (`ulimit -n`, LimitNOFILE= of a \
             systemd unit) or set `[limits] sessions`",
            limits.sessions,
            counted(sessions, "file descriptor", "file descriptors")
        );
    }
    sessions
}

/// Of so many sessions, those that fit beside `taken` of `all` descriptors.
fn fitting(wanted: usize, all: usize, taken: usize) -> usize {
    wanted.min(all.saturating_sub(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_get_what_the_listeners_leave() {
        assert_eq!(fitting(16_384, 1024, 66), 958);
        assert_eq!(fitting(16_384, usize::MAX, 66), 16_384);
        assert_eq!(fitting(16_384, 50, 66), 0);
    }
}
