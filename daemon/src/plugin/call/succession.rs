//! What an instance does for the one that follows, and for itself with other options.
#![expect(unsafe_code, reason = "calls a plugin's functions")]

use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use polyport_abi::{ERROR, OK, UNSUPPORTED};

use super::instance::{CreateError, Instance, Rescued, State, blank_error, refused};
use super::running::{Function, running};
use crate::plugin::load::Values;

/// How an instance took other options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconfigured {
    /// It has them.
    Done,
    /// It goes on with those it had.
    Refused(CreateError),
    /// It goes on with those it had, and asks for a successor that is made with the others.
    Unsupported,
    /// It is broken, and must not be called again.
    Broken,
}

impl Instance {
    /// What its successor needs, of at most so many bytes. It serves on.
    pub fn save(&mut self, most: u64) -> Rescued {
        let Some(save) = self.plugin.functions().save else { return Rescued::Nothing };
        let mut version = 0;
        let ask = |buf: *mut u8, cap: u64| {
            running(self.record, Function::Save, || {
                // SAFETY: a function of a checked table, on the instance it made; `buf` has `cap` bytes until it returns.
                unsafe { save(self.this.as_ptr(), buf, cap, &raw mut version) }
            })
        };
        let written = written(most, ask);
        Rescued::of(written, version)
    }

    /// Gives it other options at a moment, monotonic ns. Timers that it asks for meanwhile are taken by
    /// [`take_timers`](Self::take_timers).
    pub fn reconfigure(&mut self, values: &Values, now_ns: u64) -> Reconfigured {
        let Some(reconfigure) = self.plugin.functions().reconfigure else {
            return Reconfigured::Unsupported;
        };
        self.record.now_ns.store(now_ns, Relaxed);
        let mut error = blank_error();
        let n = u32::try_from(values.raw().len()).unwrap_or(0);
        let status = running(self.record, Function::Reconfigure, || {
            // SAFETY: a function of a checked table, on the instance it made; its arguments live until it returns.
            unsafe { reconfigure(self.this.as_ptr(), values.raw().as_ptr(), n, &raw mut error) }
        });
        match status {
            OK => Reconfigured::Done,
            ERROR => Reconfigured::Refused(refused(&error)),
            UNSUPPORTED => Reconfigured::Unsupported,
            _ => Reconfigured::Broken,
        }
    }
}

/// What a function has written that says how many bytes it needs and writes them if there are so many.
pub(super) enum Written {
    Bytes(Vec<u8>),
    TooLarge(u64),
    Failed(i64),
}

/// Asks such a function for its bytes, at most so many.
pub(super) fn written(most: u64, mut ask: impl FnMut(*mut u8, u64) -> i64) -> Written {
    let said = ask(ptr::null_mut(), 0);
    let needed = match u64::try_from(said) {
        Ok(0) => return Written::Bytes(Vec::new()),
        Ok(needed) if needed > most => return Written::TooLarge(needed),
        Ok(needed) => needed,
        Err(_) => return Written::Failed(said),
    };
    let mut bytes = vec![0; usize::try_from(needed).unwrap_or(0)];
    let written = ask(bytes.as_mut_ptr(), needed);
    match usize::try_from(written) {
        Ok(len) if len <= bytes.len() => {
            bytes.truncate(len);
            Written::Bytes(bytes)
        }
        _ => Written::Failed(written),
    }
}

impl Rescued {
    /// What was written, with the version of its form.
    pub(super) fn of(written: Written, version: u32) -> Self {
        match written {
            Written::Bytes(bytes) if bytes.is_empty() => Self::Nothing,
            Written::Bytes(bytes) => Self::State(State { version, bytes }),
            Written::TooLarge(needed) => Self::TooLarge(needed),
            Written::Failed(code) => Self::Failed(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers in turn; each is the number a call returns.
    fn asked(most: u64, answers: [i64; 2]) -> Rescued {
        let mut answers = answers.into_iter();
        Rescued::of(written(most, |_, _| answers.next().unwrap()), 7)
    }

    #[test]
    fn a_state_is_what_was_written_and_fits() {
        let state = |len| Rescued::State(State { version: 7, bytes: vec![0; len] });
        assert_eq!(asked(10, [0, 99]), Rescued::Nothing);
        assert_eq!(asked(10, [10, 10]), state(10));
        assert_eq!(asked(10, [10, 3]), state(3), "it has become less");
        assert_eq!(asked(10, [3, 0]), Rescued::Nothing);
        assert_eq!(asked(10, [11, 0]), Rescued::TooLarge(11));
        assert_eq!(asked(10, [-2, 0]), Rescued::Failed(-2));
        assert_eq!(asked(10, [3, 4]), Rescued::Failed(4), "it has become more");
    }
}
