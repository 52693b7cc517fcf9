//! polyport hosts UDP services: one process and one reactor thread own any number of UDP ports, and each
//! port is served by a handler, an instance of a plugin loaded at run time.
//!
//! ```text
//! main -> cli      what was typed
//!          |-> config    polyport.toml or --listen -> a checked plan, or problems with file:line:column
//!          '-> start     plan -> plugins loaded, addresses bound, handlers made, served
//!               '-> reactor   the loop, generic over its I/O
//!                    |-> plugin    the boundary: find, check before dlopen, load, call
//!                    |-> guard     who may talk
//!                    '-> metrics   counters, drop reasons, the conservation equation
//! ```
//!
//! Arrows point down; `config`, `guard`, `metrics` and `value` are leaves, as are the crates
//! `polyport-terminal` (exit codes, what is printed) and `polyport-net`. `unsafe` lives in `plugin` and in
//! `polyport-net`, nowhere else.

pub mod apply;
pub mod cli;
pub mod config;
pub mod exchange;
pub mod guard;
pub mod limits;
pub mod metrics;
pub mod plugin;
pub mod reactor;
