//! The filters, run as the kernel runs them.

use libc::{SECCOMP_RET_ALLOW, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOCK_STREAM};

use super::*;

/// A call as a filter sees it (`seccomp_data` of seccomp(2)).
#[derive(Clone, Copy)]
struct Call {
    number: c_long,
    arch: u32,
    /// What a filter may not look at if its verdict is to be kept in the bitmap.
    arguments: Option<[u64; 6]>,
}

/// `AUDIT_ARCH_*` of this machine, of `audit.h`.
const HERE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    0xc000_00f3
};
const I386: u32 = 0x4000_0003;
const REFUSED: u32 = SECCOMP_RET_ERRNO | EPERM.unsigned_abs();

/// What a filter returns; `None` where it looks at an argument that it may not look at.
fn run(program: &BpfProgram, call: Call) -> Option<u32> {
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let instruction = &program[at];
        let (k, jump) = (instruction.k, |taken| if taken { instruction.jt } else { instruction.jf });
        let skip = match instruction.code {
            0x20 => {
                accumulator = load(call, k)?;
                0
            }
            0x54 => {
                accumulator &= k;
                0
            }
            0x05 => k as usize,
            0x15 => jump(accumulator == k).into(),
            0x25 => jump(accumulator > k).into(),
            0x35 => jump(accumulator >= k).into(),
            RETURN => return Some(k),
            code => panic!("instruction {code:#x}"),
        };
        at += 1 + skip;
    }
}

/// Four bytes of `seccomp_data`, little endian.
fn load(call: Call, offset: u32) -> Option<u32> {
    let half =
        |number: u64, high: bool| u32::try_from(number >> (u32::from(high) * 32) & 0xffff_ffff).unwrap();
    match offset {
        0 => Some(u32::try_from(call.number).unwrap()),
        4 => Some(call.arch),
        _ => {
            let argument = usize::try_from((offset - 16) / 8).unwrap();
            Some(half(call.arguments?[argument], offset % 8 == 4))
        }
    }
}

/// What the kernel does about a call: the smallest action wins, and of two errnos that of the last filter.
fn verdict(network: bool, call: Call) -> Option<u32> {
    verdict_with(network, false, call)
}

fn verdict_with(network: bool, sessions: bool, call: Call) -> Option<u32> {
    let Program(programs) = program(network, sessions).unwrap();
    let mut verdict = SECCOMP_RET_ALLOW;
    for program in programs.iter().rev() {
        let returned = run(program, call)?;
        if returned & 0xffff_0000 < verdict & 0xffff_0000 {
            verdict = returned;
        }
    }
    Some(verdict)
}

#[track_caller]
fn expect(number: c_long, arguments: &[u64], expected: u32) {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let call = Call { number, arch: HERE, arguments: Some(all) };
    assert_eq!(verdict(false, call), Some(expected), "{number} {arguments:?}");
}

/// The kernel keeps a verdict that needs no argument, and runs no filter for that call any more.
#[test]
fn no_filter_is_run_for_the_calls_of_a_datagram() {
    #[cfg(target_arch = "x86_64")]
    let older = [libc::SYS_epoll_wait];
    #[cfg(not(target_arch = "x86_64"))]
    let older = [];
    let hot = [calls::HOT, &older].concat();
    for number in [libc::SYS_recvmmsg, libc::SYS_sendmmsg, libc::SYS_epoll_ctl, libc::SYS_timerfd_settime] {
        assert!(hot.contains(&number));
    }
    for number in hot {
        let call = Call { number, arch: HERE, arguments: None };
        assert_eq!(verdict(false, call), Some(SECCOMP_RET_ALLOW), "{number}");
    }
}

#[test]
fn what_reaches_beyond_the_process_is_refused() {
    for number in [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setuid,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_seccomp,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_send_signal,
        libc::SYS_tkill,
        libc::SYS_rt_sigqueueinfo,
        libc::SYS_mknodat,
        libc::SYS_symlinkat,
        libc::SYS_setxattr,
        libc::SYS_reboot,
        libc::SYS_clock_settime,
        libc::SYS_init_module,
        libc::SYS_open_by_handle_at,
        100_000,
    ] {
        expect(number, &[], REFUSED);
    }
}

