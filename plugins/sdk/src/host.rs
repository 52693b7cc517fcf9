//! What the host offers, called safely: its functions, the cells of metrics, the books of what an instance keeps.
#![expect(unsafe_code, reason = "the plugin boundary: calls functions of the host")]

use core::ffi::CStr;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use std::cell::OnceCell;
use std::sync::{Arc, PoisonError, RwLock};

use polyport_abi as abi;
use polyport_abi::{pp_addr, pp_batch, pp_ctx, pp_host, pp_session};

/// The host's functions together with the handle of one instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostRef {
    ctx: *mut pp_ctx,
    host: *const pp_host,
}

impl HostRef {
    /// # Safety
    /// Both pointers come from one `pp_create` or `pp_batch`; the value is not used after `destroy`.
    pub(crate) unsafe fn new(ctx: *mut pp_ctx, host: *const pp_host) -> Self {
        Self { ctx, host }
    }

    /// Whether the host has this minor of the ABI. An older one refuses `TX_PROVED` (1), having no budget, and `TX_DF` (2).
    pub(crate) fn has_minor(&self, minor: u32) -> bool {
        // SAFETY: `new` promises a host table, and every one has this field.
        unsafe { (*self.host).abi_minor >= minor }
    }

    pub(crate) fn log(&self, level: i32, line: &[u8]) {
        // SAFETY: `new` promises a host table, and every one has this field.
        let log = unsafe { (*self.host).log };
        // SAFETY: `ctx` belongs to this table and the bytes are borrowed for the call.
        unsafe { log(self.ctx, level, line.as_ptr(), line.len()) }
    }

    pub(crate) fn metric(&self, kind: u32, name: &CStr, help: &CStr) -> CellRef {
        // SAFETY: as in `log`.
        let metric = unsafe { (*self.host).metric };
        // SAFETY: both strings are NUL-terminated and borrowed for the call; callers hold a `Setup`, so
        // this is inside `create`.
        let cell = unsafe { metric(self.ctx, kind, name.as_ptr(), help.as_ptr()) };
        // A host that breaks its promise and returns NULL costs the metric, not the process.
        let cell = NonNull::new(cell).unwrap_or_else(|| NonNull::from(Box::leak(Box::new(0_u64))));
        CellRef(cell.cast())
    }

