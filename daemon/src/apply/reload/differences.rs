//! What a configuration asks for that can only be had by a restart, and where two differ in their sockets.

use crate::apply::restart::after_restart;
use crate::apply::steps::{Place, hears};
use crate::config::{Plan, Problem};

/// What to do about all of it.
const RESTART: &str = "this needs a restart; until then, or until it is taken back, nothing of the configuration is \
                       reloaded";

/// The differences that need a restart, each in words.
pub(super) fn differences(before: &Plan, next: &Plan) -> Vec<Problem> {
    let keys = after_restart(before, next).into_iter();
    keys.map(|key| problem(format!("`{key}` differs from what the daemon was started with"))).collect()
}

/// Something that can only be had by a restart.
pub(super) fn problem(title: String) -> Problem {
    Problem::new("needs-restart", title).help(RESTART)
}

/// Something that can only be had by a restart, where no configuration asks for it.
pub(super) fn only_by_restart(title: String) -> Problem {
    Problem::new("needs-restart", title).help("a configuration that says so does it, by a restart")
}

/// Whether the sockets of two listeners are set up in different ways.
pub(super) fn sockets_differ((before, was): (&Plan, Place), (next, place): (&Plan, Place)) -> bool {
    let (Some((old, bound)), Some((new, bind))) = (was.of(before), place.of(next)) else { return false };
    old.socket != new.socket || hears(old, bound) != hears(new, bind) || old.reply.ttl != new.reply.ttl
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn plan(listen: &str, other: &str) -> Plan {
        let mut plan = config::from_listen_args(&[listen.to_owned()]).plan;
        if !other.is_empty() {
            plan.seed = Some(7);
        }
        plan
    }

    #[test]
    fn what_the_daemon_itself_was_started_with_needs_a_restart_and_no_address_does() {
        let told = |a: &Plan, b: &Plan| -> Vec<String> {
            differences(a, b).into_iter().map(|problem| problem.title).collect()
        };
        let (old, new) = (plan("127.0.0.1:7000=echo", ""), plan("127.0.0.1:7001-7009=echo", ""));
        assert_eq!(told(&old, &new), Vec::<String>::new());
        let seeded = plan("127.0.0.1:7000=echo", "seed");
        assert_eq!(told(&old, &seeded), ["`seed` differs from what the daemon was started with"]);
    }

    #[test]
    fn settings_of_sockets_are_told_from_others() {
        let first = Place { entry: 0, bind: 0 };
        let differ = |other: &str| {
            let (old, new) = (plan("0.0.0.0:7000=echo", ""), plan(&format!("0.0.0.0:7000={other}"), ""));
            sockets_differ((&old, first), (&new, first))
        };
        for same in ["echo", "lossy,loss=1%", "echo,name=z", "echo,on_fault=exit,reply.groups=true"] {
            assert!(!differ(same), "{same}");
        }
        for other in ["recv_buffer=1MiB", "reply.ttl=decay", "share=true", "join=239.1.1.1 on lo"] {
            assert!(differ(&format!("echo,{other}")), "{other}");
        }
    }
}
