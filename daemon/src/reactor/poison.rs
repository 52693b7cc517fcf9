//! A call that broke its handler: which datagram did it, what is lost with it, and what the next handler gets.

use std::fmt;

use polyport_terminal::{Quoted, counted};

use super::core::Core;
use super::io::Io;
use super::listener::{Faults, Kept, Listener, OnFault, Service};
use crate::limits::{KEPT_BYTES, POISON_SHOWN};
use crate::metrics::{Counters, DropReason};
use crate::plugin::{Instance, InstancePlace, Rescued, State};
use crate::tap::Verdict;

/// What became of each datagram of a call that broke its handler, for taps; empty if there is none.
struct Fates(Vec<Verdict>, bool);

impl Fates {
    /// Those before the last datagram that was handled, and of that one.
    fn new(is_tapped: bool, last: Option<usize>, shown: usize) -> Self {
        if !is_tapped {
            return Self(Vec::new(), false);
        }
        let mut fates = vec![Verdict::Dropped(DropReason::HandlerFault.name()); last.unwrap_or(shown)];
        fates.extend(last.map(|_| Verdict::Dropped(DropReason::Poison.name())));
        Self(fates, true)
    }

    fn add(&mut self, datagrams: usize, is_kept: bool) {
        if self.1 {
            let fate =
                if is_kept { Verdict::Kept } else { Verdict::Dropped(DropReason::HandlerFault.name()) };
            self.0.extend(std::iter::repeat_n(fate, datagrams));
        }
    }
}

impl<I: Io> Core<I> {
    /// Accounts for the datagrams of a call that broke its handler, and names the one that did it if it is known. What was
    /// received behind it is kept for the next handler, once; but not what came by a session, of which the next one may know
    /// nothing.
    #[cold]
    pub(super) fn blame(&mut self, listener: &mut Listener<I::Socket>, function: &'static str) {
        let (shown, last) = (self.exchange.datagrams(), self.exchange.handled_last());
        let given_again = listener.faults.as_ref().is_some_and(|faults| faults.gives);
        let by_session = self.exchange.is_by_session();
        let keeps = listener.on_fault == OnFault::Restart && !given_again && !by_session;
        let (mut kept, mut lost) = (Vec::new(), 0);
        let mut fates = Fates::new(self.taps.live() & listener.tapped != 0, last, shown);
        for unseen in self.exchange.behind(last.map_or(shown, |index| index + 1)) {
            let is_kept = keeps && self.kept_bytes + unseen.bytes() <= KEPT_BYTES;
            fates.add(unseen.datagrams(), is_kept);
            if is_kept {
                self.kept_bytes += unseen.bytes();
                kept.push(unseen);
            } else {
                lost += unseen.datagrams() as u64;
            }
        }
        let kept = Kept { unseen: kept, arrived_ns: self.now.mono_ns, state: None };
        let before = last.unwrap_or(shown) as u64;
        let poison = last.and_then(|index| {
            Some(Poison { peer: self.exchange.peer(index)?, payload: self.exchange.payload(index) })
        });
        let fault = Fault { function, poison, before, kept: kept.datagrams(), lost };
        log::error!("{listener}: {fault}");
        let book = listener.family.as_mut().filter(|_| by_session).map(|family| &mut family.book.counters);
        let counters = book.unwrap_or(&mut listener.counters);
        counters.drop_many(DropReason::HandlerFault, before + lost);
        counters.drop_many(DropReason::Poison, u64::from(last.is_some()));
        listener.counters.kept += kept.datagrams();
        self.taps.settle(fates.0.len(), |rx| fates.0.get(rx).copied().unwrap_or(Verdict::Consumed));
        if !kept.unseen.is_empty() {
            listener.faults.get_or_insert_default().kept = kept;
        }
        // Nothing of it is presented to anybody else.
        self.exchange.clear(self.now.mono_ns, listener.local);
    }

    /// Destroys a handler that broke, after it has said what its successor needs.
    pub(super) fn bury(&mut self, listener: &mut Listener<I::Socket>) {
        let Service::Running(mut instance) = std::mem::replace(&mut listener.service, Service::Down) else {
            return;
        };
        self.exchange.forget_tickets(instance.owner());
        if listener.on_fault == OnFault::Restart {
            let served = served(&listener.counters);
            let mut faults = listener.faults.take().unwrap_or_default();
            keep_state(&mut faults, &mut instance, served, &mut self.kept_bytes, listener);
            listener.faults = Some(faults);
        }
    }

    /// What the next handler of a listener begins with: its place, and a state. It gets the state once, whether it accepts it or
    /// not.
    pub(super) fn legacy(
        &mut self,
        listener: &mut Listener<I::Socket>,
    ) -> (Option<InstancePlace>, Option<State>) {
        let served = served(&listener.counters);
        let Some(faults) = &mut listener.faults else { return (None, None) };
        let state = take_legacy(faults, served, &mut self.kept_bytes);
        let new = || InstancePlace::new(&listener.name, listener.plugin.name(), Some(listener.local));
        (Some(faults.place(new)), state)
    }

    /// Gives a new handler what was received behind the datagram that broke the one before.
    pub(super) fn give(&mut self, listener: &mut Listener<I::Socket>) {
        let kept = self.take_kept(listener);
        if kept.unseen.is_empty() {
            return;
        }
        self.exchange.clear(kept.arrived_ns, listener.local);
        let missing = kept.datagrams() - self.exchange.push_unseen(&kept.unseen) as u64;
        listener.counters.drop_many(DropReason::HandlerFault, missing);
        listener.faults.get_or_insert_default().gives = true;
        self.serve_admitted(listener);
        listener.faults.get_or_insert_default().gives = false;
    }

