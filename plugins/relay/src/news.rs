//! What becomes of sessions, and what the network says of them.

use polyport_plugin::{Batch, Closed, End, Level, Log, NetError, NetErrorKind};

use crate::clients::Leaving;
use crate::config::{Lines, Refused};
use crate::counters::Refusal;
use crate::line::{Line, Open};
use crate::relay::Relay;

/// How long the host makes no attempt after ports or descriptors turned out to be used up, nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

/// Sessions that are named when the relay stops; of the others the number is. The host takes 50 lines a second.
const MOST_LINES: usize = 32;

impl Relay {
    /// A session has ended, or could not be made.
    pub(crate) fn closed(&mut self, closed: &Closed, batch: &mut Batch<'_>) {
        let number = u32::try_from(closed.user()).unwrap_or(u32::MAX);
        let Some(session) = self.sessions.remove(number, closed.id()) else { return };
        self.upstreams.leave(session.upstream);
        let lost = self.network.leave(number);
        self.show();
        let counters = &self.counters;
        match (closed.reason(), session.leaving) {
            (End::Idle, _) => counters.closed_idle.add(1),
            (End::Asked, Some(Leaving::Replies)) => counters.closed_replies.add(1),
            (End::Asked, Some(Leaving::Full)) => counters.closed_full.add(1),
            (End::Asked, Some(Leaving::Moved)) => counters.moved.add(1),
            (End::NoPort, _) => self.failed(Refusal::Port, batch),
            (End::NoFile, _) => self.failed(Refusal::File, batch),
            (End::Limit, _) => {
                self.failed(Refusal::Sessions, batch);
                self.make_room(batch);
            }
            (End::RefusedAddress, _) => self.failed(Refusal::Upstream, batch),
            _ => counters.closed_broken.add(1),
        }
        if closed.reason() == End::NoPort {
            self.next_source(&session, closed);
        }
        if closed.reason() == End::RefusedAddress && self.upstreams.fail(session.upstream, batch.now_ns()) {
            let why = "nothing can be sent there: no way, a source address of somebody else, a group, or a listener of this daemon";
            self.say_down(session.upstream, why, batch);
        }
        if closed.opened_ns().is_some() && self.settings.options.log == Lines::Sessions {
            let line = Line {
                report: closed,
                session: &session,
                lost,
                end: closed.reason(),
                now_ns: batch.now_ns(),
            };
            batch.log(Level::Info, line);
        }
    }

    /// The network says something about a session, which goes on: anybody can forge that.
    pub(crate) fn told(&mut self, error: &NetError, batch: &Batch<'_>) {
        let count = error.count();
        let number = u32::try_from(error.user()).unwrap_or(u32::MAX);
        let known = self.sessions.get_mut(number).filter(|session| session.id == error.id());
        let Some(session) = known else { return };
        session.errors = session.errors.saturating_add(count);
        match error.kind() {
            NetErrorKind::Refused => self.counters.upstream_refused.add(count.into()),
            NetErrorKind::Unreachable | NetErrorKind::Forbidden => {
                self.counters.upstream_unreachable.add(count.into());
            }
            NetErrorKind::TooBig => {
                self.counters.too_big.add(count.into());
                if !std::mem::replace(&mut session.told_mtu, true) {
                    let path =
                        error.mtu().map_or_else(String::new, |mtu| format!(", which takes {mtu} bytes"));
                    batch.log(Level::Info, format_args!("{}: too long for the path{path}", Pair(error)));
                }
                return;
            }
            NetErrorKind::Other | _ => return,
        }
        if self.settings.options.refused == Refused::Keep {
            return;
        }
        session.is_refused = !session.is_answered;
        let (upstream, now_ns) = (session.upstream, batch.now_ns());
        if self.upstreams.mark(upstream, now_ns) {
            self.say_down(upstream, error.kind(), batch);
        }
    }

    /// Who is still there when the relay stops. A relay in place of which another one serves has handed its sessions over.
    pub(crate) fn say_open(&self, log: &Log<'_>) {
        if self.settings.options.log == Lines::Off || self.handed_over.get() {
            return;
        }
        for (number, session) in self.sessions.iter().take(MOST_LINES) {
            let upstream = self.upstreams.address(session.upstream);
            log.log(Level::Info, Open { session, upstream, lost: self.network.lost(number) });
        }
        let more = self.sessions.len().saturating_sub(MOST_LINES);
        if more > 0 {
            let sessions = if more == 1 { "session is" } else { "sessions are" };
            log.log(Level::Info, format_args!("{more} more {sessions} open at the end"));
        }
    }

    fn failed(&mut self, why: Refusal, batch: &Batch<'_>) {
        self.counters.failed.add(1);
        self.counters.refuse(why);
        if matches!(why, Refusal::Port | Refusal::File) {
            self.trouble = Some((why, batch.now_ns().saturating_add(PAUSE_NS)));
        }
    }

    /// The ports of the source address in use are used up: the next one is in use.
    fn next_source(&mut self, session: &crate::clients::Session, closed: &Closed) {
        let Some(to) = closed.upstream() else { return };
        let sources = self.settings.sources(to).len();
        let in_use = &mut self.sources[usize::from(to.is_ipv6())];
        if sources > 0 && *in_use == session.source {
            *in_use = u8::try_from((usize::from(*in_use) + 1) % sources).unwrap_or(0);
        }
    }
}

/// Who speaks with whom.
struct Pair<'a>(&'a NetError);

impl std::fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.client(), self.0.upstream()) {
            (Some(client), Some(upstream)) => write!(f, "{client} -> {upstream}"),
            _ => f.write_str("a session"),
        }
    }
}
