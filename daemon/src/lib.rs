//! The daemon hosts UDP services: one process and one reactor thread own any number of UDP ports, and each
//! port is served by a handler, an instance of a plugin loaded at run time.
//!
//! ```text
//! main -> cli      what was typed
//!          |-> workbench what an author does with a plugin: list, inspect, begin
//!          |-> config    polyport.toml or --listen -> a checked plan, or problems with file:line:column
//!          |-> replay    a recording sent again
//!          |-> control   the socket by which a daemon is asked and changed: messages, the thread, the client
//!          '-> apply     a plan, or the difference of two -> listeners added, changed, removed; served
//!               |-> broker    sockets for a process that may make none any more
//!               |-> sandbox   what the process gives up before handlers are made
//!               '-> reactor   the loop, generic over its I/O
//!                    |-> plugin     the boundary: find, check before dlopen, load, call
//!                    |    '-> exchange   the memory both sides see during a call
//!                    |-> guard      who may talk, and what may leave
//!                    |-> metrics    counters, drop reasons, the conservation equation
//!                    |-> limits     how much of everything
//!                    |-> tap        what a tap sees, and the bounded way to its reader; capture makes files of it
//!                    |-> access     who may talk to a listener
//!                    '-> reply      what a listener may answer, and to whom
//! ```
//!
//! Arrows point down; `access`, `control` (which knows `capture` and `tap`), `exchange`, `metrics`, `limits`, `reply`, `sandbox` and `tap` are leaves,
//! as are the crates `polyport-value` (what texts mean), `polyport-terminal` (exit codes, what is printed) and `polyport-net`. `unsafe` lives
//! in `exchange`, `plugin` and `polyport-net`, nowhere else.

pub mod access;
pub mod apply;
pub mod broker;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod exchange;
pub mod guard;
pub mod limits;
pub mod metrics;
pub mod plugin;
pub mod reactor;
pub mod replay;
pub mod reply;
pub mod sandbox;
pub mod tap;
pub mod workbench;
