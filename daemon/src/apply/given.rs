//! Sockets that the service manager has bound for this process (`sd_listen_fds(3)`): which address of the plan each one serves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use polyport_terminal::{Exit, counted};
use rustix::fs::{FileType, fstat};
use rustix::net::{SocketType, getpeername, getsockname, sockopt};

use super::refused::Refused;
use super::steps::{Place, addresses};
use crate::broker::{Found, Maker, Ready};
use crate::config::{Plan, Problem, quoted};
use crate::reactor::InheritedSocket;

/// Who makes the sockets of the plan: who finds these there already.
///
/// # Errors
/// Each that cannot be served, by its name.
pub(super) fn maker(plan: &Plan, given: Vec<InheritedSocket>) -> Result<Maker, Refused> {
    if given.is_empty() {
        return Ok(Maker::Here);
    }
    let mut places: HashMap<SocketAddr, Vec<Place>> = HashMap::new();
    for address in addresses(plan).filter(|address| address.asked.port() != 0) {
        places.entry(address.asked).or_default().push(address.place);
    }
    let mut ready = Ready::new();
    let mut problems = Vec::new();
    let count = given.len();
    for socket in given {
        let InheritedSocket { number, name, fd } = socket;
        let local = match local_of(&fd) {
            Ok(local) => local,
            Err(what) => {
                problems.push(refusal(&name, number, what));
                continue;
            }
        };
        let asking = places.get(&local).map(Vec::as_slice).unwrap_or_default();
        if let Some(named) = plan.listen.iter().find(|listen| listen.name == name)
            && !asking.iter().any(|place| place.of(plan).is_some_and(|(listen, _)| listen.name == name))
        {
            let title = format!("bound to {local}, which is no address of listener {}", quoted(&named.name));
            problems.push(refusal(&name, number, &title));
            continue;
        }
        let slots = ready.entry(local).or_insert_with(|| asking.iter().map(|_| None).collect());
        // Several listeners can have one address (`share = true`): the name tells which of them is meant.
        let is_meant = |place: &Place| place.of(plan).is_some_and(|(listen, _)| listen.name == name);
        let free = |number: &usize| slots.get(*number).is_some_and(Option::is_none);
        let meant =
            (0..asking.len()).find(|number| free(number) && asking.get(*number).is_some_and(is_meant));
        let Some(at) = meant.or_else(|| (0..asking.len()).find(free)) else {
            let what = if asking.is_empty() {
                format!("bound to {local}, which no listener asks for")
            } else {
                format!("bound to {local}, for which there is a given socket already")
            };
            problems.push(refusal(&name, number, &what));
            continue;
        };
        if let Some((listen, _)) = asking.get(at).and_then(|place| place.of(plan)) {
            log::debug!("listener {} {local}: by the given socket {}", listen.name, quoted(&name));
        }
        if let Some(slot) = slots.get_mut(at) {
            *slot = Some(Found::Given(fd));
        }
    }
    if problems.is_empty() {
        log::info!("{} of the service manager", counted(count, "socket", "sockets"));
        return Ok(Maker::Ready(ready));
    }
    Err(Refused { exit: Exit::Config, ..Refused::at(plan, problems) })
}

fn refusal(name: &str, number: i32, what: &str) -> Problem {
    let title = format!("the given socket {} (descriptor {number}) is {what}", quoted(name));
    Problem::new("given", title).help(
        "each socket that the service manager gives (LISTEN_FDS) serves the listener whose address it is bound to: \
         ListenDatagram= of the .socket unit and `bind` have to say the same",
    )
}

