//! What a handler keeps beyond a call, in the books of the host: one budget for all handlers of the process.

use crate::host::BudgetRef;

/// Bytes that a handler may keep, granted by the host ([`Setup::reservation`](crate::Setup::reservation)). Dropping it
/// gives them back.
///
/// A handler declares what it is about to keep for long and in numbers that others decide about: tables of peers, of
/// requests, of replies. If the host refuses, it evicts something of its own, or does without. What every instance has
/// anyway, and what is freed when the call returns, needs no reservation.
#[derive(Debug, Default)]
pub struct Reservation {
    /// None grants everything: a handler in a test of its own, without a host.
    budget: Option<BudgetRef>,
    bytes: usize,
}

impl Reservation {
    pub(crate) const fn new(budget: BudgetRef) -> Self {
        Self { budget: Some(budget), bytes: 0 }
    }

    /// Bytes granted so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for `more` bytes. False: the host has none left for this instance, and nothing has changed.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let granted = self.budget.is_none_or(|budget| budget.reserve(more as u64));
        if granted {
            self.bytes = self.bytes.saturating_add(more);
        }
        granted
    }

    /// Gives back `less` bytes, or all there are.
    pub fn shrink(&mut self, less: usize) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        if let Some(budget) = &self.budget {
            budget.release(less as u64);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

/// Places of a table whose entries take about the same memory each. It asks the host for some places at a time, so that
/// an entry costs no call.
#[derive(Debug)]
pub struct Places {
    reservation: Reservation,
    /// Bytes of one place.
    each: usize,
    granted: usize,
    most: usize,
}

impl Places {
    /// Places that a table has without asking: what an instance is never without, however little is left.
    pub const FREE: usize = 16;
    /// Places that are asked for at once; if the host has not as many for one of thousands of instances, a few.
    const STEPS: [usize; 2] = [64, 8];

    /// At most `most` places, and at least one, of `each` bytes: all that an entry costs at worst, with the table's own
    /// spare room.
    #[must_use]
    pub fn new(reservation: Reservation, each: usize, most: usize) -> Self {
        let most = most.max(1);
        Self { reservation, each, granted: most.min(Self::FREE), most }
    }

    /// Whether a table with `len` entries may take one more. Asks the host if need be; false, and the table evicts one
    /// first.
    pub fn have_room(&mut self, len: usize) -> bool {
        if len < self.granted.min(self.most) {
            return true;
        }
        let left = self.most.saturating_sub(self.granted);
        let mut steps = Self::STEPS.into_iter().map(|step| step.min(left)).filter(|step| *step > 0);
        let granted = steps.find(|step| self.reservation.try_grow(step.saturating_mul(self.each)));
        self.granted += granted.unwrap_or(0);
        granted.is_some()
    }

    /// Places the table has now.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.granted.min(self.most)
    }

    /// The table may have so many places from now on, at least one. What it has beyond that is not given back.
    pub fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
        self.granted = self.granted.max(self.most.min(Self::FREE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_asked_for_in_steps_and_some_are_free() {
        let mut places = Places::new(Reservation::default(), 100, 150);
        assert!((0..Places::FREE).all(|len| places.have_room(len)));
        assert_eq!(places.reservation.bytes(), 0);
        assert!(places.have_room(Places::FREE));
        assert_eq!((places.granted(), places.reservation.bytes()), (16 + 64, 6400));
        assert!(places.have_room(79) && places.have_room(80) && places.have_room(149));
        assert_eq!((places.granted(), places.reservation.bytes()), (150, 13_400));
        assert!(!places.have_room(150));
        places.set_most(20);
        assert!(places.have_room(19) && !places.have_room(20));
        places.set_most(200);
        assert!(places.have_room(150));
        assert_eq!(places.reservation.bytes(), 18_400);
    }

    #[test]
    fn a_small_table_needs_no_grant() {
        let mut places = Places::new(Reservation::default(), 100, 0);
        assert!(places.have_room(0) && !places.have_room(1));
    }

    #[test]
    fn a_reservation_grows_and_shrinks() {
        let mut reservation = Reservation::default();
        assert!(reservation.try_grow(10) && reservation.try_grow(5));
        reservation.shrink(7);
        assert_eq!(reservation.bytes(), 8);
        reservation.shrink(100);
        assert_eq!(reservation.bytes(), 0);
    }
}
