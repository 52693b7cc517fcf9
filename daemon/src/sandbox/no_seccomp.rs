//! Processors for which nobody has listed the system calls.

use super::policy::{Part, Refusal};

/// Never there.
#[derive(Debug)]
pub(super) enum Program {}

/// Says that there is none.
pub(super) fn program(_: bool, _: bool) -> Result<Program, Refusal> {
    Err(Refusal::new(Part::Seccomp, "there is no list of system calls for this processor"))
}

/// Refuses nothing.
pub(super) fn install_for_broker() {}

/// Nothing to put into force.
pub(super) fn install(program: &Program) -> Result<(), Refusal> {
    match *program {}
}
