//! What is asked for.

use std::net::SocketAddr;

use crate::reactor::SocketOptions;

/// A socket that is wanted: where it is bound, and with which options.
pub(super) type Order = (SocketAddr, SocketOptions);

/// Most of them at once: Linux hands over 253 descriptors in one message (`SCM_MAX_FD`).
pub(super) const MOST: usize = 128;
