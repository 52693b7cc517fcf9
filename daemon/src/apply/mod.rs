//! From a plan, or from the difference of two plans, to a reactor. Only this room adds, changes and removes
//! listeners; the reactor knows nothing of configurations.
//!
//! ```text
//! found     which configuration is meant, and reading it
//! serve     a plan -> plugins, sockets, listeners -> served until somebody asks to stop
//! prepare   the plugins of a plan: loaded, and their options checked
//! files     what handlers read because options name it, and whether it is another file now
//! steps     two plans -> what stays, changes, comes and goes
//! restart   what of a plan a process is told once
//! running   a plan on a reactor; taking the steps to the next plan
//! configured  a plan as keys and values, to be compared with another
//! planned   what a plan needs, what is in its way, and what it would change
//! checked   what a check says, and binding for it
//! foresee   what a check can say of a start that it does not make
//! policy    what the plan lets the process give up
//! confine   the process gives it up, before handlers are made
//! sockets   binding
//! manager   what a service manager has given, and how it is told
//! notifier  telling a service manager how things go
//! given     which address each socket of a service manager serves
//! hand_over  handing everything over to another daemon, some sockets at a time
//! take_over  getting it from one
//! makers    who makes sockets once rights are given up
//! groups    joining
//! banner    what a person reads at the start and at the end
//! status    how it goes, as data and as lines of the log
//! told      who serves what, in the log
//! suggestion  a command to try each listener with
//! memory    how much handlers may keep, where the plan does not say it
//! descriptors  how many sessions there may be
//! control   requests of the control socket, between two batches
//! quiet     listeners that are not read for a while
//! overview  what runs and what it has counted, for the control socket
//! metrics   who asks for metrics by HTTP, between two batches
//! looks     who looks at all listeners while some leave
//! gone      what addresses counted that are gone, by the series of metrics
//! figures   what metrics tell of the listeners
//! peers     who sends most to a listener, for the control socket
//! pages     the pages of that behind the first, kept for a moment
//! books     what was counted, summed by the names of the plan
//! sources   where plugins come from, besides what the plan says
//! vitals    since when it runs, and how large it is
//! watchdog  whether the calls of plugins return
//! reload    a signal has the configuration and the libraries read again
//! refused   why nothing was started or changed
//! ```

mod banner;
mod books;
mod checked;
mod configured;
mod confine;
mod control;
mod descriptors;
mod figures;
mod files;
mod foresee;
mod found;
mod given;
mod gone;
mod groups;
#[cfg(target_os = "linux")]
mod hand_over;
#[cfg(not(target_os = "linux"))]
#[path = "no_hand_over.rs"]
mod hand_over;
mod looks;
mod makers;
mod manager;
mod memory;
mod metrics;
mod notifier;
mod options;
mod overview;
mod pages;
mod peers;
mod planned;
mod policy;
mod prepare;
mod quiet;
mod refused;
mod reload;
mod restart;
mod running;
mod serve;
mod sockets;
mod sources;
mod status;
mod steps;
mod suggestion;
#[cfg(target_os = "linux")]
mod take_over;
#[cfg(not(target_os = "linux"))]
#[path = "no_take_over.rs"]
mod take_over;
mod tapping;
mod told;
mod vitals;
mod watchdog;

pub use banner::final_report;
pub use checked::try_binding;
pub(crate) use checked::{accepted, accepted_json, refused_json};
pub use control::LogLevel;
pub use foresee::foresee;
pub use found::{Asked, Found};
#[cfg(target_os = "linux")]
pub(crate) use makers::{SOCKET_BROKER, serve_sockets};
pub use manager::Manager;
pub(crate) use planned::{Planned, told as planned_told};
pub use prepare::{Entry, Prepared, prepare};
pub use refused::Refused;
pub use reload::Again;
pub use running::{Changed, Running};
pub use serve::{serve, serve_with};
pub use sources::{BuiltIn, Sources, built_in_names, plugin_abi};

pub use take_over::Start;

pub use crate::plugin::tell_of_crashes;
pub(crate) use crate::reactor::Clock;
