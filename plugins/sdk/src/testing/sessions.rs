//! The sessions of the host in miniature: every one of them is opened, unless the test says otherwise.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, VecDeque};

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_dgram, pp_event, pp_session, pp_session_info, pp_tx};

use crate::session::{End, NetErrorKind};
use crate::session_id::SessionId;

/// A session as a test sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub id: SessionId,
    /// The plugin's number for it.
    pub user: u64,
    /// Its client.
    pub client: Option<SocketAddr>,
    /// Its upstream; none if it is unconnected.
    pub upstream: Option<SocketAddr>,
    /// Datagrams that left by it.
    pub sent: u64,
    /// Datagrams that came in by it.
    pub received: u64,
}

/// Whoever a session speaks for, and the address it had asked.
type Client = (SocketAddr, SocketAddr);

/// One session.
#[derive(Clone, Debug)]
struct Record {
    raw: pp_session,
    client: Option<Client>,
    local: SocketAddr,
    opened_ns: u64,
    heard_ns: u64,
    up: (u64, u64),
    down: (u64, u64),
}

/// What the plugin has asked for in the call that runs.
#[derive(Clone, Debug)]
enum Request {
    Open(u64, Box<pp_session>, Option<Client>),
    Close(u64),
    Set(u64, u32, u64),
    Client(u64, Client),
}

/// The sessions of a harness.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    last: u64,
    open: BTreeMap<u64, Record>,
    requests: Vec<Request>,
    events: VecDeque<pp_event>,
    /// Who sent the datagrams of the call that runs; none of what came by a session.
    senders: Vec<Option<Client>>,
    /// A call runs.
    in_call: bool,
    /// An instance is being made.
    pub(super) making: bool,
    kept: Vec<(u64, u64)>,
    /// Why no session is opened from now on.
    pub(super) refused: Option<End>,
    /// How many there may be; none: any number.
    pub(super) most: Option<usize>,
    /// Datagrams that were to leave by sessions that have ended.
    pub(super) lost: u64,
    /// Requests to end what had ended.
    pub(super) ends_in_vain: u64,
}

/// Where a datagram goes that has to do with a session.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) to: SocketAddr,
    pub(super) from: Option<SocketAddr>,
    pub(super) via: Option<SessionId>,
}

/// Why there is no such way.
pub(super) enum NoWay {
    /// The daemon would not take the entry.
    Bad,
    /// Its session has ended.
    Ended,
}

impl Sessions {
    /// A call begins that shows these datagrams.
    pub(super) fn begin(&mut self, rx: &[pp_dgram]) {
        let sender = |d: &pp_dgram| Some((d.peer.socket_addr()?, d.local.socket_addr()?));
        self.senders = rx.iter().map(|d| sender(d).filter(|_| d.session == 0)).collect();
        self.requests.clear();
        self.in_call = true;
    }

    /// It is over; after a fatal one nothing was asked for.
    pub(super) fn end(&mut self, fatal: bool) {
        self.in_call = false;
        if fatal {
            self.requests.clear();
        }
    }

    pub(super) fn ask(&mut self, raw: &pp_session) -> u64 {
        let client = self.senders.get(raw.rx as usize).copied().flatten();
        if !self.in_call || (raw.rx != abi::NO_RX && client.is_none()) {
            return 0;
        }
        let asked = self.requests.iter().filter(|request| matches!(request, Request::Open(..))).count();
        if self.most.is_some_and(|most| self.open.len() + asked >= most) {
            return 0;
        }
        self.last += 1;
        self.requests.push(Request::Open(self.last, Box::new(*raw), client));
        self.last
    }

    pub(super) fn close(&mut self, id: u64) -> i32 {
        self.note(Request::Close(id))
    }

    pub(super) fn set(&mut self, id: u64, what: u32, value: u64) -> i32 {
        if self.making && what == abi::SET_USER {
            self.kept.push((id, value));
            return abi::OK;
        }
        if what != abi::SET_CLIENT {
            return self.note(Request::Set(id, what, value));
        }
        let sender = usize::try_from(value).ok().and_then(|rx| self.senders.get(rx).copied().flatten());
        sender.map_or(abi::ERROR, |client| self.note(Request::Client(id, client)))
    }

    fn note(&mut self, request: Request) -> i32 {
        if !self.in_call {
            return abi::UNSUPPORTED;
        }
        self.requests.push(request);
        abi::OK
    }

