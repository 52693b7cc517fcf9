//! The line that a process leaves on standard error when a signal kills it: which plugin it was in.
//!
//! A plugin that writes through a wild pointer cannot be survived. But whoever finds the process dead wants to know which of its
//! plugins did it, and for which listener.
#![expect(unsafe_code, reason = "signal handlers are set and run")]

use std::fmt::{self, Write};
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{io, ptr};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int, c_void, sigaction, siginfo_t};

use super::running::Doing;
use crate::exchange::{Trespass, trespass};

/// Signals that kill, with their names.
const FATAL: [(c_int, &str); 5] =
    [(SIGSEGV, "SIGSEGV"), (SIGBUS, "SIGBUS"), (SIGFPE, "SIGFPE"), (SIGILL, "SIGILL"), (SIGABRT, "SIGABRT")];

/// What a signal did before, in the order of [`FATAL`]; NULL until it was asked.
static BEFORE: [AtomicPtr<sigaction>; FATAL.len()] = [const { AtomicPtr::new(ptr::null_mut()) }; FATAL.len()];

/// The line is written.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Bytes of the stack on which this thread handles its signals: its own may be what has overflowed. The frame of a signal takes
/// some 3 KiB with the widest registers, and to format a line some more.
const STACK: usize = 64 << 10;

/// How long standard error may take to have room, ms: a terminal that takes nothing must not keep the process.
const PATIENCE_MS: c_int = 200;

/// Has a signal that kills the process leave a line on standard error from now on. The process dies by the same signal all the
/// same, and with a core dump where there would be one. This thread is the one whose calls of plugins are named.
///
/// # Errors
/// Those of `sigaltstack(2)` and `sigaction(2)`.
pub fn tell_of_crashes() -> io::Result<()> {
    Doing::of_this_thread();
    let stack: &'static mut [MaybeUninit<u8>] = Box::leak(Box::new_uninit_slice(STACK));
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the memory is this thread's for ever.
    ok(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) })?;
    for ((signal, _), place) in FATAL.iter().zip(&BEFORE) {
        if place.load(Relaxed).is_null() {
            let before = Box::leak(Box::new(blank()));
            // SAFETY: nothing is changed, and there is room for the answer.
            ok(unsafe { sigaction(*signal, ptr::null(), before) })?;
            place.store(before, Relaxed);
        }
        let action = sigaction {
            sa_sigaction: handle as *const () as usize,
            sa_flags: libc::SA_SIGINFO | libc::SA_ONSTACK,
            ..blank()
        };
        // SAFETY: the handler does only what signal-safety(7) allows.
        ok(unsafe { sigaction(*signal, &raw const action, ptr::null_mut()) })?;
    }
    Ok(())
}

fn ok(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The default action, with no flag and no signal blocked.
fn blank() -> sigaction {
    // SAFETY: numbers, a set of bits and a nullable pointer: zeroes are `SIG_DFL`.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Writes the line, and lets the signal do what it did before. No lock, no memory, no buffer of the standard library.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    if !TOLD.swap(true, Relaxed) {
        let mut line = Line { bytes: [0; 512], len: 0 };
        // What does not fit is cut off.
        // SAFETY: the system describes these signals with an address, and hands over what the processor was about to do.
        let touched = unsafe { touched(signal, info, context) };
        write!(line, "{}", Crash { signal, during: Doing::watched(), touched }).unwrap_or(());
        line.end();
        line.print();
    }
    // SAFETY: the system hands a handler with SA_SIGINFO the description of its signal.
    let is_sent = unsafe { (*info).si_code } <= 0;
    let before = FATAL.iter().position(|(number, _)| *number == signal).and_then(|at| BEFORE.get(at));
    let before = before.map_or(ptr::null_mut(), |before| before.load(Relaxed));
    if is_sent || before.is_null() {
        // Nothing would send it a second time. It is blocked until this handler returns.
        // SAFETY: the default action is set, which needs no code.
        unsafe { sigaction(signal, &raw const DEFAULT.0, ptr::null_mut()) };
        // SAFETY: raise(3) may be called in handlers.
        unsafe { libc::raise(signal) };
    } else {
        // What has failed is done again, and fails again: Rust's own handler says then whether it was the stack.
        // SAFETY: what `sigaction` gave for this signal.
        unsafe { sigaction(signal, before, ptr::null_mut()) };
    }
}

