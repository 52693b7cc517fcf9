//! A plugin of ABI 1.3 in Rust, kept as it is for ever: it needs no crate of ours, its structs are those of 1.3 written
//! down once more, and the polyport of the day loads it. It works with hosts of 1.3 and later only, so it asks for nothing
//! before it uses it. "ask" is answered by a ticket when a thread has woken the instance, "state" answers with the state of
//! the instance before, "break" breaks it, "relay..." goes to `to` by a session; anything else goes back as it came.
#![expect(unsafe_code, reason = "stands on the other side of the C boundary")]
#![expect(dead_code, reason = "has all fields and constants of the structs")]

use std::ffi::{c_char, c_void};
use std::thread::{self, JoinHandle};
use std::{ptr, slice};

const OK: i32 = 0;
const FATAL: i32 = -2;
const TX_SESSION: u8 = 4;
const TX_CLIENT: u8 = 8;
const OPT_ADDR: u32 = 9;
const OPT_REQUIRED: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct Addr {
    ip: [u8; 16],
    port: u16,
    family: u8,
    reserved: u8,
    scope: u32,
}

#[repr(C)]
struct Dgram {
    data: *mut u8,
    len: u32,
    cap: u32,
    peer: Addr,
    local: Addr,
    rx_ns: u64,
    ifindex: u32,
    tos: u8,
    flags: u8,
    hop_limit: u8,
    verdict: u8,
    session: u64,
    user: u64,
}

#[repr(C)]
struct Tx {
    data: *const u8,
    len: u32,
    rx: u32,
    at_ns: u64,
    segment: u32,
    tos: u8,
    flags: u8,
    run: u16,
    to: Addr,
    from: Addr,
    session: u64,
    address: u32,
    reserved: u32,
}

#[repr(C)]
struct Host {
    size: u32,
    abi_minor: u32,
    name: *const c_char,
    version: *const c_char,
    log: extern "C" fn(*mut c_void, i32, *const c_char, usize),
    metric: extern "C" fn(*mut c_void, u32, *const c_char, *const c_char) -> *mut u64,
    timer: extern "C" fn(*mut c_void, u64, u64, u64) -> i32,
    flush: extern "C" fn(*mut c_void, *mut Batch) -> i32,
    extension: extern "C" fn(*mut c_void, *const c_char) -> *const c_void,
    reserve: extern "C" fn(*mut c_void, u64) -> i32,
    release: extern "C" fn(*mut c_void, u64),
    want: extern "C" fn(*mut c_void, u32) -> u32,
    session_open: extern "C" fn(*mut c_void, *const Session) -> u64,
    session_close: extern "C" fn(*mut c_void, u64) -> i32,
    session_set: extern "C" fn(*mut c_void, u64, u32, u64) -> i32,
    wake: extern "C" fn(*mut c_void) -> i32,
    ticket: extern "C" fn(*mut c_void, u32, u64) -> u64,
    answer: extern "C" fn(*mut c_void, u64, *mut u32) -> i32,
    group: extern "C" fn(*mut c_void, u32, *const Addr, *const Addr, u32) -> i32,
    refusal: extern "C" fn(*mut c_void, *const Addr, *const Addr) -> i32,
}

#[repr(C)]
struct Session {
    size: u32,
    flags: u32,
    to: Addr,
    from: Addr,
    user: u64,
    idle_ns: u64,
    rx: u32,
    recv_buffer: u32,
    send_buffer: u32,
    reserved: u32,
}

#[repr(C)]
struct Event {
    size: u32,
    kind: u32,
    session: u64,
    user: u64,
    reason: u32,
    count: u32,
    mtu: u32,
    err: i32,
    reporter: Addr,
    opened_ns: u64,
    up_datagrams: u64,
    up_bytes: u64,
    down_datagrams: u64,
    down_bytes: u64,
    dropped: u64,
    client: Addr,
    upstream: Addr,
    local: Addr,
}

#[repr(C)]
struct Batch {
    size: u32,
    rx_len: u32,
    rx: *mut Dgram,
    tx: *mut Tx,
    tx_len: u32,
    tx_cap: u32,
    arena: *mut u8,
    arena_len: u32,
    arena_cap: u32,
    now_ns: u64,
    wall_offset_ns: i64,
    ctx: *mut c_void,
    host: *const Host,
    max_payload: u32,
    log_level: u32,
    refused: u32,
    delay_datagrams: u32,
    delay_bytes: u64,
    handling: u32,
    address: u32,
}

