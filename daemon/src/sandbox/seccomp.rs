//! System calls that nothing needs answer `EPERM`, in all threads (seccomp(2)).
//!
//! A list of what stays, not of what goes: nobody can name the calls of later kernels. Two filters, of which the kernel
//! asks both: one that says `ENOSYS` where the C library knows another way, and one with that list.

use std::collections::BTreeMap;
use std::io;

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, CLONE_THREAD, EPERM, F_SETOWN, NETLINK_ROUTE, SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS, SOCK_DGRAM, SYS_clone, SYS_clone3, SYS_fcntl, SYS_ioctl, SYS_kill,
    SYS_prlimit64, SYS_rt_tgsigqueueinfo, SYS_sched_setaffinity, SYS_socket, SYS_tgkill, TIOCSTI, c_long,
};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::calls;
use super::policy::{Part, Refusal};

/// The type of a socket without its flags (`SOCK_TYPE_MASK` of the kernel).
const TYPE_MASK: u64 = 0xf;
/// `fcntl(2)` and `ioctl(2)`: who gets the signals of a descriptor, which may be a stranger.
const F_SETOWN_EX: u64 = 15;
const F_SETSIG: u64 = 10;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;
/// `ioctl_console(2)`: pastes into the terminal, as `TIOCSTI` types into it.
const TIOCLINUX: u64 = 0x541c;

/// The instruction that ends a filter with a constant: `BPF_RET | BPF_K` of `bpf(4)` and `filter.h`.
const RETURN: u16 = 0x06;

