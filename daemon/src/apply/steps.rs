//! What has to be done to get from one plan to another.

use crate::config::{Bind, Listen, Plan};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// One address of a plan: `plan.listen[entry].bind[bind]`, and which of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) entry: usize,
    pub(super) bind: usize,
    /// The address that the plan asks for; port 0 is any.
    pub(super) address: SocketAddr,
}

/// Every address of a plan, in its order.
pub(super) fn places(plan: &Plan) -> impl Iterator<Item = Place> {
    plan.listen.iter().enumerate().flat_map(|(entry, listen)| {
        listen.bind.iter().enumerate().flat_map(move |(bind, range)| {
            range.addresses().map(move |address| Place { entry, bind, address })
        })
    })
}

impl Place {
    /// What the plan says of it.
    pub(super) fn of(self, plan: &Plan) -> Option<(&Listen, &Bind)> {
        let listen = plan.listen.get(self.entry)?;
        Some((listen, listen.bind.get(self.bind)?))
    }
}

/// The difference of two plans. A place of the old plan comes with its number in the list that was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Addresses that are served as before.
    pub(super) keep: Vec<usize>,
    /// Addresses that both plans serve, each in another way.
    pub(super) change: Vec<(usize, Place)>,
    /// New addresses.
    pub(super) add: Vec<Place>,
    /// Addresses that are not served any more.
    pub(super) remove: Vec<usize>,
}

impl Steps {
    /// From `served`, places of the plan `old`, to all places of the plan `new`.
    pub(super) fn between(served: &[Place], old: &Plan, new: &Plan) -> Self {
        let mut steps = Self::default();
        let mut free: HashMap<SocketAddr, VecDeque<usize>> = HashMap::with_capacity(served.len());
        for (number, place) in served.iter().enumerate() {
            free.entry(place.address).or_default().push_back(number);
        }
        // Several places can have one address: port 0, and addresses that are shared. Who stays comes first.
        let mut others = Vec::new();
        for place in places(new) {
            let candidates = free.get_mut(&place.address);
            let alike =
                |number: &usize| served.get(*number).is_some_and(|was| is_same(*was, old, place, new));
            match candidates.and_then(|all| all.remove(all.iter().position(alike)?)) {
                Some(number) => steps.keep.push(number),
                None => others.push(place),
            }
        }
        for place in others {
            match free.get_mut(&place.address).and_then(VecDeque::pop_front) {
                Some(number) => steps.change.push((number, place)),
                None => steps.add.push(place),
            }
        }
        steps.remove = free.into_values().flatten().collect();
        steps.remove.sort_unstable();
        steps
    }
}

/// Whether a listener that serves `was` also does what `place` asks for. Where a text stands, and how a listener is
/// tried, makes no difference to it.
fn is_same(was: Place, old: &Plan, place: Place, new: &Plan) -> bool {
    let (Some((before, _)), Some((after, _))) = (was.of(old), place.of(new)) else { return false };
    let options = |listen: &Listen| -> Vec<_> {
        listen.options.iter().map(|option| (option.name.clone(), option.value.clone())).collect()
    };
    before.name == after.name
        && (&before.plugin.text, &before.plugin.path) == (&after.plugin.text, &after.plugin.path)
        && options(before) == options(after)
        && before.on_fault == after.on_fault
        && has_same_socket(was, old, place, new)
}

/// Whether the socket of `was` is set up as `place` asks for.
pub(super) fn has_same_socket(was: Place, old: &Plan, place: Place, new: &Plan) -> bool {
    let (Some((before, bound)), Some((after, bind))) = (was.of(old), place.of(new)) else { return false };
    let groups = |listen: &Listen, bind: &Bind| -> Vec<_> {
        let heard = listen.join.iter().filter(|join| join.is_heard_at(bind));
        heard.map(|join| (join.group, join.source, join.ifindex)).collect()
    };
    before.socket == after.socket && groups(before, bound) == groups(after, bind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn plan(listen: &[&str]) -> Plan {
        config::from_listen_args(&listen.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).plan
    }

    /// Numbers kept, changed, added and removed between two lists of `--listen`.
    fn steps(old: &[&str], new: &[&str]) -> (Vec<usize>, Vec<usize>, Vec<u16>, Vec<usize>) {
        let (old, new) = (plan(old), plan(new));
        let served: Vec<_> = places(&old).collect();
        let Steps { keep, change, add, remove } = Steps::between(&served, &old, &new);
        let change = change.into_iter().map(|(number, _)| number).collect();
        (keep, change, add.into_iter().map(|place| place.address.port()).collect(), remove)
    }

    #[test]
    fn a_start_adds_everything_and_the_same_plan_changes_nothing() {
        let all = ["127.0.0.1:7000-7002=echo", "[::1]:7=lossy,drop=1%"];
        assert_eq!(steps(&[], &all), (vec![], vec![], vec![7000, 7001, 7002, 7], vec![]));
        assert_eq!(steps(&all, &all), (vec![0, 1, 2, 3], vec![], vec![], vec![]));
        assert_eq!(steps(&all, &[]), (vec![], vec![], vec![], vec![0, 1, 2, 3]));
    }

    #[test]
    fn only_what_differs_is_touched() {
        let old = ["127.0.0.1:7000-7002=echo,name=a"];
        let new = ["127.0.0.1:7001-7003=echo,name=a"];
        assert_eq!(steps(&old, &new), (vec![1, 2], vec![], vec![7003], vec![0]));
        for other in ["lossy,name=a", "echo,name=b", "echo,name=a,reply=length", "echo,name=a,on_fault=exit"]
        {
            let other = format!("127.0.0.1:7000-7002={other}");
            assert_eq!(steps(&old, &[&other]), (vec![], vec![0, 1, 2], vec![], vec![]), "{other}");
        }
    }

    #[test]
    fn of_several_at_one_address_those_stay_that_are_the_same() {
        let old = ["127.0.0.1:0=echo,name=a", "127.0.0.1:0=lossy,name=b"];
        let new = ["127.0.0.1:0=lossy,name=b", "127.0.0.1:0=lossy,name=c"];
        assert_eq!(steps(&old, &new), (vec![1], vec![0], vec![], vec![]));
    }

    #[test]
    fn a_socket_is_the_same_whoever_serves_it() {
        let (old, new) =
            (plan(&["127.0.0.1:7=echo"]), plan(&["127.0.0.1:7=lossy", "127.0.0.1:8=echo,share=true"]));
        let (was, now): (Vec<_>, Vec<_>) = (places(&old).collect(), places(&new).collect());
        assert!(has_same_socket(was[0], &old, now[0], &new));
        assert!(!has_same_socket(was[0], &old, now[1], &new));
    }
}
