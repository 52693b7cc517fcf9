//! What the host is like from now on: what it tells, what it grants, and how old it is.

use super::{Harness, Memory};
use crate::facts::Facts;
use crate::{Handler, Level};

impl<H: Handler> Harness<H> {
    /// The highest level that is kept from now on; [`Level::Trace`] at first.
    pub const fn set_log_level(&mut self, level: Level) {
        self.log_level = level;
    }

    /// The largest payload a batch tells the plugin from now on; 1472 bytes at first.
    pub const fn set_max_payload(&mut self, bytes: u32) {
        self.max_payload = bytes;
    }

    /// The secret of the instances made from now on: by [`restart`](Self::restart) or [`reload`](Self::reload).
    pub const fn set_secret(&mut self, secret: [u8; 32]) {
        self.secret = secret;
    }

    /// The bytes that instances may keep from now on, in all; at first there is no limit.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host grants")]
    pub fn set_budget(&mut self, bytes: u64) {
        self.session.fake.borrow_mut().kept.most = bytes;
    }

    /// Bytes that the plugin has reserved.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.session.fake.borrow().kept.bytes
    }

    /// Reservations refused.
    #[must_use]
    pub fn reservations_refused(&self) -> u64 {
        self.session.fake.borrow().kept.refused
    }

    /// What the host can tell of datagrams to the instances made from now on, by [`restart`](Self::restart) or
    /// [`reload`](Self::reload), if they ask; everything at first. Whatever was asked for, it tells where a datagram was sent
    /// to and by which interface it came, as the daemon does for a listener on all addresses.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host tells")]
    pub fn offer(&mut self, facts: Facts) {
        self.session.fake.borrow_mut().facts.offered = facts.bits();
    }

    /// What the host tells the plugin of datagrams, because it has asked.
    #[must_use]
    pub fn told(&self) -> Facts {
        Facts::from_bits(self.session.fake.borrow().facts.told)
    }

    /// The minor of the ABI that the host has from now on; that of this crate at first. An older host refuses what came
    /// later, so the plugin must not use it there.
    pub fn set_host_minor(&mut self, minor: u32) {
        self.session.set_host_minor(minor);
    }

    /// The memory each call gets from now on.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the next call gets")]
    pub fn set_memory(&mut self, memory: Memory) {
        self.session.fake.borrow_mut().memory = memory;
    }

    /// How many datagrams of a call find room to leave later, as the plugin is told from now on. This host keeps the others
    /// too; the daemon drops them.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the next call gets")]
    pub fn set_delay_room(&mut self, datagrams: u32) {
        self.session.fake.borrow_mut().delay_room = Some(datagrams);
    }
}
