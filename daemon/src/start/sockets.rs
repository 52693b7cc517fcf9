//! Binding: every address of a plan with its groups, or none.

use super::{Refused, groups};
use crate::config::{Bind, Listen, Plan, Problem};
use crate::reactor::{BindError, PathMtuDiscovery, Socket, SocketOptions};
use polyport_terminal::Exit;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::SocketAddr;

/// One bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    /// Index into `plan.listen`.
    pub(super) entry: usize,
    /// Index into `plan.listen[entry].bind`.
    pub(super) bind: usize,
    pub(super) local: SocketAddr,
    pub(super) socket: Socket,
}

/// Descriptors the daemon needs besides its sockets: standard streams, epoll, signal pipe, plugin files
/// while they are read, and some reserve.
const OTHER_DESCRIPTORS: u64 = 64;

/// Binds every address of the plan; all failures are reported together, and then no socket is left open.
pub(super) fn bind(plan: &Plan) -> Result<Vec<Bound>, Refused> {
    raise_descriptor_limit(plan)?;
    let mut bound = Vec::with_capacity(plan.sockets());
    let mut problems = plan.problems();
    let mut exit = None;
    for (entry, listen) in plan.listen.iter().enumerate() {
        let mut clamped = false;
        for (index, bind) in listen.bind.iter().enumerate() {
            for address in bind.addresses() {
                match open(listen, address) {
                    Ok((socket, local)) => {
                        for problem in groups::join(listen, bind, &socket) {
                            exit = exit.or(Some(Exit::Os));
                            problems.push(problem);
                        }
                        clamped = clamped || report_buffers(listen, &socket);
                        bound.push(Bound { entry, bind: index, local, socket });
                    }
                    Err(error) => {
                        exit = exit.or_else(|| Some(exit_code(&error.source)));
                        problems.push(problem(listen, bind, &error));
                    }
                }
            }
        }
    }
    match exit {
        None => Ok(bound),
        Some(exit) => Err(Refused { problems, exit }),
    }
}

/// A refusal of the operating system that belongs to no place in the configuration.
pub(super) fn os_problem(plan: &Plan, title: &str) -> Refused {
    let mut problems = plan.problems();
    problems.push(Problem::new("system", title));
    Refused { problems, exit: Exit::Os }
}

fn open(listen: &Listen, address: SocketAddr) -> Result<(Socket, SocketAddr), BindError> {
    let socket = Socket::bind(address, &options(listen, address))?;
    let local = socket.local_addr().unwrap_or(address);
    Ok((socket, local))
}

fn options(listen: &Listen, address: SocketAddr) -> SocketOptions {
    // A server that serves strangers believes no ICMP about a path, which anybody can forge: routers cut what is too
    // long. Over IPv6 they do not, and the path has to be learnt.
    let believes = address.is_ipv6() || cfg!(not(target_os = "linux"));
    SocketOptions {
        recv_buffer: listen.socket.recv_buffer,
        send_buffer: listen.socket.send_buffer,
        reuse_addr: listen.socket.share,
        broadcast: listen.socket.broadcast,
        path_mtu_discovery: if believes { None } else { Some(PathMtuDiscovery::Omit) },
        ..SocketOptions::default()
    }
}

fn problem(listen: &Listen, bind: &Bind, error: &BindError) -> Problem {
    Problem::new("bind", format!("listener `{}`: {error}", listen.name)).at(&bind.span, "this address")
}

fn exit_code(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::AddrInUse {
        Exit::Busy
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        Exit::Permission
    } else {
        Exit::Os
    }
}

/// Says once an entry when the kernel gave smaller buffers than were asked for; true when it did (R39).
fn report_buffers(listen: &Listen, socket: &Socket) -> bool {
    let Ok(buffers) = socket.buffers() else { return false };
    for (name, sysctl, size) in
        [("recv_buffer", "rmem_max", buffers.recv), ("send_buffer", "wmem_max", buffers.send)]
    {
        if size.clamped() {
            log::warn!(
                "listener {}: {name}: asked for {} bytes, got {}; raise net.core.{sysctl} or grant CAP_NET_ADMIN",
                listen.name,
                size.asked.unwrap_or(0),
                size.got
            );
        }
    }
    buffers.recv.clamped() || buffers.send.clamped()
}

/// Raises the soft limit to the hard one; refuses a plan that needs more than that (R37).
fn raise_descriptor_limit(plan: &Plan) -> Result<(), Refused> {
    let needed = plan.sockets() as u64 + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if let Some(hard) = limit.maximum.filter(|hard| *hard < needed) {
        // Who may raise the hard limit gets what the plan needs; everybody else is told.
        if setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(needed) }).is_ok() {
            return Ok(());
        }
        let title = format!(
            "{} addresses need {needed} file descriptors, and the limit is {hard}; raise it (`ulimit -n {needed}`, \
             LimitNOFILE= of a systemd unit)",
            plan.sockets()
        );
        return Err(os_problem(plan, &title));
    }
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
        }
    }
    Ok(())
}
