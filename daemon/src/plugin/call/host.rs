//! The functions a plugin may call. Each returns a result for any argument, and none unwinds.
#![expect(unsafe_code, reason = "called by plugins through C function pointers")]

use std::ffi::{CStr, c_char, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, slice};

use polyport_abi::{
    ABI_MINOR, ERROR, GROUP_JOIN, GROUP_LEAVE, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARN, OK,
    REFUSED_DESTINATION, REFUSED_GROUP, REFUSED_LOOP_PORT, REFUSED_OWN_LISTENER, REFUSED_SAME_PORT,
    REFUSED_SOURCE, SET_CLIENT, SET_IDLE, SET_USER, TICKET_AGE_NS, UNSUPPORTED, pp_addr, pp_batch, pp_ctx,
    pp_host, pp_session,
};
use polyport_terminal::{Escaped, counted};

use super::breaches::{Breach, note_breach};
use super::record::{AddressRefusal, GroupRequest, InCall, Lending, Lent, Record, TimerRequest};
use crate::exchange::{Exchange, Facts, SessionRequest};

/// Longest log line a plugin can write, bytes. The rest of a longer line is cut off.
const MAX_LINE: usize = 4096;

/// The table of functions that every instance gets.
pub(super) static HOST: Host = Host(pp_host {
    size: size_u32::<pp_host>(),
    abi_minor: ABI_MINOR as u32,
    name: c"polyport".as_ptr(),
    version: VERSION.as_ptr(),
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
    refusal,
});

/// A table of function and string pointers, shared by all instances.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Host(pub(super) pp_host);

// SAFETY: immutable; its pointers are functions and string literals.
unsafe impl Sync for Host {}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => c"unknown",
};

/// `sizeof(T)` in the type that the ABI has for it.
#[expect(clippy::cast_possible_truncation, reason = "the structs of the ABI are below 1 KiB")]
pub(super) const fn size_u32<T>() -> u32 {
    size_of::<T>() as u32
}

/// The highest log level that is not thrown away, as a number of the ABI.
pub(super) fn log_level() -> u32 {
    log::max_level() as u32
}

/// The level of the `log` crate for a log level of the ABI.
fn level(abi: i32) -> log::Level {
    match abi {
        i32::MIN..=LOG_ERROR => log::Level::Error,
        LOG_WARN => log::Level::Warn,
        LOG_INFO => log::Level::Info,
        LOG_DEBUG => log::Level::Debug,
        LOG_TRACE.. => log::Level::Trace,
    }
}

/// Does `pp_host::log`: writes a line to the log, unless its level is off or the instance has written too many.
unsafe extern "C" fn log(ctx: *mut pp_ctx, abi_level: i32, msg: *const u8, len: usize) {
    guarded((), || {
        let level = level(abi_level);
        let Some(record) = record(ctx).filter(|_| level <= log::max_level() && !msg.is_null()) else {
            return;
        };
        let limited = level <= log::Level::Info;
        let suppressed = if limited { record.limiter.admit(record.now_ns.load(Relaxed)) } else { Some(0) };
        let Some(suppressed) = suppressed else { return };
        // SAFETY: the caller's `msg` holds `len` readable bytes; no more than MAX_LINE are looked at.
        let bytes = unsafe { slice::from_raw_parts(msg, len.min(MAX_LINE)) };
        if suppressed > 0 {
            log::log!(level, "{record}: {} left out", counted(suppressed, "line", "lines"));
        }
        log::log!(level, "{record}: {}", Escaped(bytes));
    });
}

