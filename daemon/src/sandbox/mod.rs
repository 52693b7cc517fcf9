//! Least privilege: what the process gives up after its sockets are bound, and before its handlers are made.
//!
//! ```text
//! policy        what is to be given up, and what stays
//! confine       one layer after the other
//! user          names to numbers; serving as somebody else
//! capabilities  none                                                capabilities(7)
//! landlock      files that nothing needs are out of reach           landlock(7)
//! seccomp       system calls that nothing needs are refused         seccomp(2)
//! calls         the system calls that stay
//! broker        what the process keeps that makes sockets for this one
//! state         what is in force, in words
//! ```
//!
//! The order: libraries are loaded and sockets bound with the rights of whoever started the daemon; then [`confine()`]; then
//! handlers are made. So a handler is made with the rights with which it is made again after a fault, its files belong to
//! the user who serves, and a thread that it starts is confined from its first instruction. No layer can be taken off
//! again by the process. A refused system call answers with an errno, and ends nobody.
//!
//! Only Linux has these layers. Elsewhere nothing is given up, and that is said.

#[cfg(target_os = "linux")]
mod broker;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
mod calls;
#[cfg(target_os = "linux")]
mod capabilities;
#[cfg(target_os = "linux")]
mod confine;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod landlock;
mod policy;
#[cfg(target_os = "linux")]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")),
    path = "no_seccomp.rs"
)]
mod seccomp;
mod state;
#[cfg(target_os = "linux")]
mod user;

#[cfg(target_os = "linux")]
pub use broker::confine_broker;
#[cfg(target_os = "linux")]
pub use capabilities::{may_bind_low_ports, may_exceed_buffers, may_raise_limits};
#[cfg(target_os = "linux")]
pub use confine::confine;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{
    confine, groups, may_become, may_bind_low_ports, may_exceed_buffers, may_raise_limits, resolve,
};
pub use policy::{Groups, Identity, Layer, Part, Policy, Refusal};
pub use state::State;
#[cfg(target_os = "linux")]
pub use user::{groups, may_become, resolve};
