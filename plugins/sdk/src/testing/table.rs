//! The calls into an exported table, and the host functions it calls back: what the daemon does, in
//! miniature.
#![expect(unsafe_code, reason = "the test kit is the other side of the plugin boundary")]

use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_void};
use core::mem::offset_of;
use core::net::SocketAddr;
use std::rc::Rc;

use polyport_abi as abi;
use polyport_abi::{
    pp_addr, pp_batch, pp_create, pp_ctx, pp_dgram, pp_error, pp_event, pp_host, pp_plugin, pp_session,
    pp_session_info,
};

use super::host::Fake;
use super::options::Parsed;
use super::remote::Remote;
use super::values::raw_values;

/// A loaded plugin and its instance.
#[derive(Debug)]
pub(super) struct Session {
    table: pp_plugin,
    host: Rc<pp_host>,
    pub(super) fake: Rc<RefCell<Fake>>,
    handle: Rc<Handle>,
    instance: *mut c_void,
}

/// What `pp_ctx` points to. Threads of the plugin reach nothing but `remote`. In an `Rc`, since the plugin's pointer must outlive each
/// move of the session, and moving a `Box` ends what was borrowed of it.
#[derive(Debug)]
struct Handle {
    fake: Rc<RefCell<Fake>>,
    remote: Remote,
}

/// What an instance is made of.
#[derive(Debug)]
pub(super) struct Making<'a> {
    pub(super) why: u32,
    pub(super) seed: u64,
    pub(super) now_ns: u64,
    pub(super) addresses: &'a [SocketAddr],
    pub(super) values: &'a [Parsed],
    pub(super) state: Option<(u32, &'a [u8])>,
    pub(super) secret: [u8; 32],
}

/// The batch of one call but for the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchParameters {
    pub(super) now_ns: u64,
    pub(super) wall_offset_ns: i64,
    pub(super) max_payload: u32,
    pub(super) log_level: u32,
    pub(super) address: u32,
}

/// What a call is about.
#[derive(Clone, Debug)]
pub(super) enum About {
    /// The datagrams of the batch.
    Batch,
    /// A timer.
    Timer(u64),
    /// What has happened to a session.
    Session(Box<pp_event>),
    /// That somebody has woken the instance.
    Wake,
}

/// A refusal as the host reads it: 1 + index of the option, or 0, and the text.
pub(super) type Refusal = (u32, String);

impl Session {
    pub(super) fn open(table: &pp_plugin) -> Self {
        let host = pp_host {
            size: u32::try_from(size_of::<pp_host>()).unwrap_or(0),
            abi_minor: abi::ABI_MINOR.into(),
            name: c"polyport".as_ptr(),
            version: c"0.0.0-test".as_ptr(),
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
            refusal: against,
        };
        let fake = Rc::new(RefCell::new(Fake::default()));
        let handle = Rc::new(Handle { fake: Rc::clone(&fake), remote: Remote::default() });
        Self { table: *table, host: Rc::new(host), fake, handle, instance: core::ptr::null_mut() }
    }

    /// Changes which minor of the ABI the host has: what it claims, and how long its structs are.
    pub(super) fn set_host_minor(&mut self, minor: u32) {
        let size = match minor {
            0 => offset_of!(pp_host, reserve),
            1 => offset_of!(pp_host, want),
            2 => offset_of!(pp_host, session_open),
            _ => size_of::<pp_host>(),
        };
        if let Some(host) = Rc::get_mut(&mut self.host) {
            (host.abi_minor, host.size) = (minor, u32::try_from(size).unwrap_or(0));
        }
        self.fake.borrow_mut().stale_arena = minor < 3;
    }

    fn ctx(&self) -> *mut pp_ctx {
        Rc::as_ptr(&self.handle).cast_mut().cast()
    }

    pub(super) fn remote(&self) -> &Remote {
        &self.handle.remote
    }

    pub(super) fn can_be_woken(&self) -> bool {
        self.table.on_wake.is_some()
    }