    /// Drops what was kept for the next handler: there will be none.
    pub(super) fn drop_kept(&mut self, listener: &mut Listener<I::Socket>) {
        let datagrams = self.take_kept(listener).datagrams();
        listener.counters.drop_many(DropReason::HandlerDown, datagrams);
    }

    fn take_kept(&mut self, listener: &mut Listener<I::Socket>) -> Kept {
        let kept =
            listener.faults.as_mut().map(|faults| std::mem::take(&mut faults.kept)).unwrap_or_default();
        self.kept_bytes -= kept.bytes();
        listener.counters.kept -= kept.datagrams();
        kept
    }
}

/// Datagrams that handlers of a listener have dealt with.
pub(super) fn served(counters: &Counters) -> u64 {
    counters.replied + counters.consumed + counters.dropped(DropReason::OnPurpose)
}

/// Keeps what a handler that broke can still say of its state. It had served `served` datagrams, those of its forerunners included;
/// `who` names it in the log.
pub(super) fn keep_state(
    faults: &mut Faults,
    instance: &mut Instance,
    served: u64,
    kept_bytes: &mut usize,
    who: &impl fmt::Display,
) {
    if faults.served_before == Some(served) {
        log::warn!("{who}: it has served nothing with its state, which is not handed on a second time");
        return;
    }
    let room = KEPT_BYTES.saturating_sub(*kept_bytes) as u64;
    match instance.rescue(room) {
        Rescued::Nothing => {}
        Rescued::State(state) => {
            *kept_bytes += state.bytes.len();
            faults.kept.state = Some(state);
        }
        Rescued::TooLarge(bytes) => log::warn!(
            "{who}: its state of {bytes} bytes is lost: broken handlers may leave {KEPT_BYTES} bytes, all together"
        ),
        Rescued::Failed(code) => {
            log::warn!("{who}: its state is lost: `rescue` returns {code}");
        }
    }
}

/// Takes the state that was kept for the next handler, which begins where `served` datagrams were served.
pub(super) fn take_legacy(faults: &mut Faults, served: u64, kept_bytes: &mut usize) -> Option<State> {
    let state = faults.kept.state.take();
    *kept_bytes -= state.as_ref().map_or(0, |state| state.bytes.len());
    faults.served_before = state.as_ref().map(|_| served);
    state
}

/// A call that broke its handler, for the log.
struct Fault<'a> {
    function: &'static str,
    poison: Option<Poison<'a>>,
    /// Datagrams of the batch that are lost because nobody knows whether they were handled.
    before: u64,
    /// Datagrams behind them that are kept for the next handler.
    kept: u64,
    /// Datagrams behind them that are lost.
    lost: u64,
}

/// The datagram that did it.
struct Poison<'a> {
    peer: std::net::SocketAddr,
    payload: &'a [u8],
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, poison, before, kept, lost } = self;
        write!(f, "the handler broke in {function}")?;
        let datagrams = |n: u64| counted(n, "datagram", "datagrams");
        match poison {
            Some(poison) => {
                write!(f, " at {poison}")?;
                if *before > 0 {
                    write!(f, "; {} of the batch before it dropped", datagrams(*before))?;
                }
            }
            None if *before > 0 => {
                write!(
                    f,
                    "; which datagram did it is not known, {} of the batch dropped",
                    datagrams(*before)
                )?;
            }
            None => {}
        }
        if *kept > 0 {
            write!(f, "; {} behind kept for the next handler", datagrams(*kept))?;
        }
        if *lost > 0 {
            write!(f, "; {} behind dropped", datagrams(*lost))?;
        }
        Ok(())
    }
}

impl fmt::Display for Poison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.payload.get(..POISON_SHOWN).unwrap_or(self.payload);
        let cut = if shown.len() < self.payload.len() { "..." } else { "" };
        let bytes = counted(self.payload.len(), "byte", "bytes");
        write!(f, "a datagram of {bytes} from {}: '{}{cut}'", self.peer, Quoted(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_what_is_known_of_it() {
        let peer = "[2001:db8::1]:9".parse().unwrap();
        let fault = |poison, before, kept, lost| {
            Fault { function: "on_batch", poison, before, kept, lost }.to_string()
        };
        assert_eq!(
            fault(Some(Poison { peer, payload: b"a'\n\xff" }), 2, 1, 0),
            format!(
                "the handler broke in on_batch at a datagram of 4 bytes from [2001:db8::1]:9: '{}'; 2 datagrams of the batch \
                 before it dropped; 1 datagram behind kept for the next handler",
                Quoted(b"a'\n\xff")
            )
        );
        assert_eq!(
            fault(None, 3, 0, 2),
            "the handler broke in on_batch; which datagram did it is not known, 3 datagrams of the batch dropped; \
             2 datagrams behind dropped"
        );
        assert_eq!(fault(None, 0, 0, 0), "the handler broke in on_batch");
        let long = fault(Some(Poison { peer, payload: &[b'x'; 5000] }), 0, 0, 0);
        assert!(long.ends_with(&format!("{}...'", "x".repeat(POISON_SHOWN))), "{long}");
    }
}
