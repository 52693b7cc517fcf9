//! No capabilities, and no way to get any.

use caps::errors::CapsError;
use caps::{CapSet, Capability};

/// Makes capabilities impossible to gain. Who may not do that has none to lose, and `no_new_privs` does it as well.
pub(super) fn close_bounding_set() -> Result<(), CapsError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        caps::clear(None, CapSet::Bounding)?;
    }
    Ok(())
}

/// Gives all capabilities of this thread up. The first set goes before the one that bounds it.
pub(super) fn drop_all() -> Result<(), CapsError> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set)?;
    }
    Ok(())
}

/// The capabilities this thread has or may have, by name.
pub(super) fn left() -> Result<Vec<String>, CapsError> {
    let mut left = Vec::new();
    for set in [CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
        left.extend(caps::read(None, set)?.into_iter().map(|cap| cap.to_string()));
    }
    left.sort();
    left.dedup();
    Ok(left)
}

/// Whether this thread may bind ports that are for the system, `CAP_NET_BIND_SERVICE`.
#[must_use]
pub fn may_bind_low_ports() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_BIND_SERVICE).unwrap_or(false)
}

/// Whether this thread may have socket buffers that are larger than the system's bound, `CAP_NET_ADMIN`.
#[must_use]
pub fn may_exceed_buffers() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN).unwrap_or(false)
}

/// Whether this thread may have more descriptors than its limit, `CAP_SYS_RESOURCE`.
#[must_use]
pub fn may_raise_limits() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap_or(false)
}
