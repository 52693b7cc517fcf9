//! From a plan, or from the difference of two plans, to a reactor. Only this room adds, changes and removes
//! listeners; the reactor knows nothing of configurations.
//!
//! ```text
//! serve     a plan -> plugins, sockets, listeners -> served until somebody asks to stop
//! prepare   the plugins of a plan: loaded, and their options checked
//! steps     two plans -> what stays, changes, comes and goes
//! running   a plan on a reactor; taking the steps to the next plan
//! foresee   what a check can say of a start that it does not make
//! policy    what the plan lets the process give up
//! confine   the process gives it up, before handlers are made
//! sockets   binding
//! groups    joining
//! banner    what a person reads at the start and at the end
//! told      who serves what, in the log
//! suggestion  a command to try each listener with
//! memory    how much handlers may keep, where the plan does not say it
//! descriptors  how many sessions there may be
//! books     what was counted, summed by the names of the plan
//! sources   where plugins come from, besides what the plan says
//! watchdog  whether the calls of plugins return
//! reload    a signal has the configuration and the libraries read again
//! refused   why nothing was started or changed
//! ```

mod banner;
mod books;
mod confine;
mod descriptors;
mod foresee;
mod groups;
mod memory;
mod policy;
mod prepare;
mod refused;
mod reload;
mod running;
mod serve;
mod sockets;
mod sources;
mod steps;
mod suggestion;
mod told;
mod watchdog;

pub(crate) use banner::checked;
pub use banner::final_report;
pub use foresee::foresee;
pub use prepare::{Entry, Prepared, prepare};
pub use refused::Refused;
pub use reload::Again;
pub use running::{Changed, Running};
pub use serve::{serve, serve_with};
pub use sources::{BuiltIn, Sources, plugin_abi};

pub use crate::plugin::tell_of_crashes;
