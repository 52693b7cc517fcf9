//! Sessions on the side of the handler: what it asks for in a call, and what it is told. The reactor carries it out when the
//! call is settled.

use std::net::{IpAddr, SocketAddr};

use polyport_abi::{NO_RX, SESSION_DF, SESSION_IDLE_RX, SESSION_TOS, pp_addr, pp_session};

use super::ReplySource;

/// Requests that one call may make, ends and changes of sessions; more are refused.
const MAX_REQUESTS: usize = 65_536;
/// Source addresses of which it is remembered that their ports are used up.
const MAX_PAUSES: usize = 16;

/// An address in 24 bytes: there may be many sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactAddr(pp_addr);

impl CompactAddr {
    /// The address, or none.
    #[must_use]
    pub fn get(&self) -> Option<SocketAddr> {
        self.0.socket_addr()
    }
}

impl From<Option<SocketAddr>> for CompactAddr {
    fn from(address: Option<SocketAddr>) -> Self {
        Self(address.map_or_else(pp_addr::default, pp_addr::from))
    }
}

impl From<CompactAddr> for pp_addr {
    fn from(address: CompactAddr) -> Self {
        address.0
    }
}

/// Whoever a session speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// The address that it had asked, which answers leave from; none lets the kernel choose.
    pub asked: Option<ReplySource>,
}

/// What a session shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSpec {
    /// Its id, which was reserved before.
    pub id: u64,
    /// The upstream; none: anybody may send to it.
    pub to: Option<SocketAddr>,
    /// Where it is bound; none leaves that to the system.
    pub from: Option<SocketAddr>,
    /// The handler's word.
    pub user: u64,
    /// It ends after so long without a datagram, ns; 0: never.
    pub idle_ns: u64,
    /// Its client, if it has one.
    pub client: Option<Client>,
    /// Receive buffer to ask for, bytes; 0 leaves it to the system.
    pub recv_buffer: u32,
    /// Send buffer to ask for, bytes; 0 leaves it to the system.
    pub send_buffer: u32,
    /// How it is kept.
    pub flags: SessionFlags,
}

/// How a session is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFlags {
    /// Only what comes in counts against the idle time.
    pub idle_rx: bool,
    /// It never fragments.
    pub df: bool,
    /// It tells the TOS of each datagram.
    pub tos: bool,
}

impl SessionFlags {
    fn from_bits(bits: u32) -> Self {
        Self {
            idle_rx: bits & SESSION_IDLE_RX != 0,
            df: bits & SESSION_DF != 0,
            tos: bits & SESSION_TOS != 0,
        }
    }

    /// The bits that a plugin knows.
    #[must_use]
    pub fn bits(self) -> u32 {
        let flags = [(self.idle_rx, SESSION_IDLE_RX), (self.df, SESSION_DF), (self.tos, SESSION_TOS)];
        flags.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum()
    }
}

/// Something that a handler asks for about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRequest {
    /// A new one.
    Open(SessionSpec),
    /// End this one.
    Close(u64),
    /// Another word for this one.
    User(u64, u64),
    /// Another idle time for this one, ns.
    Idle(u64, u64),
    /// Another client for this one.
    Client(u64, Client),
}

/// Why no id was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefused {
    /// More than the configuration allows, in all or in one call.
    Limit,
    /// The ports of the source address are used up.
    Port,
    /// No descriptor or no memory is left.
    File,
}

impl OpenRefused {
    /// Number of reasons.
    pub const COUNT: usize = Self::NAMES.len();
    /// Their names in reports, in their order.
    pub const NAMES: [&'static str; 3] = ["limit", "port", "file"];
}

/// An attempt has failed, and none is made until this moment: it would cost milliseconds and fail as well.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// The source address without ports; none is the one that the system chooses.
    source: Option<IpAddr>,
    /// No source has anything left.
    is_all: bool,
    until_ns: u64,
}

/// Where a handler asks for sessions during a call.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The handler of the call has sessions.
    pub(super) is_open: bool,
    /// Ids that nobody has yet.
    stock: Vec<u64>,
    /// How many sessions the call may open.
    room: usize,
    pub(super) requests: Vec<SessionRequest>,
    /// How often no id was given out since this was asked last.
    refused: [u64; OpenRefused::COUNT],
    /// Requests of the call that make no sense.
    bad: u64,
    pauses: Vec<Pause>,
}

impl Desk {
    /// Opens the desk for a call that may open so many sessions.
    pub(super) fn open(&mut self, room: usize) {
        self.is_open = true;
        self.room = room;
    }

