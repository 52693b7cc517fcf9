//! Restarts of a broken handler: how long the loop waits before it makes the handler again, and what is kept until then.

use std::collections::VecDeque;
use std::time::Duration;

use crate::exchange::Unseen;
use crate::limits::{HEALTHY_AFTER, RESTART_FIRST, RESTART_LONGEST};
use crate::plugin::{InstancePlace, State};
use crate::reactor::io::nanos;

/// What is remembered of a listener whose handler has broken.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// When the last break was, monotonic ns.
    last_ns: Option<u64>,
    /// The wait before the last restart, ns, without the random part.
    last_wait_ns: u64,
    /// What the host remembers the last handlers by, oldest first.
    places: VecDeque<InstancePlace>,
    /// The place of a handler that never served.
    spare: Option<InstancePlace>,
    /// What waits for the next handler.
    pub(crate) kept: Kept,
    /// What the listener had served when its handler was made with a state, datagrams.
    pub(crate) served_before: Option<u64>,
    /// The datagrams that were kept are in the hands of the handler: they are not kept a second time.
    pub(crate) gives: bool,
}

/// The last handlers of a listener that have a place of their own: so many of them may be gone, and a thread that one has left
/// behind, against the rules, is still told from the next ones. The places are never freed.
const PLACES: usize = 16;

/// What a broken handler has left for the next one.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What was received together with the datagram that broke it, and lay behind it.
    pub(crate) unseen: Vec<Unseen>,
    /// When that arrived, monotonic ns.
    pub(crate) arrived_ns: u64,
    /// What could be rescued of its state.
    pub(crate) state: Option<State>,
}

impl Faults {
    /// Notes a break at `now_ns`, and says how long to wait before the handler is made again. `chance` is uniform in 0..1 and
    /// spreads the restarts of many listeners by 20 % either way.
    pub(crate) fn note(&mut self, now_ns: u64, chance: f64) -> Duration {
        let served_for = |last: u64| now_ns.saturating_sub(last).saturating_sub(self.last_wait_ns);
        let healthy = self.last_ns.is_none_or(|last| served_for(last) >= nanos(HEALTHY_AFTER));
        self.last_ns = Some(now_ns);
        self.last_wait_ns =
            if healthy { nanos(RESTART_FIRST) } else { (self.last_wait_ns * 2).min(nanos(RESTART_LONGEST)) };
        Duration::from_nanos(self.last_wait_ns).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
    }
}

impl Faults {
    /// The place of the next handler: a `new` one, until there are [`PLACES`]; then that of the one that is gone for longest.
    pub(crate) fn place(&mut self, new: impl FnOnce() -> InstancePlace) -> InstancePlace {
        let oldest =
            self.spare.take().or_else(|| (self.places.len() >= PLACES).then(|| self.places.pop_front())?);
        let place = oldest.unwrap_or_else(new);
        self.places.push_back(place);
        place
    }

    /// The handler that had this place never served: it is the next one's, if handlers of this listener have it in turn.
    pub(crate) fn spare_place(&mut self, place: InstancePlace) {
        if let Some(at) = self.places.iter().position(|other| *other == place) {
            self.spare = self.places.remove(at);
        }
    }

    /// The next handlers have another name, or are of another plugin: they need places of their own.
    pub(crate) fn forget_places(&mut self) {
        self.places.clear();
        self.spare = None;
    }
}

impl Kept {
    /// Bytes of all of it.
    pub(crate) fn bytes(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| state.bytes.len());
        state + self.unseen.iter().map(Unseen::bytes).sum::<usize>()
    }

    /// Datagrams in it.
    pub(crate) fn datagrams(&self) -> u64 {
        self.unseen.iter().map(|unseen| unseen.datagrams() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn waits_double_up_to_half_a_minute_and_never_end() {
        let mut faults = Faults::default();
        let mut now_ns = S;
        let waits: Vec<_> = (0..1000)
            .map(|_| {
                let wait = faults.note(now_ns, 0.5);
                now_ns += nanos(wait) + S;
                wait.as_millis()
            })
            .collect();
        assert_eq!(waits[..10], [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
        assert!(waits[10..].iter().all(|wait| *wait == 30_000));
    }

    #[test]
    fn a_healthy_minute_resets_the_wait() {
        let mut faults = Faults::default();
        faults.note(S, 0.5);
        faults.note(2 * S, 0.5);
        assert_eq!(faults.note(61 * S, 0.5), Duration::from_millis(400), "not yet a minute");
        assert_eq!(faults.note(122 * S, 0.5), Duration::from_millis(100));
    }

    /// However often a handler breaks, it takes no memory.
    #[test]
    fn places_are_used_again_when_there_are_enough() {
        let (mut faults, mut made) = (Faults::default(), 0);
        for _ in 0..1000 {
            faults.place(|| {
                made += 1;
                InstancePlace::new(&"l".into(), &"p".into(), Some(([127, 0, 0, 1], 1).into()))
            });
        }
        assert_eq!((made, faults.places.len()), (PLACES, PLACES));
    }

    /// Reloads that fail, however many, make no places either, and never use that of the handler that serves.
    #[test]
    fn who_never_served_leaves_its_place_to_the_next() {
        let (mut faults, mut made) = (Faults::default(), 0);
        let mut place = |faults: &mut Faults| {
            faults.place(|| {
                made += 1;
                InstancePlace::new(&"l".into(), &"p".into(), Some(([127, 0, 0, 1], 1).into()))
            })
        };
        let serves = place(&mut faults);
        for _ in 0..100 {
            let fails = place(&mut faults);
            assert_ne!(fails, serves);
            faults.spare_place(fails);
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn chance_spreads_by_a_fifth_either_way() {
        let wait = |chance| Faults::default().note(S, chance);
        assert_eq!(wait(0.0), Duration::from_millis(80));
        assert_eq!(wait(1.0), Duration::from_millis(120));
    }
}