/// Filters that are ready to be put into force.
#[derive(Debug)]
pub(super) struct Program([BpfProgram; 2]);

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The filters; with `network` internet sockets may be opened, with `sessions` those of UDP.
pub(super) fn program(network: bool, sessions: bool) -> Result<Program, Refusal> {
    let refused = |error: BackendError| Refusal::new(Part::Seccomp, error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(refused)?;
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let stays = rules(network, sessions).map_err(refused)?;
    let stays = SeccompFilter::new(stays, errno(EPERM), SeccompAction::Allow, arch);
    // `clone3` hides its flags in memory, where no filter sees them; for `ENOSYS` the C library calls `clone`. Of two
    // errnos the kernel takes that of the filter that came last, so the list has to let the call pass.
    let other_way = BTreeMap::from([(SYS_clone3, Vec::new())]);
    let other_way = SeccompFilter::new(other_way, SeccompAction::Allow, errno(libc::ENOSYS), arch);
    let compiled = |filter: Result<SeccompFilter, BackendError>| filter.and_then(BpfProgram::try_from);
    // The list is the last one: it refuses further filters.
    let mut programs = [compiled(other_way).map_err(refused)?, compiled(stays).map_err(refused)?];
    programs.iter_mut().for_each(refuse_foreign_calls);
    Ok(Program(programs))
}

/// Puts it into force, for all threads of the process.
pub(super) fn install(program: &Program) -> Result<(), Refusal> {
    for filter in &program.0 {
        apply_filter_all_threads(filter).map_err(|error| Refusal::new(Part::Seccomp, words(&error)))?;
    }
    Ok(())
}

/// Refuses all that a process does not need which makes sockets, as far as this kernel can.
pub(super) fn install_for_broker() {
    let program = rules_for_broker().and_then(|rules| {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let eperm = SeccompAction::Errno(EPERM.unsigned_abs());
        BpfProgram::try_from(SeccompFilter::new(rules, eperm, SeccompAction::Allow, arch)?)
    });
    if let Ok(mut program) = program {
        refuse_foreign_calls(&mut program);
        apply_filter_all_threads(&program).unwrap_or(());
    }
}

fn rules_for_broker() -> Result<Rules, BackendError> {
    let mut rules: Rules = calls::BROKER.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(SYS_socket, udp()?);
    Ok(rules)
}

fn words(error: &Error) -> String {
    match error {
        Error::Seccomp(error) if is_unknown(error) => "this kernel has none".to_owned(),
        Error::ThreadSync(thread) => format!("thread {thread} has a filter of its own"),
        other @ (Error::Backend(_) | Error::EmptyFilter | Error::Prctl(_) | Error::Seccomp(_)) => {
            other.to_string()
        }
    }
}

fn is_unknown(error: &io::Error) -> bool {
    [libc::ENOSYS, libc::EINVAL].map(Some).contains(&error.raw_os_error())
}

/// What stays.
fn rules(network: bool, sessions: bool) -> Result<Rules, BackendError> {
    let pid = u64::from(std::process::id());
    let all = [calls::HOT, calls::FILES, calls::SOCKETS, calls::PROCESS, calls::OLDER].concat();
    let mut rules: Rules = all.into_iter().map(|call| (call, Vec::new())).collect();
    // Threads, and no other processes.
    let thread = u64::from(CLONE_THREAD.unsigned_abs());
    rules.insert(SYS_clone3, Vec::new());
    rules.insert(SYS_clone, vec![rule([(0, Qword, MaskedEq(thread), thread)])?]);
    // Signals and limits of this process; the number 0 is the process itself for `prlimit`.
    for call in [SYS_kill, SYS_tgkill, SYS_rt_tgsigqueueinfo] {
        rules.insert(call, vec![rule([(0, Dword, Eq, pid)])?]);
    }
    let own = vec![rule([(0, Dword, Eq, 0)])?, rule([(0, Dword, Eq, pid)])?];
    rules.insert(SYS_prlimit64, own.clone());
    rules.insert(SYS_sched_setaffinity, own);
    let foreign = [(1, Dword, Ne, u64::from(F_SETOWN.unsigned_abs())), (1, Dword, Ne, F_SETOWN_EX)];
    rules.insert(SYS_fcntl, vec![rule([foreign[0].clone(), foreign[1].clone(), (1, Dword, Ne, F_SETSIG)])?]);
    let refused = [TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP];
    rules.insert(SYS_ioctl, vec![rule(refused.map(|request| (1, Dword, Ne, request)))?]);
    rules.insert(SYS_socket, sockets(network, sessions)?);
    Ok(rules)
}

/// Sockets that may be opened: to ask the kernel about interfaces and addresses, and to write to a system log. A stream
/// to a service of this machine is not among them, since such a service may do for root what this process gave up.
fn sockets(network: bool, sessions: bool) -> Result<Vec<SeccompRule>, BackendError> {
    let number = |constant: i32| u64::from(constant.unsigned_abs());
    let family = |family| (0, Dword, Eq, number(family));
    let mut rules = vec![
        rule([family(AF_UNIX), (1, Dword, MaskedEq(TYPE_MASK), number(SOCK_DGRAM))])?,
        rule([family(AF_NETLINK), (2, Dword, Eq, number(NETLINK_ROUTE))])?,
    ];
    if network {
        rules.push(rule([family(AF_INET)])?);
        rules.push(rule([family(AF_INET6)])?);
    } else if sessions {
        rules.extend(udp()?);
    }
    Ok(rules)
}

/// Sockets of UDP.
fn udp() -> Result<Vec<SeccompRule>, BackendError> {
    let number = |constant: i32| u64::from(constant.unsigned_abs());
    let kind = || (1, Dword, MaskedEq(TYPE_MASK), number(SOCK_DGRAM));
    [AF_INET, AF_INET6].into_iter().map(|family| rule([(0, Dword, Eq, number(family)), kind()])).collect()
}

/// All of these conditions: the number of an argument, its width, and what it is compared with.
fn rule<const N: usize>(
    conditions: [(u8, SeccompCmpArgLen, SeccompCmpOp, u64); N],
) -> Result<SeccompRule, BackendError> {
    let conditions =
        conditions.into_iter().map(|(index, len, op, value)| SeccompCondition::new(index, len, op, value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// A call by the numbers of another architecture, such as `int 0x80`, is refused like any other: the library would have
/// it end the process.
fn refuse_foreign_calls(program: &mut BpfProgram) {
    for instruction in program {
        if instruction.code == RETURN && instruction.k == SECCOMP_RET_KILL_PROCESS {
            instruction.k = SECCOMP_RET_ERRNO | EPERM.unsigned_abs();
        }
    }
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
