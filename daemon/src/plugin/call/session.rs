//! Sessions as plugins are told of them.

use std::net::SocketAddr;

use polyport_abi::{EV_CLOSED, EV_ERROR, pp_addr, pp_event, pp_session_info};

use super::host::size_u32;
use crate::exchange::{SessionEvent, SessionInfo, SessionNews};

/// A session as `create` is told of it.
pub(super) fn session_info(info: &SessionInfo) -> pp_session_info {
    pp_session_info {
        size: size_u32::<pp_session_info>(),
        flags: info.flags.bits(),
        id: info.id,
        user: info.user,
        opened_ns: info.opened_ns,
        heard_ns: info.heard_ns,
        client: info.client.into(),
        upstream: info.upstream.into(),
        local: info.local.into(),
    }
}

/// An event as a plugin is told of it.
pub(super) fn session_event(event: &SessionEvent) -> pp_event {
    let (kind, reason, count, mtu, reporter) = match event.what {
        SessionNews::Closed(end) => (EV_CLOSED, end as u32 + 1, 1, 0, None),
        SessionNews::Error { kind, count, mtu, reporter } => {
            (EV_ERROR, kind as u32 + 1, count, mtu, reporter)
        }
    };
    pp_event {
        size: size_u32::<pp_event>(),
        kind,
        session: event.info.id,
        user: event.info.user,
        reason,
        count,
        mtu,
        err: event.errno,
        reporter: reporter.map_or_else(pp_addr::default, |ip| SocketAddr::new(ip, 0).into()),
        opened_ns: event.info.opened_ns,
        up_datagrams: event.up.0,
        up_bytes: event.up.1,
        down_datagrams: event.down.0,
        down_bytes: event.down.1,
        dropped: event.dropped,
        client: event.info.client.into(),
        upstream: event.info.upstream.into(),
        local: event.info.local.into(),
    }
}
