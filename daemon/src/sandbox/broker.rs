//! What a process keeps that does nothing but make sockets.

use caps::{CapSet, Capability, CapsHashSet};
use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use rustix::thread::set_no_new_privs;

use super::{capabilities, seccomp};

/// To bind ports below 1024, and to go past `net.core.rmem_max`.
const KEPT: [Capability; 2] = [Capability::CAP_NET_BIND_SERVICE, Capability::CAP_NET_ADMIN];

/// Gives up all that making sockets does not need, for good: capabilities but for two, all files, all system calls
/// but those. What the system does not have is left out.
pub fn confine_broker() {
    capabilities::close_bounding_set().unwrap_or(());
    keep().unwrap_or(());
    set_no_new_privs(true).unwrap_or(());
    no_files();
    seccomp::install_for_broker();
}

fn keep() -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let has = caps::read(None, CapSet::Permitted)?;
    let keeps: CapsHashSet = KEPT.into_iter().filter(|cap| has.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &keeps)?;
    caps::set(None, CapSet::Permitted, &keeps)
}

/// No file is within reach, no TCP, no process of others.
fn no_files() {
    const NEWEST: ABI = ABI::V6;
    let rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let handled = rules
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create);
    if let Ok(rules) = handled {
        rules.restrict_self().map(drop).unwrap_or(());
    }
}