    /// Asks for `bytes` that the instance keeps. A host without a budget grants everything.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        if !self.has_budget() {
            return true;
        }
        // SAFETY: the table is long enough for this field.
        let reserve = unsafe { (*self.host).reserve };
        // SAFETY: `ctx` belongs to this table.
        unsafe { reserve(self.ctx, bytes) == abi::OK }
    }

    /// Gives back `bytes` of what [`reserve`](Self::reserve) granted.
    pub(crate) fn release(&self, bytes: u64) {
        if self.has_budget() {
            // SAFETY: the table is long enough for this field.
            let release = unsafe { (*self.host).release };
            // SAFETY: `ctx` belongs to this table.
            unsafe { release(self.ctx, bytes) }
        }
    }

    /// Asks for facts about each datagram, and returns those that will be told. An older host tells none for the asking.
    pub(crate) fn want(&self, facts: u32) -> u32 {
        if self.size() < offset_of!(pp_host, want) + size_of::<abi::want_fn>() {
            return 0;
        }
        // SAFETY: the table is long enough for this field.
        let want = unsafe { (*self.host).want };
        // SAFETY: `ctx` belongs to this table; callers hold a `Setup`, so this is inside `create`.
        unsafe { want(self.ctx, facts) }
    }

    /// Opens a session, and returns its id; 0 if there is none. An older host has none.
    pub(crate) fn session_open(&self, session: &pp_session) -> u64 {
        if !self.has_sessions() {
            return 0;
        }
        // SAFETY: the table is long enough for this field.
        let open = unsafe { (*self.host).session_open };
        // SAFETY: `ctx` belongs to this table; callers hold a `Batch`, so this is inside a call.
        unsafe { open(self.ctx, session) }
    }

    pub(crate) fn session_close(&self, session: u64) -> bool {
        if !self.has_sessions() {
            return false;
        }
        // SAFETY: the table is long enough for this field.
        let close = unsafe { (*self.host).session_close };
        // SAFETY: as in `session_open`.
        unsafe { close(self.ctx, session) == abi::OK }
    }

    pub(crate) fn session_set(&self, session: u64, what: u32, value: u64) -> bool {
        if !self.has_sessions() {
            return false;
        }
        // SAFETY: the table is long enough for this field.
        let set = unsafe { (*self.host).session_set };
        // SAFETY: as in `session_open`; or callers hold a `Setup`, so this is inside `create`.
        unsafe { set(self.ctx, session, what, value) == abi::OK }
    }

    /// Whether the table is long enough to have sessions: hosts since 1.3.
    fn has_sessions(&self) -> bool {
        self.size() >= offset_of!(pp_host, session_set) + size_of::<abi::session_set_fn>()
    }

    /// Wakes the instance. An older host cannot.
    pub(crate) fn wake(&self) -> bool {
        if !self.has_wake() {
            return false;
        }
        // SAFETY: the table is long enough for this field.
        let wake = unsafe { (*self.host).wake };
        // SAFETY: `ctx` belongs to this table; any thread may call this function.
        unsafe { wake(self.ctx) == abi::OK }
    }

    /// A ticket for datagram `rx` of the running call, or 0. An older host has none.
    pub(crate) fn ticket(&self, rx: u32, age_ns: u64) -> u64 {
        if !self.has_wake() {
            return 0;
        }
        // SAFETY: as in `wake`.
        let ticket = unsafe { (*self.host).ticket };
        // SAFETY: `ctx` belongs to this table; callers hold a datagram, so this is inside `on_batch`.
        unsafe { ticket(self.ctx, rx, age_ns) }
    }

    /// What stands for the datagram of a ticket in the running call; none if the ticket is no longer good.
    pub(crate) fn answer(&self, ticket: u64) -> Option<u32> {
        if !self.has_wake() {
            return None;
        }
        // SAFETY: as in `wake`.
        let answer = unsafe { (*self.host).answer };
        let mut rx = 0;
        // SAFETY: `ctx` belongs to this table, and `rx` lives during the call.
        (unsafe { answer(self.ctx, ticket, &raw mut rx) } == abi::OK).then_some(rx)
    }

    /// Has the listener's socket join or leave a group. An older host cannot.
    pub(crate) fn group(&self, op: u32, group: pp_addr, source: pp_addr, ifindex: u32) -> bool {
        if !self.has_wake() {
            return false;
        }
        // SAFETY: as in `wake`.
        let change = unsafe { (*self.host).group };
        // SAFETY: `ctx` belongs to this table, and both addresses live during the call.
        unsafe { change(self.ctx, op, &raw const group, &raw const source, ifindex) == abi::OK }
    }

    /// Whether the table is long enough to have `wake`, `ticket`, `answer` and `group`: hosts since 1.3.
    fn has_wake(&self) -> bool {
        self.size() >= offset_of!(pp_host, group) + size_of::<abi::group_fn>()
    }

    /// Whether the table is long enough to have `reserve` and `release`: hosts since 1.1.
    fn has_budget(&self) -> bool {
        self.size() >= offset_of!(pp_host, release) + size_of::<abi::release_fn>()
    }

    fn size(&self) -> usize {
        // SAFETY: the size is the first field of every table, however short.
        unsafe { (*self.host).size as usize }
    }

    /// Empties the send ring of `batch`, and says whether there was room for more.
    ///
    /// # Safety
    /// It is the batch of the call that runs, and no reference into it is alive.
    pub(crate) unsafe fn flush(&self, batch: *mut pp_batch) -> bool {
        // SAFETY: as in `log`.
        let flush = unsafe { (*self.host).flush };
        // SAFETY: `ctx` belongs to this table; the caller answers for the batch.
        unsafe { flush(self.ctx, batch) == abi::OK }
    }

    pub(crate) fn timer(&self, token: u64, at_ns: u64, every_ns: u64) -> bool {
        // SAFETY: as in `log`.
        let timer = unsafe { (*self.host).timer };
        // SAFETY: `ctx` belongs to this table; `Setup` and `Batch` exist on the instance's thread only.
        unsafe { timer(self.ctx, token, at_ns, every_ns) == abi::OK }
    }
}

/// The host's books of what one instance keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BudgetRef(HostRef);

// SAFETY: the host serves `reserve` and `release` on any thread, and the handler that owns this value is dropped
// in `destroy`.
unsafe impl Send for BudgetRef {}

impl BudgetRef {
    pub(crate) const fn new(host: HostRef) -> Self {
        Self(host)
    }

    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        self.0.reserve(bytes)
    }

    pub(crate) fn release(&self, bytes: u64) {
        self.0.release(bytes);
    }
}

/// The way from other threads to an instance, for as long as there is one.
#[derive(Debug)]
pub(crate) struct Link {
    host: HostRef,
    /// The instance has not been destroyed. Held while the host is called, so that `destroy` waits for that.
    alive: RwLock<bool>,
}