    /// Opens and changes sessions as the call has asked for.
    pub(super) fn carry_out(&mut self, now_ns: u64) {
        for request in &self.requests {
            match request {
                Request::Open(id, raw, client) => {
                    let port = u16::try_from(40_000 + id % 20_000).unwrap_or(0);
                    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), port);
                    let record = Record {
                        raw: **raw,
                        client: *client,
                        local: raw.from.socket_addr().unwrap_or(local),
                        opened_ns: now_ns,
                        heard_ns: now_ns,
                        up: (0, 0),
                        down: (0, 0),
                    };
                    match self.refused {
                        Some(end) => {
                            let never = Record { opened_ns: 0, ..record };
                            self.events.push_back(never.event(*id, abi::EV_CLOSED, number(end)));
                        }
                        None => {
                            self.open.insert(*id, record);
                        }
                    }
                }
                Request::Set(id, what, value) => match (self.open.get_mut(id), *what) {
                    (Some(record), abi::SET_USER) => record.raw.user = *value,
                    (Some(record), abi::SET_IDLE) => record.raw.idle_ns = *value,
                    _ => {}
                },
                Request::Client(id, client) => {
                    if let Some(record) = self.open.get_mut(id) {
                        record.client = Some(*client);
                    }
                }
                Request::Close(_) => {}
            }
        }
    }

    /// Ends the sessions that the call has asked to end.
    pub(super) fn end_asked(&mut self) {
        let requests = std::mem::take(&mut self.requests);
        for request in &requests {
            let Request::Close(id) = *request else { continue };
            // What could not be opened in the same call is told anyway.
            let is_own = |request: &Request| matches!(request, Request::Open(own, ..) if *own == id);
            if self.open.contains_key(&id) {
                self.finish(id, End::Asked);
            } else if !requests.iter().any(is_own) {
                self.ends_in_vain += 1;
            }
        }
    }

    fn finish(&mut self, id: u64, end: End) {
        if let Some(record) = self.open.remove(&id) {
            self.events.push_back(record.event(id, abi::EV_CLOSED, number(end)));
        }
    }

    /// What the plugin is to be told next.
    pub(super) fn next_event(&mut self) -> Option<pp_event> {
        self.events.pop_front()
    }

    /// When the next session will have been idle for too long.
    pub(super) fn next_idle(&self) -> Option<u64> {
        let timed = self.open.values().filter(|record| record.raw.idle_ns > 0);
        timed.map(|record| record.heard_ns.saturating_add(record.raw.idle_ns)).min()
    }

    /// Ends those that are idle.
    pub(super) fn end_idle(&mut self, now_ns: u64) {
        let is_idle = |record: &Record| {
            record.raw.idle_ns > 0 && record.heard_ns.saturating_add(record.raw.idle_ns) <= now_ns
        };
        let idle: Vec<u64> =
            self.open.iter().filter(|(_, record)| is_idle(record)).map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.finish(id, End::Idle));
    }

    /// The network says something about a session. False if there is none.
    pub(super) fn fail(&mut self, session: SessionId, kind: NetErrorKind) -> bool {
        let reason = match kind {
            NetErrorKind::Refused => abi::NET_REFUSED,
            NetErrorKind::Unreachable => abi::NET_UNREACHABLE,
            NetErrorKind::TooBig => abi::NET_TOO_BIG,
            NetErrorKind::Forbidden => abi::NET_FORBIDDEN,
            NetErrorKind::Other => abi::NET_OTHER,
        };
        let event = self.open.get(&session.raw()).map(|r| r.event(session.raw(), abi::EV_ERROR, reason));
        self.events.extend(event);
        event.is_some()
    }

    /// The descriptor of a datagram that comes by a session from `peer`, or from its upstream.
    pub(super) fn arrive(&mut self, id: SessionId, dgram: &mut pp_dgram, now_ns: u64) -> bool {
        let Some(record) = self.open.get_mut(&id.raw()) else { return false };
        record.heard_ns = now_ns;
        record.down = (record.down.0 + 1, record.down.1 + u64::from(dgram.len));
        (dgram.session, dgram.user) = (id.raw(), record.raw.user);
        dgram.local = record.local.into();
        if record.raw.to.family != 0 {
            dgram.peer = record.raw.to;
        }
        if record.raw.flags & abi::SESSION_TOS == 0 {
            dgram.tos = 0;
        }
        true
    }

    /// Where an entry goes that has to do with a session; none if it has nothing to do with any.
    pub(super) fn way(&mut self, tx: &pp_tx, rx: &[pp_dgram], now_ns: u64) -> Option<Result<Way, NoWay>> {
        let answered = rx.get(tx.rx as usize);
        let came = answered.map_or(0, |d| d.session);
        let has = |flag: u8| tx.flags & flag != 0;
        let named = has(abi::TX_TO);
        if !has(abi::TX_SESSION | abi::TX_CLIENT) && (came == 0 || named) {
            return None;
        }
        let id = if has(abi::TX_SESSION) { tx.session } else { came };
        if id == 0 || has(abi::TX_FROM) || (has(abi::TX_CLIENT) && named) {
            return Some(Err(NoWay::Bad));
        }
        let Some(record) = self.open.get_mut(&id) else {
            self.lost += 1;
            return Some(Err(NoWay::Ended));
        };
        if has(abi::TX_CLIENT) {
            let way = record.client.map(|(to, from)| Way { to, from: Some(from), via: None });
            return Some(way.ok_or(NoWay::Bad));
        }
        let upstream = record.raw.to.socket_addr();
        let asked = if named {
            tx.to.socket_addr()
        } else if has(abi::TX_SESSION) {
            upstream
        } else {
            answered.and_then(|d| d.peer.socket_addr())
        };
        let to = asked.filter(|to| upstream.is_none_or(|upstream| *to == upstream));
        let Some(to) = to else { return Some(Err(NoWay::Bad)) };
        if record.raw.flags & abi::SESSION_IDLE_RX == 0 {
            record.heard_ns = now_ns;
        }
        record.up = (record.up.0 + 1, record.up.1 + u64::from(tx.len));
        Some(Ok(Way { to, from: Some(record.local), via: SessionId::new(id) }))
    }

    /// What the next instance is told; from now on it may keep them.
    pub(super) fn offer(&mut self) -> Vec<pp_session_info> {
        self.kept.clear();
        self.making = true;
        self.open.iter().map(|(id, record)| record.info(*id)).collect()
    }

    /// The instance was made, or not; then all stay as they were.
    pub(super) fn made(&mut self, made: bool) {
        self.making = false;
        if !made {
            return;
        }
        self.events.clear();
        for id in self.open.keys().copied().collect::<Vec<_>>() {
            match self.kept.iter().rev().find(|(kept, _)| *kept == id) {
                Some((_, user)) => {
                    if let Some(record) = self.open.get_mut(&id) {
                        record.raw.user = *user;
                    }
                }
                None => self.finish(id, End::Restart),
            }
        }
    }

    /// Those that are open.
    pub(super) fn list(&self) -> Vec<Open> {
        let open = self.open.iter().filter_map(|(id, record)| {
            Some(Open {
                id: SessionId::new(*id)?,
                user: record.raw.user,
                client: record.client.map(|(peer, _)| peer),
                upstream: record.raw.to.socket_addr(),
                sent: record.up.0,
                received: record.down.0,
            })
        });
        open.collect()
    }
}