/// Where a UDP socket is bound.
///
/// # Errors
/// What it is instead, in words.
fn local_of(fd: &OwnedFd) -> Result<SocketAddr, &'static str> {
    match fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Socket) => {}
        Ok(FileType::RegularFile) => return Err("a file"),
        Ok(FileType::Fifo) => return Err("a pipe"),
        _ => return Err("no socket"),
    }
    let kind = sockopt::socket_type(fd).map_err(|_| "a socket that tells nothing of itself")?;
    let local = getsockname(fd).ok().and_then(|local| SocketAddr::try_from(local).ok());
    let local = local.ok_or("a socket, but not of IP")?;
    match kind {
        SocketType::DGRAM if is_udp(fd) => {}
        SocketType::STREAM => {
            return Err("a TCP socket (ListenDatagram= of the .socket unit makes UDP sockets)");
        }
        _ => return Err("an IP socket, but not of UDP"),
    }
    if local.port() == 0 {
        return Err("a UDP socket that is bound to no port");
    }
    if local.is_ipv6() && !sockopt::ipv6_v6only(fd).unwrap_or(false) {
        return Err(
            "an IPv6 socket that carries IPv4 as well (BindIPv6Only=ipv6-only of the .socket unit makes one that does not)",
        );
    }
    if getpeername(fd).is_ok() {
        return Err("a UDP socket that is connected to one peer");
    }
    Ok(local)
}

#[cfg(target_os = "linux")]
fn is_udp(fd: impl AsFd) -> bool {
    sockopt::socket_protocol(fd).is_ok_and(|protocol| protocol == Some(rustix::net::ipproto::UDP))
}

/// Elsewhere a datagram socket of IP is taken for one of UDP.
#[cfg(not(target_os = "linux"))]
fn is_udp(_: impl AsFd) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::config;

    fn plan(specs: &[&str]) -> Plan {
        let reading =
            config::from_listen_args(&specs.iter().map(|spec| (*spec).to_owned()).collect::<Vec<_>>());
        assert!(reading.problems.is_empty(), "{:?}", reading.problems);
        reading.plan
    }

    fn given(number: i32, name: &str, fd: impl Into<OwnedFd>) -> InheritedSocket {
        InheritedSocket { number, name: name.to_owned(), fd: fd.into() }
    }

    fn bound() -> (UdpSocket, u16) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    }

    fn refused(plan: &Plan, given: Vec<InheritedSocket>) -> Vec<String> {
        let refused = maker(plan, given).unwrap_err();
        assert_eq!(refused.exit, Exit::Config);
        refused.problems.list().iter().map(|problem| problem.title.clone()).collect()
    }

    #[test]
    fn of_several_listeners_at_one_address_the_named_one_is_served() {
        let (socket, port) = bound();
        let spec = |name: &str| format!("127.0.0.1:{port}=discard,share=true,name={name}");
        let plan = plan(&[&spec("a"), &spec("b")]);
        let Maker::Ready(ready) = maker(&plan, vec![given(3, "b", socket)]).unwrap() else { panic!() };
        let slots = &ready[&format!("127.0.0.1:{port}").parse().unwrap()];
        assert_eq!(slots.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_its_name_all_of_it() {
        let (first, port) = bound();
        let (other, elsewhere) = bound();
        let again = first.try_clone().unwrap();
        let plan = plan(&[&format!("127.0.0.1:{port}=echo,name=dns"), "127.0.0.1:0=echo,name=any"]);
        let titles = refused(
            &plan,
            vec![
                given(3, "x", first),
                given(4, "y", again),
                given(5, "any", other),
                given(6, "tcp", TcpListener::bind("127.0.0.1:0").unwrap()),
                given(7, "file", tempfile::tempfile().unwrap()),
                given(8, "\u{1b}[2J", UdpSocket::bind("[::]:0").unwrap()),
            ],
        );
        assert_eq!(titles.len(), 5, "{titles:?}");
        assert!(titles[0].contains("`y` (descriptor 4)") && titles[0].contains("already"), "{titles:?}");
        let words = format!("bound to 127.0.0.1:{elsewhere}, which is no address of listener `any`");
        assert!(titles[1].contains(&words), "{titles:?}");
        assert!(titles[2].contains("`tcp` (descriptor 6) is a TCP socket"), "{titles:?}");
        assert!(titles[3].contains("`file` (descriptor 7) is a file"), "{titles:?}");
        assert!(titles[4].contains("carries IPv4") && !titles[4].contains('\u{1b}'), "{titles:?}");
    }
}
