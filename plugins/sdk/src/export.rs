//! The table a library exports, and the one place where the host's calls become calls of a [`Handler`].
//!
//! Every entry point is a trampoline here, and every trampoline goes through `caught`: nothing unwinds
//! into the host.
#![expect(unsafe_code, reason = "the plugin boundary: the host's calls arrive here as raw pointers")]

use core::ffi::c_void;
use core::ptr;

use polyport_abi as abi;
use polyport_abi::{pp_batch, pp_create, pp_error, pp_event, pp_ident, pp_plugin, pp_value};

use crate::batch::Batch;
use crate::config::Config as _;
use crate::context::{Log, Setup};
use crate::convert::{Created, RawBatch, event};
use crate::error::Error;
use crate::guard::caught;
use crate::handler::Handler;
use crate::host::{HostRef, OwnLink};
use crate::level::Level;
use crate::session::Event;
use crate::value::{Value, values};

/// What `create` returns to the host.
struct Instance<H> {
    /// `None` after a panic: what is left of it is never called again, but to be rescued.
    handler: Option<H>,
    /// What a panic has left, until `destroy`; `None` if it happened while state was written.
    broken: Option<H>,
    host: HostRef,
    /// Ends with the instance, behind the handler and its threads.
    link: OwnLink,
}

/// Calls the handler of `this`. After a panic, and from then on, the answer is `fallback`.
fn guarded<H: Handler, R>(
    this: &mut Instance<H>,
    what: &str,
    fallback: R,
    body: impl FnOnce(&mut H) -> R,
) -> R {
    let Some(handler) = this.handler.as_mut() else { return fallback };
    match caught(what, || body(handler)) {
        Ok(result) => result,
        Err(message) => {
            this.host.log(Level::Error as i32, message.as_bytes());
            this.broken = this.handler.take();
            fallback
        }
    }
}

/// Drops a handler, whose `drop` may panic as well.
fn bury<H>(host: HostRef, handler: Option<H>) {
    if let Err(message) = caught("drop", || drop(handler)) {
        host.log(Level::Error as i32, message.as_bytes());
    }
}

/// # Safety
/// `this` came from `create::<H>`, was not destroyed, and no other call into it is running.
unsafe fn instance<'a, H>(this: *mut c_void) -> &'a mut Instance<H> {
    // SAFETY: the caller promises it.
    unsafe { &mut *this.cast::<Instance<H>>() }
}

/// [`abi::create_fn`].
unsafe extern "C" fn create<H: Handler>(create: *const pp_create, error: *mut pp_error) -> *mut c_void {
    let made = caught("new", || {
        // SAFETY: the host passes a valid `pp_create`, and the view ends with this closure.
        let created = unsafe { Created::new(create) };
        let handler = H::new(configure::<H>(&created.values)?, &mut Setup::new(&created))?;
        let Created { host, link, .. } = created;
        Ok(Instance { handler: Some(handler), broken: None, host, link })
    });
    match made.unwrap_or_else(|message| Err(Error::from(message))) {
        Ok(instance) => Box::into_raw(Box::new(instance)).cast(),
        Err(reason) => {
            // SAFETY: `error` is the host's argument.
            unsafe { report::<H>(error, &reason) };
            ptr::null_mut()
        }
    }
}

