//! Whether somebody who is asked answers: for each session, when it first asked of what has had no answer since.

/// What is asked, and was not answered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Silence {
    /// When the first datagram left that nothing came after, nanoseconds of the monotonic clock; 0: all is answered.
    asked_ns: u64,
}

impl Silence {
    /// A datagram leaves.
    #[inline]
    pub(crate) const fn ask(&mut self, now_ns: u64) {
        if self.asked_ns == 0 {
            self.asked_ns = now_ns;
        }
    }

    /// One has come.
    #[inline]
    pub(crate) const fn hear(&mut self) {
        self.asked_ns = 0;
    }

    /// Whether it has lasted for `silence_ns`; 0 is for ever.
    #[inline]
    pub(crate) const fn has_fallen(&self, silence_ns: u64, now_ns: u64) -> bool {
        self.asked_ns != 0 && silence_ns != 0 && now_ns.saturating_sub(self.asked_ns) >= silence_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_from_the_first_question_that_nobody_answered() {
        let mut silence = Silence::default();
        assert!(!silence.has_fallen(10, 1000), "who asks nothing waits for nothing");
        silence.ask(100);
        silence.ask(105);
        assert!(!silence.has_fallen(10, 109) && silence.has_fallen(10, 110));
        assert!(!silence.has_fallen(0, u64::MAX));
        silence.hear();
        assert!(!silence.has_fallen(10, 1000));
        silence.ask(1000);
        assert!(!silence.has_fallen(10, 1005) && silence.has_fallen(10, 1010));
    }
}