impl Record {
    fn info(&self, id: u64) -> pp_session_info {
        pp_session_info {
            size: u32::try_from(size_of::<pp_session_info>()).unwrap_or(0),
            flags: self.raw.flags,
            id,
            user: self.raw.user,
            opened_ns: self.opened_ns,
            heard_ns: self.heard_ns,
            client: self.client.map_or_else(pp_addr::default, |(peer, _)| peer.into()),
            upstream: self.raw.to,
            local: self.local.into(),
        }
    }

    fn event(&self, id: u64, kind: u32, reason: u32) -> pp_event {
        let info = self.info(id);
        let is_there = self.opened_ns > 0;
        pp_event {
            size: u32::try_from(size_of::<pp_event>()).unwrap_or(0),
            kind,
            session: id,
            user: info.user,
            reason,
            count: 1,
            mtu: 0,
            err: 0,
            reporter: pp_addr::default(),
            opened_ns: self.opened_ns,
            up_datagrams: self.up.0,
            up_bytes: self.up.1,
            down_datagrams: self.down.0,
            down_bytes: self.down.1,
            dropped: 0,
            client: info.client,
            upstream: info.upstream,
            local: if is_there { info.local } else { pp_addr::default() },
        }
    }
}

/// The number that the host has for an end.
fn number(end: End) -> u32 {
    match end {
        End::Asked => abi::END_ASKED,
        End::Idle => abi::END_IDLE,
        End::NoPort => abi::END_NO_PORT,
        End::NoFile => abi::END_NO_FILE,
        End::Limit => abi::END_LIMIT,
        End::RefusedAddress => abi::END_REFUSED_ADDR,
        End::Broken => abi::END_BROKEN,
        End::Restart => abi::END_RESTART,
    }
}
