//! A handler: one instance of a plugin. It serves one address, or all addresses of a listener, each of which holds it then.
#![expect(unsafe_code, reason = "calls a plugin's functions")]

use std::ffi::{CString, c_void};
use std::fmt;
use std::net::SocketAddr;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use polyport_abi::{
    ERROR, FATAL, OK, WHY_RELOAD, WHY_RESTART, WHY_START, pp_addr, pp_batch, pp_create, pp_ctx, pp_error,
    pp_host, pp_session_info,
};
use polyport_terminal::Escaped;

use super::budget::HandlerBudget;
use super::host::{HOST, log_level, size_u32};
use super::prefetch::{CACHE_LINE, prefetch};
use super::record::{Cells, Gate, GroupRequest, InCall, Lending, Lent, Record, TimerRequest};
use super::running::{Function, running, without_instance};
use super::session::{session_event, session_info};
use super::state::{Rescued, State, written};
use super::wake::WakeList;
use crate::exchange::{Exchange, Facts, SessionEvent, SessionInfo};
use crate::plugin::load::{Plugin, Values};

/// Why the host makes an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The daemon starts, or the listener is new.
    Start,
    /// The previous instance broke.
    Restart,
    /// The previous instance goes: its library or its options have changed.
    Reload,
}

/// What a plugin is told when it makes an instance.
#[derive(Clone)]
pub struct InstanceSpec<'a> {
    /// Name of the listener in the configuration.
    pub listener: &'a Arc<str>,
    /// The bound addresses that it serves, at least one.
    pub addresses: &'a [SocketAddr],
    /// The checked options.
    pub values: &'a Values,
    /// Seed for all random numbers of the handler.
    pub seed: u64,
    /// The time, monotonic ns.
    pub now_ns: u64,
    /// Start, restart or reload.
    pub why: Why,
    /// Bytes for the secrets of the handler, from the operating system.
    pub secret: [u8; 32],
    /// The memory that all handlers may keep.
    pub budget: &'a Arc<HandlerBudget>,
    /// The sessions of the instance before.
    pub sessions: &'a [SessionInfo],
    /// What the host remembers it by; none for an instance that follows no other of its listener.
    pub place: Option<InstancePlace>,
    /// What could be rescued of its state.
    pub state: Option<&'a State>,
    /// Where it gets on the list of those that were woken, and the number by which it is there; none if nobody can wake it.
    pub wakes: Option<(&'a Arc<WakeList>, u64)>,
}

/// What the host remembers an instance by, also when it is gone. It is never freed, and may serve another instance of the same
/// listener then.
#[derive(Clone, Copy, Debug)]
pub struct InstancePlace(&'static Record);

impl InstancePlace {
    /// A place that no instance has had. `local` is its address, by which it is named; none if it has several.
    #[must_use]
    pub fn new(listener: &Arc<str>, plugin: &Arc<str>, local: Option<SocketAddr>) -> Self {
        let record = Record::new(Arc::clone(listener), Arc::clone(plugin), local);
        // Nobody uses it yet.
        record.gone();
        Self(Box::leak(Box::new(record)))
    }
}

/// Whether it is the same place.
impl PartialEq for InstancePlace {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0, other.0)
    }
}

impl fmt::Debug for InstanceSpec<'_> {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceSpec")
            .field("listener", self.listener)
            .field("addresses", &self.addresses)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

/// Why a plugin refused to make an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateError {
    /// Index of the option that the plugin blames, if any.
    pub option: Option<usize>,
    /// The plugin's own words.
    pub message: String,
}

/// How a handler call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The call ended well, and its answers are in the exchange.
    Served,
    /// The call returned an error. The instance goes on, and its answers count.
    Failed,
    /// The instance is broken. Its answers do not count, and it must not be called again.
    Broken,
    /// The call returned a code that the ABI does not know. The instance counts as broken.
    Unknown(i32),
}

impl Outcome {
    /// Whether the answers do not count, and the instance must not be called again.
    #[inline]
    #[must_use]
    pub fn is_broken(self) -> bool {
        matches!(self, Self::Broken | Self::Unknown(_))
    }
}

impl Plugin {
    /// Asks the plugin whether it would make an instance with these options. The question has no side effects.
    ///
    /// # Errors
    /// The plugin's own words, and the option it blames.
    pub fn check(&self, values: &Values) -> Result<(), CreateError> {
        let Some(check) = self.functions().check else { return Ok(()) };
        let mut error = blank_error();
        let n = u32::try_from(values.raw().len()).unwrap_or(0);
        let record = without_instance(self.name());
        let status = running(record, Function::Check, || {
            // SAFETY: a function of a checked table; its arguments live until it returns.
            unsafe { check(values.raw().as_ptr(), n, &raw mut error) }
        });
        if status == OK { Ok(()) } else { Err(refused(&error)) }
    }
}

