//! Token buckets for errors by the clock of the batch: one for each prefix of addresses and each kind of error, in
//! constant memory.
//!
//! With one bucket for all, whoever makes errors takes those of everybody else: a flood of frames of an unknown version
//! kept clients from getting a COOKIE. So each prefix, /24 or /56, has buckets of its own. They lie in a sketch of two
//! rows, in each of which a prefix has one cell by a keyed hash. An event passes if one of its two cells has a token, and
//! raises no cell further than to what it found: so a prefix loses tokens only to those that meet it in both rows.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use polyport_plugin::Reservation;
use siphasher::sip::SipHasher24;

/// Nanoseconds of a second, in which rates are given.
const SECOND: u64 = 1_000_000_000;
/// Cells of a row.
const WIDTH: usize = 1024;
/// Cells of a row if the host grants no memory.
const LEAST_WIDTH: usize = 16;

/// What an error is about. A client that needs a COOKIE must not wait for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A COOKIE comes with it: codes 18 and 19.
    Cookie,
    /// Anything else that a frame of this version got wrong.
    Request,
    /// A VERSION frame.
    Version,
}

/// Lets `rate` errors of each kind and prefix pass in a second, and that many at once after a second of silence.
#[derive(Debug)]
pub struct ErrorBuckets {
    /// Nanoseconds from one token to the next; `None` lets nothing pass.
    interval: Option<u64>,
    /// Key of the hash: nobody can choose addresses that meet those of others.
    key: (u64, u64),
    /// Virtual time up to which tokens were taken (GCRA): may lie up to one second ahead of the clock. Two rows, one
    /// behind the other; empty until the first error.
    cells: Vec<u64>,
    reservation: Reservation,
}

impl ErrorBuckets {
    /// Full buckets. A rate of 0 lets nothing pass; above 10^9 a second it is 10^9.
    #[must_use]
    pub fn new(rate: u32, key: (u64, u64), reservation: Reservation) -> Self {
        Self { interval: interval(rate), key, cells: Vec::new(), reservation }
    }

    /// Changes the rate.
    pub fn set_rate(&mut self, rate: u32) {
        self.interval = interval(rate);
    }

    /// Takes a token at `now_ns`, if `peer` has one.
    pub fn take(&mut self, peer: SocketAddr, about: About, now_ns: u64) -> bool {
        let Some(interval) = self.interval else { return false };
        if self.cells.is_empty() {
            let width =
                if self.reservation.try_grow(2 * WIDTH * size_of::<u64>()) { WIDTH } else { LEAST_WIDTH };
            self.cells = vec![0; 2 * width];
        }
        let places = self.places(peer.ip(), about);
        let taken = places.map(|at| self.cells.get(at).copied().unwrap_or(u64::MAX));
        let [a, b] = taken;
        let until = a.min(b).max(now_ns).saturating_add(interval);
        let passes = until <= now_ns.saturating_add(SECOND);
        if passes {
            for at in places {
                if let Some(cell) = self.cells.get_mut(at) {
                    *cell = (*cell).max(until);
                }
            }
        }
        passes
    }

    /// The cells of a prefix, one in each row.
    fn places(&self, ip: IpAddr, about: About) -> [usize; 2] {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(&[about as u8]);
        match ip.to_canonical() {
            IpAddr::V4(ip) => hasher.write(ip.octets().get(..3).unwrap_or_default()),
            IpAddr::V6(ip) => hasher.write(ip.octets().get(..7).unwrap_or_default()),
        }
        let [a, b, c, d, e, f, g, h] = hasher.finish().to_be_bytes();
        let width = self.cells.len() / 2;
        let place = |hash: [u8; 4]| u32::from_be_bytes(hash) as usize % width.max(1);
        [place([a, b, c, d]), width + place([e, f, g, h])]
    }
}

fn interval(rate: u32) -> Option<u64> {
    SECOND.checked_div(rate.into()).map(|ns| ns.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(rate: u32) -> ErrorBuckets {
        ErrorBuckets::new(rate, (1, 2), Reservation::default())
    }

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 9)
    }

    /// How many of `n` errors pass at one moment.
    fn passed(buckets: &mut ErrorBuckets, peer: SocketAddr, about: About, n: usize, now_ns: u64) -> usize {
        (0..n).filter(|_| buckets.take(peer, about, now_ns)).count()
    }

    #[test]
    fn a_second_of_tokens_at_once_and_then_the_rate() {
        let (mut buckets, one) = (buckets(10), peer("192.0.2.1"));
        let start = 77 * SECOND;
        assert_eq!(passed(&mut buckets, one, About::Request, 20, start), 10);
        assert!(!buckets.take(one, About::Request, start + SECOND / 10 - 1));
        assert!(buckets.take(one, About::Request, start + SECOND / 10));
        assert!(!buckets.take(one, About::Request, start + SECOND / 10));
        let later = start + 60 * SECOND;
        assert_eq!(passed(&mut buckets, one, About::Request, 20, later), 10, "no more than a second");
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_pass() {
        let mut buckets = buckets(0);
        assert!(!buckets.take(peer("192.0.2.1"), About::Cookie, SECOND));
        buckets.set_rate(1);
        assert!(buckets.take(peer("192.0.2.1"), About::Cookie, SECOND));
    }

    #[test]
    fn a_prefix_has_its_own_tokens_and_so_has_each_kind_of_error() {
        let mut buckets = buckets(10);
        assert_eq!(passed(&mut buckets, peer("192.0.2.1"), About::Version, 99, SECOND), 10);
        for (other, about, left) in [
            ("192.0.2.200", About::Version, 0),
            ("::ffff:192.0.2.7", About::Version, 0),
            ("192.0.2.1", About::Cookie, 10),
            ("192.0.2.1", About::Request, 10),
            ("192.0.3.1", About::Version, 10),
            ("2001:db8:0:ff::1", About::Version, 10),
            ("2001:db8:0:1::1", About::Version, 0),
            ("2001:db8:0:100::1", About::Version, 10),
        ] {
            assert_eq!(passed(&mut buckets, peer(other), about, 99, SECOND), left, "{other} {about:?}");
        }
    }

    /// R27: a million forged sources cost no memory and the steady client no cookie.
    #[test]
    fn a_flood_from_everywhere_leaves_a_steady_client_its_tokens() {
        let (mut buckets, steady) = (buckets(100), peer("198.51.100.7"));
        let (mut asked, mut got) = (0, 0);
        for n in 0..1_000_000_u32 / if cfg!(debug_assertions) { 5 } else { 1 } {
            // 50,000 a second.
            let now = SECOND + u64::from(n) * 20_000;
            let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
            buckets.take(SocketAddr::new([a, b, c, d].into(), 9), About::Cookie, now);
            if n % 5_000 == 0 {
                asked += 1;
                got += usize::from(buckets.take(steady, About::Cookie, now));
            }
        }
        assert_eq!((got, buckets.cells.len()), (asked, 2 * WIDTH));
        assert!(asked >= 40);
    }
}
