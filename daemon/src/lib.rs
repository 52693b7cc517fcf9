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
//! Arrows point down; `config`, `guard` and `metrics` are leaves. `unsafe` lives in `plugin` and in the
//! crate `polyport-net`, nowhere else.

pub mod cli;
pub mod config;
pub mod exit;
pub mod guard;
pub mod metrics;
pub mod plugin;
pub mod reactor;
pub mod start;
