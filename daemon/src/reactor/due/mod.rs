//! What the loop does next: the ready list, the timers, and the datagrams that leave later.

mod delayed;
mod queue;
mod ready;
mod timers;

pub(crate) use delayed::Delayed;
pub(crate) use ready::ReadyList;
pub(crate) use timers::{Timer, Timers};
