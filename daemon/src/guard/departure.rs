//! Whether a datagram of a handler leaves: the rules for what a host on the open Internet must not send, whatever its
//! handlers ask for. Nearly every datagram goes to a port and an address that no rule speaks of, and [`depart`] sees
//! that at a glance.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use super::OwnAddresses;
use crate::metrics::DropReason;
use crate::reply::{LOOP_PORTS, ReplyPolicy};

/// A datagram on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// The address its listener is bound to.
    pub local: SocketAddr,
    /// Destination.
    pub to: SocketAddr,
    /// The address it leaves from; none if the kernel chooses.
    pub from: Option<IpAddr>,
    /// Whether it answers a datagram that was sent to a multicast group or to a broadcast address.
    pub answers_group: bool,
}

/// Decides whether a datagram leaves. Where its policy lies is another line of memory, which is fetched only for what a
/// rule speaks of.
///
/// # Errors
/// The reason to drop it: the policy of its listener forbids it, it would come back to one of our own listeners, or the
/// kernel would refuse the destination anyway, so the call is saved.
#[inline]
pub fn depart(
    own: &OwnAddresses,
    policy: &impl Deref<Target = ReplyPolicy>,
    departure: &Departure,
) -> Result<(), DropReason> {
    if departure.answers_group || own.may_concern(departure.to) {
        look(own, policy, departure)?;
    }
    if departure.local.is_ipv4() != departure.to.is_ipv4() {
        return Err(DropReason::NoDestination);
    }
    if departure.to.port() == 0 { Err(DropReason::Invalid) } else { Ok(()) }
}

/// Decides whether a session may be to `to`: its handler chooses where, not whoever sends to the listener, so only what is
/// wrong for anybody is refused. Returns the address that one of our own listeners is bound to, if that one would get it.
///
/// # Errors
/// The reason: it is one of our own listeners that takes no sessions, a group that the policy does not allow, or no address to
/// send to.
#[inline]
pub fn dial(
    own: &OwnAddresses,
    policy: &impl Deref<Target = ReplyPolicy>,
    to: SocketAddr,
) -> Result<Option<SocketAddr>, DropReason> {
    if to.port() == 0 || to.ip().is_unspecified() {
        return Err(DropReason::Invalid);
    }
    if own.may_concern(to) { look_at_session(own, policy, to) } else { Ok(None) }
}

#[cold]
fn look_at_session(
    own: &OwnAddresses,
    policy: &ReplyPolicy,
    to: SocketAddr,
) -> Result<Option<SocketAddr>, DropReason> {
    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
    match own.served_by(to) {
        Some(served) if served.closed => Err(DropReason::OwnListener),
        Some(served) => Ok(Some(served.bound)),
        None if !policy.groups && own.is_group(to.ip()) => Err(DropReason::Group),
        None => Ok(None),
    }
}