fn configure<H: Handler>(values: &[Value<'_>]) -> Result<H::Config, Error> {
    let config = H::Config::from_values(values)?;
    H::check(&config)?;
    Ok(config)
}

/// [`abi::destroy_fn`].
unsafe extern "C" fn destroy<H: Handler>(this: *mut c_void) {
    // SAFETY: `create` made it with `Box::into_raw`; the host calls this once, and nothing after it.
    let instance = unsafe { Box::from_raw(this.cast::<Instance<H>>()) };
    let Instance { mut handler, broken, host, link } = *instance;
    if let Some(handler) = handler.as_mut()
        && let Err(message) = caught("stop", || handler.stop(&Log::new(&host)))
    {
        host.log(Level::Error as i32, message.as_bytes());
    }
    bury(host, handler);
    bury(host, broken);
    drop(link);
}

/// Calls a function of a handler that gets a batch.
///
/// # Safety
/// `this` is as for [`instance`], and `batch` the argument of the call that runs, which nobody has opened.
#[inline]
unsafe fn with_batch<H: Handler>(
    this: *mut c_void,
    batch: *mut pp_batch,
    what: &str,
    body: impl FnOnce(&mut H, &mut Batch<'_>),
) -> i32 {
    // SAFETY: the caller promises it.
    let this = unsafe { instance::<H>(this) };
    guarded(this, what, abi::FATAL, |handler| {
        // SAFETY: the caller promises it, and the view ends with this closure.
        let opened = unsafe { RawBatch::open(batch) };
        let Some((raw, slots)) = opened else { return abi::ERROR };
        let mut batch = Batch::new(raw, slots);
        body(handler, &mut batch);
        batch.code()
    })
}

/// [`abi::on_batch_fn`].
unsafe extern "C" fn on_batch<H: Handler>(this: *mut c_void, batch: *mut pp_batch) -> i32 {
    // SAFETY: the host passes a live instance, one call at a time, and its batch.
    unsafe { with_batch(this, batch, "on_batch", H::on_batch) }
}

/// [`abi::on_timer_fn`].
unsafe extern "C" fn on_timer<H: Handler>(this: *mut c_void, batch: *mut pp_batch, token: u64) -> i32 {
    let fire = |handler: &mut H, batch: &mut Batch<'_>| handler.on_timer(token, batch);
    // SAFETY: as in `on_batch`.
    unsafe { with_batch(this, batch, "on_timer", fire) }
}

/// [`abi::on_wake_fn`].
unsafe extern "C" fn on_wake<H: Handler>(this: *mut c_void, batch: *mut pp_batch) -> i32 {
    // SAFETY: as in `on_batch`.
    unsafe { with_batch(this, batch, "on_wake", H::on_wake) }
}

/// [`abi::on_session_fn`].
unsafe extern "C" fn on_session<H: Handler>(
    this: *mut c_void,
    batch: *mut pp_batch,
    told: *const pp_event,
) -> i32 {
    let tell = |handler: &mut H, batch: &mut Batch<'_>| {
        // SAFETY: the host's argument.
        let event = unsafe { event(told) };
        // A kind that this crate does not know is none that the handler could have meant.
        if let Some(event) = event.and_then(Event::new) {
            handler.on_session(&event, batch);
        }
    };
    // SAFETY: as in `on_batch`.
    unsafe { with_batch(this, batch, "on_session", tell) }
}

/// [`abi::check_fn`].
unsafe extern "C" fn check<H: Handler>(given: *const pp_value, n: u32, error: *mut pp_error) -> i32 {
    let checked = caught("check", || {
        // SAFETY: the host passes `n` values that live during the call.
        let given = unsafe { values(given, n) };
        configure::<H>(&given).map(drop)
    });
    match checked.unwrap_or_else(|message| Err(Error::from(message))) {
        Ok(()) => abi::OK,
        Err(reason) => {
            // SAFETY: `error` is the host's argument.
            unsafe { report::<H>(error, &reason) };
            abi::ERROR
        }
    }
}

/// [`abi::reconfigure_fn`].
unsafe extern "C" fn reconfigure<H: Handler>(
    this: *mut c_void,
    given: *const pp_value,
    n: u32,
    error: *mut pp_error,
) -> i32 {
    // SAFETY: the host passes a live instance, one call at a time.
    let this = unsafe { instance::<H>(this) };
    let broken = Err(Error::from("the instance panicked"));
    // The outer result is that of the guard, so that a refusal is told from a broken instance.
    let outcome = guarded(this, "reconfigure", (abi::FATAL, broken), |handler| {
        // SAFETY: the host passes `n` values that live during the call.
        let given = unsafe { values(given, n) };
        match configure::<H>(&given).and_then(|config| handler.reconfigure(config)) {
            Ok(()) => (abi::OK, Ok(())),
            Err(reason) if reason.is_unsupported() => (abi::UNSUPPORTED, Err(reason)),
            Err(reason) => (abi::ERROR, Err(reason)),
        }
    });
    if let (_, Err(reason)) = &outcome {
        // SAFETY: `error` is the host's argument.
        unsafe { report::<H>(error, reason) };
    }
    outcome.0
}

/// [`abi::save_fn`]: the size needed, or a negative code. Writes only if all of it fits.
unsafe extern "C" fn save<H: Handler>(this: *mut c_void, buf: *mut u8, cap: u64, version: *mut u32) -> i64 {
    // SAFETY: the host passes a live instance, one call at a time.
    let this = unsafe { instance::<H>(this) };
    let state = guarded(this, "save", None, |handler| {
        let mut out = Vec::new();
        let version = handler.save(&mut out);
        Some((version, out))
    });
    if state.is_none() {
        // Whoever breaks while it saves has nothing that could be rescued.
        bury(this.host, this.broken.take());
    }
    // SAFETY: the host's arguments.
    unsafe { hand_over(state, buf, cap, version) }
}

/// [`abi::rescue_fn`]: as `save`, of what a panic has left.
unsafe extern "C" fn rescue<H: Handler>(this: *mut c_void, buf: *mut u8, cap: u64, version: *mut u32) -> i64 {
    // SAFETY: the host passes an instance that broke and was not destroyed, one call at a time.
    let this = unsafe { instance::<H>(this) };
    let Some(broken) = &this.broken else { return 0 };
    let state = caught("rescue", || {
        let mut out = Vec::new();
        let version = broken.rescue(&mut out);
        (version, out)
    });
    let state = state.inspect_err(|message| this.host.log(Level::Error as i32, message.as_bytes())).ok();
    // SAFETY: the host's arguments.
    unsafe { hand_over(state, buf, cap, version) }
}

/// Gives the host a state with its version, if there is room for all of it. Returns the size it needs; no state is a failure.
///
/// # Safety
/// `version` is NULL or a place for it, and `buf` NULL or `cap` writable bytes of the host.
unsafe fn hand_over(state: Option<(u32, Vec<u8>)>, buf: *mut u8, cap: u64, version: *mut u32) -> i64 {
    let Some((made, out)) = state else { return i64::from(abi::FATAL) };
    if !version.is_null() {
        // SAFETY: the caller promises it.
        unsafe { version.write(made) };
    }
    let len = out.len();
    if !buf.is_null() && u64::try_from(len).is_ok_and(|len| len <= cap) {
        // SAFETY: the caller promises `cap` bytes, at least `len`, none of them ours.
        unsafe { buf.copy_from_nonoverlapping(out.as_ptr(), len) };
    }
    i64::try_from(len).unwrap_or(-1)
}

/// Fills the host's error: NUL-terminated, cut between characters, with the index of the option at fault.
///
/// # Safety
/// `error` is NULL or the host's argument.
unsafe fn report<H: Handler>(error: *mut pp_error, reason: &Error) {
    // SAFETY: the caller promises it.
    let Some(error) = (unsafe { error.as_mut() }) else { return };
    let at = reason
        .option_name()
        .and_then(|name| H::Config::OPTIONS.iter().position(|option| option.name() == name));
    error.opt = at.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0);
    // A NUL inside would cut the text for the host.
    let text = reason.message().replace('\0', " ");
    let (text, room) = (text.as_bytes(), text.floor_char_boundary(error.msg.len() - 1));
    error.msg.fill(0);
    for (to, from) in error.msg.iter_mut().zip(text.iter().take(room)) {
        *to = *from;
    }
}

