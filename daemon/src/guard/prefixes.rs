//! What is remembered of source prefixes, in constant memory: how many bytes may leave to each because of what came, and
//! how many replies it got.
//!
//! The table is set-associative: the keyed hash of a prefix names a set, and the prefix has its account in one of the
//! places of that set, or none. Nobody outside can tell which prefixes share a set, because nobody knows the key. Where
//! a set is full, the account that is worth least goes. Losing an account costs its prefix what was stored there; an
//! answer that its own request pays for needs no account (`budget.rs`).

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// Places of a set: so many that a busy prefix keeps its account while others come and go, and so few that a look at
/// all of them costs little. Their tags fill one cache line.
const WAYS: usize = 8;

/// How long bytes are stored at least, and half of how long they are stored at most.
pub(super) const PERIOD_NS: u64 = 500_000_000;

/// The tag of a place without an account.
const FREE: u64 = 0;

/// A prefix as the table knows it: a keyed hash. Two prefixes that share one, which happens for one pair in 2^64,
/// share an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix(u64);

/// The accounts of all prefixes.
#[derive(Debug)]
pub(super) struct Prefixes {
    key: [u8; 16],
    /// Made when the first account is, because a daemon that serves loopback only needs none.
    sets: Vec<Set>,
    /// How many sets there will be, a power of two.
    wanted: usize,
    /// Accounts that had to go for others while they still meant something.
    pub(super) evicted: u64,
}

/// The accounts whose prefixes have the same low bits in their hash.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Set {
    tags: [u64; WAYS],
    accounts: [Account; WAYS],
}

/// What is remembered of one prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Bytes that may leave because of what came in the period before `period`.
    before: u32,
    /// Bytes that may leave because of what came in `period`.
    recent: u32,
    /// The period of the last change.
    period: u32,
    /// Replies in the second of `period`.
    pub(super) replies: u32,
}

impl Account {
    /// Forgets what is too old at the moment of `period`.
    fn advance(&mut self, period: u32) {
        match period.saturating_sub(self.period) {
            0 => return,
            1 => self.before = self.recent,
            _ => self.before = 0,
        }
        if second(period) != second(self.period) {
            self.replies = 0;
        }
        self.recent = 0;
        self.period = period;
    }

    /// Bytes that may leave.
    pub(super) fn stored(&self) -> u64 {
        u64::from(self.before) + u64::from(self.recent)
    }

    /// Stores bytes that may leave from now on. More than 4 GiB of a period are not kept, which nobody needs.
    pub(super) fn store(&mut self, bytes: u64) {
        self.recent = self.recent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Spends stored bytes, those first that will be forgotten first. Returns how many of `bytes` it had.
    pub(super) fn spend(&mut self, bytes: u64) -> u64 {
        let mut left = u32::try_from(bytes).unwrap_or(u32::MAX);
        for purse in [&mut self.before, &mut self.recent] {
            let part = left.min(*purse);
            *purse -= part;
            left -= part;
        }
        bytes.min(u64::from(u32::MAX)) - u64::from(left)
    }

    /// What its prefix loses with it in `period`. Replies count first: a prefix that had many of them must not begin anew.
    fn worth(mut self, period: u32) -> (u32, u64) {
        self.advance(period);
        (self.replies, self.stored())
    }

    /// Whether nothing of it means anything in `period`.
    fn is_over(self, period: u32) -> bool {
        self.worth(period) == (0, 0)
    }
}

impl Prefixes {
    /// Accounts for at least so many `prefixes`, and no memory yet. `key` must be unknown to whoever sends datagrams.
    pub(super) fn new(prefixes: usize, key: [u8; 16]) -> Self {
        let wanted = prefixes.div_ceil(WAYS).max(1).next_power_of_two();
        Self { key, sets: Vec::new(), wanted, evicted: 0 }
    }

