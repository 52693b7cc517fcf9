//! How much may be sent to an address that nobody has proved to be its sender's: the budget of a listener.
//!
//! Whoever sends with a forged source makes the answers go to somebody else. The budget bounds what that is worth to
//! them (R27, R28; RFC 9000 section 8 has the same bound for QUIC, and DNS servers know the rate as RRL):
//!
//! - **Amplification.** Every byte that comes from a prefix to a listener pays for `amplification` bytes that leave to
//!   it, once, and within a second. So the bytes that handlers queue for a prefix in any second are at most
//!   `amplification` times those that came from it in that second and the second before; and in any longer time at most
//!   `amplification` times those that came in that time and a second before. What a byte pays for is kept for half a
//!   second at least.
//! - **Rate.** In each second of the loop's clock a prefix gets at most `rate` replies. Of those beyond that are not
//!   longer than their requests, every `slip`-th leaves all the same, so that a client behind a forged flood gets
//!   through now and then; forgers gain nothing from it.
//!
//! What a call receives pays for the answers to it first, request by request, and without any memory. Only what is left
//! over is stored, and only what costs more asks for it. So an answer that its own request pays for leaves whatever
//! others do, be it a million prefixes. All listeners share what is stored: what came to one may pay at another.
//!
//! Bytes are those of UDP payloads and of the UDP and IP headers, without extension headers and fragments.

use std::net::{IpAddr, SocketAddr};

use super::prefixes::{Prefixes, share_prefix};
use crate::metrics::DropReason;
use crate::reply::Budget;

/// Bytes of the IP and UDP headers of a datagram (RFC 791, RFC 8200, RFC 768).
const fn headers(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(_) => 20 + 8,
        IpAddr::V6(_) => 40 + 8,
    }
}

/// A received message that a handler was shown: a datagram or a train.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who sent it, or was made to seem so.
    pub peer: SocketAddr,
    /// Payload bytes of all its datagrams.
    pub bytes: usize,
    /// How many datagrams it has.
    pub datagrams: usize,
}

/// What a handler wants to send: a datagram, or a train to one address.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Destination.
    pub to: SocketAddr,
    /// Payload bytes of all its datagrams.
    pub bytes: usize,
    /// How many datagrams it has. A reply that the rate is asked for has one.
    pub datagrams: usize,
    /// The number of the request that it answers; none for one that answers nothing.
    pub answers: Option<usize>,
    /// None of its datagrams is longer than the one it answers.
    pub short: bool,
}

/// What handlers may send, for all listeners with a budget.
#[derive(Debug)]
pub struct Budgets {
    prefixes: Prefixes,
    /// What the requests of the current call have left.
    call: Vec<Unspent>,
}

/// What a request pays for and has not paid for yet.
#[derive(Clone, Copy, Debug)]
struct Unspent {
    ip: IpAddr,
    /// Thousandths of a byte that may leave.
    milli: u64,
}

impl Budgets {
    /// Remembers at least so many `prefixes`. `key` must be unknown to whoever sends datagrams, or they could choose
    /// prefixes that push out the account of another.
    #[must_use]
    pub fn new(prefixes: usize, key: [u8; 16]) -> Self {
        Self { prefixes: Prefixes::new(prefixes, key), call: Vec::new() }
    }

    /// Begins the settling of a call in which a handler was shown `requests`.
    pub fn open(&mut self, budget: &Budget, requests: impl Iterator<Item = Request>) {
        self.call.clear();
        self.call.extend(requests.map(|request| unspent(budget, &request)));
    }

    /// Takes out of what request number `request` pays for the share of a datagram of so many payload `bytes`, for an answer
    /// to it in a later call. Returns it in thousandths of a byte; it is 0 if there is no such request.
    pub fn set_aside(&mut self, budget: &Budget, request: usize, bytes: usize) -> u64 {
        let Some(unspent) = self.call.get_mut(request) else { return 0 };
        let share = wire_bytes(unspent.ip, bytes, 1) * u64::from(budget.amplification_milli);
        take(&mut unspent.milli, share)
    }

    /// Adds what was set aside in an earlier call, behind all requests, as if it had come with this one.
    pub fn add(&mut self, ip: IpAddr, milli: u64) {
        self.call.push(Unspent { ip: ip.to_canonical(), milli });
    }

    /// Asks whether a reply may leave, and charges it if so. It counts now, whenever it leaves.
    ///
    /// # Errors
    /// [`DropReason::Amplification`] or [`DropReason::RateLimited`].
    #[inline]
    pub fn pay(&mut self, budget: &Budget, reply: &Reply, now_ns: u64) -> Result<(), DropReason> {
        let to = reply.to.ip().to_canonical();
        let price = 1000 * wire_bytes(to, reply.bytes, reply.datagrams);
        let own = reply.answers.and_then(|number| self.call.get_mut(number));
        if let Some(own) = own
            && budget.rate.is_none()
            && price <= own.milli
            && share_prefix(own.ip, to, bits(budget, to))
        {
            own.milli -= price;
            return Ok(());
        }
        pay_more(&mut self.prefixes, &mut self.call, budget, reply, (to, price), now_ns)
    }