/// The default action, made before a handler needs it.
static DEFAULT: NoHandler = NoHandler(
    // SAFETY: as in `blank`.
    unsafe { MaybeUninit::zeroed().assume_init() },
);
struct NoHandler(sigaction);
// SAFETY: it is never changed, and its pointer is NULL.
unsafe impl Sync for NoHandler {}

/// Memory of a test of plugins that was touched and must not be, and whether it was written to, where the processor tells.
type Touched = (Trespass, Option<bool>);

/// What was touched, if it is known.
///
/// # Safety
/// `info` and `context` are those of a handler of this signal.
unsafe fn touched(signal: c_int, info: *mut siginfo_t, context: *mut c_void) -> Option<Touched> {
    if signal != SIGSEGV && signal != SIGBUS {
        return None;
    }
    // SAFETY: the caller's word.
    let info = unsafe { *info };
    // SAFETY: these signals have an address.
    let address = unsafe { info.si_addr() };
    // SAFETY: the caller's word.
    Some((trespass(address.addr())?, unsafe { is_write(context) }))
}

/// Whether the access that failed was to write.
///
/// # Safety
/// `context` is that of a handler of a signal.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
unsafe fn is_write(context: *mut c_void) -> Option<bool> {
    /// The bit of a page fault's error code that says so.
    const WRITE: i64 = 2;
    let context: *const libc::ucontext_t = context.cast();
    let at = usize::try_from(libc::REG_ERR).ok()?;
    // SAFETY: the caller's word.
    let registers = unsafe { (*context).uc_mcontext.gregs };
    registers.get(at).map(|code| code & WRITE != 0)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
unsafe fn is_write(_: *mut c_void) -> Option<bool> {
    None
}

/// What is known of a crash.
struct Crash {
    signal: c_int,
    /// What the thread does that it happens in; none of a thread that nobody watches.
    during: Option<&'static Doing>,
    touched: Option<Touched>,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            FATAL.iter().find(|(number, _)| *number == self.signal).map_or("a signal", |(_, name)| *name);
        match self.during.map(Doing::call) {
            Some(Some(call)) => {
                write!(f, "error: {name} in {} of {call}", call.function.name())?;
            }
            Some(None) => write!(f, "error: {name} while no plugin was called")?,
            None => write!(f, "error: {name} in a thread that a plugin or the daemon has started")?,
        }
        if let Some((trespass, is_write)) = &self.touched {
            let verb = match is_write {
                Some(true) => "wrote to",
                Some(false) => "read",
                None => "touched",
            };
            write!(f, ": it {verb} {trespass}")?;
        }
        f.write_str(": the process ends")
    }
}

/// A line of bounded length.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte stays for the end of the line.
        let room = self.bytes.len() - 1 - self.len;
        let n = text.floor_char_boundary(text.len().min(room));
        let free = self.bytes.get_mut(self.len..self.len + n).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes().get(..n).ok_or(fmt::Error)?);
        self.len += n;
        if n < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Line {
    fn end(&mut self) {
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = b'\n';
            self.len += 1;
        }
    }

    fn print(&self) {
        let mut room = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one descriptor, which lives until the call returns; poll(2) may be called in handlers.
        if unsafe { libc::poll(&raw mut room, 1, PATIENCE_MS) } == 1 {
            // SAFETY: `len` bytes are there; write(2) may be called in handlers.
            unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::call::record::Record;
    use crate::plugin::call::running::{Function, running};

    #[test]
    fn the_line_says_who_was_called_or_that_nobody_was() {
        let own = Doing::of_this_thread();
        let said = |signal, during| Crash { signal, during, touched: None }.to_string();
        let local = Some("[::1]:9".parse().unwrap());
        let record = Box::leak(Box::new(Record::new("far".into(), "lossy".into(), local)));
        let during = running(record, Function::OnBatch, || said(SIGSEGV, Some(own)));
        assert_eq!(
            during,
            "error: SIGSEGV in on_batch of listener far [::1]:9 (plugin lossy): the process ends"
        );
        assert_eq!(said(SIGFPE, Some(own)), "error: SIGFPE while no plugin was called: the process ends");
        assert!(said(SIGABRT, None).contains("SIGABRT in a thread that a plugin or the daemon has started"));
    }

    #[test]
    fn a_line_is_cut_where_a_character_ends() {
        let mut line = Line { bytes: [0; 512], len: 0 };
        assert!(write!(line, "{}", "\u{e4}".repeat(300)).is_err());
        line.end();
        assert_eq!((line.len, line.bytes[510]), (511, b'\n'));
        std::str::from_utf8(&line.bytes[..line.len]).unwrap();
    }
}