/// Does `pp_host::metric`: gives the cell of that name, made if there is none. Only `create` may call it.
unsafe extern "C" fn metric(
    ctx: *mut pp_ctx,
    kind: u32,
    name: *const c_char,
    help: *const c_char,
) -> *mut u64 {
    /// The cell of a plugin that asks at the wrong time or without a name, so that the result is never NULL. Nobody
    /// reads it.
    static NOWHERE: AtomicU64 = AtomicU64::new(0);
    guarded(NOWHERE.as_ptr(), || {
        let Some(lent) = record(ctx).and_then(lent) else {
            note_breach(Breach::Metric);
            return NOWHERE.as_ptr();
        };
        if name.is_null() {
            return NOWHERE.as_ptr();
        }
        // SAFETY: not NULL, and NUL-terminated by contract.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        let help = if help.is_null() {
            c""
        } else {
            // SAFETY: not NULL, and NUL-terminated by contract.
            unsafe { CStr::from_ptr(help) }
        };
        lent.cells.cell(kind, &name, &help.to_string_lossy()).as_ptr()
    })
}

/// Does `pp_host::timer`: notes the call, which the reactor applies after the handler has returned.
unsafe extern "C" fn timer(ctx: *mut pp_ctx, token: u64, at_ns: u64, every_ns: u64) -> i32 {
    guarded(ERROR, || {
        let Some(record) = record(ctx) else { return UNSUPPORTED };
        if !record.push_timer(TimerRequest { token, at_ns, every_ns }) {
            return ERROR;
        }
        if let Some(exchange) = exchange(record) {
            exchange.note_timer();
        }
        OK
    })
}

/// Does `pp_host::flush`: parks what the running call has queued, and empties its send ring and arena.
unsafe extern "C" fn flush(ctx: *mut pp_ctx, batch: *mut pp_batch) -> i32 {
    guarded(ERROR, || {
        let Some(exchange) = record(ctx).and_then(exchange) else {
            note_breach(Breach::Flush);
            return UNSUPPORTED;
        };
        // SAFETY: the batch of the running call, or NULL.
        let Some(batch) = (unsafe { batch.as_mut() }) else { return ERROR };
        if exchange.park(batch) { OK } else { ERROR }
    })
}

/// Does `pp_host::extension`: there are no extensions yet.
unsafe extern "C" fn extension(_ctx: *mut pp_ctx, _id: *const c_char) -> *const c_void {
    ptr::null()
}

/// Does `pp_host::reserve`: grants bytes of the budget of all handlers. The first call, in `create`, opens the account.
unsafe extern "C" fn reserve(ctx: *mut pp_ctx, bytes: u64) -> i32 {
    guarded(ERROR, || {
        let Some(record) = record(ctx) else { return UNSUPPORTED };
        if let Some(lent) = lent(record) {
            record.open_account(|| lent.open_account());
        }
        let Some(account) = record.account().filter(|account| account.is_open()) else {
            return UNSUPPORTED;
        };
        match account.reserve(bytes) {
            Ok(()) => OK,
            Err(first) => {
                if first {
                    log::warn!(
                        "{record}: no more memory for what the handler keeps (`handler_bytes`): it does with what it \
                         has; this is logged once"
                    );
                }
                ERROR
            }
        }
    })
}

/// Does `pp_host::release`: takes bytes back.
unsafe extern "C" fn release(ctx: *mut pp_ctx, bytes: u64) {
    guarded((), || {
        if let Some(account) = record(ctx).and_then(Record::account) {
            account.release(bytes);
        }
    });
}

/// Does `pp_host::want`: asks the socket to tell these facts of each datagram. Only `create` may call it.
unsafe extern "C" fn want(ctx: *mut pp_ctx, facts: u32) -> u32 {
    guarded(0, || {
        let Some(lent) = record(ctx).and_then(lent) else {
            note_breach(Breach::Want);
            return 0;
        };
        (lent.want)(Facts::from_bits(facts)).bits()
    })
}

