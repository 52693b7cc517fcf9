//! Binding: every address of a plan with its groups, or none.

use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, SocketAddr};

use polyport_terminal::{Exit, counted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::groups;
use super::refused::Refused;
use super::steps::{Address, Place};
use crate::config::{Bind, Listen, Plan, Problem};
use crate::limits::{RECV_BUFFER, RECV_BUFFERS};
use crate::reactor::{BindError, PathMtuDiscovery, Pktinfo, Socket, SocketOptions, broadcast_addresses};
use crate::reply::ReplyTtl;

/// One bound socket.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) place: Place,
    pub(super) local: SocketAddr,
    pub(super) socket: Socket,
    /// What a former owner has counted.
    pub(super) kernel_drops_seen: u32,
}

/// What the sockets of a plan have around them.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The broadcast addresses of the host's networks, read when the first question needs them.
    broadcasts: OnceCell<Vec<IpAddr>>,
    /// Receive buffer of a socket for which the plan names none, bytes.
    recv_buffer: usize,
}

impl Surroundings {
    /// Those of all sockets of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let sockets = plan.sockets().max(1);
        Self { broadcasts: OnceCell::new(), recv_buffer: RECV_BUFFER.min(RECV_BUFFERS / sockets) }
    }

    /// Whether a socket can be bound to `ip` and hears only what is broadcast there.
    fn is_broadcast(&self, ip: IpAddr) -> bool {
        // The others are known without a question.
        let is_question = match ip {
            IpAddr::V4(v4) => !v4.is_unspecified() && (!v4.is_loopback() || v4.octets()[3] == 255),
            IpAddr::V6(_) => false,
        };
        is_question && self.broadcasts.get_or_init(Self::read).contains(&ip)
    }

    fn read() -> Vec<IpAddr> {
        broadcast_addresses().unwrap_or_else(|error| {
            log::warn!("the broadcast addresses of this host cannot be read: {error}");
            Vec::new()
        })
    }
}

/// Descriptors the daemon needs besides its sockets: standard streams, epoll, signal pipe, plugin files
/// while they are read, and some reserve.
pub(super) const OTHER_DESCRIPTORS: u64 = 64;

/// Binds these addresses of a plan; all failures are reported together, and then no socket is left open. `total` is how
/// many sockets there will be in all.
pub(super) fn bind(
    plan: &Plan,
    addresses: impl Iterator<Item = Address>,
    total: usize,
    around: &Surroundings,
) -> Result<Vec<Bound>, Refused> {
    raise_descriptor_limit(plan, total)?;
    let mut bound = Vec::with_capacity(addresses.size_hint().1.unwrap_or(total).min(total));
    let mut problems = plan.problems();
    let (mut exit, mut clamped) = (None, None);
    for Address { place, asked } in addresses {
        let Some((listen, bind)) = place.of(plan) else { continue };
        match open(listen, asked, around) {
            Ok((socket, local)) => {
                for problem in groups::join(listen, bind, &socket, &[]) {
                    exit = exit.or(Some(Exit::Os));
                    problems.push(problem);
                }
                if clamped != Some(place.entry) && report_buffers(listen, &socket) {
                    clamped = Some(place.entry);
                }
                bound.push(Bound { place, local, socket, kernel_drops_seen: 0 });
            }
            Err(error) => {
                exit = exit.or_else(|| Some(exit_code(&error.source)));
                problems.push(problem(listen, bind, &error));
            }
        }
    }
    match exit {
        None => Ok(bound),
        Some(exit) => Err(Refused { problems, exit }),
    }
}

/// The socket of the place `was` a second time, set up as `place` asks for. Until somebody calls [`leave_groups`] it is
/// in the groups of both. What the system cannot take back, a larger buffer for example, stays.
pub(super) fn take_over(
    socket: &Socket,
    (old, was): (&Plan, Place),
    (new, to): (&Plan, Address),
    around: &Surroundings,
) -> Result<Bound, Refused> {
    let place = to.place;
    let (Some((before, bound)), Some((listen, bind))) = (was.of(old), place.of(new)) else {
        return Err(Refused::by_system(new, &format!("{} is in neither plan", to.asked)));
    };
    let adopted = socket.duplicate(&options(listen, to.asked, around)).map_err(|error| {
        let title = format!("listener `{}`: the socket cannot be taken over: {error}", listen.name);
        Refused::at(new, [Problem::new("bind", title).at(&bind.span, "this address")])
    })?;
    let found = groups::join(listen, bind, &adopted, &groups::heard(before, bound));
    if !found.is_empty() {
        return Err(Refused::at(new, found));
    }
    let local = adopted.local_addr().unwrap_or(to.asked);
    // The listener that goes counts until it is removed: the drops of the microseconds in between count twice.
    let kernel_drops_seen = adopted.drops().ok().flatten().unwrap_or(0);
    Ok(Bound { place, local, socket: adopted, kernel_drops_seen })
}

