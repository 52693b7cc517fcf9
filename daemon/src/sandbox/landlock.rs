//! Files that nothing needs are out of reach, TCP as well, and so are the processes of others (landlock(7)).

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    RestrictSelfAttr, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags, path_beneath_rules,
};

use super::policy::{Part, Policy, Refusal};

/// The newest rights that are handled. What a later kernel can take away is left alone until somebody has tried it.
const NEWEST: ABI = ABI::V6;

/// What programs and their C library read while they run: libraries, names of users, hosts, services and time zones, and
/// what the kernel says of this process and of the machine. Nothing of it is secret. What is not there is left out.
const EVERYBODY_READS: [&str; 32] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/proc/self",
    "/proc/sys",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/random",
    "/dev/urandom",
];

/// Devices that keep nothing.
const EVERYBODY_WRITES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// To read a file, and to see what is in a directory.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// To read and write a file; in a directory also to make files and directories, to rename them in their place and to remove them. No
/// devices, pipes, sockets and symbolic links are made there, and nothing is run anywhere.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
});

/// Whether a ruleset is in force.
pub(super) enum Outcome {
    /// With the rights that this ABI of the kernel knows; `all` when other threads are confined as well.
    InForce { abi: i32, all: bool },
    /// Not at all, in words.
    Missing(&'static str),
}

/// A ruleset for a policy. The paths are opened here, as long as this process may.
pub(super) fn ruleset(policy: &Policy) -> Result<RulesetCreated, Refusal> {
    build(policy)
        .map_err(|error| Refusal::new(Part::Landlock, format!("the ruleset cannot be made: {error}")))?
}

fn build(policy: &Policy) -> Result<Result<RulesetCreated, Refusal>, RulesetError> {
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    rules = rules.handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?;
    if !policy.network {
        rules = rules.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut rules = rules
        .create()?
        .all_threads(true)?
        .add_rules(path_beneath_rules(EVERYBODY_READS, READ))?
        .add_rules(path_beneath_rules(EVERYBODY_WRITES, WRITE))?
        .add_rules(path_beneath_rules(std::env::current_exe(), READ))?;
    for (paths, access) in [(&policy.read, READ), (&policy.write, WRITE)] {
        for path in paths {
            // Of these nobody may be missing: who names a path needs it.
            if let Err(error) = PathFd::new(path) {
                return Ok(Err(Refusal::new(Part::Landlock, format!("{}: {error}", path.display()))));
            }
            rules = rules.add_rules(path_beneath_rules([path], access))?;
        }
    }
    rules = rules.add_rules(path_beneath_rules(&policy.again, READ))?;
    rules = rules.add_rules(path_beneath_rules(&policy.removable, AccessFs::RemoveFile))?;
    for copies in &policy.copies {
        rules = of_copies(rules, copies)?;
    }
    Ok(Ok(rules))
}

/// A reload makes copies of libraries, they are read for backtraces, and removed at the end. To remove their directory is a right on the
/// one above, and only there for directories: which have to be empty, and to belong to the user.
fn of_copies(mut rules: RulesetCreated, copies: &Path) -> Result<RulesetCreated, RulesetError> {
    if let Ok(dir) = PathFd::new(copies) {
        rules = rules.add_rule(PathBeneath::new(dir, WRITE))?;
    }
    if let Some(above) = copies.parent().and_then(|above| PathFd::new(above).ok()) {
        rules = rules.add_rule(PathBeneath::new(above, AccessFs::RemoveDir))?;
    }
    Ok(rules)
}

/// Puts it into force for this thread and those it will start; for all threads where the kernel can.
pub(super) fn restrict(rules: RulesetCreated) -> Result<Outcome, Refusal> {
    let refused = |error| Refusal::new(Part::Landlock, format!("the ruleset is not taken: {error}"));
    let status = rules.restrict_self().map_err(refused)?;
    Ok(match status.landlock {
        LandlockStatus::NotEnabled => Outcome::Missing("it was left out when this kernel was booted"),
        _ if status.ruleset == RulesetStatus::NotEnforced => Outcome::Missing("this kernel has none"),
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            Outcome::InForce { abi: kernel_abi.unwrap_or(effective_abi as i32), all: status.all_threads }
        }
        LandlockStatus::NotImplemented => Outcome::Missing("this kernel has none"),
    })
}
