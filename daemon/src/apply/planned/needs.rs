//! What a plan takes of the machine: descriptors, memory, rights.

use std::fs;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::apply::memory;
use crate::apply::prepare::Prepared;
use crate::apply::sockets::{OTHER_DESCRIPTORS, Surroundings};
use crate::config::{Bind, Listen, Plan};
use crate::limits::{KEPT_BYTES, Limits};
use crate::sandbox;

/// Memory of this process for an address that is served by an instance of a small handler (`performance.md`, 50,000 ports).
const ADDRESS_BYTES: usize = 700;
/// Memory of this process for a session (`performance.md`, sessions).
const SESSION_BYTES: usize = 512;

/// What a plan takes of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Needs {
    pub(super) descriptors: Descriptors,
    pub(super) memory: Memory,
    pub(super) rights: Vec<Right>,
}

/// Open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Descriptors {
    /// One for each address.
    pub(super) sockets: u64,
    /// Everything else.
    pub(super) others: u64,
    /// Most that sessions may take besides; there are fewer where the limit is lower.
    pub(super) sessions: u64,
    /// How many the process may have; none is no bound. The soft limit is raised to the hard one at the start.
    pub(super) limit: Option<u64>,
    /// Whether the start raises that limit beyond what it is, which takes a right.
    pub(super) raises_limit: bool,
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// For the addresses, from the start on.
    pub(super) addresses: u64,
    /// At most for what handlers keep beyond a call.
    pub(super) handlers: u64,
    /// At most for datagrams that wait: delayed ones, backlogs, what is kept for handlers that are made again.
    pub(super) waiting: u64,
    /// At most for sessions.
    pub(super) sessions: u64,
    /// At most in receive buffers of the kernel.
    pub(super) receive_buffers: u64,
    /// What the kernel gives to all UDP sockets of the machine, `udp_mem` of udp(7); none if it cannot be known.
    pub(super) udp_mem: Option<u64>,
}

/// A right that the start takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Right {
    pub(super) right: &'static str,
    pub(super) reason: String,
    /// Whether the user who asks has it.
    pub(super) granted: bool,
    /// Whether the start is refused without it.
    pub(super) required: bool,
}

impl Needs {
    pub(super) fn of(prepared: &Prepared) -> Self {
        let plan = &prepared.plan;
        let limits = memory::resolve(plan.limits);
        let has_sessions = prepared.entries.iter().any(|entry| entry.plugin.has_sessions());
        let sessions = if has_sessions { limits.sessions } else { 0 };
        Self {
            descriptors: descriptors(plan, sessions),
            memory: memory_of(plan, &limits, sessions),
            rights: rights(prepared),
        }
    }
}

impl Descriptors {
    /// Whether the start has as many as it needs.
    pub(super) fn suffice(&self) -> bool {
        self.limit.is_none_or(|limit| self.sockets + self.others <= limit)
    }
}

fn descriptors(plan: &Plan, sessions: usize) -> Descriptors {
    let (sockets, others) = (plan.sockets() as u64, OTHER_DESCRIPTORS);
    let hard = getrlimit(Resource::Nofile).maximum;
    // As the start does it: `sockets::bind`.
    let raises_limit = hard.is_some_and(|hard| hard < sockets + others) && sandbox::may_raise_limits();
    let limit = if raises_limit { Some(sockets + others) } else { hard };
    Descriptors { sockets, others, sessions: sessions as u64, limit, raises_limit }
}

fn memory_of(plan: &Plan, limits: &Limits, sessions: usize) -> Memory {
    let around = Surroundings::of(plan);
    let most = number("/proc/sys/net/core/rmem_max");
    let unbounded = sandbox::may_exceed_buffers();
    let receive_buffers = plan.listen.iter().map(|listen| {
        let addresses: usize = listen.bind.iter().map(Bind::count).sum();
        let asked = around.receive_buffer_of(listen) as u64;
        // The kernel counts twice what is asked for (socket(7)).
        addresses as u64 * 2 * most.filter(|_| !unbounded).map_or(asked, |most| asked.min(most))
    });
    Memory {
        addresses: (plan.sockets() * ADDRESS_BYTES) as u64,
        handlers: limits.handler_bytes.unwrap_or(0) as u64,
        waiting: (limits.delayed_bytes + limits.backlog_total_bytes + KEPT_BYTES) as u64,
        sessions: (sessions * SESSION_BYTES) as u64,
        receive_buffers: receive_buffers.sum(),
        udp_mem: udp_mem(),
    }
}

/// The third number of `udp_mem` is in pages.
fn udp_mem() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/udp_mem").ok()?;
    let pages: u64 = text.split_whitespace().nth(2)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

fn rights(prepared: &Prepared) -> Vec<Right> {
    let Prepared { plan, policy, .. } = prepared;
    let mut rights = Vec::new();
    let lowest = number("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(1024);
    let low = 1..=u16::try_from(lowest.saturating_sub(1)).unwrap_or(u16::MAX);
    let names =
        those(plan, |listen| listen.bind.iter().any(|bind| bind.first <= *low.end() && bind.last >= 1));
    if !names.is_empty() && !low.is_empty() {
        rights.push(Right {
            right: "CAP_NET_BIND_SERVICE",
            reason: format!("ports below {lowest}, of {names}"),
            granted: sandbox::may_bind_low_ports(),
            required: true,
        });
    }
    if let Some(most) = number("/proc/sys/net/core/rmem_max") {
        let names = those(plan, |listen| listen.socket.recv_buffer.is_some_and(|asked| asked as u64 > most));
        if !names.is_empty() {
            rights.push(Right {
                right: "CAP_NET_ADMIN",
                reason: format!("`recv_buffer` above net.core.rmem_max ({most}), of {names}; without it the buffer is smaller"),
                granted: sandbox::may_exceed_buffers(),
                required: false,
            });
        }
    }
    if let Some(user) = &plan.sandbox.user {
        rights.push(Right {
            right: "CAP_SETUID and CAP_SETGID",
            reason: format!("`[sandbox] user = \"{}\"`", user.text),
            granted: sandbox::may_become(policy).is_ok(),
            required: true,
        });
    }
    rights
}

/// The names of some listeners, the first three of them.
fn those(plan: &Plan, which: impl Fn(&Listen) -> bool) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> =
        plan.listen.iter().filter(|listen| which(listen)).map(|listen| &*listen.name).collect();
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// A file of the system with one number in it.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
