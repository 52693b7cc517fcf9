//! Joining: every group of a listener by every socket of it that can hear it.

use std::io;
use std::net::IpAddr;

use crate::config::{Bind, Join, Listen, Problem};
use crate::reactor::{Group, Membership, Socket, interface_name};

/// The groups of `listen` that a socket bound to `bind` hears.
pub(super) fn heard(listen: &Listen, bind: &Bind) -> Vec<Membership> {
    joined_once(listen, bind).map(membership).collect()
}

/// The groups of `listen` that a socket bound to `bind` is to be in on every interface.
pub(super) fn everywhere(listen: &Listen, bind: &Bind) -> Vec<(IpAddr, Option<IpAddr>)> {
    let heard = listen.join.iter().filter(|join| join.everywhere && join.is_heard_at(bind));
    heard.map(|join| (join.group, join.source)).collect()
}

/// Those that are joined at the start, on one interface: the reactor joins those that are for every one.
fn joined_once<'a>(listen: &'a Listen, bind: &'a Bind) -> impl Iterator<Item = &'a Join> {
    listen.join.iter().filter(|join| !join.everywhere && join.is_heard_at(bind))
}

fn membership(join: &Join) -> Membership {
    Membership { group: join.group, source: join.source, ifindex: join.ifindex }
}

/// Of the groups of `listen` that a socket bound to `bind` hears, those on an interface that is known by its name.
pub(super) fn by_name(listen: &Listen, bind: &Bind) -> Vec<Group> {
    joined_once(listen, bind)
        .filter_map(|join| {
            let interface = join.interface.clone()?;
            Some(Group { group: join.group, source: join.source, interface, ifindex: join.ifindex })
        })
        .collect()
}

/// Joins the groups of `listen` that a socket bound to `bind` hears, but for those it is in already; what fails comes
/// back in words.
pub(super) fn join(listen: &Listen, bind: &Bind, socket: &Socket, already: &[Membership]) -> Vec<Problem> {
    joined_once(listen, bind)
        // One whose interface is not there waits for it.
        .filter(|join| join.ifindex > 0 || join.interface.is_none())
        .filter(|join| !already.contains(&membership(join)))
        .filter_map(|join| match socket.join_group(&membership(join)) {
            Ok(()) => {
                report(listen, bind, join);
                None
            }
            // A socket that is taken over may be in it by another name of the interface.
            Err(error) if !already.is_empty() && error.raw_os_error() == Some(libc::EADDRINUSE) => None,
            Err(error) => Some(problem(listen, bind, join, &error)),
        })
        .collect()
}

/// Routers forward nothing for a source-specific group that was joined without a source (RFC 4604, section 2.2.1), so
/// such a listener hears its own link only.
fn report(listen: &Listen, bind: &Bind, join: &Join) {
    log::debug!("listener {} {}: joined {}", listen.name, bind.text, shown(join));
    if join.source.is_none() && is_source_specific(join.group) {
        log::warn!(
            "listener {} {}: {} is a source-specific group (RFC 4607), and routers send nothing without `from SOURCE`",
            listen.name,
            bind.text,
            join.group
        );
    }
}

fn problem(listen: &Listen, bind: &Bind, join: &Join, error: &io::Error) -> Problem {
    let title = format!("listener `{}`: {} cannot join {}: {error}", listen.name, bind.text, shown(join));
    let problem =
        Problem::new("join", title).at(&join.span, "this group").also(&bind.span, "by this address");
    match advice(join, error) {
        Some(advice) => problem.help(advice),
        None => problem,
    }
}

fn advice(join: &Join, error: &io::Error) -> Option<String> {
    let text = match error.raw_os_error()? {
        libc::ENODEV | libc::EADDRNOTAVAIL if join.ifindex == 0 => {
            let write = if join.implied {
                format!("join = \"{} on INTERFACE\"", join.group)
            } else {
                "on INTERFACE".into()
            };
            format!(
                "no route leads to {}, so the system does not know the interface: write `{write}`",
                join.group
            )
        }
        libc::ENODEV | libc::EADDRNOTAVAIL | libc::ENXIO => {
            "the interface is not there, is down, or takes no groups; see `ip link`".to_owned()
        }
        libc::ENOBUFS | libc::ENOMEM => {
            "a socket takes 20 groups of IPv4, 10 sources in each, unless net.ipv4.igmp_max_memberships and \
             net.ipv4.igmp_max_msf are raised; or spread the groups over several listeners with share = true"
                .to_owned()
        }
        libc::EADDRINUSE | libc::EINVAL => {
            "the group is joined already, perhaps by another name of the interface".to_owned()
        }
        _ => return None,
    };
    Some(text)
}

/// The group as `join` has it, with the name of its interface.
fn shown(join: &Join) -> String {
    let mut text = join.group.to_string();
    if let Some(source) = join.source {
        text.push_str(&format!(" from {source}"));
    }
    if join.ifindex != 0 {
        let name = interface_name(join.ifindex).unwrap_or_else(|_| join.ifindex.to_string());
        text.push_str(&format!(" on {name}"));
    }
    text
}

/// 232/8 and `ff3x::/32` (RFC 4607, section 1).
fn is_source_specific(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[0] == 232,
        IpAddr::V6(group) => {
            let [first, second, ..] = group.segments();
            first & 0xfff0 == 0xff30 && second == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse};
    use crate::reactor::SocketOptions;

    const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };

    fn joined(joins: &str) -> (String, usize) {
        let text = format!("[[listen]]\nbind = '0.0.0.0:0'\nplugin = 'listener'\njoin = {joins}\n");
        let plan = parse(Source::new("x.toml", text)).into_result().unwrap();
        let (listen, bind) = (&plan.listen[0], &plan.listen[0].bind[0]);
        let socket = Socket::bind("0.0.0.0:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let mut problems = plan.problems();
        let failed = join(listen, bind, &socket, &[]);
        let count = failed.len();
        failed.into_iter().for_each(|problem| problems.push(problem));
        (problems.render(false), count)
    }

    #[test]
    fn groups_are_joined_by_name_by_address_and_by_source() {
        let joins = format!("['239.255.77.1 on {LOOPBACK}', '239.255.77.2 from 127.0.0.9 on 127.0.0.1']");
        assert_eq!(joined(&joins), (String::new(), 0));
    }

    #[test]
    fn a_failure_names_listener_group_interface_and_cause() {
        let (text, failed) = joined("'239.255.77.1 from 127.0.0.9 on 999999'");
        assert_eq!(failed, 1);
        for part in [
            "listener `listener`",
            "cannot join 239.255.77.1 from 127.0.0.9 on 999999:",
            "this group",
            "ip link",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_source_specific_ranges() {
        let is = |text: &str| is_source_specific(text.parse().unwrap());
        assert!(is("232.0.0.1") && is("ff35::1") && is("ff3e:0:1::1"));
        assert!(!is("239.232.0.1") && !is("ff15::1") && !is("ff35:1::1"));
    }
}
