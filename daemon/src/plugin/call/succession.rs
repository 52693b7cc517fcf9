//! What an instance does for the one that follows, and for itself with other options.
#![expect(unsafe_code, reason = "calls a plugin's functions")]

use std::sync::atomic::Ordering::Relaxed;

use polyport_abi::{ERROR, OK, UNSUPPORTED};

use super::instance::{CreateError, Instance, blank_error, refused};
use super::running::{Function, running};
use super::state::{Rescued, written};
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