    /// Ends the settling of a call: stores what its requests have left.
    pub fn close(&mut self, budget: &Budget, now_ns: u64) {
        store(&mut self.prefixes, &self.call, budget, now_ns);
        self.call.clear();
    }

    /// Prefixes that were forgotten for others before their time, since the last call of this function.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.prefixes.evicted)
    }
}

/// Whose datagrams a listener counts. It is all that needs a look for those that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nobody's, because there is no budget.
    Nobody,
    /// Those of peers that are not on this host.
    Others,
    /// Those of everybody.
    Everybody,
}

impl Counted {
    /// Whom a listener with this budget, or none, counts.
    #[must_use]
    pub fn by(budget: Option<&Budget>) -> Self {
        match budget {
            None => Self::Nobody,
            Some(budget) if budget.loopback => Self::Everybody,
            Some(_) => Self::Others,
        }
    }

    /// Whether what comes from and goes to an address counts.
    #[inline]
    #[must_use]
    pub fn includes(self, ip: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::Others => !ip.to_canonical().is_loopback(),
            Self::Everybody => true,
        }
    }
}

fn unspent(budget: &Budget, request: &Request) -> Unspent {
    let ip = request.peer.ip().to_canonical();
    let bytes = wire_bytes(ip, request.bytes, request.datagrams);
    Unspent { ip, milli: bytes * u64::from(budget.amplification_milli) }
}

fn wire_bytes(ip: IpAddr, payload: usize, datagrams: usize) -> u64 {
    payload as u64 + headers(ip) * datagrams as u64
}

fn bits(budget: &Budget, ip: IpAddr) -> u8 {
    if ip.is_ipv4() { budget.v4_prefix } else { budget.v6_prefix }
}

/// Pays from all that came from the prefix: first what the reply's own request has left, then what is stored, then what
/// those requests of the call have left that came before it. Asks the rate, if there is one.
#[inline(never)]
fn pay_more(
    prefixes: &mut Prefixes,
    call: &mut [Unspent],
    budget: &Budget,
    reply: &Reply,
    (to, price): (IpAddr, u64),
    now_ns: u64,
) -> Result<(), DropReason> {
    let bits = bits(budget, to);
    let prefix = prefixes.prefix(to, bits);
    let pays = |unspent: &Unspent| share_prefix(unspent.ip, to, bits);
    // Who answers nothing comes behind all requests.
    let earlier = reply.answers.unwrap_or(call.len());
    let own = call.get(earlier).filter(|own| pays(own)).map_or(0, |own| own.milli);
    let of_others =
        call.iter().take(earlier).filter(|other| pays(other)).map(|other| other.milli).sum::<u64>();
    let stored = 1000 * prefixes.find(prefix, now_ns).map_or(0, |account| account.stored());
    if own + stored + of_others < price {
        return Err(DropReason::Amplification);
    }
    if let Some(rate) = budget.rate
        && let Some(account) = prefixes.find_or_make(prefix, now_ns)
        && !is_within(rate, budget.slip, &mut account.replies, reply.short)
    {
        return Err(DropReason::RateLimited);
    }
    let mut left = price;
    if let Some(own) = call.get_mut(earlier).filter(|own| pays(own)) {
        left -= take(&mut own.milli, left);
    }
    if left > 0
        && let Some(account) = prefixes.find(prefix, now_ns)
    {
        left -= (1000 * account.spend(left.div_ceil(1000))).min(left);
    }
    for other in call.iter_mut().take(earlier).filter(|other| pays(other)) {
        left -= take(&mut other.milli, left);
    }
    Ok(())
}

/// Counts a reply, and says whether it leaves: because there were fewer than `rate`, or because it slips through.
fn is_within(rate: u32, slip: u32, replies: &mut u32, short: bool) -> bool {
    if *replies < rate {
        *replies += 1;
        return true;
    }
    if !short {
        return false;
    }
    *replies = replies.saturating_add(1);
    (*replies - rate).checked_rem(slip) == Some(0)
}

/// Takes at most so much out, and returns how much.
fn take(purse: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*purse);
    *purse -= taken;
    taken
}

/// Stores what requests have left, in whole bytes, with one look at the table for those in a row that share a prefix.
fn store(prefixes: &mut Prefixes, call: &[Unspent], budget: &Budget, now_ns: u64) {
    let counted = Counted::by(Some(budget));
    for run in call.chunk_by(|a, b| share_prefix(a.ip, b.ip, bits(budget, a.ip))) {
        let bytes = run.iter().map(|unspent| unspent.milli / 1000).sum::<u64>();
        let Some(Unspent { ip, .. }) = run.first().filter(|first| bytes > 0 && counted.includes(first.ip))
        else {
            continue;
        };
        let prefix = prefixes.prefix(*ip, bits(budget, *ip));
        if let Some(account) = prefixes.find_or_make(prefix, now_ns) {
            account.store(bytes);
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "budget_twin_tests.rs"]
mod twin_tests;
