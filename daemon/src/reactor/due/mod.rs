//! Whose turn it is, and what is due: the ready list, deadlines, and datagrams that leave later.

mod delayed;
mod ready;
mod timers;

pub(crate) use delayed::Delayed;
pub(crate) use ready::ReadyList;
pub(crate) use timers::{Timer, Timers};
