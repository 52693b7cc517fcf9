//! Binding: every address of a plan with its groups, or none.

use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use polyport_terminal::{Exit, counted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::groups;
use super::refused::Refused;
use super::steps::{Address, Place};
use crate::broker::Maker;
use crate::config::{Bind, Listen, Plan, Problem, SocketSettings};
use crate::limits::{RECV_BUFFER, RECV_BUFFERS};
use crate::reactor::{
    BindError, Device, Membership, Needs, Outgoing, PathMtuDiscovery, Pktinfo, Socket, SocketOptions,
    broadcast_addresses, interface_index,
};
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

    /// What a listener's receive buffer is asked for, bytes.
    pub(super) fn receive_buffer_of(&self, listen: &Listen) -> usize {
        listen.socket.recv_buffer.unwrap_or(self.recv_buffer)
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

/// Binds these addresses of a plan by `maker`; all failures are reported together, and then no socket is left open.
/// `total` is how many sockets there will be in all.
pub(super) fn bind(
    plan: &Plan,
    addresses: impl Iterator<Item = Address>,
    total: usize,
    around: &Surroundings,
    maker: &mut Maker,
) -> Result<Vec<Bound>, Refused> {
    raise_descriptor_limit(plan, total)?;
    let mut bound = Vec::with_capacity(addresses.size_hint().1.unwrap_or(total).min(total));
    let mut problems = plan.problems();
    let (mut exit, mut clamped) = (None, None);
    let mut addresses = addresses.filter(|address| address.place.of(plan).is_some()).peekable();
    while addresses.peek().is_some() {
        let some: Vec<Address> = addresses.by_ref().take(Maker::MOST).collect();
        let orders = some.iter().filter_map(|Address { place, asked }| {
            let (listen, bind) = place.of(plan)?;
            Some((*asked, options(listen, bind, *asked, around)))
        });
        let made = maker.make(&orders.collect::<Vec<_>>()).map_err(|error| {
            let at = some.first().and_then(|address| Some((address.place.of(plan)?.1, address.asked)));
            let problem = Problem::new("bind", format!("no socket can be made: {error}"));
            Refused::at(
                plan,
                [at.into_iter().fold(problem, |it, (bind, _)| it.at(&bind.span, "for this address"))],
            )
        })?;
        for (Address { place, asked }, made) in some.into_iter().zip(made) {
            let Some((listen, bind)) = place.of(plan) else { continue };
            match made {
                Ok(socket) => {
                    let local = local(&socket, asked);
                    // What somebody else still reads is in the groups of before.
                    let joined = if socket.is_shared() {
                        Vec::new()
                    } else {
                        groups::join(listen, bind, &socket, &[])
                    };
                    for problem in joined {
                        exit = exit.or(Some(Exit::Os));
                        problems.push(problem);
                    }
                    if clamped != Some(place.entry) && report_buffers(listen, &socket) {
                        clamped = Some(place.entry);
                    }
                    let kernel_drops_seen =
                        if maker.is_used() { socket.drops().ok().flatten().unwrap_or(0) } else { 0 };
                    bound.push(Bound { place, local, socket, kernel_drops_seen });
                }
                Err(error) => {
                    exit = exit.or_else(|| Some(exit_code(&error.source)));
                    problems.push(problem(listen, bind, &error, maker));
                }
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
    let adopted = socket.duplicate(&options(listen, bind, to.asked, around)).map_err(|error| {
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

/// Sees whether a socket that another daemon still has can be set up as `to` asks for, by one of its own at any port.
///
/// # Errors
/// What cannot be had.
#[cfg(target_os = "linux")]
pub(super) fn rehearse(plan: &Plan, to: Address, options: &SocketOptions) -> Result<(), Vec<Problem>> {
    let Some((listen, bind)) = to.place.of(plan) else { return Ok(()) };
    let anywhere = SocketAddr::new(to.asked.ip(), 0);
    let socket =
        Socket::bind(anywhere, options).map_err(|error| vec![problem(listen, bind, &error, &Maker::Here)])?;
    let found = groups::join(listen, bind, &socket, &[]);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Leaves of these groups, in which a socket is, those that `place` does not hear.
pub(super) fn leave_others(socket: &Socket, joined: &[Membership], (plan, place): (&Plan, Place)) {
    let Some((listen, bind)) = place.of(plan) else { return };
    let stay = groups::heard(listen, bind);
    for membership in joined.iter().filter(|group| !stay.contains(group)) {
        // A group that was never joined, or whose interface is gone, is left already.
        if let Err(error) = socket.leave_group(membership) {
            log::debug!("listener {}: cannot leave {}: {error}", listen.name, membership.group);
        }
    }
}

/// Undoes what [`take_over`] did for `place` to a socket that goes on as that of `was`.
pub(super) fn give_back(
    socket: &Socket,
    (new, to): (&Plan, Address),
    (old, was): (&Plan, Address),
    around: &Surroundings,
) {
    leave_groups(socket, (new, to.place), (old, was.place));
    if let Some((listen, bind)) = was.place.of(old)
        && let Err(error) = socket.duplicate(&options(listen, bind, was.asked, around))
    {
        log::warn!("listener {}: its socket keeps settings of the refused plan: {error}", listen.name);
    }
}

/// Leaves the groups that `was` hears and `place` does not.
pub(super) fn leave_groups(socket: &Socket, (old, was): (&Plan, Place), (new, place): (&Plan, Place)) {
    let Some((before, bound)) = was.of(old) else { return };
    leave_others(socket, &groups::heard(before, bound), (new, place));
}

/// Other options and groups for the socket of an address that serves, and those it has.
#[derive(Debug)]
pub(super) struct Tuning {
    was: Place,
    pub(super) to: Place,
    before: SocketOptions,
    after: SocketOptions,
}

impl Tuning {
    /// From an address of the old plan to the same of the new one.
    pub(super) fn new(
        (old, was): (&Plan, Address),
        (new, to): (&Plan, Address),
        around: &Surroundings,
    ) -> Option<Self> {
        let ((before, bound), (after, bind)) = (was.place.of(old)?, to.place.of(new)?);
        Some(Self {
            was: was.place,
            to: to.place,
            before: options(before, bound, was.asked, around),
            after: options(after, bind, to.asked, around),
        })
    }

    /// Gives them to the socket. It stays in the groups of before, until they are [left](Self::leave).
    ///
    /// # Errors
    /// What cannot be had; then the socket is to be given back what it had.
    pub(super) fn tune(&self, socket: &mut Socket, old: &Plan, new: &Plan) -> Result<(), Vec<Problem>> {
        let (Some((before, bound)), Some((listen, bind))) = (self.was.of(old), self.to.of(new)) else {
            return Ok(());
        };
        if let Err(error) = socket.set_options(&self.after) {
            let title = format!("listener `{}`: its socket cannot be set up: {error}", listen.name);
            return Err(vec![Problem::new("bind", title).at(&bind.span, "of this address")]);
        }
        report_buffers(listen, socket);
        let found = groups::join(listen, bind, socket, &groups::heard(before, bound));
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Takes it back.
    pub(super) fn give_back(&self, socket: &mut Socket, old: &Plan, new: &Plan) {
        leave_groups(socket, (new, self.to), (old, self.was));
        if let Err(error) = socket.set_options(&self.before) {
            let name = self.was.of(old).map_or("", |(listen, _)| &listen.name);
            log::warn!("listener {name}: its socket keeps settings of the refused plan: {error}");
        }
    }

    /// Leaves the groups of before.
    pub(super) fn leave(&self, socket: &Socket, old: &Plan, new: &Plan) {
        leave_groups(socket, (old, self.was), (new, self.to));
    }
}

/// Where a socket is that was bound to `asked`.
fn local(socket: &Socket, asked: SocketAddr) -> SocketAddr {
    let mut local = socket.local_addr().unwrap_or(asked);
    // That of an interface which is not there means nothing.
    if let (SocketAddr::V6(local), SocketAddr::V6(asked)) = (&mut local, asked) {
        local.set_scope_id(asked.scope_id());
    }
    local
}

/// The options of a socket that is bound to `address`.
pub(super) fn options(
    listen: &Listen,
    bind: &Bind,
    address: SocketAddr,
    around: &Surroundings,
) -> SocketOptions {
    // A server that serves strangers believes no ICMP about a path, which anybody can forge: routers cut what is too
    // long. Over IPv6 they do not, and the path has to be learnt.
    let believes = address.is_ipv6() || cfg!(not(target_os = "linux"));
    SocketOptions {
        recv_buffer: listen.socket.recv_buffer,
        recv_buffer_at_least: around.recv_buffer,
        send_buffer: listen.socket.send_buffer,
        reuse_addr: listen.socket.share,
        broadcast: listen.socket.broadcast,
        freebind: listen.socket.freebind || listen.socket.wait,
        device: device(listen, bind),
        device_later: listen.socket.wait,
        tos: listen.socket.tos,
        ttl: listen.socket.ttl,
        recv_hop_limit: listen.reply.ttl == ReplyTtl::Decay,
        // A socket that is bound to a broadcast address has to learn that each datagram was sent to all, and from where
        // to answer, as one that is bound to a group does.
        pktinfo: if around.is_broadcast(address.ip()) { Pktinfo::Always } else { Pktinfo::default() },
        path_mtu_discovery: if believes { None } else { Some(PathMtuDiscovery::Omit) },
        ..SocketOptions::default()
    }
}

/// The name of the interface that a socket is tied to: by `device`, or as its address is link-local.
fn device(listen: &Listen, bind: &Bind) -> Option<String> {
    listen.socket.device.clone().or_else(|| bind.zone.clone().filter(|_| cfg!(target_os = "linux")))
}

/// How the sockets of a listener send, those of its sessions as well: where clients are in a network of their own, there the server is
/// looked for.
pub(super) fn outgoing(listen: &Listen) -> Rc<Outgoing> {
    let SocketSettings { device, tos, ttl, .. } = &listen.socket;
    Rc::new(Outgoing { device: device.clone(), tos: *tos, ttl: *ttl })
}

/// What a listener needs of the network beside its socket.
pub(super) fn needs(listen: &Listen, bind: &Bind, socket: &Socket) -> Needs {
    // The interface may have gone since.
    let tied_to = |name: &str| {
        let index = interface_index(name).ok()?;
        (socket.device().ok().flatten() == Some(index)).then_some(index)
    };
    Needs {
        groups: groups::by_name(listen, bind),
        everywhere: groups::everywhere(listen, bind),
        device: device(listen, bind).map(|name| Device { ifindex: tied_to(&name).unwrap_or(0), name }),
        address: Some(bind.ip).filter(|ip| listen.socket.wait && !ip.is_unspecified() && !ip.is_multicast()),
    }
}

fn problem(listen: &Listen, bind: &Bind, error: &BindError, maker: &Maker) -> Problem {
    let problem =
        Problem::new("bind", format!("listener `{}`: {error}", listen.name)).at(&bind.span, "this address");
    if maker.is_limited() && error.source.kind() == io::ErrorKind::PermissionDenied {
        return problem.help(
            "a daemon in its sandbox gets new ports below 1024 by a restart only, but for those it was started with",
        );
    }
    if cfg!(target_os = "linux") && error.source.kind() == io::ErrorKind::AddrNotAvailable {
        return problem
            .help("if the address comes later, set `wait = true` or `freebind = true` for this listener");
    }
    problem
}

/// The exit code of a start that could not bind.
pub(super) fn exit_code(error: &io::Error) -> Exit {
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
pub(super) fn raise_descriptor_limit(plan: &Plan, sockets: usize) -> Result<(), Refused> {
    let needed = (sockets as u64).saturating_add(OTHER_DESCRIPTORS);
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
