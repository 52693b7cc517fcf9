//! The live view of a run.
//!
//! ```text
//! run      a run as its view sees it: what its threads tell
//! board    where those who run a load put what is shown
//! history  columns over time
//! model    what is known, from looks at all that
//! state    what keys change
//! head, graphs, shape, targets, help   parts of the screen
//! draw     all of it
//! thread   the thread that looks, draws and reads keys
//! ```
//!
//! All but the last are functions of what they are given: no clock, no terminal.

pub mod board;
mod draw;
mod graphs;
mod head;
mod help;
mod history;
mod model;
pub mod run;
mod shape;
mod state;
mod targets;
#[cfg(test)]
mod tests;
mod thread;

pub use thread::View;