/// Undoes what [`take_over`] did for `place` to a socket that goes on as that of `was`.
pub(super) fn give_back(
    socket: &Socket,
    (new, to): (&Plan, Address),
    (old, was): (&Plan, Address),
    around: &Surroundings,
) {
    leave_groups(socket, (new, to.place), (old, was.place));
    if let Some((listen, _)) = was.place.of(old)
        && let Err(error) = socket.duplicate(&options(listen, was.asked, around))
    {
        log::warn!("listener {}: its socket keeps settings of the refused plan: {error}", listen.name);
    }
}

/// Leaves the groups that `was` hears and `place` does not.
pub(super) fn leave_groups(socket: &Socket, (old, was): (&Plan, Place), (new, place): (&Plan, Place)) {
    let (Some((before, bound)), Some((after, bind))) = (was.of(old), place.of(new)) else { return };
    let stay = groups::heard(after, bind);
    for membership in groups::heard(before, bound).iter().filter(|group| !stay.contains(group)) {
        // A group that was never joined, or whose interface is gone, is left already.
        if let Err(error) = socket.leave_group(membership) {
            log::debug!("listener {}: cannot leave {}: {error}", before.name, membership.group);
        }
    }
}

fn open(
    listen: &Listen,
    address: SocketAddr,
    around: &Surroundings,
) -> Result<(Socket, SocketAddr), BindError> {
    let socket = Socket::bind(address, &options(listen, address, around))?;
    let local = socket.local_addr().unwrap_or(address);
    Ok((socket, local))
}

fn options(listen: &Listen, address: SocketAddr, around: &Surroundings) -> SocketOptions {
    // A server that serves strangers believes no ICMP about a path, which anybody can forge: routers cut what is too
    // long. Over IPv6 they do not, and the path has to be learnt.
    let believes = address.is_ipv6() || cfg!(not(target_os = "linux"));
    SocketOptions {
        recv_buffer: listen.socket.recv_buffer,
        recv_buffer_at_least: around.recv_buffer,
        send_buffer: listen.socket.send_buffer,
        reuse_addr: listen.socket.share,
        broadcast: listen.socket.broadcast,
        freebind: listen.socket.freebind,
        recv_hop_limit: listen.reply.ttl == ReplyTtl::Decay,
        // A socket that is bound to a broadcast address has to learn that each datagram was sent to all, and from where
        // to answer, as one that is bound to a group does.
        pktinfo: if around.is_broadcast(address.ip()) { Pktinfo::Always } else { Pktinfo::default() },
        path_mtu_discovery: if believes { None } else { Some(PathMtuDiscovery::Omit) },
        ..SocketOptions::default()
    }
}

fn problem(listen: &Listen, bind: &Bind, error: &BindError) -> Problem {
    let problem =
        Problem::new("bind", format!("listener `{}`: {error}", listen.name)).at(&bind.span, "this address");
    if cfg!(target_os = "linux") && error.source.kind() == io::ErrorKind::AddrNotAvailable {
        return problem.help("if the address comes later, set `freebind = true` for this listener");
    }
    problem
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
                "listener {}: {name}: asked for {}, got {}; raise net.core.{sysctl} or grant CAP_NET_ADMIN",
                listen.name,
                counted(size.asked.unwrap_or(0), "byte", "bytes"),
                size.got
            );
        }
    }
    buffers.recv.clamped() || buffers.send.clamped()
}

/// Raises the soft limit to the hard one; refuses a plan that needs more than that (R37).
fn raise_descriptor_limit(plan: &Plan, sockets: usize) -> Result<(), Refused> {
    let needed = sockets as u64 + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if let Some(hard) = limit.maximum.filter(|hard| *hard < needed) {
        // Who may raise the hard limit gets what the plan needs; everybody else is told.
        if setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(needed) }).is_ok() {
            return Ok(());
        }
        let title = format!(
            "{} {needed} file descriptors, and the limit is {hard}; raise it (`ulimit -n {needed}`, \
             LimitNOFILE= of a systemd unit)",
            counted(sockets, "address needs", "addresses need")
        );
        return Err(Refused::by_system(plan, &title));
    }
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit of open files stays at {:?}: {error}", limit.current);
        }
    }
    Ok(())
}
