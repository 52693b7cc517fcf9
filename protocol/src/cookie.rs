//! Address validation: a cookie proves that its bearer can receive at the address it sends from ([P-57] to
//! [P-59]). The construction is that of RFC 9018 section 4.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use subtle::ConstantTimeEq;

use crate::auth::siphash;
use crate::seq::Serial;

/// Oldest cookie accepted, in seconds.
pub const COOKIE_MAX_AGE: i32 = 3600;
/// How far ahead a cookie's time may lie, in seconds: clocks of a cluster that shares the secret differ.
pub const COOKIE_MAX_AHEAD: i32 = 300;
/// Age in seconds from which a responder sends a fresh cookie along.
pub const COOKIE_RENEW_AGE: i32 = 1800;

const COOKIE_VERSION: u8 = 1;

/// The 16 octets of the COOKIE option; opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cookie(
    /// The octets as they are on the wire.
    pub [u8; 16],
);

/// The responder's secret, and the one before it.
#[derive(Clone)]
pub struct CookieSecrets {
    current: [u8; 16],
    previous: Option<[u8; 16]>,
    not_before: Option<u32>,
}

/// Who a cookie is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieScope {
    /// Source address and port of the request.
    pub peer: SocketAddr,
    /// Port the request came to.
    pub local_port: u16,
    /// Stream of the request.
    pub stream_id: u32,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieState {
    /// The address is validated.
    Valid,
    /// The address is validated; a fresh cookie should go out with the reply.
    ValidButOld,
    /// Made for someone else, with another secret, too long ago or in the future.
    Invalid,
}

impl CookieState {
    /// Whether the address is validated.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::ValidButOld)
    }
}

impl CookieSecrets {
    /// Starts with one secret from a generator of cryptographic strength.
    #[must_use]
    pub const fn new(secret: [u8; 16]) -> Self {
        Self { current: secret, previous: None, not_before: None }
    }

    /// Makes new cookies with `secret` from now on; cookies of the secret before it stay valid until the next
    /// rotation. Rotate no more often than [`COOKIE_MAX_AGE`], else cookies die before their time.
    pub const fn rotate(&mut self, secret: [u8; 16]) {
        self.previous = Some(self.current);
        self.current = secret;
    }

    /// Accepts no cookie that was made before `time`, Unix seconds modulo 2^32: the end of the second in which the
    /// responder started ([P-109]). Until then new cookies bear that time, so that they are told from those of the
    /// process before.
    pub const fn set_not_before(&mut self, time: u32) {
        self.not_before = Some(time);
    }

    /// A cookie for `scope`. `now` is Unix time in seconds modulo 2^32.
    #[must_use]
    pub fn make(&self, scope: &CookieScope, now: u32) -> Cookie {
        let later = |time: &u32| Serial(now).distance_to(Serial(*time)).is_some_and(|later| later > 0);
        let made = self.not_before.filter(later).unwrap_or(now);
        let [t0, t1, t2, t3] = made.to_be_bytes();
        let head = [COOKIE_VERSION, 0, 0, 0, t0, t1, t2, t3];
        let [h0, h1, h2, h3, h4, h5, h6, h7] = hash(&self.current, scope, head);
        Cookie([COOKIE_VERSION, 0, 0, 0, t0, t1, t2, t3, h0, h1, h2, h3, h4, h5, h6, h7])
    }

    /// Checks a cookie that came from `scope` at `now` (Unix seconds modulo 2^32).
    #[must_use]
    pub fn check(&self, cookie: &Cookie, scope: &CookieScope, now: u32) -> CookieState {
        let Some((head, tag)) = cookie.0.split_first_chunk::<8>() else { return CookieState::Invalid };
        let [version, _, _, _, t0, t1, t2, t3] = *head;
        let made = Serial(u32::from_be_bytes([t0, t1, t2, t3]));
        let age = match made.distance_to(Serial(now)) {
            Some(age) if (COOKIE_MAX_AHEAD.saturating_neg()..=COOKIE_MAX_AGE).contains(&age) => age,
            Some(_) | None => return CookieState::Invalid,
        };
        // Serial arithmetic: what cannot be compared was not made since then.
        if self.not_before.is_some_and(|time| Serial(time).distance_to(made).is_none_or(|later| later < 0)) {
            return CookieState::Invalid;
        }
        let known = |secret: &[u8; 16]| bool::from(hash(secret, scope, *head).ct_eq(tag));
        if version != COOKIE_VERSION {
            CookieState::Invalid
        } else if known(&self.current) {
            if age >= COOKIE_RENEW_AGE { CookieState::ValidButOld } else { CookieState::Valid }
        } else if self.previous.as_ref().is_some_and(known) {
            CookieState::ValidButOld
        } else {
            CookieState::Invalid
        }
    }
}

