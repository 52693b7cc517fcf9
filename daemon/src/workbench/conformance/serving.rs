//! What happens to an instance: datagrams arrive, time passes, sessions open, end and hear something.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rand::RngExt;

use super::datagrams::{Datagram, content};
use super::end::End;
use super::judged::Sent;
use super::stage::{Cause, Left, Room, Stage};
use super::subject::Subject;
use crate::exchange::{
    NetTrouble, SessionEnd, SessionEvent, SessionInfo, SessionNews, SessionRequest, SessionSpec,
};

/// Events that follow from one call: a plugin that opens a session for each that fails would never come to an end.
const MOST_EVENTS: usize = 1000;
/// Timers that fire while time passes.
const MOST_TIMERS: usize = 2000;

/// Why sessions end that nobody has ended, as a plugin may be told.
const ENDS: &[SessionEnd] = &[
    SessionEnd::NoPort,
    SessionEnd::NoFile,
    SessionEnd::Limit,
    SessionEnd::RefusedAddress,
    SessionEnd::Broken,
    SessionEnd::Idle,
];

/// What becomes of sessions that are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They live.
    Open,
    /// They end at once, for one reason after the other.
    Fail,
    /// Some end at once.
    Mixed,
}

impl Stage {
    /// Datagrams arrive at the listener; what follows from them happens.
    pub(super) fn serve(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        fate: Fate,
        datagrams: &[Datagram],
    ) -> Result<Vec<Sent>, End> {
        let left = self.call(subject, room, &Cause::Batch(datagrams, None))?;
        self.follow(subject, room, fate, left)
    }

    /// Datagrams arrive at a session, from its upstream if it has one.
    pub(super) fn hear(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        fate: Fate,
        id: u64,
        n: usize,
    ) -> Result<Vec<Sent>, End> {
        let Some(spec) = subject.sessions.get(&id).copied() else { return Ok(Vec::new()) };
        let anybody = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 9);
        let datagrams: Vec<Datagram> = (0..n)
            .map(|_| {
                let len = self.rng.random_range(0..=600);
                let payload = content(&mut self.rng, len);
                Datagram { peer: spec.to.unwrap_or(anybody), payload, to_group: false, segment: 0 }
            })
            .collect();
        let left = self.call(subject, room, &Cause::Batch(&datagrams, Some((id, spec.user))))?;
        self.follow(subject, room, fate, left)
    }

    /// Time passes, and timers fire.
    pub(super) fn pass(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        fate: Fate,
        span_ns: u64,
    ) -> Result<Vec<Sent>, End> {
        let until_ns = subject.now_ns.saturating_add(span_ns);
        let mut sent = Vec::new();
        for _ in 0..MOST_TIMERS {
            let Some((token, at_ns)) = subject.next_timer(until_ns) else { break };
            subject.now_ns = subject.now_ns.max(at_ns);
            subject.fire(token);
            let left = self.call(subject, room, &Cause::Timer(token))?;
            sent.extend(self.follow(subject, room, fate, left)?);
        }
        subject.now_ns = until_ns;
        Ok(sent)
    }

    /// The instance is called if a thread of its own has woken it. Returns whether it was.
    pub(super) fn wake(&mut self, subject: &mut Subject, room: &Room, fate: Fate) -> Result<bool, End> {
        if !self.was_woken(subject) {
            return Ok(false);
        }
        let left = self.call(subject, room, &Cause::Wake)?;
        self.follow(subject, room, fate, left)?;
        Ok(true)
    }

    /// A session ends for this reason, or the network says something about it.
    pub(super) fn tell(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        fate: Fate,
        id: u64,
        what: SessionNews,
    ) -> Result<Vec<Sent>, End> {
        let Some(spec) = subject.sessions.get(&id).copied() else { return Ok(Vec::new()) };
        let left = self.happen(subject, room, &spec, what)?;
        self.follow(subject, room, fate, left)
    }

    /// Any error that the network may tell of.
    pub(super) fn any_error(&mut self) -> SessionNews {
        let kind = NetTrouble::ALL.get(self.rng.random_range(0..NetTrouble::COUNT)).copied();
        SessionNews::Error {
            kind: kind.unwrap_or(NetTrouble::Other),
            count: self.rng.random_range(1..=100),
            mtu: if self.rng.random_ratio(1, 2) { 1280 } else { 0 },
            reporter: self.rng.random_ratio(1, 2).then_some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254))),
        }
    }

    fn happen(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        spec: &SessionSpec,
        what: SessionNews,
    ) -> Result<Left, End> {
        let (is_end, was_open) = match what {
            SessionNews::Closed(end) => {
                (true, matches!(end, SessionEnd::Asked | SessionEnd::Idle | SessionEnd::Broken))
            }
            SessionNews::Error { .. } => (false, true),
        };
        let event = SessionEvent {
            what,
            info: SessionInfo {
                id: spec.id,
                user: spec.user,
                flags: spec.flags,
                opened_ns: if was_open { subject.now_ns } else { 0 },
                heard_ns: subject.now_ns,
                client: spec.client.map(|client| client.peer).into(),
                upstream: spec.to.into(),
                local: spec.from.into(),
            },
            errno: 0,
            up: (3, 300),
            down: (2, 200),
            dropped: 1,
        };
        if is_end {
            subject.sessions.remove(&spec.id);
        }
        let left = self.call(subject, room, &Cause::Session(&event))?;
        if is_end {
            subject.ended.insert(spec.id);
        }
        Ok(left)
    }

    /// Carries out what a call has asked for, and what follows from that.
    fn follow(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        fate: Fate,
        left: Left,
    ) -> Result<Vec<Sent>, End> {
        let mut sent = left.sent;
        let mut requests: std::collections::VecDeque<SessionRequest> = left.requests.into();
        let mut events = 0;
        while let Some(request) = requests.pop_front() {
            let (spec, end) = match request {
                SessionRequest::Open(spec) => {
                    subject.sessions.insert(spec.id, spec);
                    let fails = match fate {
                        Fate::Open => false,
                        Fate::Fail => true,
                        Fate::Mixed => self.rng.random_ratio(1, 3),
                    };
                    let end = ENDS.get(events % ENDS.len()).copied().filter(|_| fails);
                    let Some(end) = end else { continue };
                    (spec, end)
                }
                SessionRequest::Close(id) => {
                    let Some(spec) = subject.sessions.get(&id) else {
                        self.stray(subject, id);
                        continue;
                    };
                    (*spec, SessionEnd::Asked)
                }
                SessionRequest::User(id, user) => {
                    match subject.sessions.get_mut(&id) {
                        Some(spec) => spec.user = user,
                        None => self.stray(subject, id),
                    }
                    continue;
                }
                SessionRequest::Idle(id, _) | SessionRequest::Client(id, _) => {
                    if !subject.sessions.contains_key(&id) {
                        self.stray(subject, id);
                    }
                    continue;
                }
            };
            events += 1;
            if events > MOST_EVENTS {
                self.remarks.insert("for each session that ends it opens another, without an end".to_owned());
                break;
            }
            let left = self.happen(subject, room, &spec, SessionNews::Closed(end))?;
            sent.extend(left.sent);
            requests.extend(left.requests);
        }
        Ok(sent)
    }

    fn stray(&mut self, subject: &Subject, id: u64) {
        let why = if subject.ended.contains(&id) { "that has ended" } else { "that there is not" };
        self.remarks.insert(format!("it asks for something about a session {why}, which is counted as bad"));
    }
}