    /// Makes an instance; the one before is destroyed only if that worked.
    pub(super) fn create(&mut self, making: &Making<'_>) -> Result<(), Refusal> {
        let (raw, _texts) = raw_values(making.values);
        let (state_version, state) = making.state.unwrap_or((0, &[]));
        let sessions = self.fake.borrow_mut().sessions.offer();
        let addresses: Vec<_> = making.addresses.iter().copied().map(pp_addr::from).collect();
        let create = pp_create {
            size: u32::try_from(size_of::<pp_create>()).unwrap_or(0),
            why: making.why,
            ctx: self.ctx(),
            host: Rc::as_ptr(&self.host),
            values: raw.as_ptr(),
            n_values: u32::try_from(raw.len()).unwrap_or(0),
            state_version,
            state: if making.state.is_some() { state.as_ptr() } else { core::ptr::null() },
            state_len: state.len() as u64,
            seed: making.seed,
            now_ns: making.now_ns,
            listener: c"test".as_ptr(),
            local: addresses.first().copied().unwrap_or_default(),
            secret: making.secret,
            sessions: sessions.as_ptr(),
            n_sessions: u32::try_from(sessions.len()).unwrap_or(0),
            session_stride: u32::try_from(size_of::<pp_session_info>()).unwrap_or(0),
            addresses: addresses.as_ptr(),
            n_addresses: u32::try_from(addresses.len()).unwrap_or(0),
            reserved: 0,
        };
        let mut error = empty_error();
        let Some(function) = self.table.create else { return Err((0, "no create".to_owned())) };
        let told = std::mem::take(&mut self.fake.borrow_mut().facts.told);
        self.fake.borrow_mut().kept.making = true;
        // SAFETY: everything `create` points to lives until the call returns, `ctx` and `host` longer.
        let made = unsafe { function(&raw const create, &raw mut error) };
        self.fake.borrow_mut().kept.making = false;
        self.fake.borrow_mut().sessions.made(!made.is_null());
        if made.is_null() {
            self.fake.borrow_mut().facts.told = told;
            return Err(refusal(&error));
        }
        self.destroy();
        self.fake.borrow_mut().tickets.forget();
        self.fake.borrow_mut().addresses = making.addresses.to_vec();
        self.instance = made;
        Ok(())
    }

    pub(super) fn destroy(&mut self) {
        let old = core::mem::replace(&mut self.instance, core::ptr::null_mut());
        if let Some(function) = self.table.destroy
            && !old.is_null()
        {
            // SAFETY: `create` made it, and it is forgotten here.
            unsafe { function(old) }
        }
    }