    /// The prefix of an address: its first `bits`. An IPv4-mapped IPv6 address must come as the IPv4 address.
    pub(super) fn prefix(&self, ip: IpAddr, bits: u8) -> Prefix {
        let mut text = [0; 18];
        let (family, masked) = (if ip.is_ipv4() { 4 } else { 6 }, masked(ip, bits));
        let (head, tail) = text.split_at_mut(2);
        head.copy_from_slice(&[family, bits]);
        tail.copy_from_slice(&masked.to_be_bytes());
        Prefix(SipHasher13::new_with_key(&self.key).hash(&text).max(FREE + 1))
    }

    /// The account of a prefix, up to date; none if it has none.
    pub(super) fn find(&mut self, prefix: Prefix, now_ns: u64) -> Option<&mut Account> {
        let number = self.number(prefix);
        let set = self.sets.get_mut(number)?;
        let at = set.tags.iter().position(|tag| *tag == prefix.0)?;
        let account = set.accounts.get_mut(at)?;
        account.advance(period(now_ns));
        Some(account)
    }

    /// The account of a prefix, up to date. If there is none it is made, in the place of an account that is over or
    /// else of the one that is worth least.
    pub(super) fn find_or_make(&mut self, prefix: Prefix, now_ns: u64) -> Option<&mut Account> {
        if self.sets.is_empty() {
            self.sets = vec![Set { tags: [FREE; WAYS], accounts: [Account::default(); WAYS] }; self.wanted];
        }
        let number = self.number(prefix);
        let set = self.sets.get_mut(number)?;
        let period = period(now_ns);
        let at = match set.tags.iter().position(|tag| *tag == prefix.0) {
            Some(at) => at,
            None => {
                let (at, evicts) = set.place(period)?;
                self.evicted += u64::from(evicts);
                *set.tags.get_mut(at)? = prefix.0;
                *set.accounts.get_mut(at)? = Account { period, ..Account::default() };
                at
            }
        };
        let account = set.accounts.get_mut(at)?;
        account.advance(period);
        Some(account)
    }

    /// Bytes of the table.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.sets.capacity() * size_of::<Set>()
    }

    /// The number of the set of a prefix.
    fn number(&self, prefix: Prefix) -> usize {
        // The low bits are as good as any others.
        usize::try_from(prefix.0 & u64::from(u32::MAX)).unwrap_or(0) & (self.wanted - 1)
    }
}

impl Set {
    /// The place for a new account, and whether another one has to go that still means something.
    fn place(&self, period: u32) -> Option<(usize, bool)> {
        let mut places = self.tags.iter().zip(&self.accounts);
        if let Some(at) = places.position(|(tag, account)| *tag == FREE || account.is_over(period)) {
            return Some((at, false));
        }
        let (at, _) = self.accounts.iter().enumerate().min_by_key(|(_, account)| account.worth(period))?;
        Some((at, true))
    }
}

/// The first `bits` of an address, the others 0.
fn masked(ip: IpAddr, bits: u8) -> u128 {
    let (all, width) = match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let rest = u32::from(width - bits.min(width));
    all.checked_shr(rest).map_or(0, |first| first << rest)
}

/// Whether two addresses have their first `bits` in common. Those of one family are compared alone.
pub(super) fn share_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    a == b || (a.is_ipv4() == b.is_ipv4() && masked(a, bits) == masked(b, bits))
}

/// The number of the period of a moment. It wraps around after 68 years.
fn period(now_ns: u64) -> u32 {
    u32::try_from(now_ns / PERIOD_NS).unwrap_or(u32::MAX)
}