#[repr(C)]
struct Opt {
    name: *const c_char,
    help: *const c_char,
    def: *const c_char,
    choices: *const c_char,
    min: f64,
    max: f64,
    kind: u32,
    flags: u32,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Word {
    i: i64,
    f: f64,
    str: *const c_char,
    list: *const Value,
}

#[repr(C)]
struct Value {
    kind: u32,
    len: u32,
    v: Word,
    addr: Addr,
}

#[repr(C)]
struct Create {
    size: u32,
    why: u32,
    ctx: *mut c_void,
    host: *const Host,
    values: *const Value,
    n_values: u32,
    state_version: u32,
    state: *const u8,
    state_len: u64,
    seed: u64,
    now_ns: u64,
    listener: *const c_char,
    local: Addr,
    secret: [u8; 32],
    sessions: *const c_void,
    n_sessions: u32,
    session_stride: u32,
    addresses: *const Addr,
    n_addresses: u32,
    reserved: u32,
}

#[repr(C)]
struct Ident {
    magic: [u8; 16],
    abi_major: u16,
    abi_minor: u16,
    min_host_minor: u16,
    ident_size: u16,
    layout: u32,
    flags: u32,
    name: [u8; 40],
    version: [u8; 24],
    toolchain: [u8; 56],
    about: [u8; 104],
}

#[repr(C)]
struct Plugin {
    ident: Ident,
    size: u32,
    n_options: u32,
    options: *const Opt,
    create: extern "C" fn(*const Create, *mut c_void) -> *mut c_void,
    destroy: extern "C" fn(*mut c_void),
    on_batch: extern "C" fn(*mut c_void, *mut Batch) -> i32,
    on_timer: *const c_void,
    check: *const c_void,
    reconfigure: *const c_void,
    save: *const c_void,
    extension: *const c_void,
    on_session: extern "C" fn(*mut c_void, *mut Batch, *const Event) -> i32,
    rescue: extern "C" fn(*mut c_void, *mut u8, u64, *mut u32) -> i64,
    on_wake: extern "C" fn(*mut c_void, *mut Batch) -> i32,
}

// SAFETY: all that they point to is constant.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Opt {}

const _: () = assert!(size_of::<Addr>() == 24 && size_of::<Dgram>() == 96 && size_of::<Tx>() == 96);
const _: () = assert!(size_of::<Opt>() == 64 && size_of::<Value>() == 40 && size_of::<Ident>() == 256);

const _: () = assert!(size_of::<Session>() == 88 && size_of::<Event>() == 184);
const _: () = assert!(size_of::<Batch>() == 112 && size_of::<Host>() == 152 && size_of::<Plugin>() == 360);

/// What a thread takes along: the host takes `wake` from any thread, for ever.
struct Waker(*mut c_void, *const Host);

// SAFETY: as above.
unsafe impl Send for Waker {}

struct Frozen {
    words: *mut u64,
    to: Addr,
    session: u64,
    ticket: u64,
    state: String,
    thread: Option<JoinHandle<()>>,
}

extern "C" fn create(c: *const Create, _error: *mut c_void) -> *mut c_void {
    // SAFETY: the host's, until this call returns, with as many values as there are options, and as many bytes of state.
    let (to, words, state) = unsafe {
        let c = &*c;
        let words = ((*c.host).metric)(c.ctx, 1, c"words_total".as_ptr(), c"Words that it knew".as_ptr());
        let state: &[u8] =
            if c.state.is_null() { b"" } else { slice::from_raw_parts(c.state, c.state_len as usize) };
        let known = c.n_addresses == 1 && !c.addresses.is_null() && c.secret != [0; 32];
        let state = format!("{} {known} {} {}", c.why, c.state_version, String::from_utf8_lossy(state));
        ((*c.values).addr, words, state)
    };
    Box::into_raw(Box::new(Frozen { words, to, session: 0, ticket: 0, state, thread: None })).cast()
}

extern "C" fn destroy(this: *mut c_void) {
    // SAFETY: from `create`, and this is called once.
    let this = unsafe { Box::from_raw(this.cast::<Frozen>()) };
    this.thread.map(JoinHandle::join);
}

/// Queues an entry.
fn push(b: &mut Batch, tx: Tx) {
    // SAFETY: functions and ring are the host's, and there is room below `tx_cap`.
    unsafe {
        if b.tx_len >= b.tx_cap && ((*b.host).flush)(b.ctx, b) != OK {
            b.refused += 1;
            return;
        }
        b.tx.add(b.tx_len as usize).write(tx);
    }
    b.tx_len += 1;
}

const NOWHERE: Addr = Addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 };

fn tx(data: *const u8, len: u32, rx: u32) -> Tx {
    let (to, from) = (NOWHERE, NOWHERE);
    Tx {
        data,
        len,
        rx,
        at_ns: 0,
        segment: 0,
        tos: 0,
        flags: 0,
        run: 0,
        to,
        from,
        session: 0,
        address: 0,
        reserved: 0,
    }
}

