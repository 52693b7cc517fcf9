//! The other end of sessions: what a test has servers and the network say.

use polyport_abi as abi;
use polyport_abi::pp_dgram;

use super::Harness;
use super::kinds::{Incoming, LOCAL, Outcome};
use super::sessions::Open;
use super::table::About;
use crate::handler::Handler;
use crate::session::{End, NetErrorKind};
use crate::session_id::SessionId;

impl<H: Handler> Harness<H> {
    /// One datagram that comes by a session, from its upstream; a batch of its own.
    ///
    /// # Panics
    /// When there is no such session.
    pub fn upstream(&mut self, session: SessionId, payload: &[u8]) -> Outcome {
        self.deliver_by(session, &[Incoming::new(LOCAL, payload)])
    }

    /// Several datagrams in one batch that come by a session. If it has an upstream, they come from there, whatever their
    /// `peer` says.
    ///
    /// # Panics
    /// When there is no such session.
    pub fn deliver_by(&mut self, session: SessionId, datagrams: &[Incoming]) -> Outcome {
        let all: Vec<_> = datagrams.iter().map(|datagram| (Some(session), datagram.clone())).collect();
        self.deliver_together(&all)
    }

    /// Several datagrams in one batch, each of which comes by the session that is named with it, as with
    /// [`deliver_by`](Self::deliver_by), or to the listener.
    ///
    /// # Panics
    /// When there is no such session.
    pub fn deliver_together(&mut self, datagrams: &[(Option<SessionId>, Incoming)]) -> Outcome {
        let mut buffer: Vec<u8> = datagrams.iter().flat_map(|(_, d)| d.payload.iter().copied()).collect();
        buffer.push(0);
        let mut at = buffer.as_mut_ptr();
        let told_here = self.session.fake.borrow().facts.told;
        let mut rx: Vec<pp_dgram> = Vec::with_capacity(datagrams.len());
        for (session, datagram) in datagrams {
            let told = if session.is_some() { abi::WANT_TOS } else { told_here };
            let mut record = datagram.record(at, self.now_ns, told);
            if let Some(session) = *session {
                let mut fake = self.session.fake.borrow_mut();
                let is_open = fake.sessions.arrive(session, &mut record, self.now_ns);
                assert!(is_open, "there is no session {session:?}");
            }
            rx.push(record);
            at = at.wrapping_add(datagram.payload.len());
        }
        self.call(&mut rx, About::Batch)
    }

    /// The network says something about a session.
    ///
    /// # Panics
    /// When there is no such session.
    pub fn fail(&mut self, session: SessionId, kind: NetErrorKind) -> Outcome {
        let is_open = self.session.fake.borrow_mut().sessions.fail(session, kind);
        assert!(is_open, "there is no session {session:?}");
        self.tell()
    }

    /// From now on no session is opened, for this reason; none: again all are.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host does")]
    pub fn refuse_opens(&mut self, reason: Option<End>) {
        self.session.fake.borrow_mut().sessions.refused = reason;
    }

    /// The sessions that are open, in the order in which they were opened.
    #[must_use]
    pub fn sessions(&self) -> Vec<Open> {
        self.session.fake.borrow().sessions.list()
    }

    /// Datagrams that were to leave by sessions that had ended, or could not be opened.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.session.fake.borrow().sessions.lost
    }

    /// Requests to end sessions that had ended, which the daemon counts as bad.
    #[must_use]
    pub fn ends_in_vain(&self) -> u64 {
        self.session.fake.borrow().sessions.ends_in_vain
    }

    /// From now on there may be so many sessions: [`Batch::open`](crate::Batch::open) has none for one more, as in a daemon whose limit is
    /// reached.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "changes what the host does")]
    pub fn set_most_sessions(&mut self, most: usize) {
        self.session.fake.borrow_mut().sessions.most = Some(most);
    }

    /// Tells the plugin what has happened to its sessions.
    pub(super) fn tell(&mut self) -> Outcome {
        loop {
            let event = self.session.fake.borrow_mut().sessions.next_event();
            let Some(event) = event else { return Outcome::Done };
            let outcome = self.call_once(&mut [], About::Session(Box::new(event)));
            if outcome == Outcome::Fatal {
                return outcome;
            }
        }
    }
}
