//! Panics stop here: no unwinding leaves the library, and the message reaches the host's log.
//!
//! Each library has its own standard library, so the host can neither catch a plugin's panic nor see it
//! with its own hook. Both have to happen on this side.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many calls of this library are on the stack of this thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Message and place of the last panic inside such a call.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs plugin code. `Err` is the sentence for the log: what panicked, where, and its message.
///
/// A panic while another one unwinds aborts the process by the rules of the language; nothing here can
/// change that. A panic in `drop` is caught as any other when `body` is the drop.
pub(crate) fn caught<R>(what: &str, body: impl FnOnce() -> R) -> Result<R, String> {
    install_hook();
    // Found once: in a shared library every look-up of a thread-local is a call.
    DEPTH.with(|depth| {
        depth.set(depth.get() + 1);
        // The caller throws away whatever the panic left half done.
        let result = catch_unwind(AssertUnwindSafe(body));
        depth.set(depth.get() - 1);
        result.map_err(|payload| sentence(what, payload))
    })
}

/// What a panic was, as a line for the log.
#[cold]
fn sentence(what: &str, payload: Box<dyn Any + Send>) -> String {
    // A panic in the payload's `drop` is recorded by nobody else either.
    DEPTH.set(DEPTH.get() + 1);
    // A payload may panic in its own `drop`; then it is leaked, since there is nothing left to run.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        Box::leak(second);
    }
    DEPTH.set(DEPTH.get() - 1);
    format!("panic in {what}: {}", LAST.take())
}

/// Once a library, chained: a panic in a thread of the plugin's own is still printed as usual.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        // Where a panic aborts, nobody comes to log it: it is printed at once.
        let prints = |depth| depth == 0 || cfg!(panic = "abort");
        set_hook(Box::new(move |info| if prints(DEPTH.get()) { before(info) } else { record(info) }));
    });
}

fn record(info: &PanicHookInfo<'_>) {
    // A second panic, in the drop of the first one's payload, must not replace the cause.
    LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut()
            && last.is_empty()
        {
            let message = info.payload_as_str().unwrap_or("a value that is not text");
            // Writing to a `String` cannot fail.
            match info.location() {
                Some(at) => write!(last, "panicked at {}:{}: {message}", at.file(), at.line()),
                None => write!(last, "panicked: {message}"),
            }
            .unwrap_or(());
            // One log line.
            *last = last.replace(['\n', '\r'], " ");
        }
    })
    // Only fails while the thread is being torn down, when there is nobody left to tell.
    .unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_sentence_with_its_place() {
        let error = caught("on_batch", || panic!("two\nlines")).unwrap_err();
        assert!(error.starts_with("panic in on_batch: panicked at "), "{error}");
        assert!(error.contains("guard.rs:"), "{error}");
        assert!(error.ends_with(": two lines"), "{error}");
        assert_eq!(caught("on_batch", || 7), Ok(7));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop of the payload");
            }
        }
        let error = caught("new", || std::panic::panic_any(Bomb)).unwrap_err();
        assert!(error.contains("not text"), "{error}");
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn panics_outside_plugin_code_go_to_the_hook_before() {
        // Runs in a thread of its own, whose depth is zero: the default hook prints it, nothing is kept.
        install_hook();
        let joined = std::thread::spawn(|| {
            let result = catch_unwind(|| panic!("own thread"));
            (result.is_err(), LAST.take())
        });
        assert_eq!(joined.join().unwrap(), (true, String::new()));
    }
}