/// Applies every rule. What none of them speaks of passes.
#[cold]
fn look(own: &OwnAddresses, policy: &ReplyPolicy, departure: &Departure) -> Result<(), DropReason> {
    // An IPv4 address in the form of IPv6 is the same address.
    let to = SocketAddr::new(departure.to.ip().to_canonical(), departure.to.port());
    if own.serves(to, departure.from.map(|from| from.to_canonical())) {
        return Err(DropReason::OwnListener);
    }
    if !policy.groups && (departure.answers_group || own.is_group(to.ip())) {
        return Err(DropReason::Group);
    }
    if !policy.same_port && to.port() == departure.local.port() && to.port() != 0 {
        return Err(DropReason::SamePort);
    }
    if LOOP_PORTS.iter().any(|(port, _)| *port == to.port()) && !policy.ports.allows(to.port()) {
        return Err(DropReason::LoopPort);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::LocalAddress;
    use crate::reply::PeerPorts;

    const LOCAL: &str = "192.0.2.1:9000";

    /// A daemon with listeners at [`LOCAL`] and elsewhere, on a host with one network.
    fn own() -> OwnAddresses {
        let mut own = OwnAddresses::default();
        for bound in [LOCAL, "127.0.0.1:7000", "0.0.0.0:7001", "[::]:7001"] {
            own.add(bound.parse().unwrap(), true);
        }
        let single = |ip: &str, broadcast| LocalAddress {
            ip: ip.parse().unwrap(),
            bits: if ip.contains(':') { 128 } else { 32 },
            broadcast,
        };
        own.set_local(&[single("192.0.2.1", false), single("192.0.2.255", true), single("fe80::1", false)]);
        own
    }

    fn verdict(policy: &ReplyPolicy, to: &str, answers_group: bool) -> Result<(), DropReason> {
        let to: SocketAddr = to.parse().unwrap();
        let local = if to.is_ipv4() { LOCAL } else { "[2001:db8::1]:9000" }.parse().unwrap();
        depart(&own(), &policy, &Departure { local, to, from: None, answers_group })
    }

    #[test]
    fn by_default_everything_dangerous_stays() {
        for (to, reason) in [
            ("198.51.100.1:5000", None),
            ("127.0.0.1:7000", Some(DropReason::OwnListener)),
            ("192.0.2.1:7001", Some(DropReason::OwnListener)),
            ("[fe80::1%7]:7001", Some(DropReason::OwnListener)),
            ("[::ffff:192.0.2.1]:7001", Some(DropReason::OwnListener)),
            ("[::ffff:127.0.0.1]:7000", Some(DropReason::OwnListener)),
            ("[::ffff:224.0.0.1]:5000", Some(DropReason::Group)),
            ("[::ffff:192.0.2.255]:5000", Some(DropReason::Group)),
            ("[::ffff:198.51.100.1]:5000", None),
            ("192.0.2.2:7001", None),
            ("198.51.100.1:9000", Some(DropReason::SamePort)),
            ("198.51.100.1:7", Some(DropReason::LoopPort)),
            ("198.51.100.1:11211", Some(DropReason::LoopPort)),
            ("198.51.100.1:8", None),
            ("192.0.2.255:5000", Some(DropReason::Group)),
            ("255.255.255.255:5000", Some(DropReason::Group)),
            ("224.0.0.1:5000", Some(DropReason::Group)),
            ("[ff02::1%7]:5000", Some(DropReason::Group)),
            ("192.0.3.255:5000", None),
            ("198.51.100.1:0", Some(DropReason::Invalid)),
        ] {
            assert_eq!(verdict(&ReplyPolicy::default(), to, false), reason.map_or(Ok(()), Err), "{to}");
        }
        let group = verdict(&ReplyPolicy::default(), "198.51.100.1:5000", true);
        assert_eq!(group, Err(DropReason::Group), "an answer to what was sent to a group");
        let own = Departure {
            local: LOCAL.parse().unwrap(),
            to: "[2001:db8::2]:5000".parse().unwrap(),
            from: None,
            answers_group: false,
        };
        let other_family = depart(&OwnAddresses::default(), &&ReplyPolicy::default(), &own);
        assert_eq!(other_family, Err(DropReason::NoDestination));
    }

    #[test]
    fn a_session_may_be_to_any_service_of_others() {
        for (to, reason) in [
            ("198.51.100.1:53", None),
            ("198.51.100.1:9000", None),
            ("127.0.0.1:5353", None),
            ("127.0.0.1:7000", Some(DropReason::OwnListener)),
            ("192.0.2.1:7001", Some(DropReason::OwnListener)),
            ("[::ffff:127.0.0.1]:7000", Some(DropReason::OwnListener)),
            ("224.0.0.1:5000", Some(DropReason::Group)),
            ("192.0.2.255:5000", Some(DropReason::Group)),
            ("0.0.0.0:5000", Some(DropReason::Invalid)),
            ("198.51.100.1:0", Some(DropReason::Invalid)),
        ] {
            let verdict = dial(&own(), &&ReplyPolicy::default(), to.parse().unwrap());
            assert_eq!(verdict, reason.map_or(Ok(None), Err), "{to}");
        }
        let groups = ReplyPolicy { groups: true, ..ReplyPolicy::default() };
        assert_eq!(dial(&own(), &&groups, "224.0.0.1:5000".parse().unwrap()), Ok(None));
    }

    #[test]
    fn a_session_may_be_to_a_listener_of_ours_that_takes_them() {
        let mut own = own();
        own.add("127.0.0.1:7001".parse().unwrap(), false);
        own.set_closed("192.0.2.1:9000".parse().unwrap(), true, false);
        for (to, bound) in [
            ("127.0.0.1:7001", Ok(Some("127.0.0.1:7001"))),
            ("[::ffff:127.0.0.1]:7001", Ok(Some("127.0.0.1:7001"))),
            ("127.0.0.2:7001", Err(DropReason::OwnListener)),
            ("192.0.2.1:9000", Ok(Some("192.0.2.1:9000"))),
            ("[::1]:7001", Err(DropReason::OwnListener)),
            ("[2001:db8::1]:7001", Ok(None)),
        ] {
            let bound = bound.map(|bound| bound.map(|bound| bound.parse().unwrap()));
            assert_eq!(dial(&own, &&ReplyPolicy::default(), to.parse().unwrap()), bound, "{to}");
        }
        own.set_closed("[::]:7001".parse().unwrap(), true, false);
        let wildcard = dial(&own, &&ReplyPolicy::default(), "[fe80::1%7]:7001".parse().unwrap());
        assert_eq!(wildcard, Ok(Some("[::]:7001".parse().unwrap())));
        // Two that share an address: either may get it.
        own.add("127.0.0.1:7001".parse().unwrap(), true);
        let shared =
            |own: &OwnAddresses| dial(own, &&ReplyPolicy::default(), "127.0.0.1:7001".parse().unwrap());
        assert_eq!(shared(&own), Err(DropReason::OwnListener));
        own.remove("127.0.0.1:7001".parse().unwrap(), true);
        shared(&own).unwrap();
        // Who is behind it gets it when it is gone.
        own.remove("127.0.0.1:7001".parse().unwrap(), false);
        assert_eq!(shared(&own), Err(DropReason::OwnListener));
    }

    #[test]
    fn each_key_allows_its_own_and_nothing_else() {
        let all = [
            ("127.0.0.1:7000", false, DropReason::OwnListener),
            ("192.0.2.255:5000", false, DropReason::Group),
            ("198.51.100.1:5000", true, DropReason::Group),
            ("198.51.100.1:9000", false, DropReason::SamePort),
            ("198.51.100.1:53", false, DropReason::LoopPort),
            ("198.51.100.1:123", false, DropReason::LoopPort),
        ];
        let default = ReplyPolicy::default();
        let policies = [
            (ReplyPolicy { groups: true, ..default.clone() }, &[1, 2][..]),
            (ReplyPolicy { same_port: true, ..default.clone() }, &[3]),
            (ReplyPolicy { ports: PeerPorts::Only(vec![53]), ..default.clone() }, &[4]),
            (ReplyPolicy { ports: PeerPorts::Any, ..default }, &[4, 5]),
        ];
        for (policy, allowed) in policies {
            for (index, (to, answers_group, reason)) in all.into_iter().enumerate() {
                let expected = if allowed.contains(&index) { Ok(()) } else { Err(reason) };
                assert_eq!(verdict(&policy, to, answers_group), expected, "{to} {policy:?}");
            }
        }
    }
}
