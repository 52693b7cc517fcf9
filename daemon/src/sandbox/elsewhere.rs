//! Systems without the layers: nothing is given up, and that is said.

use super::policy::{Groups, Identity, Layer, Part, Policy, Refusal};
use super::state::State;

const WHY: &str = "only Linux has it";

/// No user can be become here.
///
/// # Errors
/// Always, when somebody is named.
pub fn resolve(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, Refusal> {
    match (user, group) {
        (None, None) => Ok(None),
        (Some(_), _) => Err(Refusal::new(Part::User, "serving as another user is possible on Linux only")),
        (None, Some(_)) => {
            Err(Refusal::new(Part::Group, "serving with another group is possible on Linux only"))
        }
    }
}

/// Nothing is asked, since [`resolve`] gives nobody.
///
/// # Errors
/// Never.
pub fn may_become(_: &Policy) -> Result<(), Refusal> {
    Ok(())
}

/// Gives nothing up.
///
/// # Errors
/// A layer is required.
pub fn confine(policy: &Policy) -> Result<State, Refusal> {
    if policy.is_off() {
        return Ok(State::off());
    }
    let mut state = State::off();
    state.add("who started it");
    let layers = [
        (Part::Capabilities, "capabilities", policy.capabilities),
        (Part::Seccomp, "seccomp", policy.seccomp),
        (Part::Landlock, "landlock", policy.landlock),
    ];
    for (part, name, layer) in layers {
        match layer {
            Layer::Off => state.not_wanted(name),
            Layer::IfPossible => state.missing(name, WHY),
            Layer::Required => return Err(Refusal::new(part, format!("{name} is on, and {WHY}"))),
        }
    }
    Ok(state)
}

/// Nobody's rights are known here, so nothing is foreseen.
pub fn groups(_: &Policy) -> Groups {
    Groups { name: "the daemon".to_owned(), uid: 0, gids: Vec::new(), everything: true }
}

/// Whether ports may be bound that are for the system.
#[must_use]
pub fn may_bind_low_ports() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether socket buffers may be larger than the system's bound: nowhere else by a right.
#[must_use]
pub fn may_exceed_buffers() -> bool {
    false
}

/// Whether there may be more descriptors than the limit says.
#[must_use]
pub fn may_raise_limits() -> bool {
    rustix::process::geteuid().is_root()
}
