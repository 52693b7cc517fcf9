//! Prefetching the slots of the next visits while the current one waits for the kernel.

use std::ptr;

use slab::Slab;

use crate::plugin::prefetch;

/// The address of the first slot of a slab. The slab itself would look into a slot to see whether it is in use, and
/// would wait for just the memory that is to be prefetched. So addresses are computed instead.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    first: *const T,
}

impl<T> Slots<T> {
    /// The slots of `slab`; valid until it grows.
    pub(crate) fn of(slab: &Slab<T>) -> Self {
        let first = slab.iter().next();
        Self { first: first.map_or(ptr::null(), |(index, value)| ptr::from_ref(value).wrapping_sub(index)) }
    }

    fn at(&self, index: u32) -> *const T {
        self.first.wrapping_add(index as usize)
    }

    /// Prefetches the first `bytes` of a slot.
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

    /// A value with a niche, as a listener has one: the slab notes a vacant slot there.
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