    /// `on_batch`, or what else is called. Returns the code, the number refused, and which datagram the plugin worked on
    /// last; what was queued is in `fake.call.taken`.
    pub(super) fn call(
        &self,
        rx: &mut [pp_dgram],
        about: About,
        parameters: BatchParameters,
    ) -> (i32, u32, Option<usize>) {
        // No borrow of `fake` may be alive while the plugin runs: it calls back.
        let (fresh, memory, delay_room) = {
            let mut fake = self.fake.borrow_mut();
            fake.sessions.begin(rx);
            fake.tickets.begin(rx, parameters.now_ns);
            fake.here = parameters.address as usize;
            (fake.begin(), fake.memory, fake.delay_room)
        };
        let size = match self.host.abi_minor {
            0 | 1 => offset_of!(pp_batch, delay_bytes),
            2 => offset_of!(pp_batch, handling),
            _ => size_of::<pp_batch>(),
        };
        let mut batch = pp_batch {
            size: u32::try_from(size).unwrap_or(0),
            rx_len: u32::try_from(rx.len()).unwrap_or(0),
            rx: rx.as_mut_ptr(),
            tx: fresh.tx,
            tx_len: 0,
            tx_cap: u32::try_from(memory.tx_cap).unwrap_or(0),
            arena: fresh.arena,
            arena_len: 0,
            arena_cap: u32::try_from(memory.arena_cap).unwrap_or(0),
            now_ns: parameters.now_ns,
            wall_offset_ns: parameters.wall_offset_ns,
            ctx: self.ctx(),
            host: Rc::as_ptr(&self.host),
            max_payload: parameters.max_payload,
            log_level: parameters.log_level,
            refused: 0,
            delay_datagrams: delay_room.unwrap_or(u32::MAX),
            delay_bytes: u64::MAX,
            handling: 0,
            address: parameters.address,
        };
        let at = &raw mut batch;
        let pp_plugin { on_batch, on_timer, on_session, on_wake, .. } = self.table;
        let code = match about {
            // SAFETY: a live instance, and a batch whose memory lives until the next call.
            About::Batch => on_batch.map(|on_batch| unsafe { on_batch(self.instance, at) }),
            // SAFETY: as above.
            About::Timer(token) => on_timer.map(|on_timer| unsafe { on_timer(self.instance, at, token) }),
            About::Session(event) => {
                // SAFETY: as above; the event lives until the call returns.
                on_session.map(|on_session| unsafe { on_session(self.instance, at, &raw const *event) })
            }
            // SAFETY: as above.
            About::Wake => on_wake.map(|on_wake| unsafe { on_wake(self.instance, at) }),
        };
        let code = code.unwrap_or(abi::UNSUPPORTED);
        self.fake.borrow_mut().sessions.end(!matches!(code, abi::OK | abi::ERROR));
        self.fake.borrow_mut().take(batch.tx_len as usize);
        (code, batch.refused, (batch.handling as usize).checked_sub(1))
    }

    pub(super) fn check(&self, values: &[Parsed]) -> Result<(), Refusal> {
        let (raw, _texts) = raw_values(values);
        let mut error = empty_error();
        let Some(function) = self.table.check else { return Ok(()) };
        let n = u32::try_from(raw.len()).unwrap_or(0);
        // SAFETY: the values live until the call returns.
        let code = unsafe { function(raw.as_ptr(), n, &raw mut error) };
        if code == abi::OK { Ok(()) } else { Err(refusal(&error)) }
    }

    /// The code, and the refusal that goes with it.
    pub(super) fn reconfigure(&self, values: &[Parsed]) -> (i32, Refusal) {
        let (raw, _texts) = raw_values(values);
        let mut error = empty_error();
        let Some(function) = self.table.reconfigure else { return (abi::UNSUPPORTED, refusal(&error)) };
        let n = u32::try_from(raw.len()).unwrap_or(0);
        // SAFETY: a live instance, and values that live until the call returns.
        let code = unsafe { function(self.instance, raw.as_ptr(), n, &raw mut error) };
        (code, refusal(&error))
    }

    /// The state that a living instance has for its successor.
    pub(super) fn save(&self) -> Result<Option<(u32, Vec<u8>)>, i64> {
        self.state(self.table.save)
    }

    /// The state that an instance that broke has left.
    pub(super) fn rescue(&self) -> Result<Option<(u32, Vec<u8>)>, i64> {
        self.state(self.table.rescue)
    }

