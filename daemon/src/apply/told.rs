//! What the log says when addresses begin to be served.

use std::net::SocketAddr;
use std::sync::Arc;

use super::steps::{Place, shown};
use crate::config::Plan;
use crate::plugin::Plugin;

/// Logs who serves what: a line for each address or range of the plan, however many ports it has.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Span>);

/// Addresses of one place that are served.
#[derive(Debug)]
struct Span {
    place: Place,
    first: SocketAddr,
    plugin: Arc<Plugin>,
    count: usize,
}

impl Told {
    /// One more address is served.
    pub(super) fn one_more(&mut self, plan: &Plan, place: Place, local: SocketAddr, plugin: &Arc<Plugin>) {
        match &mut self.0 {
            Some(span) if span.place == place => span.count += 1,
            _ => {
                let span = Span { place, first: local, plugin: Arc::clone(plugin), count: 1 };
                Self(self.0.replace(span)).end(plan);
            }
        }
    }

    /// Nothing more comes of this place.
    pub(super) fn end(self, plan: &Plan) {
        let Some(Span { place, first, plugin, count }) = self.0 else { return };
        let Some((listen, bind)) = place.of(plan) else { return };
        let (name, identity) = (&listen.name, plugin.identity());
        let built_in = if plugin.path().is_none() { ", built in" } else { "" };
        match count {
            1 => log::info!("listener {name} {first}: served by {identity}{built_in}"),
            _ => log::info!(
                "listener {name} {}: {count} addresses served by {identity}{built_in}",
                shown(bind, first)
            ),
        }
    }
}