impl fmt::Debug for CookieSecrets {
    /// Never prints the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSecrets").field("rotated", &self.previous.is_some()).finish_non_exhaustive()
    }
}

/// [P-57]; an IPv4-mapped address is hashed as the IPv4 address it stands for ([P-101]).
fn hash(secret: &[u8; 16], scope: &CookieScope, head: [u8; 8]) -> [u8; 8] {
    let stream = scope.stream_id.to_be_bytes();
    let port = scope.peer.port().to_be_bytes();
    let local = scope.local_port.to_be_bytes();
    let hash = match scope.peer.ip().to_canonical() {
        IpAddr::V4(ip) => siphash(secret, &[&stream, &head, &ip.octets(), &port, &local]),
        IpAddr::V6(ip) => siphash(secret, &[&stream, &head, &ip.octets(), &port, &local]),
    };
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn scope(peer: &str) -> CookieScope {
        CookieScope { peer: peer.parse().unwrap(), local_port: 7000, stream_id: 0xCAFE_F00D }
    }

    #[test]
    fn a_cookie_from_before_the_start_proves_nothing() {
        for now in [NOW, 5, u32::MAX - 5] {
            let (mut secrets, scope) = (CookieSecrets::new([9; 16]), scope("192.0.2.1:40000"));
            let made = |back: u32| CookieSecrets::new([9; 16]).make(&scope, now.wrapping_sub(back));
            secrets.set_not_before(now.wrapping_sub(10));
            assert_eq!(secrets.check(&made(10), &scope, now), CookieState::Valid);
            assert_eq!(secrets.check(&made(11), &scope, now), CookieState::Invalid);
            assert_eq!(secrets.check(&made(0), &scope, now), CookieState::Valid);
            // In the second of the start, of which only its own are good.
            secrets.set_not_before(now.wrapping_add(1));
            assert_eq!(secrets.check(&made(0), &scope, now), CookieState::Invalid);
            let own = secrets.make(&scope, now);
            assert_eq!(secrets.check(&own, &scope, now), CookieState::Valid);
            assert_eq!(own, secrets.make(&scope, now.wrapping_add(1)));
        }
    }

    #[test]
    fn lifetime_has_the_edges_of_the_specification() {
        let (secrets, scope) = (CookieSecrets::new([9; 16]), scope("[2001:db8::1]:40000"));
        let cookie = secrets.make(&scope, NOW);
        let at = |now: u32| secrets.check(&cookie, &scope, now);
        assert_eq!(at(NOW), CookieState::Valid);
        assert_eq!(at(NOW + 1799), CookieState::Valid);
        assert_eq!(at(NOW + 1800), CookieState::ValidButOld);
        assert_eq!(at(NOW + 3600), CookieState::ValidButOld);
        assert_eq!(at(NOW + 3601), CookieState::Invalid);
        assert_eq!(at(NOW - 300), CookieState::Valid);
        assert_eq!(at(NOW - 301), CookieState::Invalid);
    }

    #[test]
    fn time_wraps() {
        let (secrets, scope) = (CookieSecrets::new([9; 16]), scope("192.0.2.1:1"));
        let cookie = secrets.make(&scope, u32::MAX - 10);
        assert_eq!(secrets.check(&cookie, &scope, 20), CookieState::Valid);
    }

    #[test]
    fn a_cookie_is_worth_nothing_to_anyone_else() {
        let secrets = CookieSecrets::new([9; 16]);
        let mine = scope("192.0.2.1:40000");
        let cookie = secrets.make(&mine, NOW);
        let others = [
            scope("192.0.2.2:40000"),
            scope("192.0.2.1:40001"),
            CookieScope { local_port: 7001, ..mine },
            CookieScope { stream_id: 1, ..mine },
        ];
        for other in others {
            assert_eq!(secrets.check(&cookie, &other, NOW), CookieState::Invalid, "{other:?}");
        }
        let mapped = scope("[::ffff:192.0.2.1]:40000");
        assert_eq!(
            secrets.check(&cookie, &mapped, NOW),
            CookieState::Valid,
            "same host on a dual-stack socket"
        );
        for bit in (0..128).step_by(if cfg!(miri) { 9 } else { 1 }) {
            let mut flipped = cookie;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(secrets.check(&flipped, &mine, NOW), CookieState::Invalid, "bit {bit}");
        }
    }

    #[test]
    fn one_rotation_keeps_old_cookies_and_two_do_not() {
        let mut secrets = CookieSecrets::new([1; 16]);
        let scope = scope("192.0.2.1:40000");
        let cookie = secrets.make(&scope, NOW);
        secrets.rotate([2; 16]);
        assert_eq!(secrets.check(&cookie, &scope, NOW), CookieState::ValidButOld);
        secrets.rotate([3; 16]);
        assert_eq!(secrets.check(&cookie, &scope, NOW), CookieState::Invalid);
        assert!(!format!("{secrets:?}").contains('3'));
    }
}
