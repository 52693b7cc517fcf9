//! What came the same way as the datagram before may go where that went: a train is dealt with once.

use polyport_abi::{pp_addr, pp_dgram};

use crate::convert::{Slot, Slots};

impl Slots<'_> {
    /// Lets the last entry send on what follows as well, as far as it came the same way as the one that was handed out last.
    /// Returns how many datagrams those are, which count as handed out, and their bytes.
    #[inline]
    pub(crate) fn follow(&mut self) -> (u32, u64) {
        let (first, raw) = (self.next, self.raw);
        let Some(run) = raw.extensible(first) else { return (0, 0) };
        let last = self.end.min(first.saturating_add(u32::from(u16::MAX - run)));
        let mut bytes = 0;
        let way = first.checked_sub(1).map(|before| Slot::new(raw, before).with(|d| way(d)));
        while self.next < last {
            let (same, len) = Slot::new(raw, self.next).with(|d| (Some(self::way(d)) == way, d.len));
            if !same {
                break;
            }
            bytes += u64::from(len);
            self.next += 1;
        }
        let more = self.next - first;
        if more > 0 {
            raw.lengthen_run(run + u16::try_from(more).unwrap_or(0));
            if self.marks {
                raw.with(|b| b.handling = self.next);
            }
        }
        (more, bytes)
    }
}

/// What two datagrams have in common that came the same way.
type Way = (pp_addr, pp_addr, u32, u8, u8, u64);

#[inline]
fn way(d: &pp_dgram) -> Way {
    (d.peer, d.local, d.ifindex, d.tos, d.flags, d.session)
}