    /// Asks for the size first, then for the bytes, as the daemon does.
    fn state(&self, function: Option<abi::save_fn>) -> Result<Option<(u32, Vec<u8>)>, i64> {
        let Some(function) = function else { return Ok(None) };
        let mut version = 0;
        // SAFETY: a live instance; no room is offered, so nothing is written.
        let need = unsafe { function(self.instance, core::ptr::null_mut(), 0, &raw mut version) };
        let mut state = vec![0; usize::try_from(need).map_err(|_| need)?];
        if state.is_empty() {
            return Ok(None);
        }
        let cap = state.len() as u64;
        // SAFETY: as above, with `cap` writable bytes.
        let got = unsafe { function(self.instance, state.as_mut_ptr(), cap, &raw mut version) };
        if got == need { Ok(Some((version, state))) } else { Err(got) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.destroy();
    }
}

/// The bytes of a queued datagram that does not point into `rx`.
pub(super) fn payload(tx: &abi::pp_tx) -> Vec<u8> {
    // SAFETY: the plugin's promise: `len` bytes of the arena, of an rx buffer, or of the instance, none of
    // which has changed since the call returned.
    unsafe { core::slice::from_raw_parts(tx.data, tx.len as usize) }.to_vec()
}

/// The entries that an entry with a run stands for, or itself. A run that is none is left as it is, to be
/// refused.
pub(super) fn single(tx: &abi::pp_tx, rx: &[pp_dgram]) -> Vec<abi::pp_tx> {
    let last = tx.rx.saturating_add(tx.run.into());
    let lengths = rx.get(tx.rx as usize..=last as usize).unwrap_or_default();
    let whole = lengths.first().is_some_and(|first| first.len == tx.len);
    if tx.run == 0 || !tx.data.is_null() || tx.segment != 0 || !whole {
        return vec![*tx];
    }
    let numbered = (tx.rx..).zip(lengths);
    numbered.map(|(rx, datagram)| abi::pp_tx { rx, len: datagram.len, run: 0, ..*tx }).collect()
}

fn empty_error() -> pp_error {
    pp_error { size: u32::try_from(size_of::<pp_error>()).unwrap_or(0), opt: 0, msg: [0; 504] }
}

fn refusal(error: &pp_error) -> Refusal {
    let text = CStr::from_bytes_until_nul(&error.msg).map(CStr::to_string_lossy);
    (error.opt, text.map_or_else(|_| "<no end>".to_owned(), std::borrow::Cow::into_owned))
}

/// # Safety
/// `ctx` is the handle of a live [`Session`].
unsafe fn fake<'a>(ctx: *mut pp_ctx) -> &'a RefCell<Fake> {
    // SAFETY: the caller promises it; `Session::ctx` made the pointer from its `Rc`.
    unsafe { &(*ctx.cast::<Handle>()).fake }
}

/// # Safety
/// `ctx` is the handle of a live [`Session`].
unsafe fn remote<'a>(ctx: *mut pp_ctx) -> &'a Remote {
    // SAFETY: as in `fake`.
    unsafe { &(*ctx.cast::<Handle>()).remote }
}

unsafe extern "C" fn log(ctx: *mut pp_ctx, _: i32, msg: *const u8, len: usize) {
    let mut line = String::new();
    if len > 0 {
        // SAFETY: the plugin passes `len` bytes.
        let text = unsafe { core::slice::from_raw_parts(msg, len) };
        line = String::from_utf8_lossy(text).into_owned();
    }
    // SAFETY: the plugin passes the handle it got.
    unsafe { remote(ctx) }.log(line);
}

unsafe extern "C" fn metric(ctx: *mut pp_ctx, kind: u32, name: *const c_char, _: *const c_char) -> *mut u64 {
    // SAFETY: the plugin passes a NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().metric(kind, &name)
}

unsafe extern "C" fn timer(ctx: *mut pp_ctx, token: u64, at_ns: u64, every_ns: u64) -> i32 {
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().set_timer(token, at_ns, every_ns);
    abi::OK
}

unsafe extern "C" fn flush(ctx: *mut pp_ctx, batch: *mut pp_batch) -> i32 {
    // SAFETY: the plugin passes the batch it got and holds no reference into it.
    let batch = unsafe { &mut *batch };
    // SAFETY: the plugin passes the handle it got.
    match unsafe { fake(ctx) }.borrow_mut().flush(batch.tx_len as usize) {
        Some(fresh) => {
            (batch.tx, batch.tx_len) = (fresh.tx, 0);
            (batch.arena, batch.arena_len) = (fresh.arena, 0);
            abi::OK
        }
        None => abi::ERROR,
    }
}

unsafe extern "C" fn extension(_: *mut pp_ctx, _: *const c_char) -> *const c_void {
    core::ptr::null()
}

unsafe extern "C" fn reserve(ctx: *mut pp_ctx, bytes: u64) -> i32 {
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().kept.reserve(bytes)
}

unsafe extern "C" fn release(ctx: *mut pp_ctx, bytes: u64) {
    // SAFETY: the plugin passes the handle it got.
    let mut fake = unsafe { fake(ctx) }.borrow_mut();
    fake.kept.bytes = fake.kept.bytes.saturating_sub(bytes);
}

unsafe extern "C" fn want(ctx: *mut pp_ctx, facts: u32) -> u32 {
    // SAFETY: the plugin passes the handle it got.
    let mut fake = unsafe { fake(ctx) }.borrow_mut();
    if !fake.kept.making {
        return 0;
    }
    let granted = facts & fake.facts.offered;
    fake.facts.told |= granted;
    granted
}

unsafe extern "C" fn session_open(ctx: *mut pp_ctx, session: *const pp_session) -> u64 {
    // SAFETY: the plugin passes its struct, which is that of this crate.
    let session = unsafe { *session };
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().sessions.ask(&session)
}

unsafe extern "C" fn session_close(ctx: *mut pp_ctx, session: u64) -> i32 {
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().sessions.close(session)
}

unsafe extern "C" fn session_set(ctx: *mut pp_ctx, session: u64, what: u32, value: u64) -> i32 {
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().sessions.set(session, what, value)
}

unsafe extern "C" fn wake(ctx: *mut pp_ctx) -> i32 {
    // SAFETY: the plugin passes the handle it got, of an instance that lives.
    unsafe { remote(ctx) }.wake();
    abi::OK
}

unsafe extern "C" fn ticket(ctx: *mut pp_ctx, rx: u32, age_ns: u64) -> u64 {
    // SAFETY: the plugin passes the handle it got.
    unsafe { fake(ctx) }.borrow_mut().tickets.take(rx, age_ns)
}

unsafe extern "C" fn answer(ctx: *mut pp_ctx, ticket: u64, rx: *mut u32) -> i32 {
    // SAFETY: the plugin passes the handle it got.
    let Some(number) = unsafe { fake(ctx) }.borrow_mut().tickets.answer(ticket) else { return abi::ERROR };
    // SAFETY: the plugin passes a variable of its own.
    unsafe { rx.write(number) };
    abi::OK
}

unsafe extern "C" fn against(ctx: *mut pp_ctx, to: *const pp_addr, from: *const pp_addr) -> i32 {
    // SAFETY: the plugin passes addresses of its own, or NULL.
    let to = unsafe { to.as_ref() }.and_then(pp_addr::socket_addr);
    // SAFETY: as above.
    let from = unsafe { from.as_ref() }.and_then(pp_addr::socket_addr);
    // SAFETY: the plugin passes the handle it got.
    let fake = unsafe { fake(ctx) }.borrow();
    let own = &fake.addresses;
    super::host::refusal(to, from, own, own.get(fake.here).map_or(0, SocketAddr::port))
}

unsafe extern "C" fn group(
    ctx: *mut pp_ctx,
    op: u32,
    group: *const pp_addr,
    source: *const pp_addr,
    ifindex: u32,
) -> i32 {
    // SAFETY: the plugin passes addresses of its own, or NULL.
    let group = unsafe { group.as_ref() };
    // SAFETY: as above.
    let source = unsafe { source.as_ref() };
    let ip = |address: &pp_addr| address.socket_addr().map(|address| address.ip());
    let Some(group) = group.and_then(ip).filter(core::net::IpAddr::is_multicast) else { return abi::ERROR };
    let member = (group, source.and_then(ip), ifindex);
    // SAFETY: the plugin passes the handle it got.
    let groups = &mut unsafe { fake(ctx) }.borrow_mut().groups;
    groups.retain(|other| *other != member);
    if op == abi::GROUP_JOIN {
        groups.push(member);
    }
    abi::OK
}
