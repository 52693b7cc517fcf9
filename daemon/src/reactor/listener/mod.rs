//! One bound UDP address with its handler: a slot of the slab, and what belongs to it.
//!
//! ```text
//! slot         the fields, those of every visit first
//! slots        where the slots lie, to prefetch those of the next visits
//! watch        what brings the listener back: an event, the next turn, or a timer
//! transitions  from one state of `watch` to another
//! polling      when it is cheaper to visit it every turn than to watch it
//! marks        what only some have, a bit each
//! pace         how the next visit receives
//! fault        a broken handler: how long until it is made again, and what waits for that
//! backlog      datagrams that the socket did not take
//! repeats      log lines that a peer can provoke
//! seed         the seed of its handler
//! seen         the drops that the log may know of
//! report       what it counted
//! ```

mod backlog;
mod fault;
mod marks;
mod pace;
mod polling;
mod repeats;
mod report;
mod seed;
mod seen;
mod slot;
mod slots;
mod transitions;
mod watch;

pub(crate) use backlog::{Backlog, BacklogLimits};
pub(crate) use fault::{Faults, Kept};
pub(crate) use pace::{Advice, Pace, is_stream};
pub(crate) use polling::{BusyPeriod, Change};
pub(crate) use repeats::Repeats;
pub use report::{AddError, ListenerReport, ListenerState, Removed};
pub(crate) use seed::instance_seed;
pub(crate) use seen::ALARMING;
pub(crate) use slot::{HOT_BYTES, Listener, Service, Standing, farthest};
pub use slot::{ListenerSpec, OnFault};
pub(crate) use slots::Slots;
