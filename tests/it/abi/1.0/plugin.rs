//! A plugin of ABI 1.0 in Rust, kept as it is for ever: it needs no crate of ours, its structs are those of 1.0 written
//! down once more, and the polyport of the day loads it. "options" answers with its options, "later" comes back when
//! `wait` has passed, "timer" is answered by a timer, "drop" is dropped; anything else goes back as it came.
#![expect(unsafe_code, reason = "stands on the other side of the C boundary")]
#![expect(dead_code, reason = "has all fields and constants of the structs")]

use std::ffi::{c_char, c_void};
use std::ptr;

const OK: i32 = 0;
const NO_RX: u32 = u32::MAX;
const TX_TO: u8 = 1;
const OPT_RATIO: u32 = 4;
const OPT_DURATION: u32 = 5;

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
    ecn: u8,
    flags: u8,
    hop_limit: u8,
    verdict: u8,
    reserved: [u64; 2],
}

#[repr(C)]
struct Tx {
    data: *const u8,
    len: u32,
    rx: u32,
    at_ns: u64,
    segment: u32,
    ecn: u8,
    flags: u8,
    run: u16,
    to: Addr,
    from: Addr,
    reserved: [u64; 2],
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
    reserved: u32,
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
    on_timer: Option<extern "C" fn(*mut c_void, *mut Batch, u64) -> i32>,
    check: *const c_void,
    reconfigure: *const c_void,
    save: *const c_void,
    extension: *const c_void,
}

// SAFETY: all that they point to is constant.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Opt {}

const _: () = assert!(size_of::<Addr>() == 24 && size_of::<Dgram>() == 96 && size_of::<Tx>() == 96);
const _: () = assert!(size_of::<Opt>() == 64 && size_of::<Value>() == 40 && size_of::<Ident>() == 256);

struct Frozen {
    words: *mut u64,
    wait: u64,
    shown: String,
    waiting: Option<Addr>,
}

extern "C" fn create(c: *const Create, _error: *mut c_void) -> *mut c_void {
    // SAFETY: the host's, until this call returns, with as many values as there are options.
    let (part, wait, words) = unsafe {
        let c = &*c;
        let values = std::slice::from_raw_parts(c.values, c.n_values as usize);
        let words = ((*c.host).metric)(c.ctx, 1, c"words_total".as_ptr(), c"Words that it knew".as_ptr());
        (values[0].v.f, values[1].v.i, words)
    };
    let shown = format!("{part} {wait}");
    Box::into_raw(Box::new(Frozen { words, wait: wait as u64, shown, waiting: None })).cast()
}

extern "C" fn destroy(this: *mut c_void) {
    // SAFETY: from `create`, and this is called once.
    drop(unsafe { Box::from_raw(this.cast::<Frozen>()) });
}

/// Queues an entry; the last 64 bytes of it are looked at only with a flag.
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

fn tx(data: *const u8, len: u32, rx: u32) -> Tx {
    let none = Addr { ip: [0; 16], port: 0, family: 0, reserved: 0, scope: 0 };
    Tx {
        data,
        len,
        rx,
        at_ns: 0,
        segment: 0,
        ecn: 0,
        flags: 0,
        run: 0,
        to: none,
        from: none,
        reserved: [0; 2],
    }
}

extern "C" fn on_batch(this: *mut c_void, b: *mut Batch) -> i32 {
    // SAFETY: from `create`; one call at a time, and the batch is ours until it returns.
    let (this, b) = unsafe { (&mut *this.cast::<Frozen>(), &mut *b) };
    for i in 0..b.rx_len {
        // SAFETY: there are `rx_len` of them.
        let d = unsafe { &mut *b.rx.add(i as usize) };
        // SAFETY: `data` is never NULL and has `len` bytes.
        let word = unsafe { std::slice::from_raw_parts(d.data, d.len as usize) };
        let known: &[&[u8]] = &[b"options", b"later", b"timer", b"drop"];
        if known.contains(&word) {
            // SAFETY: nobody else counts in this cell.
            unsafe { *this.words += 1 };
        }
        let back = tx(ptr::null(), d.len, i);
        match word {
            b"options" => push(b, tx(this.shown.as_ptr(), this.shown.len() as u32, i)),
            b"later" => {
                let at_ns = b.now_ns + this.wait;
                push(b, Tx { at_ns, ..back });
            }
            b"timer" => {
                this.waiting = Some(d.peer);
                // SAFETY: the host's function, with its own handle.
                unsafe { ((*b.host).timer)(b.ctx, 42, b.now_ns + 1_000_000, 0) };
            }
            b"drop" => d.verdict = 1,
            _ => push(b, back),
        }
    }
    OK
}

extern "C" fn on_timer(this: *mut c_void, b: *mut Batch, token: u64) -> i32 {
    // SAFETY: as in `on_batch`.
    let (this, b) = unsafe { (&mut *this.cast::<Frozen>(), &mut *b) };
    if let (42, Some(to)) = (token, this.waiting.take()) {
        push(b, Tx { to, flags: TX_TO, ..tx(b"timer".as_ptr(), 5, NO_RX) });
    }
    OK
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

const fn opt(name: *const c_char, help: *const c_char, def: *const c_char, kind: u32) -> Opt {
    Opt { name, help, def, choices: ptr::null(), min: 0.0, max: 0.0, kind, flags: 0, reserved: 0 }
}

static OPTIONS: [Opt; 2] = [
    opt(c"part".as_ptr(), c"A part".as_ptr(), c"25%".as_ptr(), OPT_RATIO),
    opt(c"wait".as_ptr(), c"A time".as_ptr(), c"1ms".as_ptr(), OPT_DURATION),
];

#[unsafe(no_mangle)]
static polyport_plugin_v1: Plugin = Plugin {
    ident: Ident {
        magic: *b"POLYPORT-PLUGIN1",
        abi_major: 1,
        abi_minor: 0,
        min_host_minor: 0,
        ident_size: 256,
        layout: 0x6060_4028,
        flags: 0,
        name: padded("frozen-rust"),
        version: padded("1.0.0"),
        toolchain: padded("rustc"),
        about: padded("Most of ABI 1.0, in Rust"),
    },
    size: size_of::<Plugin>() as u32,
    n_options: 2,
    options: OPTIONS.as_ptr(),
    create,
    destroy,
    on_batch,
    on_timer: Some(on_timer),
    check: ptr::null(),
    reconfigure: ptr::null(),
    save: ptr::null(),
    extension: ptr::null(),
};
