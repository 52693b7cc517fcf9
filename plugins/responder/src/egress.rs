//! The way out: every reply leaves through here, where the rules on length, cookies, groups and errors are kept.

use std::net::SocketAddr;

use polyport_plugin::{Datagram, Rng, later};
use polyport_protocol::{
    Code, CookieScope, CookieSecrets, CookieState, Flags, FrameOption, Header, Kind, VERSION, version_reply,
};

use crate::bucket::{About, ErrorBuckets};
use crate::config::{Group, ProbeAck, Settings};
use crate::counters::Counters;
use crate::loops::may_answer;
use crate::reply::Reply;
use crate::streams::{Seen, StreamKey, Streams};

/// Octets of a COOKIE option.
const COOKIE_LEN: usize = 20;
/// What a peer may get for each octet it sent once its address is validated ([P-55]).
const VALIDATED_FACTOR: usize = 3;
/// When to try again after ERROR 16, milliseconds. Work in progress ends within the call, so this is about
/// how long a retry takes anyway.
const RETRY_AFTER_MS: u32 = 100;
/// Longest VERSION frame: the header and VERSIONS with two entries.
const VERSION_LEN: usize = 48;

/// What holds for a whole batch: the time, and what the socket can do.
#[derive(Clone, Copy, Debug)]
pub struct BatchContext {
    /// Monotonic clock, nanoseconds.
    pub now_ns: u64,
    /// Unix time, nanoseconds.
    pub wall_ns: u64,
    /// Longest datagram the socket can send, octets.
    pub max_payload: usize,
    /// Address of the listener.
    pub listener: SocketAddr,
}