/// A handler: an instance of a plugin, as one address holds it. It is destroyed when the last one that holds it is dropped.
#[derive(Debug)]
pub struct Instance {
    pub(super) plugin: Arc<Plugin>,
    pub(super) this: NonNull<c_void>,
    pub(super) record: &'static Record,
    /// None if it serves one address only. In a box, because few have it, and a slot has few bytes for what every visit needs.
    share: Option<Box<Share>>,
}

/// What one of several addresses has of their instance.
#[derive(Debug)]
struct Share {
    /// Its number.
    address: u32,
    /// Counts those that hold the instance.
    holders: Arc<()>,
}

impl Instance {
    /// Makes an instance. `cells` are the metric cells of its listener, to which it may add. With `want` it asks for facts about
    /// each datagram, and is told which of them it gets. To `kept` it adds the sessions of the instance before that it goes on
    /// with, each with its new word.
    ///
    /// # Errors
    /// The plugin's own words, and the option it blames.
    pub fn create(
        plugin: &Arc<Plugin>,
        spec: &InstanceSpec<'_>,
        cells: &mut Cells,
        want: &mut dyn FnMut(Facts) -> Facts,
        kept: &mut Vec<(u64, u64)>,
    ) -> Result<Self, CreateError> {
        let alone = spec.addresses.first().copied().filter(|_| spec.addresses.len() == 1);
        let new = || InstancePlace::new(spec.listener, plugin.name(), alone);
        let InstancePlace(record) = spec.place.unwrap_or_else(new);
        record.begin();
        if let Some((list, number)) = spec.wakes {
            record.can_be_woken(list, number);
        }
        record.now_ns.store(spec.now_ns, Relaxed);
        let listener = CString::new(spec.listener.as_bytes()).unwrap_or_default();
        let sessions: Vec<_> = spec.sessions.iter().map(session_info).collect();
        let addresses: Vec<_> = spec.addresses.iter().copied().map(pp_addr::from).collect();
        let create = pp_create {
            size: size_u32::<pp_create>(),
            why: match spec.why {
                Why::Start => WHY_START,
                Why::Restart => WHY_RESTART,
                Why::Reload => WHY_RELOAD,
            },
            ctx: handle(record),
            host: host(),
            values: spec.values.raw().as_ptr(),
            n_values: u32::try_from(spec.values.raw().len()).unwrap_or(0),
            state_version: spec.state.map_or(0, |state| state.version),
            state: spec.state.map_or(ptr::null(), |state| state.bytes.as_ptr()),
            state_len: spec.state.map_or(0, |state| state.bytes.len() as u64),
            seed: spec.seed,
            now_ns: spec.now_ns,
            listener: listener.as_ptr(),
            local: addresses.first().copied().unwrap_or_default(),
            secret: spec.secret,
            sessions: sessions.as_ptr(),
            n_sessions: u32::try_from(sessions.len()).unwrap_or(0),
            session_stride: size_u32::<pp_session_info>(),
            addresses: addresses.as_ptr(),
            n_addresses: u32::try_from(addresses.len()).unwrap_or(0),
            reserved: 0,
        };
        let mut error = blank_error();
        let mut lending = Lending::Create(Lent { cells, budget: spec.budget, want, kept });
        record.lending.set((&raw mut lending).cast());
        let this = running(record, Function::Create, || {
            // SAFETY: a function of a checked table; its arguments live until it returns, `ctx` and `host` for ever.
            unsafe { (plugin.functions().create)(&raw const create, &raw mut error) }
        });
        record.lending.set(ptr::null_mut());
        match NonNull::new(this) {
            Some(this) => Ok(Self { plugin: Arc::clone(plugin), this, record, share: None }),
            None => {
                record.gone();
                Err(refused(&error))
            }
        }
    }

    /// Another holder of the instance: its address number `address`.
    #[must_use]
    pub fn held_by(&mut self, address: u32) -> Self {
        let Self { plugin, this, record, share } = self;
        let own = share.get_or_insert_with(|| Box::new(Share { address: 0, holders: Arc::default() }));
        let share = Some(Box::new(Share { address, holders: Arc::clone(&own.holders) }));
        Self { plugin: Arc::clone(plugin), this: *this, record, share }
    }