/// Does `pp_host::session_open`: reserves an id.
unsafe extern "C" fn session_open(ctx: *mut pp_ctx, session: *const pp_session) -> u64 {
    guarded(0, || {
        if session.is_null() {
            return 0;
        }
        // SAFETY: not NULL, so the plugin's struct, which begins with its size.
        let size = unsafe { session.cast::<u32>().read() } as usize;
        if size < offset_of!(pp_session, reserved) {
            return 0;
        }
        let mut own = MaybeUninit::<pp_session>::zeroed();
        let bytes = size.min(size_of::<pp_session>());
        // SAFETY: the plugin says that its struct has `size` bytes, and no more than our own size is copied.
        unsafe { ptr::copy_nonoverlapping(session.cast::<u8>(), own.as_mut_ptr().cast::<u8>(), bytes) };
        // SAFETY: numbers and byte arrays, for which any bytes are a value.
        let own = unsafe { own.assume_init() };
        with_exchange(ctx, 0, |exchange| exchange.open_session(&own))
    })
}

/// Does `pp_host::session_close`: notes that a session is to end.
unsafe extern "C" fn session_close(ctx: *mut pp_ctx, session: u64) -> i32 {
    guarded(ERROR, || {
        with_exchange(ctx, UNSUPPORTED, |exchange| {
            status(exchange.note_session(SessionRequest::Close(session)))
        })
    })
}

/// Does `pp_host::session_set`: notes what is to be changed. In `create` it keeps a session of the instance before.
unsafe extern "C" fn session_set(ctx: *mut pp_ctx, session: u64, what: u32, value: u64) -> i32 {
    guarded(ERROR, || {
        if let Some(lent) = record(ctx).and_then(lent) {
            if what != SET_USER {
                return UNSUPPORTED;
            }
            lent.kept.push((session, value));
            return OK;
        }
        with_exchange(ctx, UNSUPPORTED, |exchange| match what {
            SET_USER => status(exchange.note_session(SessionRequest::User(session, value))),
            SET_IDLE => status(exchange.note_session(SessionRequest::Idle(session, value))),
            SET_CLIENT => status(exchange.note_client(session, value)),
            _ => UNSUPPORTED,
        })
    })
}

/// Works with the exchange of the call that runs; `fallback` if none does.
fn with_exchange<R>(ctx: *mut pp_ctx, fallback: R, work: impl FnOnce(&mut Exchange) -> R) -> R {
    match record(ctx).and_then(exchange) {
        Some(exchange) => work(exchange),
        None => {
            note_breach(Breach::Session);
            fallback
        }
    }
}

/// The exchange of the call that runs, if one does.
fn exchange<'a>(record: &Record) -> Option<&'a mut Exchange> {
    // SAFETY: the frame of the call has lent it out. No function of the host holds it while another one runs.
    unsafe { in_call(record)?.exchange.as_mut() }
}

/// What is lent to the call that runs, if one does.
fn in_call<'a>(record: &Record) -> Option<&'a InCall<'static>> {
    // SAFETY: set only while a function of the plugin runs; the frame below does not touch it.
    match unsafe { record.lending.get().as_ref() }? {
        Lending::Call(in_call) => Some(in_call),
        Lending::Create(_) => None,
    }
}

/// What is lent to `create`, if it runs.
fn lent<'a>(record: &Record) -> Option<&'a mut Lent<'static>> {
    // SAFETY: set only while a function of the plugin runs; the frame below does not touch it. No function of the host holds
    // it while another one runs.
    match unsafe { record.lending.get().as_mut() }? {
        Lending::Create(lent) => Some(lent),
        Lending::Call(_) => None,
    }
}

fn status(done: bool) -> i32 {
    if done { OK } else { ERROR }
}

/// Does `pp_host::wake`: has the instance called by the loop. Any thread may call it, at any time.
unsafe extern "C" fn wake(ctx: *mut pp_ctx) -> i32 {
    guarded(ERROR, || {
        // A thread may do it that does not know yet that its instance is gone.
        let Some(record) = place(ctx).filter(|record| record.alive.load(Relaxed)) else { return ERROR };
        match record.wake() {
            Some(true) => OK,
            Some(false) => ERROR,
            None => UNSUPPORTED,
        }
    })
}