/// The second that a period is a half of.
fn second(period: u32) -> u32 {
    period / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 2 * PERIOD_NS;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_its_family_and_its_first_bits() {
        let prefixes = Prefixes::new(8, [7; 16]);
        let same = |a: &str, b: &str, bits| {
            let same = prefixes.prefix(ip(a), bits) == prefixes.prefix(ip(b), bits);
            assert_eq!(same, share_prefix(ip(a), ip(b), bits), "{a} {b} /{bits}");
            same
        };
        assert!(same("192.0.2.1", "192.0.2.255", 24));
        assert!(!same("192.0.2.1", "192.0.3.1", 24));
        assert!(same("192.0.2.1", "203.0.113.9", 0));
        assert!(!same("192.0.2.1", "192.0.2.0", 32));
        assert!(same("2001:db8:0:11::", "2001:db8:0:ff:ffff::1", 56));
        assert!(!same("2001:db8:0:11::", "2001:db8:0:111::", 56));
        assert!(!same("::1", "::2", 128));
        assert!(!same("::", "0.0.0.0", 0), "the families have nothing in common");
        assert_ne!(prefixes.prefix(ip("192.0.2.0"), 24), prefixes.prefix(ip("192.0.2.0"), 25));
        assert_ne!(
            prefixes.prefix(ip("192.0.2.0"), 24),
            Prefixes::new(8, [8; 16]).prefix(ip("192.0.2.0"), 24)
        );
    }

    #[test]
    fn what_is_stored_stays_for_half_a_second_at_least_and_a_second_at_most() {
        for (stored_at, stays_until) in
            [(0, SECOND), (PERIOD_NS - 1, SECOND), (PERIOD_NS, SECOND + PERIOD_NS)]
        {
            let mut prefixes = Prefixes::new(8, [7; 16]);
            let prefix = prefixes.prefix(ip("192.0.2.1"), 24);
            prefixes.find_or_make(prefix, stored_at).unwrap().store(5);
            assert_eq!(prefixes.find(prefix, stays_until - 1).unwrap().stored(), 5, "{stored_at}");
            assert_eq!(prefixes.find(prefix, stays_until).unwrap().stored(), 0, "{stored_at}");
        }
    }

    #[test]
    fn what_is_old_is_spent_first_and_nothing_is_spent_twice() {
        let mut account = Account::default();
        account.store(5);
        account.advance(1);
        account.store(7);
        assert_eq!((account.spend(6), account.stored()), (6, 6));
        account.advance(2);
        assert_eq!((account.spend(100), account.spend(1)), (6, 0));
        account.store(u64::MAX);
        account.store(1);
        assert_eq!(account.stored(), u64::from(u32::MAX));
        assert_eq!(account.spend(u64::MAX), u64::from(u32::MAX));
    }

    #[test]
    fn replies_are_counted_by_the_second() {
        let mut account = Account { replies: 3, ..Account::default() };
        account.advance(1);
        assert_eq!(account.replies, 3);
        account.advance(2);
        assert_eq!(account.replies, 0);
        account.replies = 1;
        account.advance(1);
        assert_eq!((account.replies, account.period), (1, 2), "time does not go back");
    }

    #[test]
    fn a_full_set_gives_up_what_is_over_then_what_is_worth_least() {
        let mut prefixes = Prefixes::new(1, [7; 16]);
        let of = |prefixes: &Prefixes, n: u32| prefixes.prefix(IpAddr::V4(n.into()), 32);
        assert!(prefixes.sets.is_empty(), "there is no memory before it is needed");
        for n in 0..8 {
            let prefix = of(&prefixes, n);
            let account = prefixes.find_or_make(prefix, 0).unwrap();
            account.store(u64::from(100 - n));
            account.replies = u32::from(n == 7);
        }
        let newcomer = of(&prefixes, 8);
        prefixes.find_or_make(newcomer, 0).unwrap().store(1000);
        let left: Vec<u32> = (0..9).filter(|n| prefixes.find(of(&prefixes, *n), 0).is_some()).collect();
        assert_eq!(
            (left, prefixes.evicted),
            (vec![0, 1, 2, 3, 4, 5, 7, 8], 1),
            "6 has stored least and got no reply"
        );
        let later = of(&prefixes, 9);
        prefixes.find_or_make(later, 2 * SECOND).unwrap();
        assert_eq!((prefixes.sets.len(), prefixes.evicted), (1, 1), "all others are over");
    }
}