    /// Closes it, and forgets what was asked for.
    pub(super) fn close(&mut self) {
        self.is_open = false;
        self.requests.clear();
    }

    /// How many ids are missing to have `most`.
    pub(super) fn missing(&self, most: usize) -> usize {
        most.saturating_sub(self.stock.len())
    }

    pub(super) fn stock(&mut self, id: u64) {
        self.stock.push(id);
    }

    /// Counts since this was asked last: refusals, and requests that make no sense.
    pub(super) fn take_counts(&mut self) -> ([u64; OpenRefused::COUNT], u64) {
        (std::mem::take(&mut self.refused), std::mem::take(&mut self.bad))
    }

    /// Makes no attempt until `until_ns`: from `source`, or at all.
    pub(super) fn pause(&mut self, source: Option<IpAddr>, is_all: bool, until_ns: u64) {
        self.pauses.retain(|pause| pause.source != source || pause.is_all != is_all);
        if self.pauses.len() == MAX_PAUSES {
            self.pauses.remove(0);
        }
        self.pauses.push(Pause { source, is_all, until_ns });
    }

    /// Something was given back, so that an attempt may succeed.
    pub(super) fn resume(&mut self) {
        self.pauses.clear();
    }

    /// Whether an attempt from `source` is not worth it.
    pub(super) fn paused(&self, source: Option<IpAddr>, now_ns: u64) -> Option<OpenRefused> {
        let waits = |pause: &&Pause| now_ns < pause.until_ns && (pause.is_all || pause.source == source);
        let pause = self.pauses.iter().find(waits)?;
        Some(if pause.is_all { OpenRefused::File } else { OpenRefused::Port })
    }

    /// Reserves an id for what `raw` asks for. `client` is the sender of a datagram of the call, by its index.
    pub(super) fn ask(
        &mut self,
        raw: &pp_session,
        now_ns: u64,
        client: impl FnOnce(u32) -> Option<Client>,
    ) -> Option<u64> {
        if !self.is_open {
            return None;
        }
        let address = |raw: &pp_addr| match raw.family {
            0 => Some(None),
            _ => raw.socket_addr().map(Some),
        };
        let client = if raw.rx == NO_RX { Some(None) } else { client(raw.rx).map(Some) };
        let (Some(to), Some(from), Some(client)) = (address(&raw.to), address(&raw.from), client) else {
            self.bad += 1;
            return None;
        };
        let refused = self.paused(from.map(|from| from.ip()), now_ns).or_else(|| {
            (self.room == 0 || self.requests.len() >= MAX_REQUESTS).then_some(OpenRefused::Limit)
        });
        if let Some(refused) = refused {
            self.refuse(refused);
            return None;
        }
        let Some(id) = self.stock.pop() else {
            self.refuse(OpenRefused::Limit);
            return None;
        };
        self.room -= 1;
        self.requests.push(SessionRequest::Open(SessionSpec {
            id,
            to,
            from,
            user: raw.user,
            idle_ns: raw.idle_ns,
            client,
            recv_buffer: raw.recv_buffer,
            send_buffer: raw.send_buffer,
            flags: SessionFlags::from_bits(raw.flags),
        }));
        Some(id)
    }