/// Does `pp_host::ticket`: the right to answer a datagram of the running call in a later one.
unsafe extern "C" fn ticket(ctx: *mut pp_ctx, rx: u32, age_ns: u64) -> u64 {
    guarded(0, || {
        let Some(record) = record(ctx) else { return 0 };
        let Some(exchange) = exchange(record) else {
            note_breach(Breach::Ticket);
            return 0;
        };
        let age_ns = if age_ns == 0 { TICKET_AGE_NS } else { age_ns.min(TICKET_AGE_NS) };
        exchange.take_ticket(record.owner(), rx, age_ns).unwrap_or(0)
    })
}

/// Does `pp_host::answer`: says what stands for the datagram of a ticket in the running call.
unsafe extern "C" fn answer(ctx: *mut pp_ctx, ticket: u64, rx: *mut u32) -> i32 {
    guarded(ERROR, || {
        let Some(record) = record(ctx) else { return UNSUPPORTED };
        let Some(exchange) = exchange(record) else {
            note_breach(Breach::Ticket);
            return UNSUPPORTED;
        };
        // SAFETY: the caller's variable, or NULL.
        let Some(rx) = (unsafe { rx.as_mut() }) else { return ERROR };
        let Some(number) = exchange.answer(record.owner(), ticket) else { return ERROR };
        *rx = number;
        OK
    })
}

/// Does `pp_host::refusal`: asks the reactor.
unsafe extern "C" fn refusal(ctx: *mut pp_ctx, to: *const pp_addr, from: *const pp_addr) -> i32 {
    guarded(ERROR, || {
        let Some(record) = record(ctx) else { return UNSUPPORTED };
        let Some(in_call) = in_call(record) else { return UNSUPPORTED };
        let Some(exchange) = exchange(record) else { return UNSUPPORTED };
        // SAFETY: the caller's address, or NULL.
        let to = unsafe { to.as_ref() }.and_then(pp_addr::socket_addr);
        // SAFETY: as above.
        let from = unsafe { from.as_ref() }.and_then(pp_addr::socket_addr);
        if from.is_some_and(|from| ![0, exchange.listener_port()].contains(&from.port())) {
            return REFUSED_SOURCE;
        }
        let Some(to) = to else { return REFUSED_DESTINATION };
        match in_call.gate.refusal(to, from.map(|from| from.ip())) {
            None => OK,
            Some(AddressRefusal::OwnListener) => REFUSED_OWN_LISTENER,
            Some(AddressRefusal::Group) => REFUSED_GROUP,
            Some(AddressRefusal::LoopPort) => REFUSED_LOOP_PORT,
            Some(AddressRefusal::SamePort) => REFUSED_SAME_PORT,
            Some(AddressRefusal::Destination) => REFUSED_DESTINATION,
        }
    })
}

/// Does `pp_host::group`: notes the call, which the reactor applies after `create` or the handler has returned.
unsafe extern "C" fn group(
    ctx: *mut pp_ctx,
    op: u32,
    group: *const pp_addr,
    source: *const pp_addr,
    ifindex: u32,
) -> i32 {
    guarded(ERROR, || {
        let Some(record) = record(ctx) else { return UNSUPPORTED };
        let exchange = exchange(record);
        if exchange.is_none() && lent(record).is_none() {
            note_breach(Breach::Group);
            return UNSUPPORTED;
        }
        // SAFETY: the caller's address, or NULL.
        let group = unsafe { group.as_ref() };
        // SAFETY: as above.
        let source = unsafe { source.as_ref() };
        let ip = |address: &pp_addr| address.socket_addr().map(|address| address.ip());
        let (Some(group), true) = (group.and_then(ip), [GROUP_JOIN, GROUP_LEAVE].contains(&op)) else {
            return ERROR;
        };
        let source = source.and_then(ip);
        let fits = group.is_multicast() && source.is_none_or(|source| source.is_ipv4() == group.is_ipv4());
        if !fits || !record.push_group(GroupRequest { joins: op == GROUP_JOIN, group, source, ifindex }) {
            return ERROR;
        }
        if let Some(exchange) = exchange {
            exchange.note_group();
        }
        OK
    })
}

