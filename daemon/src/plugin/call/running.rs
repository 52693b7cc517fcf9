//! What runs: which function of which instance, in two words that the thread of a reactor writes at each call.
//!
//! Two may want to know. The handler of a crash (`crash`) runs on the same thread; a watchdog looks from another one. Both words
//! are plain stores, so the second may read a call between two others; it looks again before it says anything.

#![expect(unsafe_code, reason = "a word of another thread points to a record")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use super::record::Record;

/// A function of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Function {
    /// `check`.
    Check,
    /// `create`.
    Create,
    /// `on_batch`.
    OnBatch,
    /// `on_timer`.
    OnTimer,
    /// `on_session`.
    OnSession,
    /// `on_wake`.
    OnWake,
    /// `rescue`.
    Rescue,
    /// `destroy`.
    Destroy,
}

impl Function {
    const ALL: [Self; 8] = [
        Self::Check,
        Self::Create,
        Self::OnBatch,
        Self::OnTimer,
        Self::OnSession,
        Self::OnWake,
        Self::Rescue,
        Self::Destroy,
    ];

    fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|function| *function as u64 == number)
    }

    /// The name that `plugins/ABI.md` gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Create => "create",
            Self::OnBatch => "on_batch",
            Self::OnTimer => "on_timer",
            Self::OnSession => "on_session",
            Self::OnWake => "on_wake",
            Self::Rescue => "rescue",
            Self::Destroy => "destroy",
        }
    }
}

/// What a thread does at the moment.
#[derive(Debug)]
pub struct Doing {
    /// The instance that is called; NULL while none is.
    record: AtomicPtr<Record>,
    /// Number of the call, and in its lowest byte the function.
    call: AtomicU64,
}

/// A call that runs, or ran a moment ago.
#[derive(Clone, Copy)]
pub struct RunningCall {
    /// Differs from that of any other call of the thread.
    pub number: u64,
    /// What was called.
    pub function: Function,
    record: &'static Record,
}

thread_local! {
    /// Where this thread writes what it does. Threads that nobody watches share one place.
    static OWN: Cell<&'static Doing> = const { Cell::new(&UNWATCHED) };
    /// The records that stand for plugins.
    static PLUGINS: RefCell<BTreeMap<Arc<str>, &'static Record>> = const { RefCell::new(BTreeMap::new()) };
}

static UNWATCHED: Doing = Doing::new();

impl Doing {
    const fn new() -> Self {
        Self { record: AtomicPtr::new(ptr::null_mut()), call: AtomicU64::new(0) }
    }

    /// Has this thread write what it does to a place of its own from now on, which is never freed.
    pub fn of_this_thread() -> &'static Self {
        let own = OWN.get();
        if !ptr::eq(own, &raw const UNWATCHED) {
            return own;
        }
        let own = Box::leak(Box::new(Self::new()));
        OWN.set(own);
        own
    }

    /// What this thread writes; none if nobody watches it.
    pub(super) fn watched() -> Option<&'static Self> {
        Some(OWN.get()).filter(|own| !ptr::eq(*own, &raw const UNWATCHED))
    }

    /// The call that runs; none between two calls.
    #[must_use]
    pub fn call(&self) -> Option<RunningCall> {
        // SAFETY: `running` stores NULL or the address of a record that is never freed; only its names are read.
        let record: &'static Record = unsafe { self.record.load(Relaxed).as_ref() }?;
        let number = self.call.load(Relaxed);
        Some(RunningCall { number, function: Function::of(number & 0xff)?, record })
    }
}

/// Calls a function of a plugin, and lets it be known meanwhile.
#[inline]
pub(super) fn running<R>(record: &'static Record, function: Function, call: impl FnOnce() -> R) -> R {
    let own = OWN.get();
    let number = (own.call.load(Relaxed) & !0xff).wrapping_add(0x100) | function as u64;
    own.call.store(number, Relaxed);
    own.record.store(ptr::from_ref(record).cast_mut(), Relaxed);
    let result = call();
    own.record.store(ptr::null_mut(), Relaxed);
    result
}

/// The record that stands for a plugin of which there is no instance yet.
pub(super) fn without_instance(plugin: &Arc<str>) -> &'static Record {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    PLUGINS.with_borrow_mut(|plugins| {
        let new = || Record::new(Arc::default(), Arc::clone(plugin), nowhere);
        let record: &'static Record =
            plugins.entry(Arc::clone(plugin)).or_insert_with(|| Box::leak(Box::new(new())));
        record
    })
}

impl fmt::Debug for RunningCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningCall")
            .field("number", &self.number)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

/// Who is called: the listener with its address, and the plugin.
impl fmt::Display for RunningCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.record, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> &'static Record {
        let local = "127.0.0.1:7".parse().unwrap();
        Box::leak(Box::new(Record::new("far".into(), "lossy".into(), local)))
    }

    #[test]
    fn a_call_is_known_while_it_runs_and_only_then() {
        let record = record();
        let own = Doing::of_this_thread();
        assert!(own.call().is_none());
        let mut numbers = Vec::new();
        for function in Function::ALL {
            running(record, function, || {
                let call = own.call().unwrap();
                assert_eq!(
                    (call.function, call.to_string()),
                    (function, "listener far 127.0.0.1:7 (plugin lossy)".into())
                );
                numbers.push(call.number);
            });
            assert!(own.call().is_none());
        }
        numbers.dedup();
        assert_eq!(numbers.len(), Function::ALL.len(), "{numbers:?}");
    }

    #[test]
    fn another_thread_sees_it() {
        let own = Doing::of_this_thread();
        running(record(), Function::OnTimer, || {
            let seen = std::thread::spawn(|| own.call().unwrap().function).join().unwrap();
            assert_eq!(seen, Function::OnTimer);
        });
    }

    #[test]
    fn threads_that_nobody_watches_are_told_apart_from_those_that_are() {
        std::thread::spawn(|| {
            assert!(Doing::watched().is_none());
            Doing::of_this_thread();
            assert!(Doing::watched().is_some());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn without_an_instance_the_plugin_is_named_alone_and_once() {
        let name: Arc<str> = "lossy".into();
        let record = without_instance(&name);
        assert_eq!(record.to_string(), "plugin lossy");
        assert!(ptr::eq(record, without_instance(&name)));
    }
}
