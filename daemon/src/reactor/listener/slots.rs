//! Memory of the next visits, asked for while this one waits for the kernel.

use crate::plugin::prefetch;
use slab::Slab;
use std::ptr;

/// Where the slots of a slab lie. To look at a slot, if only to see whether it is in use, would wait for the very memory
/// that is to be fetched; so its address is computed.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    first: *const T,
}

impl<T> Slots<T> {
    /// Those of `slab`, until it grows.
    pub(crate) fn of(slab: &Slab<T>) -> Self {
        let first = slab.iter().next();
        Self { first: first.map_or(ptr::null(), |(index, value)| ptr::from_ref(value).wrapping_sub(index)) }
    }

    fn at(&self, index: u32) -> *const T {
        self.first.wrapping_add(index as usize)
    }

    /// Asks for the first `bytes` of a slot.
    #[inline]
    pub(crate) fn prefetch(&self, index: u32, bytes: usize) {
        prefetch(self.at(index), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::listener::Listener;
    use crate::reactor::mio::Socket;

    /// As a listener, it has values that it never takes, where the slab keeps that a slot is vacant.
    struct Slot {
        _niche: Box<u8>,
        _rest: [u64; 63],
    }

    #[test]
    fn the_address_of_every_slot_is_known_without_a_look() {
        let mut slab: Slab<Slot> = Slab::new();
        (0..9).for_each(|n| {
            slab.insert(Slot { _niche: Box::new(n), _rest: [0; 63] });
        });
        [0, 1, 4].into_iter().for_each(|vacant| drop(slab.remove(vacant)));
        let slots = Slots::of(&slab);
        assert!(slab.iter().all(|(index, slot)| ptr::eq(slot, slots.at(u32::try_from(index).unwrap()))));
        assert!(Slots::of(&Slab::<Slot>::new()).at(0).is_null());
        // The same holds for listeners: the slab adds nothing to them.
        assert_eq!(size_of::<Option<Listener<Socket>>>(), size_of::<Listener<Socket>>());
    }
}