// SAFETY: the host serves `log` and `wake` on any thread until `destroy` returns, and nothing else is called through a link;
// `destroy` ends it before it returns.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Link {
    /// Lends the host to `call`, which may call `log` and `wake`; none if the instance is gone.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&HostRef) -> R) -> Option<R> {
        let alive = self.alive.read().unwrap_or_else(PoisonError::into_inner);
        alive.then(|| call(&self.host))
    }

    fn end(&self) {
        *self.alive.write().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

/// The link of an instance, if somebody has asked for it. It ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct OwnLink(OnceCell<Arc<Link>>);

impl OwnLink {
    pub(crate) fn get(&self, host: HostRef) -> Arc<Link> {
        Arc::clone(self.0.get_or_init(|| Arc::new(Link { host, alive: RwLock::new(true) })))
    }
}

impl Drop for OwnLink {
    fn drop(&mut self) {
        if let Some(link) = self.0.get() {
            link.end();
        }
    }
}

/// One metric cell of the host: a `u64` that is valid as long as the process.
#[derive(Debug)]
pub(crate) struct CellRef(NonNull<AtomicU64>);

// SAFETY: the cell is only touched through atomic operations.
unsafe impl Send for CellRef {}

impl CellRef {
    pub(crate) fn get(&self) -> &AtomicU64 {
        // SAFETY: `metric` returned an aligned u64 that is never freed. (A host before 1.3 may free it after `destroy`, in which
        // the handler is dropped that should own this value.)
        unsafe { self.0.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use core::ffi::{c_char, c_void};
    use core::ptr;

    use super::*;

    unsafe extern "C" fn log(_: *mut pp_ctx, _: i32, _: *const u8, _: usize) {}

    unsafe extern "C" fn metric(_: *mut pp_ctx, _: u32, _: *const c_char, _: *const c_char) -> *mut u64 {
        ptr::null_mut()
    }

    unsafe extern "C" fn timer(_: *mut pp_ctx, _: u64, _: u64, _: u64) -> i32 {
        abi::ERROR
    }

    unsafe extern "C" fn flush(_: *mut pp_ctx, _: *mut pp_batch) -> i32 {
        abi::ERROR
    }

    unsafe extern "C" fn extension(_: *mut pp_ctx, _: *const c_char) -> *const c_void {
        ptr::null()
    }

    /// Refuses, so that it is seen whether it was asked.
    unsafe extern "C" fn reserve(_: *mut pp_ctx, _: u64) -> i32 {
        abi::ERROR
    }

    unsafe extern "C" fn release(_: *mut pp_ctx, _: u64) {}

    unsafe extern "C" fn want(_: *mut pp_ctx, facts: u32) -> u32 {
        facts
    }

    unsafe extern "C" fn session_open(_: *mut pp_ctx, _: *const pp_session) -> u64 {
        7
    }

    unsafe extern "C" fn session_close(_: *mut pp_ctx, _: u64) -> i32 {
        abi::OK
    }

    unsafe extern "C" fn session_set(_: *mut pp_ctx, _: u64, _: u32, _: u64) -> i32 {
        abi::OK
    }

    unsafe extern "C" fn wake(_: *mut pp_ctx) -> i32 {
        abi::OK
    }

    unsafe extern "C" fn ticket(_: *mut pp_ctx, rx: u32, _: u64) -> u64 {
        rx.into()
    }

    unsafe extern "C" fn answer(_: *mut pp_ctx, _: u64, _: *mut u32) -> i32 {
        abi::OK
    }

    unsafe extern "C" fn group(_: *mut pp_ctx, _: u32, _: *const pp_addr, _: *const pp_addr, _: u32) -> i32 {
        abi::OK
    }

    /// Bytes of `pp_host` in ABI 1.0.
    const FIRST_SIZE: u32 = 64;

    #[test]
    fn an_older_host_is_not_asked_for_what_it_does_not_have() {
        for (size, granted) in [(FIRST_SIZE, true), (u32::try_from(size_of::<pp_host>()).unwrap(), false)] {
            let (abi_minor, name, version) = (1, c"old".as_ptr(), c"1.0".as_ptr());
            let table = pp_host {
                size,
                abi_minor,
                name,
                version,
                log,
                metric,
                timer,
                flush,
                extension,
                reserve,
                release,
                want,
                session_open,
                session_close,
                session_set,
                wake,
                ticket,
                answer,
                group,
            };
            // SAFETY: the table outlives the value, and its functions take any handle.
            let host = unsafe { HostRef::new(ptr::null_mut(), &raw const table) };
            assert_eq!(host.reserve(1), granted);
            host.release(1);
            assert_eq!(host.want(5), if granted { 0 } else { 5 });
            let session = crate::Session::unconnected();
            assert_eq!(host.session_open(&session.raw), if granted { 0 } else { 7 });
            assert_eq!((host.session_close(7), host.session_set(7, 1, 1)), (!granted, !granted));
            let none = pp_addr::default();
            assert_eq!(host.wake(), !granted);
            assert_eq!((host.ticket(7, 1), host.answer(7)), if granted { (0, None) } else { (7, Some(0)) });
            assert_eq!(host.group(abi::GROUP_JOIN, none, none, 0), !granted);
        }
    }
}
