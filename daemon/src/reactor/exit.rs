//! What a handler is told at once of where it may send, by the rules that are applied again when its call is settled.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::listener::{Listener, Service};
use crate::guard::{Departure, OwnAddresses, depart};
use crate::metrics::DropReason;
use crate::plugin::{AddressRefusal, Gate};
use crate::reply::ReplyPolicy;

/// The reasons that have names of their own.
const POLICY: [(DropReason, AddressRefusal); 4] = [
    (DropReason::OwnListener, AddressRefusal::OwnListener),
    (DropReason::Group, AddressRefusal::Group),
    (DropReason::LoopPort, AddressRefusal::LoopPort),
    (DropReason::SamePort, AddressRefusal::SamePort),
];

/// The way out of a listener, and its handler.
pub(super) fn way_out<'a, S>(
    own: &'a OwnAddresses,
    listener: &'a mut Listener<S>,
) -> (Exit<'a>, &'a mut Service) {
    let Listener { reply, local, service, .. } = listener;
    (Exit { own, policy: reply, local: *local }, service)
}

/// The way out of one listener.
#[derive(Debug)]
pub(super) struct Exit<'a> {
    pub(super) own: &'a OwnAddresses,
    pub(super) policy: &'a Rc<ReplyPolicy>,
    pub(super) local: SocketAddr,
}

impl Gate for Exit<'_> {
    fn refusal(&self, to: SocketAddr, from: Option<IpAddr>) -> Option<AddressRefusal> {
        let departure = Departure { local: self.local, to, from, answers_group: false };
        let reason = depart(self.own, self.policy, &departure).err()?;
        let named = POLICY.iter().find(|(known, _)| *known == reason);
        Some(named.map_or(AddressRefusal::Destination, |(_, refusal)| *refusal))
    }
}
