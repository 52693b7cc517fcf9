//! The process gives up what its plan says, or the plan is refused.

use std::path::Path;

use polyport_terminal::Exit;

use super::policy::problem;
use super::prepare::Prepared;
use super::refused::Refused;
use crate::config::Plan;
use crate::sandbox::{self, Part, Refusal, State};

/// Whether the process may do what the policy says, before anything else is done.
pub(super) fn check(prepared: &Prepared) -> Result<(), Refused> {
    sandbox::may_become(&prepared.policy).map_err(|refusal| refused(&prepared.plan, &refusal))
}

/// Gives it up, and says what is not as it should be.
pub(super) fn confine(prepared: &mut Prepared) -> Result<State, Refused> {
    let Prepared { plan, policy, loader, .. } = prepared;
    if policy.identity.is_some() {
        // The copies belong to who made them, and nobody else may remove them.
        loader.remove_copies();
    }
    policy.copies = loader.copies().map(Path::to_path_buf).collect();
    let state = sandbox::confine(policy).map_err(|refusal| refused(plan, &refusal))?;
    state.warnings().for_each(|warning| log::warn!("{warning}"));
    Ok(state)
}

/// A refusal before or while rights are given up. A right to become somebody else is a permission, the rest is the
/// system's.
fn refused(plan: &Plan, refusal: &Refusal) -> Refused {
    let exit = if refusal.part == Part::User { Exit::Permission } else { Exit::Os };
    Refused { exit, ..Refused::at(plan, [problem(plan, refusal)]) }
}
