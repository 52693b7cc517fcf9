//! Instances of a plugin, and the calls in both directions. Only this folder calls functions of a plugin.
//!
//! ```text
//! instance   one handler serving one listener                       [unsafe]
//! host       the functions a plugin may call                        [unsafe]
//! session    sessions as plugins are told of them
//! breaches   calls of the host that came at the wrong time, counted
//! budget     how much memory the instances may keep, and how much they do
//! record     what the host knows of an instance: log limit, metric cells, timer requests
//! running    which function of which instance a thread is in           [unsafe]
//! crash      the line that a process leaves that dies by a signal      [unsafe]
//! state      what an instance hands to the one that follows
//! succession what an instance does for the one that follows         [unsafe]
//! wake       which instances other threads have woken
//! prefetch   a hint to the CPU about memory needed soon             [unsafe]
//! ```

mod breaches;
mod budget;
mod crash;
mod host;
mod instance;
mod prefetch;
mod record;
mod running;
mod session;
mod state;
mod succession;
mod wake;

pub use breaches::{Breach, breaches};
pub use budget::HandlerBudget;
pub use crash::tell_of_crashes;
pub use instance::{Call, CreateError, Instance, InstancePlace, InstanceSpec, Outcome, Why};
pub(crate) use prefetch::{CACHE_LINE, prefetch};
pub use record::{AddressRefusal, Cell, Cells, Gate, GroupRequest, TimerRequest};
pub use running::{Doing, Function, RunningCall};
pub use state::{Rescued, State};
pub use succession::Reconfigured;
pub use wake::{Notify, WakeList};