    /// Prefetches what the next call will touch: the host's record of the instance, and the beginning of the handler's
    /// own memory.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.record, CACHE_LINE);
        prefetch(self.this.as_ptr(), CACHE_LINE);
        if let Some(share) = &self.share {
            prefetch(&raw const **share, CACHE_LINE);
        }
    }

    /// Hands the presented datagrams of `exchange` to the handler.
    pub fn on_batch(&mut self, exchange: &mut Exchange, call: Call, gate: &dyn Gate) -> Outcome {
        let this = self.this;
        let on_batch = self.plugin.functions().on_batch;
        self.call((exchange, gate), call, Function::OnBatch, |batch| {
            // SAFETY: a function of a checked table, on the instance it made; the batch outlives the call.
            unsafe { on_batch(this.as_ptr(), batch) }
        })
    }

    /// Tells the handler that its timer `token` fired. A plugin without `on_timer` is not called.
    pub fn on_timer(&mut self, exchange: &mut Exchange, call: Call, gate: &dyn Gate, token: u64) -> Outcome {
        let Some(on_timer) = self.plugin.functions().on_timer else { return Outcome::Served };
        let this = self.this;
        self.call((exchange, gate), call, Function::OnTimer, |batch| {
            // SAFETY: as in `on_batch`.
            unsafe { on_timer(this.as_ptr(), batch, token) }
        })
    }

    /// Whether the handler may open sessions.
    #[inline]
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.plugin.has_sessions()
    }

    /// Tells the handler what has happened to one of its sessions. A plugin without `on_session` is not called.
    pub fn on_session(
        &mut self,
        exchange: &mut Exchange,
        call: Call,
        gate: &dyn Gate,
        event: &SessionEvent,
    ) -> Outcome {
        let Some(on_session) = self.plugin.functions().on_session else { return Outcome::Served };
        let this = self.this;
        let event = session_event(event);
        self.call((exchange, gate), call, Function::OnSession, |batch| {
            // SAFETY: as in `on_batch`; the event outlives the call.
            unsafe { on_session(this.as_ptr(), batch, &raw const event) }
        })
    }

    /// Tells the handler that it was woken. A handler that nobody has woken since the last call is not called.
    pub fn on_wake(&mut self, exchange: &mut Exchange, call: Call, gate: &dyn Gate) -> Outcome {
        let Some(on_wake) = self.plugin.functions().on_wake.filter(|_| self.record.take_woken()) else {
            return Outcome::Served;
        };
        let this = self.this;
        self.call((exchange, gate), call, Function::OnWake, |batch| {
            // SAFETY: as in `on_batch`.
            unsafe { on_wake(this.as_ptr(), batch) }
        })
    }

    /// The number that names the instance to [`Exchange::forget_tickets`].
    #[must_use]
    pub fn owner(&self) -> usize {
        self.record.owner()
    }

    /// The calls of `group` that the handler has made since the last time.
    #[must_use]
    pub fn take_groups(&self) -> Vec<GroupRequest> {
        self.record.take_groups()
    }

    /// Moves the timer calls that the handler has made since the last time into `into`.
    pub fn take_timers(&self, into: &mut Vec<TimerRequest>) {
        self.record.take_timers(into);
    }

    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the contract: one call at a time, so an exclusive borrow"
    )]
    fn call(
        &mut self,
        (exchange, gate): (&mut Exchange, &dyn Gate),
        call: Call,
        function: Function,
        f: impl FnOnce(*mut pp_batch) -> i32,
    ) -> Outcome {
        let record = self.record;
        record.now_ns.store(call.now_ns, Relaxed);
        let batch = call.batch(handle(record), self.share.as_ref().map_or(0, |share| share.address));
        let mut handling = 0;
        let status = exchange.lend(&batch, |batch, exchange| {
            let mut lending = Lending::Call(InCall { exchange, gate });
            record.lending.set((&raw mut lending).cast());
            let status = running(record, function, || f(batch));
            record.lending.set(ptr::null_mut());
            if status != OK && status != ERROR {
                // SAFETY: the batch is lent until this closure returns.
                handling = unsafe { (*batch).handling };
            }
            status
        });
        match status {
            OK => Outcome::Served,
            ERROR => Outcome::Failed,
            code => {
                exchange.note_handling(handling);
                if code == FATAL { Outcome::Broken } else { Outcome::Unknown(code) }
            }
        }
    }

    /// What is left of the state of an instance that broke, of at most so many bytes. It must not be called otherwise again.
    #[cold]
    pub fn rescue(&mut self, most: u64) -> Rescued {
        let Some(rescue) = self.plugin.functions().rescue else { return Rescued::Nothing };
        let mut version = 0;
        let ask = |buf: *mut u8, cap: u64| {
            running(self.record, Function::Rescue, || {
                // SAFETY: a function of a checked table, on the instance it made; `buf` has `cap` bytes until it returns.
                unsafe { rescue(self.this.as_ptr(), buf, cap, &raw mut version) }
            })
        };
        let written = written(most, ask);
        Rescued::of(written, version)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.share.as_ref().is_some_and(|share| Arc::strong_count(&share.holders) > 1) {
            return;
        }
        running(self.record, Function::Destroy, || {
            // SAFETY: made by `create` of the same table, and destroyed only here.
            unsafe { (self.plugin.functions().destroy)(self.this.as_ptr()) }
        });
        self.record.gone();
    }
}