#[test]
fn threads_are_made_and_processes_are_not() {
    let thread = u64::from(CLONE_THREAD.unsigned_abs());
    expect(SYS_clone, &[thread | 0x0f_00], SECCOMP_RET_ALLOW);
    expect(SYS_clone, &[u64::from(libc::SIGCHLD.unsigned_abs())], REFUSED);
    expect(SYS_clone3, &[], SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());
}

#[test]
fn signals_and_limits_reach_this_process_alone() {
    let own = u64::from(std::process::id());
    for number in [SYS_kill, SYS_tgkill, SYS_rt_tgsigqueueinfo] {
        expect(number, &[own], SECCOMP_RET_ALLOW);
        expect(number, &[own + 1], REFUSED);
        // All processes, or those of the group: the kernel reads 32 bits of it.
        expect(number, &[0], REFUSED);
        expect(number, &[u64::from(u32::MAX)], REFUSED);
    }
    for number in [SYS_prlimit64, SYS_sched_setaffinity] {
        expect(number, &[0], SECCOMP_RET_ALLOW);
        expect(number, &[own], SECCOMP_RET_ALLOW);
        expect(number, &[own + 1], REFUSED);
    }
    for (number, refused, fine) in [
        (SYS_fcntl, [8, 15, 10, 8], libc::F_SETFL.unsigned_abs()),
        (SYS_ioctl, [0x5412, 0x541c, 0x8901, 0x8902], 0x5401),
    ] {
        expect(number, &[3, fine.into()], SECCOMP_RET_ALLOW);
        refused.iter().for_each(|request| expect(number, &[3, *request], REFUSED));
    }
}

#[test]
fn only_sockets_that_ask_or_tell_this_machine_are_opened() {
    let number = |constant: i32| u64::from(constant.unsigned_abs());
    let open = |network, family, kind, protocol| {
        let arguments = Some([number(family), number(kind), number(protocol), 0, 0, 0]);
        verdict(network, Call { number: SYS_socket, arch: HERE, arguments }) == Some(SECCOMP_RET_ALLOW)
    };
    for network in [false, true] {
        assert!(open(network, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        assert!(!open(network, AF_UNIX, SOCK_STREAM, 0));
        assert!(open(network, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        assert!(!open(network, AF_NETLINK, SOCK_RAW, libc::NETLINK_AUDIT));
        assert!(!open(network, libc::AF_PACKET, SOCK_RAW, 0));
        assert!(!open(network, libc::AF_VSOCK, SOCK_STREAM, 0));
        for family in [AF_INET, AF_INET6] {
            assert_eq!(open(network, family, SOCK_DGRAM, 0), network);
            assert_eq!(open(network, family, SOCK_STREAM, 0), network);
        }
    }
}

#[test]
fn handlers_with_sessions_get_sockets_of_udp_and_no_others() {
    let number = |constant: i32| u64::from(constant.unsigned_abs());
    let open = |family, kind| {
        let arguments = Some([number(family), number(kind), 0, 0, 0, 0]);
        let call = Call { number: SYS_socket, arch: HERE, arguments };
        verdict_with(false, true, call) == Some(SECCOMP_RET_ALLOW)
    };
    for family in [AF_INET, AF_INET6] {
        assert!(open(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
        assert!(!open(family, SOCK_STREAM) && !open(family, SOCK_RAW));
    }
    assert!(!open(libc::AF_PACKET, SOCK_DGRAM) && !open(libc::AF_VSOCK, SOCK_DGRAM));
}

/// Calls of another architecture, such as `int 0x80`, and of x32, whose numbers have a bit of their own.
#[test]
fn nothing_ends_the_process_whatever_it_calls() {
    let foreign = Call { number: 20, arch: I386, arguments: None };
    assert_eq!(verdict(false, foreign), Some(REFUSED));
    expect(libc::SYS_read | 0x4000_0000, &[], REFUSED);
    let Program(programs) = program(false, false).unwrap();
    for program in programs {
        let kills = |action| action == SECCOMP_RET_KILL_PROCESS || action == libc::SECCOMP_RET_KILL_THREAD;
        assert!(!program.iter().any(|instruction| instruction.code == RETURN && kills(instruction.k)));
        // The limit of the kernel (`BPF_MAXINSNS`).
        assert!(program.len() <= 4096);
    }
}