/// The table for `H`. Evaluated by the compiler: a name that does not fit is a compile error.
#[must_use]
pub const fn table<H: Handler>(package: &str, version: &str, about: &str) -> pp_plugin {
    let options = H::Config::OPTIONS;
    assert!(options.len() <= 256, "a plugin has at most 256 options: no host takes more");
    #[expect(clippy::cast_possible_truncation, reason = "at most 256, and below 1024")]
    let (n_options, size) = (options.len() as u32, size_of::<pp_plugin>() as u32);
    pp_plugin {
        ident: pp_ident {
            magic: abi::MAGIC,
            abi_major: abi::ABI_MAJOR,
            abi_minor: abi::ABI_MINOR,
            min_host_minor: 0,
            ident_size: abi::IDENT_SIZE,
            layout: abi::LAYOUT,
            flags: if H::PER_LISTENER { abi::F_PER_LISTENER } else { 0 }
                | if cfg!(panic = "abort") { abi::F_PANIC_ABORT } else { 0 }
                | if cfg!(debug_assertions) { abi::F_DEBUG } else { 0 },
            name: text(short_name(package)),
            version: text(version),
            toolchain: text(concat!("rustc, polyport-plugin ", env!("CARGO_PKG_VERSION"))),
            about: text(about),
        },
        size,
        n_options,
        // `Opt` is transparent over `pp_opt`.
        options: options.as_ptr().cast(),
        create: Some(create::<H>),
        destroy: Some(destroy::<H>),
        on_batch: Some(on_batch::<H>),
        on_timer: Some(on_timer::<H>),
        check: Some(check::<H>),
        reconfigure: Some(reconfigure::<H>),
        save: Some(save::<H>),
        extension: None,
        on_session: if H::SESSIONS { Some(on_session::<H>) } else { None },
        rescue: Some(rescue::<H>),
        on_wake: if H::WAKES { Some(on_wake::<H>) } else { None },
    }
}

