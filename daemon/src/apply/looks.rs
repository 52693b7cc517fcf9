//! Looks at all listeners, some between two batches each, while some of them leave: nobody is removed during a look, so it finds each
//! listener once, and what is told of it never shrinks. There is one look at a time then, and some are removed between two of them,
//! however often somebody asks.

use std::rc::{Rc, Weak};

/// Who looks.
#[derive(Debug, Default)]
pub(super) struct Looks {
    now: Weak<()>,
    /// Nobody has looked since, for a turn at least.
    has_rested: bool,
}

/// How far somebody is with a look.
#[derive(Debug, Default)]
pub(super) struct Look {
    has_begun: bool,
    /// Nobody is removed for as long as this is held.
    held: Option<Rc<()>>,
}

/// What comes next for who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing in this turn.
    Wait,
    /// All of it from the first listener on.
    Begin,
    /// The next listeners.
    GoOn,
}

impl Look {
    /// Says what comes next; `is_another` plan serves than at the beginning, and listeners may leave if it `is_changing`.
    pub(super) fn next(&mut self, is_another: bool, is_changing: bool, looks: &mut Looks) -> Next {
        if self.held.is_some() && !is_changing {
            // At the end of the daemon all of them are removed at once.
            *self = Self::default();
        }
        if self.has_begun && !is_another {
            return Next::GoOn;
        }
        if is_changing && self.held.is_none() {
            self.held = looks.begin();
        }
        self.has_begun = !is_changing || self.held.is_some();
        if self.has_begun { Next::Begin } else { Next::Wait }
    }

    /// Whether there may be some that leave.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Looks {
    /// Begins one, unless another one goes on, or has just ended.
    fn begin(&mut self) -> Option<Rc<()>> {
        if self.goes_on() || !self.has_rested {
            return None;
        }
        let held = Rc::new(());
        (self.now, self.has_rested) = (Rc::downgrade(&held), false);
        Some(held)
    }

    /// Whether nobody may be removed in the next turn.
    pub(super) fn goes_on(&self) -> bool {
        self.now.strong_count() > 0
    }

    /// A turn has passed.
    pub(super) fn note_turn(&mut self) {
        self.has_rested |= !self.goes_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_looks_there_is_a_turn_in_which_listeners_are_removed() {
        let mut looks = Looks::default();
        let [mut first, mut second] = [Look::default(), Look::default()];
        assert_eq!(first.next(false, true, &mut looks), Next::Wait, "no turn has passed");
        looks.note_turn();
        assert_eq!(first.next(false, true, &mut looks), Next::Begin);
        assert_eq!(first.next(false, true, &mut looks), Next::GoOn);
        assert_eq!(first.next(true, true, &mut looks), Next::Begin, "another plan is another look");
        looks.note_turn();
        assert!(looks.goes_on());
        assert_eq!(second.next(false, true, &mut looks), Next::Wait, "one at a time");
        drop(first);
        assert!(!looks.goes_on());
        assert_eq!(second.next(false, true, &mut looks), Next::Wait, "it has just ended");
        looks.note_turn();
        assert_eq!(second.next(false, true, &mut looks), Next::Begin);
    }

    #[test]
    fn nobody_waits_where_nobody_leaves() {
        let mut looks = Looks::default();
        let [mut first, mut second] = [Look::default(), Look::default()];
        assert_eq!(first.next(false, false, &mut looks), Next::Begin);
        assert_eq!(second.next(false, false, &mut looks), Next::Begin);
        assert!(!looks.goes_on() && !first.is_held());
        // A switch comes in between; then they are finished in one go.
        looks.note_turn();
        assert_eq!(first.next(true, true, &mut looks), Next::Begin);
        assert!(first.is_held());
        assert_eq!(
            first.next(false, false, &mut looks),
            Next::Begin,
            "what it knew of them is elsewhere now"
        );
        assert!(!first.is_held() && !looks.goes_on());
    }
}
