//! Why a datagram was dropped: one enum for counters, logs, reports and tests.

use std::fmt;

/// Where a datagram is dropped: on its way in, or on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A received datagram is dropped before or by the handler.
    Receive,
    /// A datagram that a handler queued is dropped.
    Send,
}

macro_rules! reasons {
    ($($variant:ident, $stage:ident, $name:literal, $text:literal;)*) => {
        /// Why a datagram is dropped. Each reason has a counter of its own in [`super::Counters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $text] $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// Number of reasons.
            pub const COUNT: usize = Self::ALL.len();

            /// The name of the reason for metrics and scripts, in `snake_case`. It does not change between versions.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The reason in words, for people.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The stage at which datagrams are dropped for this reason.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)* }
            }
        }
    };
}

reasons! {
    SourcePortZero, Receive, "source_port_zero", "source port 0: nobody can be answered there";
    SourceDenied, Receive, "source_denied", "from an address that the listener does not let in";
    Truncated, Receive, "truncated", "longer than the receive buffer";
    OnPurpose, Receive, "on_purpose", "dropped on purpose by the handler";
    HandlerDown, Receive, "handler_down", "the handler is not running";
    HandlerFault, Receive, "handler_fault", "in the batch that broke the handler";
    Poison, Receive, "poison", "it broke the handler";
    BadTx, Send, "bad_tx", "the handler's send entry is invalid";
    ReplyTooLong, Send, "reply_too_long", "longer than a UDP datagram can be";
    OwnListener, Send, "own_listener", "to one of our own listeners, which would start a loop";
    Group, Send, "group", "to a broadcast address or multicast group, or in answer to what was sent there";
    LoopPort, Send, "loop_port", "to a port whose service answers anything, so that it might never end";
    SamePort, Send, "same_port", "to the listener's own port at another host, so that it might never end";
    TtlExpired, Send, "ttl_expired", "answers decay, and its request came with no TTL to spare, or an unknown one";
    NoDestination, Send, "no_destination", "no address to send to, or one of the other family";
    Amplification, Send, "amplification", "more to an unproved address than what came from it pays for";
    RateLimited, Send, "rate_limited", "more replies a second to an unproved address than allowed";
    NoRoom, Send, "no_room", "the handler's share of the send ring is used up";
    DelayFull, Send, "delay_full", "too many delayed datagrams";
    BacklogFull, Send, "backlog_full", "the socket does not take more, and its backlog is full";
    NoBuffers, Send, "no_buffers", "the kernel has no memory for it";
    Unreachable, Send, "unreachable", "no route, or the peer refuses";
    Forbidden, Send, "forbidden", "a firewall rule or a missing permission";
    TooBig, Send, "too_big", "larger than the path or the socket allows";
    Invalid, Send, "invalid", "the kernel refuses the address";
    AddressGone, Send, "address_gone", "the local address or interface is gone";
    SocketBroken, Send, "socket_broken", "the socket is unusable";
    Unsupported, Send, "unsupported", "the kernel does not offer the call";
    SessionFailed, Send, "session_failed", "its session could not be opened";
    SessionClosed, Send, "session_closed", "its session has ended";
    ListenerGone, Send, "listener_gone", "the listener was removed before the datagram was due";
    Stopping, Send, "stopping", "the daemon stopped before the datagram was due";
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_match_the_index() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(DropReason::ALL.iter().filter(|other| other.name() == reason.name()).count() == 1);
        }
    }
}