/// The record behind a handle; none for NULL, and none if the instance has been destroyed.
fn record<'a>(ctx: *mut pp_ctx) -> Option<&'a Record> {
    let record = place(ctx)?;
    let is_alive = record.alive.load(Relaxed);
    if !is_alive {
        note_breach(Breach::Late);
    }
    is_alive.then_some(record)
}

/// The record behind a handle, whether its instance lives or not; none for NULL.
fn place<'a>(ctx: *mut pp_ctx) -> Option<&'a Record> {
    // SAFETY: a handle is the address of a record, and records are never freed.
    unsafe { ctx.cast::<Record>().as_ref() }
}

/// Runs `body`. If it panics, the result is `fallback`, because a panic must not unwind into a plugin.
fn guarded<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.listener.is_empty() {
            return write!(f, "plugin {}", self.plugin);
        }
        write!(f, "listener {} ", self.listener)?;
        if let Some(local) = self.local.socket_addr() {
            write!(f, "{local} ")?;
        }
        write!(f, "(plugin {})", self.plugin)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use polyport_abi::{COUNTER, WANT_HOPS, WANT_TIME};

    use super::*;
    use crate::plugin::call::budget::HandlerBudget;
    use crate::plugin::call::record::Cells;
    use crate::plugin::call::wake::WakeList;

    #[test]
    fn the_table_says_how_long_it_is() {
        assert_eq!(HOST.0.size as usize, size_of::<pp_host>());
    }

    #[test]
    fn the_levels_of_both_sides_have_the_same_numbers() {
        let levels = [LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE];
        for (abi, ours) in levels.into_iter().zip(log::Level::iter()) {
            assert_eq!((level(abi), abi), (ours, ours as i32));
        }
        assert_eq!((level(i32::MIN), level(i32::MAX)), (log::Level::Error, log::Level::Trace));
        // There is no logger in these tests, so nobody else minds.
        log::set_max_level(log::LevelFilter::Debug);
        assert_eq!(log_level(), LOG_DEBUG as u32);
    }

    #[test]
    fn a_living_record_is_served_and_a_dead_one_is_not() {
        let record = Record::new("l".into(), "p".into(), Some(([127, 0, 0, 1], 1).into()));
        let ctx: *mut pp_ctx = ptr::from_ref(&record).cast_mut().cast();
        let mut cells = Cells::default();
        let budget = Arc::new(HandlerBudget::new(100));
        let mut lending = Lending::Create(Lent {
            cells: &mut cells,
            budget: &budget,
            want: &mut |_| Facts::NONE,
            kept: &mut Vec::new(),
        });
        record.lending.set((&raw mut lending).cast());
        // SAFETY: `ctx` is a record that lives on, and the texts end with NUL.
        let cell = unsafe { metric(ctx, COUNTER, c"a_total".as_ptr(), ptr::null()) };
        record.lending.set(ptr::null_mut());
        // SAFETY: as above; the time for metrics is over.
        let late = unsafe { metric(ctx, COUNTER, c"b_total".as_ptr(), ptr::null()) };
        assert_ne!(cell, late);
        let names: Vec<_> = cells.iter().map(|cell| (cell.name.as_str(), cell.value())).collect();
        assert_eq!(names, [("a_total", 0)]);
        // SAFETY: as above.
        assert_eq!(unsafe { timer(ctx, 7, 8, 9) }, OK);
        record.alive.store(false, Relaxed);
        // SAFETY: as above.
        assert_eq!(unsafe { timer(ctx, 1, 2, 3) }, UNSUPPORTED);
        let mut timers = Vec::new();
        record.take_timers(&mut timers);
        assert_eq!(timers, [TimerRequest { token: 7, at_ns: 8, every_ns: 9 }]);
    }

    #[test]
    fn an_account_is_opened_in_create_and_closed_with_the_instance() {
        let budget = Arc::new(HandlerBudget::new(100));
        let mut cells = Cells::default();
        let new = || Record::new("l".into(), "p".into(), Some(([127, 0, 0, 1], 1).into()));
        let (late, record) = (new(), new());
        let [late_ctx, ctx] = [&late, &record].map(|r| ptr::from_ref(r).cast_mut().cast::<pp_ctx>());
        let mut lending = Lending::Create(Lent {
            cells: &mut cells,
            budget: &budget,
            want: &mut |_| Facts::NONE,
            kept: &mut Vec::new(),
        });
        record.lending.set((&raw mut lending).cast());
        // SAFETY: `ctx` is a record that lives on.
        assert_eq!(unsafe { reserve(ctx, 0) }, OK);
        record.lending.set(ptr::null_mut());
        for (ctx, bytes, code) in [(late_ctx, 0, UNSUPPORTED), (ctx, 60, OK), (ctx, 60, ERROR)] {
            // SAFETY: as above.
            assert_eq!(unsafe { reserve(ctx, bytes) }, code);
        }
        // SAFETY: as above.
        unsafe { release(ctx, 10) };
        assert_eq!(budget.held(), 50);
        let shown: Vec<_> = cells.iter().map(|cell| (cell.name.as_str(), cell.value())).collect();
        assert_eq!(shown, [("memory_held_bytes", 50), ("memory_refused_total", 1)]);
        record.gone();
        // SAFETY: as above.
        assert_eq!((budget.held(), unsafe { reserve(ctx, 1) }), (0, UNSUPPORTED));
    }

    #[test]
    fn facts_are_asked_for_in_create_and_what_is_told_comes_back() {
        let budget = Arc::new(HandlerBudget::new(100));
        let (mut cells, mut asked) = (Cells::default(), Vec::new());
        let record = Record::new("l".into(), "p".into(), Some(([127, 0, 0, 1], 1).into()));
        let ctx = ptr::from_ref(&record).cast_mut().cast::<pp_ctx>();
        let mut tells = |facts: Facts| {
            asked.push(facts.bits());
            Facts { time: false, ..facts }
        };
        let mut lending = Lending::Create(Lent {
            cells: &mut cells,
            budget: &budget,
            want: &mut tells,
            kept: &mut Vec::new(),
        });
        record.lending.set((&raw mut lending).cast());
        // SAFETY: `ctx` is a record that lives on.
        assert_eq!(unsafe { want(ctx, WANT_HOPS | WANT_TIME | 1 << 20) }, WANT_HOPS);
        record.lending.set(ptr::null_mut());
        // SAFETY: as above; the time for wishes is over.
        assert_eq!(unsafe { want(ctx, WANT_HOPS) }, 0);
        assert_eq!(asked, [WANT_HOPS | WANT_TIME]);
    }

    #[test]
    fn wakes_before_the_call_are_one_and_a_dead_record_cannot_be_woken() {
        let new = || Record::new("l".into(), "p".into(), Some(([127, 0, 0, 1], 1).into()));
        let list = WakeList::new(Box::new(|| true));
        let (record, deaf) = (new(), new());
        record.can_be_woken(&list, 7);
        let [ctx, deaf] = [&record, &deaf].map(|r| ptr::from_ref(r).cast_mut().cast::<pp_ctx>());
        // SAFETY: `deaf` is a record that lives on.
        assert_eq!(unsafe { wake(deaf) }, UNSUPPORTED);
        let woken = || {
            let mut woken = Vec::new();
            list.take(9, &mut woken);
            woken
        };
        for _ in 0..2 {
            // SAFETY: as above.
            assert_eq!([unsafe { wake(ctx) }, unsafe { wake(ctx) }], [OK, OK]);
            assert_eq!((woken(), record.take_woken(), record.take_woken()), (vec![7], true, false));
        }
        record.gone();
        // SAFETY: as above; a thread of the plugin may come as late as it likes.
        assert_eq!((unsafe { wake(ctx) }, woken()), (ERROR, vec![]));
    }

    #[test]
    fn groups_are_noted_in_create_and_in_a_call_and_what_is_none_is_refused() {
        let record = Record::new("l".into(), "p".into(), Some(([127, 0, 0, 1], 1).into()));
        let ctx = ptr::from_ref(&record).cast_mut().cast::<pp_ctx>();
        let address =
            |text: &str| pp_addr::from(format!("{text}:0").parse::<std::net::SocketAddr>().unwrap());
        let (any, none) = (pp_addr::default(), address("192.0.2.1"));
        let (all, source, v6) = (address("239.1.2.3"), address("192.0.2.9"), address("[::1]"));
        let call = |op: u32, of: &pp_addr, source: &pp_addr| {
            // SAFETY: `ctx` is a record that lives on, and so do the addresses.
            unsafe { group(ctx, op, &raw const *of, &raw const *source, 3) }
        };
        assert_eq!(call(GROUP_JOIN, &all, &any), UNSUPPORTED, "nothing runs");
        let (mut cells, budget) = (Cells::default(), Arc::new(HandlerBudget::new(100)));
        let (mut kept, want) = (Vec::new(), &mut |_| Facts::NONE);
        let mut lending = Lending::Create(Lent { cells: &mut cells, budget: &budget, want, kept: &mut kept });
        record.lending.set((&raw mut lending).cast());
        assert_eq!([call(GROUP_JOIN, &all, &any), call(GROUP_LEAVE, &all, &source)], [OK, OK]);
        assert_eq!([call(2, &all, &any), call(GROUP_JOIN, &none, &any)], [ERROR, ERROR]);
        assert_eq!([call(GROUP_JOIN, &any, &any), call(GROUP_JOIN, &all, &v6)], [ERROR, ERROR]);
        record.lending.set(ptr::null_mut());
        let ip = |address: &pp_addr| address.socket_addr().unwrap().ip();
        let noted = |joins, source| GroupRequest { joins, group: ip(&all), source, ifindex: 3 };
        assert_eq!(record.take_groups(), [noted(true, None), noted(false, Some(ip(&source)))]);
        assert_eq!(record.take_groups(), []);
    }

    #[test]
    fn every_function_survives_nonsense() {
        let null = ptr::null_mut();
        // SAFETY: as above.
        assert_eq!(unsafe { reserve(null, 1) }, UNSUPPORTED);
        // SAFETY: as above.
        unsafe { release(null, u64::MAX) };
        // SAFETY: NULL everywhere is what is tested.
        unsafe { log(null, 99, ptr::null(), usize::MAX) };
        // SAFETY: as above.
        assert!(!unsafe { metric(null, 7, ptr::null(), ptr::null()) }.is_null());
        // SAFETY: as above.
        assert_eq!(unsafe { timer(null, 0, 0, 0) }, UNSUPPORTED);
        // SAFETY: as above.
        assert_eq!(unsafe { flush(null, ptr::null_mut()) }, UNSUPPORTED);
        // SAFETY: as above.
        assert_eq!(unsafe { want(null, u32::MAX) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { wake(null) }, ERROR);
        // SAFETY: as above.
        assert_eq!(unsafe { ticket(null, u32::MAX, u64::MAX) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { answer(null, u64::MAX, ptr::null_mut()) }, UNSUPPORTED);
        // SAFETY: as above.
        assert_eq!(unsafe { group(null, 9, ptr::null(), ptr::null(), 0) }, UNSUPPORTED);
        // SAFETY: as above.
        assert!(unsafe { extension(null, ptr::null()) }.is_null());
    }
}
