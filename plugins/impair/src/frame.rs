//! How many bytes a datagram is on a link.

use crate::limits::MOST_OVERHEAD;

/// Bytes of the headers of IP and UDP.
const OVER_IPV4: i32 = 28;
const OVER_IPV6: i32 = 48;

/// Which headers a line's datagrams have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// 28 bytes with UDP's.
    #[default]
    Ipv4,
    /// 48 bytes.
    Ipv6,
}

/// What a link adds to a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    overhead: Option<i32>,
    /// Bytes of a datagram in a cell, and of the cell in all.
    cell: Option<(u64, u64)>,
}

impl Frame {
    pub(crate) fn new(overhead: Option<i32>, cell_size: Option<u32>, cell_overhead: i32) -> Self {
        let cell = cell_size.map(|size| {
            let size = size.max(1);
            (u64::from(size), u64::from(size.saturating_add_signed(cell_overhead)))
        });
        Self { overhead, cell }
    }

    /// Bytes of a datagram with its headers, at most 2^32 and something.
    #[inline]
    pub(crate) fn packet(&self, payload: usize, family: Family) -> u64 {
        let of_family = if family == Family::Ipv6 { OVER_IPV6 } else { OVER_IPV4 };
        let overhead = self.overhead.unwrap_or(of_family);
        let payload = u32::try_from(payload).unwrap_or(u32::MAX);
        u64::from(payload).saturating_add_signed(i64::from(overhead))
    }

    /// Bytes that a link carries for a packet of this length.
    #[inline]
    pub(crate) const fn carried(&self, packet: u64) -> u64 {
        match self.cell {
            None => packet,
            Some((size, whole)) => packet.div_ceil(size) * whole,
        }
    }
}

/// How long a link of `rate` bits a second is busy with so many bytes, ns.
#[inline]
pub(crate) fn busy_ns(carried: u64, rate: u64) -> u64 {
    const SCALE: u64 = 8 * 1_000_000_000;
    let rate = rate.max(1);
    match carried.checked_mul(SCALE) {
        Some(product) => product / rate,
        None => u64::try_from(u128::from(carried) * u128::from(SCALE) / u128::from(rate)).unwrap_or(u64::MAX),
    }
}

// The product of the longest packet and the largest cell fits.
const _: () =
    assert!((u32::MAX as u64 + 2 * MOST_OVERHEAD as u64).checked_mul(2 * MOST_OVERHEAD as u64).is_some());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_headers_and_cells() {
        let frame = |overhead, cell, more| Frame::new(overhead, cell, more);
        assert_eq!(frame(None, None, 0).packet(1200, Family::Ipv4), 1228);
        assert_eq!(frame(None, None, 0).packet(1200, Family::Ipv6), 1248);
        assert_eq!(frame(Some(14), None, 0).packet(1200, Family::Ipv6), 1214);
        assert_eq!(frame(Some(-20), None, 0).packet(12, Family::Ipv4), 0);
        // ATM: 48 bytes of payload in 53.
        let atm = frame(Some(0), Some(48), 5);
        let carried = [0, 1, 48, 49, 96].map(|bytes| atm.carried(atm.packet(bytes, Family::Ipv4)));
        assert_eq!(carried, [0, 53, 53, 106, 106]);
        assert_eq!(frame(None, None, 0).packet(usize::MAX, Family::Ipv4), u64::from(u32::MAX) + 28);
    }

    #[test]
    fn a_link_is_busy_as_long_as_its_rate_says() {
        assert_eq!(busy_ns(1228, 1_000_000), 9_824_000);
        assert_eq!(busy_ns(1, 8_000_000_000), 1);
        assert_eq!(busy_ns(1 << 40, 1), u64::MAX);
        assert_eq!(busy_ns(1 << 40, 8_000_000_000), 1 << 40);
    }
}