    fn refuse(&mut self, reason: OpenRefused) {
        if let Some(count) = self.refused.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Notes a request about a session; false if the desk is closed, or has too many.
    pub(super) fn note(&mut self, request: SessionRequest) -> bool {
        let fits = self.is_open && self.requests.len() < MAX_REQUESTS;
        if fits {
            self.requests.push(request);
        }
        fits
    }

    /// Counts a request that makes no sense.
    pub(super) fn note_bad(&mut self) {
        self.bad += 1;
    }
}

/// A session as the next instance is told of it.
#[derive(Clone, Copy, Debug)]
pub struct SessionInfo {
    /// Its id.
    pub id: u64,
    /// Its word.
    pub user: u64,
    /// How it is kept.
    pub flags: SessionFlags,
    /// When it was opened, monotonic ns.
    pub opened_ns: u64,
    /// When the last datagram came or left that counts against its idle time, monotonic ns.
    pub heard_ns: u64,
    /// Its client.
    pub client: CompactAddr,
    /// Its upstream.
    pub upstream: CompactAddr,
    /// The address of its socket.
    pub local: CompactAddr,
}

/// What has happened to a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEvent {
    /// What, and the reason.
    pub what: SessionNews,
    /// The session, as it is now.
    pub info: SessionInfo,
    /// The errno behind it, or 0.
    pub errno: i32,
    /// Datagrams and bytes that left by it.
    pub up: (u64, u64),
    /// Datagrams and bytes that came in by it.
    pub down: (u64, u64),
    /// Datagrams that were to leave by it and did not.
    pub dropped: u64,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionNews {
    /// It has ended.
    Closed(SessionEnd),
    /// The network says something.
    Error {
        /// What kind of thing.
        kind: NetTrouble,
        /// How often.
        count: u32,
        /// Bytes that the path takes, headers included; 0 is unknown.
        mtu: u32,
        /// The router or host that said so; none is this host.
        reporter: Option<IpAddr>,
    },
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// Every one, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in reports.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// Why a session has ended. Those that a handler is told have the numbers of `PP_END_*`, less one.
    SessionEnd {
        Asked, "asked";
        Idle, "idle";
        NoPort, "no_port";
        NoFile, "no_file";
        Limit, "limit";
        RefusedAddress, "refused_address";
        Broken, "broken";
        Restart, "restart";
        ListenerGone, "listener_gone";
        Stopping, "stopping";
    }
}

named! {
    /// What the network says about a session. The numbers are those of `PP_NET_*`, less one.
    NetTrouble {
        Refused, "refused";
        Unreachable, "unreachable";
        TooBig, "too_big";
        Forbidden, "forbidden";
        Other, "other";
    }
}

#[cfg(test)]
mod tests {
    use polyport_abi::{END_ASKED, END_RESTART, NET_OTHER, NET_REFUSED};

    use super::*;

    fn plain() -> pp_session {
        pp_session {
            size: 88,
            flags: 0,
            to: SocketAddr::from(([192, 0, 2, 1], 53)).into(),
            from: pp_addr::default(),
            user: 7,
            idle_ns: 9,
            rx: NO_RX,
            recv_buffer: 0,
            send_buffer: 0,
            reserved: 0,
        }
    }

    fn desk() -> Desk {
        let mut desk = Desk::default();
        desk.stock(11);
        desk.stock(12);
        desk
    }

    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(SessionEnd::Asked as u32 + 1, END_ASKED);
        assert_eq!(SessionEnd::Restart as u32 + 1, END_RESTART);
        assert_eq!(NetTrouble::Refused as u32 + 1, NET_REFUSED);
        assert_eq!(NetTrouble::Other as u32 + 1, NET_OTHER);
    }

    #[test]
    fn an_id_is_given_once_and_only_in_a_call_with_room() {
        let mut desk = desk();
        assert_eq!(desk.ask(&plain(), 1, |_| None), None, "closed");
        desk.open(1);
        assert_eq!(desk.ask(&plain(), 1, |_| None), Some(12));
        assert_eq!(desk.ask(&plain(), 1, |_| None), None, "no room");
        desk.close();
        desk.open(9);
        assert_eq!(desk.ask(&plain(), 1, |_| None), Some(11));
        assert_eq!(desk.ask(&plain(), 1, |_| None), None, "no id");
        assert_eq!(desk.take_counts(), ([2, 0, 0], 0));
    }

    #[test]
    fn what_makes_no_sense_is_no_session() {
        let mut desk = desk();
        desk.open(9);
        let other_family = pp_addr { family: 9, ..pp_addr::default() };
        for raw in [
            pp_session { to: other_family, ..plain() },
            pp_session { from: other_family, ..plain() },
            pp_session { rx: 3, ..plain() },
        ] {
            assert_eq!(desk.ask(&raw, 1, |_| None), None);
        }
        assert_eq!(desk.take_counts(), ([0; 3], 3));
    }

    #[test]
    fn a_pause_holds_for_its_source_until_its_end() {
        let mut desk = desk();
        let source = "192.0.2.9".parse().unwrap();
        desk.pause(None, false, 100);
        assert_eq!(desk.paused(None, 99), Some(OpenRefused::Port));
        assert_eq!((desk.paused(None, 100), desk.paused(Some(source), 99)), (None, None));
        desk.pause(None, true, 100);
        assert_eq!(desk.paused(Some(source), 99), Some(OpenRefused::File));
        desk.resume();
        assert_eq!(desk.paused(None, 99), None);
        (0..100_u8).for_each(|n| desk.pause(Some(IpAddr::from([10, 0, 0, n])), false, 100));
        assert_eq!(desk.pauses.len(), MAX_PAUSES);
    }
}
