//! One layer after the other.

use rustix::thread::set_no_new_privs;

use super::policy::{Layer, Part, Policy, Refusal};
use super::state::State;
use super::{capabilities, landlock, seccomp, user};

/// Gives up what the policy says, for all threads that this one starts from now on. A thread that was there before is
/// confined as far as the kernel can reach it, and what it can not is said.
///
/// # Errors
/// What is required and cannot be had. Then part of it may be in force, and the process should end.
pub fn confine(policy: &Policy) -> Result<State, Refusal> {
    if policy.is_off() {
        return Ok(State::off());
    }
    let mut state = State::default();
    let strangers = other_threads();
    let rules = wanted(policy.landlock, "landlock", landlock::ruleset(policy), &mut state)?;
    if policy.capabilities != Layer::Off {
        // Root's only. Should it fail, the state of the other sets is what counts, and is asked below.
        capabilities::close_bounding_set().unwrap_or(());
    }
    if let Some(identity) = &policy.identity {
        user::become_user(identity)?;
    }
    state.add(format!("user {}", user::name_of(nix::unistd::geteuid())));
    state.allow(&policy.allowed);
    drop_capabilities(policy, &mut state)?;
    if [policy.capabilities, policy.seccomp, policy.landlock].iter().any(|layer| *layer != Layer::Off) {
        match set_no_new_privs(true) {
            Ok(()) => state.add("no_new_privs"),
            Err(errno) => state.missing("no_new_privs", errno.to_string()),
        }
    }
    let filtered =
        wanted(policy.seccomp, "seccomp", seccomp::program(policy.network, policy.sessions), &mut state)?;
    let (mut in_force, mut all) = (Vec::new(), true);
    if let Some(rules) = rules {
        match landlock::restrict(rules) {
            Ok(landlock::Outcome::InForce { abi, all: reached }) => {
                all = reached;
                in_force.push(format!("landlock (ABI {abi})"));
            }
            Ok(landlock::Outcome::Missing(why)) => missing(policy.landlock, Part::Landlock, why, &mut state)?,
            Err(refusal) => missing(policy.landlock, Part::Landlock, &refusal.why, &mut state)?,
        }
    }
    // The last one, since it also refuses the calls that made the others.
    if let Some(program) = filtered {
        match seccomp::install(&program) {
            Ok(()) => in_force.insert(0, "seccomp".to_owned()),
            Err(refusal) => missing(policy.seccomp, Part::Seccomp, &refusal.why, &mut state)?,
        }
    }
    in_force.into_iter().for_each(|layer| state.add(layer));
    if strangers > 0 && !all {
        let why = format!("{strangers} of them, started by plugins while they were loaded, reach all files");
        state.missing("landlock of other threads", why);
    }
    if strangers > 0 && policy.capabilities != Layer::Off && nix::unistd::geteuid().is_root() {
        let why = format!("{strangers} of them, started by plugins while they were loaded, keep theirs");
        state.missing("capabilities of other threads", why);
    }
    Ok(state)
}

fn drop_capabilities(policy: &Policy, state: &mut State) -> Result<(), Refusal> {
    if policy.capabilities == Layer::Off {
        state.not_wanted("capabilities");
        return Ok(());
    }
    match capabilities::drop_all().and_then(|()| capabilities::left()) {
        Ok(left) if left.is_empty() => {
            state.add("no capabilities");
            Ok(())
        }
        Ok(left) => missing(policy.capabilities, Part::Capabilities, &left.join(", "), state),
        Err(error) => missing(policy.capabilities, Part::Capabilities, &error.to_string(), state),
    }
}

/// What a layer needs before it is put into force, if the layer is wanted.
fn wanted<T>(
    layer: Layer,
    name: &'static str,
    made: Result<T, Refusal>,
    state: &mut State,
) -> Result<Option<T>, Refusal> {
    if layer == Layer::Off {
        state.not_wanted(name);
        return Ok(None);
    }
    match made {
        Ok(made) => Ok(Some(made)),
        Err(refusal) => missing(layer, refusal.part, &refusal.why, state).map(|()| None),
    }
}

/// A layer that cannot be had: a refusal if it is required.
fn missing(layer: Layer, part: Part, why: &str, state: &mut State) -> Result<(), Refusal> {
    let name = match part {
        Part::User | Part::Group => "user",
        Part::Capabilities => "capabilities",
        Part::Seccomp => "seccomp",
        Part::Landlock => "landlock",
    };
    if layer == Layer::Required {
        return Err(Refusal::new(part, format!("{name} is required, and cannot be had: {why}")));
    }
    state.missing(name, why);
    Ok(())
}

/// Threads of this process besides this one. A plugin's constructor may have started some.
fn other_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, |tasks| tasks.count().saturating_sub(1))
}
