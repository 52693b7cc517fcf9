//! The daemon hosts UDP services: one process and one reactor thread own any number of UDP ports, and each
//! port is served by a handler, an instance of a plugin loaded at run time.
//!
//! ```text
//! main -> cli      what was typed
//!          |-> workbench what an author does with a plugin: list, inspect, begin
//!          |-> config    polyport.toml or --listen -> a checked plan, or problems with file:line:column
//!          '-> apply     a plan, or the difference of two -> listeners added, changed, removed; served
//!               |-> sandbox   what the process gives up before handlers are made
//!               '-> reactor   the loop, generic over its I/O
//!                    |-> plugin     the boundary: find, check before dlopen, load, call
//!                    |    '-> exchange   the memory both sides see during a call
//!                    |-> guard      who may talk, and what may leave
//!                    |-> metrics    counters, drop reasons, the conservation equation
//!                    |-> limits     how much of everything
//!                    '-> reply      what a listener may answer, and to whom
//! ```
//!
//! Arrows point down; `exchange`, `metrics`, `limits`, `reply` and `sandbox` are leaves, as are the crates
//! `polyport-value` (what texts mean), `polyport-terminal` (exit codes, what is printed) and `polyport-net`. `unsafe` lives in `exchange`, `plugin`
//! and `polyport-net`, nowhere else.

pub mod apply;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod guard;
pub mod limits;
pub mod metrics;
pub mod plugin;
pub mod reactor;
pub mod reply;
pub mod sandbox;
pub mod workbench;
