//! One reply: which options fit, and its frame, written into the host's memory.

use polyport_plugin::Datagram;
use polyport_protocol::{Encoder, FrameOption, HEADER_LEN, Header, Key};

/// COOKIE, then `RETRY_AFTER` or `PROBE_INFO`, RSTAT, TIMES.
const MOST_OPTIONS: usize = 4;

/// A reply before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'p> {
    /// Its header.
    pub header: Header,
    /// Its payload.
    pub payload: &'p [u8],
    /// Octets it is padded to, if the limit allows.
    pub pad_to: usize,
    options: [Option<FrameOption<'static>>; MOST_OPTIONS],
    /// Octets so far, with AUTH.
    len: usize,
    limit: usize,
    left_out: u64,
}

impl<'p> Reply<'p> {
    /// A reply of at most `limit` octets, `auth_len` of them for AUTH. `None` if header, AUTH and payload are
    /// longer than that already.
    #[must_use]
    pub fn new(header: Header, payload: &'p [u8], auth_len: usize, limit: usize) -> Option<Self> {
        let len = HEADER_LEN + auth_len + payload.len();
        let options = [None; MOST_OPTIONS];
        (len <= limit).then_some(Self { header, payload, pad_to: 0, options, len, limit, left_out: 0 })
    }

    /// Adds an option if it fits ([P-53]); the one added first has the best chance. Says whether it did.
    pub fn option(&mut self, option: FrameOption<'static>) -> bool {
        let len = self.len + option.wire_len();
        let free = self.options.iter_mut().find(|place| place.is_none()).filter(|_| len <= self.limit);
        let Some(place) = free else {
            self.left_out += 1;
            return false;
        };
        *place = Some(option);
        self.len = len;
        true
    }

    /// Options that found no room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether a COOKIE goes with it.
    #[must_use]
    pub fn has_cookie(&self) -> bool {
        self.options.iter().flatten().any(|option| matches!(option, FrameOption::Cookie(_)))
    }

    /// Writes and queues it, to leave not before `at_ns`. False if the host had no room.
    pub fn send(&self, datagram: &Datagram<'_>, at_ns: u64, key: Option<&Key>) -> bool {
        let len = self.len.max(self.pad_to.min(self.limit));
        let queued = datagram.reply_with_at(at_ns, len, |_, out| {
            let options = self.options.iter().flatten();
            let encoder =
                options.fold(Encoder::new(out, &self.header), |encoder, option| encoder.option(option));
            // `len` is the sum of the parts, so nothing is left that could fail.
            encoder.auth_if(key).payload(self.payload).pad_to(len).finish().unwrap_or(0)
        });
        queued.is_queued()
    }
}
