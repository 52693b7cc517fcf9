//! All that is said of a plan, as data.

use std::collections::HashSet;
use std::net::SocketAddr;

use polyport_terminal::Exit;
use serde::Serialize;

use super::clashes::{Clash, Kind, clashes};
use super::difference::{Difference, Served, between};
use super::needs::Needs;
use crate::apply::configured::{addresses, ranges, whole};
use crate::apply::prepare::Prepared;
use crate::config::Bind;
use crate::control::wire::Configuration;

/// All that is said of a plan. Its members as JSON are an interface: new ones may come, none goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Planned {
    /// Whether a start, or the change of the daemon, finds nothing in its way.
    ok: bool,
    pub(super) configuration: String,
    pub(super) listeners: Vec<Served>,
    pub(super) addresses: usize,
    pub(super) needs: Needs,
    pub(super) clashes: Vec<Clash>,
    /// None if no daemon was asked.
    pub(super) daemon: Option<Difference>,
}

impl Planned {
    /// Looks at a plan, at this machine, and at what a daemon serves.
    pub(crate) fn of(prepared: &Prepared, now: Option<&Configuration>) -> Self {
        let plan = &prepared.plan;
        let next = whole(prepared);
        let served: HashSet<SocketAddr> = now
            .into_iter()
            .flat_map(|now| &now.entries)
            .flat_map(|of| &of.bind)
            .flat_map(|ports| addresses(*ports))
            .collect();
        let clashes = clashes(plan, now.map(|now| now.pid), |address| served.contains(&address));
        let needs = Needs::of(prepared);
        let listeners = plan.listen.iter().zip(&next.entries).map(|(listen, of)| Served {
            listener: listen.name.clone(),
            plugin: of.plugin.clone(),
            bind: ranges(listen.bind.iter().flat_map(Bind::addresses).collect()),
            addresses: listen.bind.iter().map(Bind::count).sum(),
        });
        let mut planned = Self {
            ok: false,
            configuration: plan.origin.to_string(),
            listeners: listeners.collect(),
            addresses: plan.sockets(),
            needs,
            clashes,
            daemon: now.map(|now| between(now, &next)),
        };
        planned.ok = planned.exit() == Exit::Ok;
        planned
    }

    /// The code that says whether something is in the way, and what.
    pub(crate) fn exit(&self) -> Exit {
        if self.clashes.iter().any(|clash| clash.kind == Kind::Held) {
            Exit::Busy
        } else if self.needs.rights.iter().any(|right| right.required && !right.granted) {
            Exit::Permission
        } else if !self.needs.descriptors.suffice() {
            Exit::Os
        } else {
            Exit::Ok
        }
    }

    /// As an object on one line.
    pub(crate) fn json(&self) -> String {
        // Texts, numbers and lists of them: nothing of it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
