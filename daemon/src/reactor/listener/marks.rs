//! What only some listeners have and each visit asks for, a bit each: the lines of a visit have no byte to spare.

/// The marks of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

const DELAYS: u8 = 1;
const RESTRICTED: u8 = 2;

impl Marks {
    /// The handler has sent something later, so its calls are told a time that is not before the arrival of what they show, and
    /// what room is left.
    #[inline]
    pub(crate) fn delays(self) -> bool {
        self.0 & DELAYS != 0
    }

    /// Notes that it has. Returns whether that was known.
    pub(crate) fn note_delay(&mut self) -> bool {
        let before = self.delays();
        self.0 |= DELAYS;
        before
    }

    /// Not everybody may talk to it: there is a list.
    #[inline]
    pub(crate) fn restricted(self) -> bool {
        self.0 & RESTRICTED != 0
    }

    /// Notes whether there is a list.
    pub(crate) fn restrict(&mut self, is_restricted: bool) {
        self.0 = if is_restricted { self.0 | RESTRICTED } else { self.0 & !RESTRICTED };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_set_alone() {
        let mut marks = Marks::default();
        marks.restrict(true);
        assert!(marks.restricted() && !marks.delays());
        assert_eq!((marks.note_delay(), marks.note_delay()), (false, true));
        marks.restrict(false);
        assert!(!marks.restricted() && marks.delays());
    }
}