/// What a handler is told in each call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The time, monotonic ns.
    pub now_ns: u64,
    /// `now_ns + wall_offset_ns` is Unix time in ns.
    pub wall_offset_ns: i64,
    /// Largest payload of one datagram that the socket can send, bytes.
    pub max_payload: u32,
    /// Datagrams that find room to leave later.
    pub delay_datagrams: u32,
    /// Payload bytes they may have in all.
    pub delay_bytes: u64,
}

impl Call {
    fn batch(self, ctx: *mut pp_ctx, address: u32) -> pp_batch {
        pp_batch {
            size: size_u32::<pp_batch>(),
            rx_len: 0,
            rx: ptr::null_mut(),
            tx: ptr::null_mut(),
            tx_len: 0,
            tx_cap: 0,
            arena: ptr::null_mut(),
            arena_len: 0,
            arena_cap: 0,
            now_ns: self.now_ns,
            wall_offset_ns: self.wall_offset_ns,
            ctx,
            host: host(),
            max_payload: self.max_payload,
            log_level: log_level(),
            refused: 0,
            delay_datagrams: self.delay_datagrams,
            delay_bytes: self.delay_bytes,
            handling: 0,
            address,
        }
    }
}

/// The handle of an instance, by which a plugin calls the host.
fn handle(record: &'static Record) -> *mut pp_ctx {
    ptr::from_ref(record).cast_mut().cast()
}

fn host() -> *const pp_host {
    &raw const HOST.0
}

pub(super) fn blank_error() -> pp_error {
    pp_error { size: size_u32::<pp_error>(), opt: 0, msg: [0; 504] }
}

/// The refusal in `error`, with its text made safe to print.
pub(super) fn refused(error: &pp_error) -> CreateError {
    let end = error.msg.iter().position(|&b| b == 0).unwrap_or(error.msg.len());
    let said = Escaped(error.msg.get(..end).unwrap_or_default()).to_string();
    let message = if said.is_empty() { "the plugin refused without a word".to_owned() } else { said };
    CreateError { option: error.opt.checked_sub(1).and_then(|i| usize::try_from(i).ok()), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_quoted_up_to_its_end_in_one_line() {
        let said = |opt: u32, text: &[u8]| {
            let mut error = pp_error { opt, ..blank_error() };
            error.msg[..text.len()].copy_from_slice(text);
            let CreateError { option, message } = refused(&error);
            (option, message)
        };
        assert_eq!(said(0, b""), (None, "the plugin refused without a word".to_owned()));
        assert_eq!(said(1, b"no\nmore\0junk"), (Some(0), "no\\nmore".to_owned()));
        assert_eq!(said(3, &[b'x'; 504]), (Some(2), "x".repeat(504)), "it may lack its NUL");
    }

    #[test]
    fn a_call_is_told_its_time_and_its_limits() {
        let call = Call { now_ns: 1, wall_offset_ns: -2, max_payload: 3, delay_datagrams: 4, delay_bytes: 5 };
        let batch = call.batch(ptr::null_mut(), 6);
        assert_eq!(batch.address, 6);
        assert_eq!((batch.now_ns, batch.wall_offset_ns, batch.max_payload), (1, -2, 3));
        assert_eq!((batch.delay_datagrams, batch.delay_bytes), (4, 5));
        assert_eq!((batch.size as usize, blank_error().size as usize), (size_of::<pp_batch>(), 512));
        assert_eq!(batch.host, &raw const HOST.0);
    }
}
