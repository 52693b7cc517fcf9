//! Loads that nobody answers: what arrived is asked of the daemon that serves the targets, before and after, over its control socket
//! (`daemon/docs/control.md`).

pub mod args;
pub mod compare;
pub mod control;
pub mod enter;
pub mod settling;
pub mod witness;
