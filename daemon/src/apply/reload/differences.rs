//! What a configuration asks for that can only be had by a restart: other addresses, other sockets, other limits.

use std::collections::BTreeSet;

use crate::apply::running::after_restart;
use crate::apply::steps::{Address, Place, Steps, hears, shown};
use crate::config::{Plan, Problem};

/// What to do about all of it.
const RESTART: &str = "this needs a restart; until then, or until it is taken back, nothing of the configuration is \
                       reloaded";

/// The differences, each in words.
pub(super) fn differences(before: &Plan, next: &Plan, served: &[Address], steps: &Steps) -> Vec<Problem> {
    let mut problems: Vec<Problem> = after_restart(before, next)
        .into_iter()
        .map(|key| problem(format!("`{key}` differs from what the daemon was started with")))
        .collect();
    let mut told = BTreeSet::new();
    for number in &steps.remove {
        let Some(place) = served.get(*number).map(|address| address.place) else { continue };
        if let Some((listen, bind)) = place.of(before).filter(|_| told.insert(place.tag())) {
            let address = bind.addresses().next().map_or_else(String::new, |first| shown(bind, first));
            problems.push(problem(format!(
                "listener `{}`: {address} is served, and no listener of the configuration does so any more",
                listen.name
            )));
        }
    }
    told.clear();
    for address in &steps.add {
        if let Some((listen, bind)) = address.place.of(next).filter(|_| told.insert(address.place.tag())) {
            let title =
                format!("listener `{}`: {} is not served so far", listen.name, shown(bind, address.asked));
            problems.push(problem(title).at(&bind.span, "a new address"));
        }
    }
    told.clear();
    for (number, address) in &steps.change {
        let Some(was) = served.get(*number).map(|address| address.place) else { continue };
        let place = address.place;
        let keys = of_sockets((before, was), (next, place));
        if let Some((listen, bind)) = place.of(next).filter(|_| !keys.is_empty() && told.insert(place.tag()))
        {
            let title = format!(
                "listener `{}`: its socket was made with another `{}`",
                listen.name,
                keys.join("`, `")
            );
            problems.push(problem(title).at(&bind.span, "of this address"));
        }
    }
    problems
}

/// Something that can only be had by a restart.
pub(super) fn problem(title: String) -> Problem {
    Problem::new("needs-restart", title).help(RESTART)
}

/// The keys in which two listeners differ, of those that are settings of their sockets.
fn of_sockets((before, was): (&Plan, Place), (next, place): (&Plan, Place)) -> Vec<&'static str> {
    let (Some((old, bound)), Some((new, bind))) = (was.of(before), place.of(next)) else { return Vec::new() };
    let keys = [
        ("recv_buffer", old.socket.recv_buffer != new.socket.recv_buffer),
        ("send_buffer", old.socket.send_buffer != new.socket.send_buffer),
        ("share", old.socket.share != new.socket.share),
        ("broadcast", old.socket.broadcast != new.socket.broadcast),
        ("freebind", old.socket.freebind != new.socket.freebind),
        ("join", hears(old, bound) != hears(new, bind)),
        ("reply.ttl", old.reply.ttl != new.reply.ttl),
    ];
    keys.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::steps::addresses;
    use crate::config;

    fn told(old: &[&str], new: &[&str]) -> Vec<String> {
        let plan = |listen: &[&str]| {
            config::from_listen_args(&listen.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).plan
        };
        let (old, new) = (plan(old), plan(new));
        let served: Vec<_> = addresses(&old).collect();
        let steps = Steps::between(&served, &old, &new);
        differences(&old, &new, &served, &steps).into_iter().map(|problem| problem.title).collect()
    }

    #[test]
    fn each_difference_that_needs_a_restart_is_named_once() {
        let old = ["127.0.0.1:7000-7002=echo,name=a", "0.0.0.0:9=echo,name=b"];
        assert_eq!(
            told(&old, &["127.0.0.1:7000-7003=echo,name=a", "0.0.0.0:10=echo,name=b"]),
            [
                "listener `b`: 0.0.0.0:9 is served, and no listener of the configuration does so any more",
                "listener `a`: 127.0.0.1:7003-7003 is not served so far",
                "listener `b`: 0.0.0.0:10 is not served so far",
            ]
        );
        let sockets = [
            "127.0.0.1:7000-7002=echo,name=a,recv_buffer=1MiB,reply.ttl=decay",
            "0.0.0.0:9=echo,name=b,share=true",
        ];
        assert_eq!(
            told(&old, &sockets),
            [
                "listener `a`: its socket was made with another `recv_buffer`, `reply.ttl`",
                "listener `b`: its socket was made with another `share`",
            ]
        );
    }

    #[test]
    fn what_a_handler_is_made_of_needs_none() {
        let old = ["127.0.0.1:7000-7002=lossy,name=a"];
        for other in [
            "lossy,name=a,drop=1%",
            "echo,name=a",
            "lossy,name=z",
            "lossy,name=a,on_fault=exit,reply.groups=true",
        ] {
            assert_eq!(
                told(&old, &[&format!("127.0.0.1:7000-7002={other}")]),
                Vec::<String>::new(),
                "{other}"
            );
        }
    }
}