extern "C" fn on_batch(this: *mut c_void, b: *mut Batch) -> i32 {
    // SAFETY: from `create`; one call at a time, and the batch is ours until it returns.
    let (this, b) = unsafe { (&mut *this.cast::<Frozen>(), &mut *b) };
    // SAFETY: the host's table, which has all of 1.3.
    let host = unsafe { &*b.host };
    for i in 0..b.rx_len {
        b.handling = i + 1;
        // SAFETY: there are `rx_len` of them, and `data` is never NULL and has `len` bytes.
        let (d, word) = unsafe {
            let d = &*b.rx.add(i as usize);
            (d, slice::from_raw_parts(d.data, d.len as usize))
        };
        let back = tx(ptr::null(), d.len, i);
        if d.session != 0 {
            push(b, Tx { flags: TX_CLIENT, ..back });
            continue;
        }
        // SAFETY: nobody else counts in this cell.
        unsafe { *this.words += 1 };
        match word {
            b"state" => push(b, tx(this.state.as_ptr(), this.state.len() as u32, i)),
            b"break" => return FATAL,
            b"ask" => {
                this.ticket = (host.ticket)(b.ctx, i, 10_000_000_000);
                let waker = Waker(b.ctx, b.host);
                let wake = move || {
                    let Waker(ctx, host) = { waker };
                    // SAFETY: `wake` may be called from any thread.
                    unsafe { ((*host).wake)(ctx) };
                };
                this.thread.replace(thread::spawn(wake)).map(JoinHandle::join);
            }
            relayed if relayed.starts_with(b"relay") => {
                if this.session == 0 {
                    let size = size_of::<Session>() as u32;
                    let (to, from) = (this.to, NOWHERE);
                    let (idle_ns, recv_buffer, send_buffer, reserved) = (0, 0, 0, 0);
                    let asked = Session {
                        size,
                        flags: 0,
                        to,
                        from,
                        user: 0,
                        idle_ns,
                        rx: i,
                        recv_buffer,
                        send_buffer,
                        reserved,
                    };
                    this.session = (host.session_open)(b.ctx, &asked);
                }
                push(b, Tx { flags: TX_SESSION, session: this.session, ..back });
            }
            _ => push(b, back),
        }
    }
    OK
}

extern "C" fn on_wake(this: *mut c_void, b: *mut Batch) -> i32 {
    // SAFETY: as in `on_batch`.
    let (this, b) = unsafe { (&mut *this.cast::<Frozen>(), &mut *b) };
    let mut rx = 0;
    // SAFETY: the host's table, which has all of 1.3.
    if unsafe { ((*b.host).answer)(b.ctx, this.ticket, &mut rx) } == OK {
        push(b, tx(b"woken".as_ptr(), 5, rx));
    }
    OK
}

extern "C" fn on_session(this: *mut c_void, _b: *mut Batch, event: *const Event) -> i32 {
    // SAFETY: as in `on_batch`.
    let (this, event) = unsafe { (&mut *this.cast::<Frozen>(), &*event) };
    if event.kind == 1 && event.session == this.session {
        this.session = 0;
    }
    OK
}

extern "C" fn rescue(_this: *mut c_void, buf: *mut u8, cap: u64, version: *mut u32) -> i64 {
    let kept = b"kept by Rust";
    // SAFETY: `buf` has room for `cap` bytes.
    unsafe {
        *version = 13;
        if cap >= kept.len() as u64 {
            ptr::copy_nonoverlapping(kept.as_ptr(), buf, kept.len());
        }
    }
    kept.len() as i64
}

const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut all = [0; N];
    let mut i = 0;
    while i < text.len() {
        all[i] = text.as_bytes()[i];
        i += 1;
    }
    all
}

static OPTIONS: [Opt; 1] = [Opt {
    name: c"to".as_ptr(),
    help: c"Upstream".as_ptr(),
    def: ptr::null(),
    choices: ptr::null(),
    min: 0.0,
    max: 0.0,
    kind: OPT_ADDR,
    flags: OPT_REQUIRED,
    reserved: 0,
}];

#[unsafe(no_mangle)]
static polyport_plugin_v1: Plugin = Plugin {
    ident: Ident {
        magic: *b"POLYPORT-PLUGIN1",
        abi_major: 1,
        abi_minor: 3,
        min_host_minor: 3,
        ident_size: 256,
        layout: 0x6060_4028,
        flags: 0,
        name: padded("frozen-rust"),
        version: padded("1.3.0"),
        toolchain: padded("rustc"),
        about: padded("Sessions, wakes and tickets of ABI 1.3, in Rust"),
    },
    size: size_of::<Plugin>() as u32,
    n_options: 1,
    options: OPTIONS.as_ptr(),
    create,
    destroy,
    on_batch,
    on_timer: ptr::null(),
    check: ptr::null(),
    reconfigure: ptr::null(),
    save: ptr::null(),
    extension: ptr::null(),
    on_session,
    rescue,
    on_wake,
};