impl BatchContext {
    /// Unix time in seconds modulo 2^32, as cookies have it.
    #[must_use]
    pub fn cookie_time(&self) -> u32 {
        u32::try_from((self.wall_ns / 1_000_000_000) & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// What [`cookie_time`](Self::cookie_time) was at the end of the second, or would have been by today's clock, in which a
    /// moment of the monotonic clock lies.
    #[must_use]
    pub fn cookie_time_after(&self, then_ns: u64) -> u32 {
        let then_ns = self.wall_ns.saturating_sub(self.now_ns.saturating_sub(then_ns));
        Self { wall_ns: then_ns.saturating_add(999_999_999), ..*self }.cookie_time()
    }

    /// Where a datagram was sent to. The kernel tells the address alone, so the port may be missing.
    #[must_use]
    pub fn local(&self, datagram: &Datagram<'_>) -> SocketAddr {
        let local = if datagram.has_local() { datagram.local() } else { self.listener };
        let port = if local.port() == 0 { self.listener.port() } else { local.port() };
        SocketAddr::new(local.ip(), port)
    }
}

/// A received frame that may be answered, and all that its answer depends on.
#[derive(Debug)]
pub struct Received<'a, 'd> {
    /// The datagram.
    pub datagram: &'a Datagram<'d>,
    /// The batch it came in.
    pub context: &'a BatchContext,
    /// Its header.
    pub header: Header,
    /// What its COOKIE, if any, is worth.
    pub cookie: Option<CookieState>,
    /// What is known of the stream; `None` for a frame that does not count.
    pub seen: Option<Seen>,
}

impl Received<'_, '_> {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamKey {
        StreamKey {
            peer: self.datagram.peer(),
            local_port: self.context.local(self.datagram).port(),
            stream_id: self.header.stream_id,
        }
    }

    /// Whether it was sent to a group: the kernel says so, or the frame.
    #[must_use]
    pub fn group(&self) -> bool {
        sent_to_group(self.datagram) || self.header.flags.contains(Flags::GROUP)
    }

    /// Whether it counts ([P-14]).
    #[must_use]
    pub const fn counts(&self) -> bool {
        !self.header.flags.contains(Flags::WARM_UP)
    }

    fn len(&self) -> usize {
        self.datagram.payload().len()
    }

    /// What a COOKIE for the sender of this frame is bound to.
    #[must_use]
    pub fn scope(&self) -> CookieScope {
        let StreamKey { peer, local_port, stream_id } = self.stream();
        CookieScope { peer, local_port, stream_id }
    }
}

/// What replies are made from, and what bounds them. The reply cache is apart.
#[derive(Debug)]
pub struct Egress {
    /// The configuration.
    pub settings: Settings,
    /// What is counted.
    pub counters: Counters,
    /// Statistics for RSTAT.
    pub streams: Streams,
    /// Secrets of cookies.
    pub cookies: CookieSecrets,
    /// How many ERROR and VERSION frames may still leave, by prefix.
    pub errors: ErrorBuckets,
    /// Draws the delays of answers to groups, and the greased versions.
    pub rng: Rng,
}

impl Egress {
    /// Answers a request with what the service said. True if a reply left.
    pub fn respond(&mut self, received: &Received<'_, '_>, code: Code, payload: &[u8]) -> bool {
        if code != Code::OK {
            return self.error(received, code, payload, None);
        }
        let header = received.header.reply(Kind::Response, Code::OK);
        if let Some(reply) = Reply::new(header, payload, self.settings.auth_len(), self.limit(received)) {
            return self.send(received, reply);
        }
        self.counters.replies_too_long.add(1);
        let room = received.len() >= polyport_protocol::HEADER_LEN + self.settings.auth_len() + COOKIE_LEN;
        let cookie =
            FrameOption::Cookie(self.cookies.make(&received.scope(), received.context.cookie_time()));
        match received.cookie {
            None if room => self.error(received, Code::COOKIE_REQUIRED, &[], Some(cookie)),
            Some(CookieState::Invalid) => self.error(received, Code::BAD_COOKIE, &[], Some(cookie)),
            // A validated peer asks for more than a cookie gives; the others have no room for one.
            None | Some(CookieState::Valid | CookieState::ValidButOld) => {
                self.error(received, Code::REPLY_TOO_LARGE, &[], None)
            }
        }
    }

    /// Asks for a COOKIE made since the start, because the tag of a request does not tell when it was made ([P-110]).
    pub fn challenge(&mut self, received: &Received<'_, '_>) -> bool {
        self.counters.challenged.add(1);
        let cookie =
            FrameOption::Cookie(self.cookies.make(&received.scope(), received.context.cookie_time()));
        let code = if received.cookie.is_some() { Code::BAD_COOKIE } else { Code::COOKIE_REQUIRED };
        self.error(received, code, &[], Some(cookie))
    }

    /// Answers a PROBE: whole or not at all, so that an answer as long as the probe measures the way back ([P-88]).
    pub fn acknowledge(&mut self, received: &Received<'_, '_>) -> bool {
        let header = received.header.reply(Kind::ProbeAck, Code::OK);
        let len = received.len();
        let Some(mut reply) =
            Reply::new(header, &[], self.settings.auth_len(), len.min(received.context.max_payload))
        else {
            return false;
        };
        // The host does not tell the size of its receive buffer ([P-99]).
        let info = FrameOption::ProbeInfo { len: u16::try_from(len).unwrap_or(u16::MAX), limit: 0 };
        reply.option(info);
        let asked = received.header.flags.contains(Flags::IDEMPOTENT);
        if asked || self.settings.probe_ack == ProbeAck::Padded {
            reply.pad_to = len;
        }
        received.datagram.dont_fragment();
        self.send(received, reply)
    }

    /// Refuses a request because its id was used before with another content.
    pub fn conflict(&mut self, received: &Received<'_, '_>) -> bool {
        self.counters.id_conflicts.add(1);
        self.error(received, Code::ID_CONFLICT, &[], None)
    }

    /// Refuses a request because nothing can be remembered of it.
    pub fn busy(&mut self, received: &Received<'_, '_>) -> bool {
        self.counters.cache_busy.add(1);
        self.error(received, Code::BUSY, &[], Some(FrameOption::RetryAfter { ms: RETRY_AFTER_MS }))
    }

    /// Answers a request with a critical option that is not known ([P-40]).
    pub fn unknown_critical(&mut self, datagram: &Datagram<'_>, context: &BatchContext) -> bool {
        let Some(header) = Header::of_refused(datagram.payload()) else { return false };
        let received = Received { datagram, context, header, cookie: None, seen: None };
        let wants_reply = matches!(header.kind, Kind::Request | Kind::Probe) && header.may_be_answered();
        wants_reply
            && !received.group()
            && self.answerable(datagram, context)
            && self.error(&received, Code::UNKNOWN_CRITICAL_OPTION, &[], None)
    }

    /// Answers a datagram of an unknown version ([P-27]).
    pub fn unknown_version(&mut self, datagram: &Datagram<'_>, context: &BatchContext) -> bool {
        let mut out = [0; VERSION_LEN];
        // [P-30]: one of 0x0A, 0x1A, ... is listed, a different one each time.
        let [high, ..] = self.rng.next_u64().to_be_bytes();
        let listed = [VERSION, high & 0xF0 | 0x0A];
        let Some(frame) = version_reply(datagram.payload(), &listed, &mut out).and_then(|len| out.get(..len))
        else {
            return false;
        };
        let sent = !sent_to_group(datagram)
            && self.answerable(datagram, context)
            && self.may_err(datagram.peer(), About::Version, context.now_ns)
            && datagram.reply(frame).is_queued();
        self.counters.versions.add(sent.into());
        sent
    }

    /// Whether this source may be answered at all. Counts the datagram if not.
    pub fn answerable(&self, datagram: &Datagram<'_>, context: &BatchContext) -> bool {
        let may = may_answer(datagram.peer(), context.local(datagram));
        self.counters.loop_denied.add((!may).into());
        may
    }

    /// Octets the peer may get ([P-55]).
    fn limit(&self, received: &Received<'_, '_>) -> usize {
        let validated = received.cookie.is_some_and(CookieState::is_valid);
        allowed(received.len(), validated, self.settings.unlimited_when_validated)
            .min(received.context.max_payload)
    }

    /// Sends ERROR `code` with `text` if it fits, unless the frame came to a group or there were too many errors.
    fn error(
        &mut self,
        received: &Received<'_, '_>,
        code: Code,
        text: &[u8],
        option: Option<FrameOption<'static>>,
    ) -> bool {
        if received.group() {
            self.counters.group_errors.add(1);
            return false;
        }
        let header = received.header.reply(Kind::Error, code);
        let auth_len = self.settings.auth_len();
        let mut limit = self.limit(received);
        if auth_len > 0 && matches!(option, Some(FrameOption::Cookie(_))) {
            // [P-110]: who has a key gets its COOKIE whether there is room for it or not.
            limit = limit.max(polyport_protocol::HEADER_LEN + auth_len + COOKIE_LEN);
        }
        let with_text = Reply::new(header, text, auth_len, limit);
        let Some(mut reply) = with_text.or_else(|| Reply::new(header, &[], auth_len, limit)) else {
            return false;
        };
        self.counters.options_left_out.add((with_text.is_none()).into());
        if let Some(option) = option {
            reply.option(option);
        }
        let about = match option {
            Some(FrameOption::Cookie(_)) => About::Cookie,
            _ => About::Request,
        };
        self.may_err(received.datagram.peer(), about, received.context.now_ns) && self.send(received, reply)
    }

    fn may_err(&mut self, peer: SocketAddr, about: About, now_ns: u64) -> bool {
        let may = self.errors.take(peer, about, now_ns);
        self.counters.errors_suppressed.add((!may).into());
        may
    }

    /// Adds the options that the request asked for, and sends.
    fn send(&mut self, received: &Received<'_, '_>, mut reply: Reply<'_>) -> bool {
        let at_ns = if received.group() && self.settings.group == Group::Answer {
            later(received.context.now_ns, self.rng.up_to(self.settings.group_leisure))
        } else {
            0
        };
        if received.cookie == Some(CookieState::ValidButOld) {
            let fresh = self.cookies.make(&received.scope(), received.context.cookie_time());
            reply.option(FrameOption::Cookie(fresh));
        }
        if let Some(Seen { rseq, rcount, window, .. }) = received.seen
            && received.header.flags.contains(Flags::WANT_STATS)
        {
            reply.option(FrameOption::Rstat { rseq, rcount, window });
        }
        if received.header.flags.contains(Flags::WANT_TIMES) {
            let tx_ns = at_ns.max(received.context.now_ns);
            reply.option(FrameOption::Times { rx_ns: received.datagram.rx_ns(), tx_ns });
        }
        self.counters.options_left_out.add(reply.left_out());
        let sent = reply.send(received.datagram, at_ns, self.settings.key.as_ref());
        if sent && received.counts() {
            self.counted(received, reply.header.kind);
        }
        self.counters.cookies_sent.add((sent && reply.has_cookie()).into());
        self.counters.group_answered.add((sent && received.group()).into());
        sent
    }

    fn counted(&mut self, received: &Received<'_, '_>, kind: Kind) {
        if received.seen.is_some() {
            self.streams.replied(&received.stream());
        }
        match kind {
            Kind::Response => self.counters.responses.add(1),
            Kind::ProbeAck => self.counters.probe_acks.add(1),
            Kind::Error => self.counters.errors.add(1),
            Kind::Version | Kind::Request | Kind::Event | Kind::Probe | Kind::Private(_) => {}
        }
    }
}

/// Whether the kernel says that a datagram was sent to a group.
#[must_use]
pub fn sent_to_group(datagram: &Datagram<'_>) -> bool {
    datagram.is_multicast() || datagram.is_broadcast()
}

/// Octets a peer that sent `len` may get, whatever the socket can send.
const fn allowed(len: usize, validated: bool, unlimited: bool) -> usize {
    match (validated, unlimited) {
        (false, _) => len,
        (true, false) => len.saturating_mul(VALIDATED_FACTOR),
        (true, true) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No service of this plugin answers with more than three times its request, so this is tested here.
    #[test]
    fn a_cookie_gives_three_times_the_request_or_as_much_as_it_takes() {
        assert_eq!((allowed(64, false, false), allowed(64, false, true)), (64, 64));
        assert_eq!((allowed(64, true, false), allowed(64, true, true)), (192, usize::MAX));
    }
}