/// The package `polyport-echo` holds the plugin `echo`.
const fn short_name(package: &str) -> &str {
    const PREFIX: &[u8] = b"polyport-";
    let bytes = package.as_bytes();
    let mut i = 0;
    while i < PREFIX.len() {
        // Longer than the prefix, so that the name is never empty.
        if i + 1 >= bytes.len() || bytes[i] != PREFIX[i] {
            return package;
        }
        i += 1;
    }
    package.split_at(i).1
}

const fn text<const N: usize>(s: &str) -> [u8; N] {
    let bytes = s.as_bytes();
    assert!(bytes.len() < N, "name, version or description too long for the identity (39, 23, 103 bytes)");
    let mut out = [0; N];
    let mut i = 0;
    while i < bytes.len() {
        assert!(bytes[i] != 0, "NUL in the identity");
        out[i] = bytes[i];
        i += 1;
    }
    out
}

/// Exports a [`Handler`] as the plugin of this library: `export_plugin!(Type, "one line about it")`.
///
/// The plugin is named after the package, without a leading `polyport-`. One plugin a library.
///
/// With one argument it exports what [`describe_plugin!`](crate::describe_plugin) has made in another crate:
/// `export_plugin!(my_handler::PLUGIN)`.
#[macro_export]
macro_rules! export_plugin {
    ($handler:ty, $about:literal) => {
        $crate::export_plugin!($crate::export::table::<$handler>(
            ::core::env!("CARGO_PKG_NAME"),
            ::core::env!("CARGO_PKG_VERSION"),
            $about,
        ));
    };
    ($table:expr) => {
        /// What the host looks for in this library.
        #[unsafe(no_mangle)]
        #[used]
        pub static polyport_plugin_v1: $crate::abi::pp_plugin = $table;
    };
}

/// Describes a [`Handler`] as the plugin `name` without exporting it: `describe_plugin!(Type, "name", "one line about
/// it")` makes a constant `PLUGIN`.
///
/// A library exports one plugin, and so does a program that links it. A handler that is to be both a library and built
/// into a host is described in a crate of its own, which the library exports with
/// [`export_plugin!`](crate::export_plugin).
#[macro_export]
macro_rules! describe_plugin {
    ($handler:ty, $name:literal, $about:literal) => {
        /// The plugin of this crate, for a library that exports it, and for a host that has it built in.
        pub const PLUGIN: $crate::abi::pp_plugin =
            $crate::export::table::<$handler>($name, ::core::env!("CARGO_PKG_VERSION"), $about);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_named_after_its_package() {
        assert_eq!(short_name("polyport-echo"), "echo");
        assert_eq!(short_name("polyport-"), "polyport-");
        assert_eq!(short_name("polyport"), "polyport");
        assert_eq!(short_name("my-plugin"), "my-plugin");
    }

    #[test]
    fn identity_text_is_terminated() {
        assert_eq!(text::<5>("echo"), *b"echo\0");
    }
}
