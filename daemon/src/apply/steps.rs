//! What has to be done to get from one plan to another.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::config::{Bind, Join, Listen, Plan, RawOption};

/// A bind address or range of a plan: `plan.listen[entry].bind[bind]`. Small, since every listener keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) entry: u32,
    pub(super) bind: u32,
}

impl Place {
    /// As the tag of a listener.
    pub(super) fn tag(self) -> u64 {
        u64::from(self.entry) << 32 | u64::from(self.bind)
    }

    /// Of the tag of a listener.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a tag")]
    pub(super) fn of_tag(tag: u64) -> Self {
        Self { entry: (tag >> 32) as u32, bind: tag as u32 }
    }

    /// What the plan says of it.
    pub(super) fn of(self, plan: &Plan) -> Option<(&Listen, &Bind)> {
        let listen = plan.listen.get(self.entry as usize)?;
        Some((listen, listen.bind.get(self.bind as usize)?))
    }
}

/// One address of a place, as the plan asks for it; port 0 is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) asked: SocketAddr,
}

/// Every address of a plan, in its order.
pub(super) fn addresses(plan: &Plan) -> impl Iterator<Item = Address> {
    (0..).zip(&plan.listen).flat_map(|(entry, listen)| {
        (0..).zip(&listen.bind).flat_map(move |(bind, range)| {
            let place = Place { entry, bind };
            range.addresses().map(move |asked| Address { place, asked })
        })
    })
}

/// An address as a plan means it: an interface that was given by its name is the same when it has another index.
type Spot<'a> = (IpAddr, u16, Result<&'a str, u32>);

fn spot<'a>(address: &Address, plan: &'a Plan) -> Spot<'a> {
    let zone = address.place.of(plan).and_then(|(_, bind)| bind.zone.as_deref());
    let scope_id = if let SocketAddr::V6(six) = address.asked { six.scope_id() } else { 0 };
    (address.asked.ip(), address.asked.port(), zone.ok_or(scope_id))
}

/// The address that was bound, or the range.
pub(super) fn shown(bind: &Bind, first: SocketAddr) -> String {
    if bind.count() == 1 { first.to_string() } else { format!("{first}-{}", bind.last) }
}

/// The difference of two plans. An address of the old plan is the number it has in the list that was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Served as before, though its place in the new plan may be another one.
    pub(super) keep: Vec<(usize, Place)>,
    /// Addresses that both plans serve, each in another way.
    pub(super) change: Vec<(usize, Address)>,
    /// New addresses.
    pub(super) add: Vec<Address>,
    /// Addresses that are not served any more.
    pub(super) remove: Vec<usize>,
}

impl Steps {
    /// From `served`, addresses of the plan `old`, to all addresses of the plan `new`.
    pub(super) fn between(served: &[Address], old: &Plan, new: &Plan) -> Self {
        let mut steps = Self::default();
        let mut free: HashMap<Spot<'_>, VecDeque<usize>> = HashMap::with_capacity(served.len());
        for (number, address) in served.iter().enumerate() {
            free.entry(spot(address, old)).or_default().push_back(number);
        }
        // Several listeners can have one address: port 0, and addresses that are shared. Who stays comes first.
        let mut others = Vec::new();
        // The ports of a range are alike: one comparison for each pair of ranges.
        let mut compared: HashMap<(Place, Place), bool> = HashMap::new();
        for address in addresses(new) {
            let is_alike = |number: &usize| {
                let Some(was) = served.get(*number) else { return false };
                let pair = (was.place, address.place);
                *compared.entry(pair).or_insert_with(|| is_same(pair.0, old, pair.1, new))
            };
            let candidates = free.get_mut(&spot(&address, new));
            match candidates.and_then(|all| all.remove(all.iter().position(is_alike)?)) {
                Some(number) => steps.keep.push((number, address.place)),
                None => others.push(address),
            }
        }
        for address in others {
            match free.get_mut(&spot(&address, new)).and_then(VecDeque::pop_front) {
                Some(number) => steps.change.push((number, address)),
                None => steps.add.push(address),
            }
        }
        steps.remove = free.into_values().flatten().collect();
        steps.remove.sort_unstable();
        steps
    }

    /// Takes listeners whose addresses have one handler as a whole: where one address is added, removed or changed, the others get the new handler as well. `was_whole` and `is_whole` know such listeners by their numbers in the
    /// two plans.
    pub(super) fn whole(
        mut self,
        served: &[Address],
        was_whole: impl Fn(u32) -> bool,
        is_whole: impl Fn(u32) -> bool,
    ) -> Self {
        let entry_of = |number: &usize| served.get(*number).map(|address| address.place.entry);
        loop {
            let changed = self.change.iter().map(|(number, _)| number).chain(&self.remove);
            let old: HashSet<u32> = changed.filter_map(entry_of).filter(|entry| was_whole(*entry)).collect();
            let changed = self.change.iter().map(|(_, address)| address).chain(&self.add);
            let new: HashSet<u32> =
                changed.map(|address| address.place.entry).filter(|entry| is_whole(*entry)).collect();
            let (more, keep): (Vec<_>, _) =
                std::mem::take(&mut self.keep).into_iter().partition(|(number, place): &(usize, Place)| {
                    entry_of(number).is_some_and(|entry| old.contains(&entry)) || new.contains(&place.entry)
                });
            self.keep = keep;
            if more.is_empty() {
                return self;
            }
            let changing = more.into_iter().filter_map(|(number, place)| {
                Some((number, Address { place, asked: served.get(number)?.asked }))
            });
            self.change.extend(changing);
        }
    }
}

/// Whether a listener that serves `was` also does what `place` asks for. Where a text stands, and how a listener is
/// tried, makes no difference to it.
fn is_same(was: Place, old: &Plan, place: Place, new: &Plan) -> bool {
    let (Some((before, _)), Some((after, _))) = (was.of(old), place.of(new)) else { return false };
    before.name == after.name
        && (&before.plugin.text, &before.plugin.path) == (&after.plugin.text, &after.plugin.path)
        && has_same_options(before, after)
        && before.on_fault == after.on_fault
        && before.sessions == after.sessions
        && before.chain == after.chain
        && before.access == after.access
        && before.reply == after.reply
        && has_same_socket(was, old, place, new)
}

/// Whether the same is written for a plugin, in whatever order.
pub(super) fn has_same_options(before: &Listen, after: &Listen) -> bool {
    let is_equal = |(a, b): (&&RawOption, &&RawOption)| (&a.name, &a.value) == (&b.name, &b.value);
    let (options, new_options) = (sorted(before), sorted(after));
    options.len() == new_options.len() && options.iter().zip(&new_options).all(is_equal)
}

/// The options of a listener by name: their order says nothing.
fn sorted(listen: &Listen) -> Vec<&RawOption> {
    let mut options: Vec<_> = listen.options.iter().collect();
    options.sort_by(|a, b| a.name.cmp(&b.name));
    options
}

/// Whether the socket of `was` is set up as `place` asks for.
fn has_same_socket(was: Place, old: &Plan, place: Place, new: &Plan) -> bool {
    let (Some((before, bound)), Some((after, bind))) = (was.of(old), place.of(new)) else { return false };
    before.socket == after.socket && hears(before, bound) == hears(after, bind)
}

/// A group with its source, and where it is heard: everywhere, or on an interface that has a name or else an index.
type Heard<'a> = (IpAddr, Option<IpAddr>, bool, Result<&'a str, u32>);

/// The groups that a bind address hears. An interface that was given by its name is the same when it has another index.
pub(super) fn hears<'a>(listen: &'a Listen, bind: &Bind) -> Vec<Heard<'a>> {
    let heard = listen.join.iter().filter(|join| join.is_heard_at(bind));
    let place = |join: &'a Join| join.interface.as_deref().ok_or(join.ifindex);
    heard.map(|join| (join.group, join.source, join.everywhere, place(join))).collect()
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
        let served: Vec<_> = addresses(&old).collect();
        let Steps { keep, change, add, remove } = Steps::between(&served, &old, &new);
        let keep = keep.into_iter().map(|(number, _)| number).collect();
        let change = change.into_iter().map(|(number, _)| number).collect();
        (keep, change, add.into_iter().map(|address| address.asked.port()).collect(), remove)
    }

    #[test]
    fn a_start_adds_everything_and_the_same_plan_changes_nothing() {
        let all = ["127.0.0.1:7000-7002=echo", "[::1]:7=lossy,loss=1%"];
        assert_eq!(steps(&[], &all), (vec![], vec![], vec![7000, 7001, 7002, 7], vec![]));
        assert_eq!(steps(&all, &all), (vec![0, 1, 2, 3], vec![], vec![], vec![]));
        assert_eq!(steps(&all, &[]), (vec![], vec![], vec![], vec![0, 1, 2, 3]));
    }

    #[test]
    fn only_what_differs_is_touched() {
        let old = ["127.0.0.1:7000-7002=echo,name=a"];
        let new = ["127.0.0.1:7001-7003=echo,name=a"];
        assert_eq!(steps(&old, &new), (vec![1, 2], vec![], vec![7003], vec![0]));
        for other in [
            "lossy,name=a",
            "echo,name=b",
            "echo,name=a,reply=length",
            "echo,name=a,on_fault=exit",
            "echo,name=a,reply.groups=true",
            "echo,name=a,listen.allow=10.0.0.0/8",
        ] {
            let other = format!("127.0.0.1:7000-7002={other}");
            assert_eq!(steps(&old, &[&other]), (vec![], vec![0, 1, 2], vec![], vec![]), "{other}");
        }
    }

    #[test]
    fn a_listener_with_one_handler_is_touched_as_a_whole_or_not_at_all() {
        let old = plan(&["127.0.0.1:7000-7002=echo,name=a", "127.0.0.1:8000-8001=echo,name=b"]);
        let new = plan(&["127.0.0.1:7000-7003=echo,name=a", "127.0.0.1:8000-8001=echo,name=b"]);
        let served: Vec<_> = addresses(&old).collect();
        let steps = |was: bool, is: bool| {
            let steps = Steps::between(&served, &old, &new).whole(&served, |_| was, |_| is);
            let numbers = |of: &[(usize, Place)]| of.iter().map(|(number, _)| *number).collect::<Vec<_>>();
            let change: Vec<_> = steps.change.iter().map(|(number, _)| *number).collect();
            (numbers(&steps.keep), change, steps.add.len())
        };
        assert_eq!(steps(false, false), (vec![0, 1, 2, 3, 4], vec![], 1));
        assert_eq!(steps(false, true), (vec![3, 4], vec![0, 1, 2], 1));
        // Only one that goes or changes concerns the handler that was.
        assert_eq!(steps(true, false).1, Vec::<usize>::new());
        let fewer = plan(&["127.0.0.1:7000-7001=echo,name=a", "127.0.0.1:8000-8001=echo,name=b"]);
        let steps = Steps::between(&served, &old, &fewer).whole(&served, |_| true, |_| false);
        assert_eq!((steps.keep.len(), steps.change.len(), steps.remove), (2, 2, vec![2]));
    }

    #[test]
    fn of_several_at_one_address_those_stay_that_are_the_same() {
        let old = ["127.0.0.1:0=echo,name=a", "127.0.0.1:0=lossy,name=b"];
        let new = ["127.0.0.1:0=lossy,name=b", "127.0.0.1:0=lossy,name=c"];
        assert_eq!(steps(&old, &new), (vec![1], vec![0], vec![], vec![]));
    }

    #[test]
    fn the_order_of_options_makes_no_difference() {
        let (old, new) = (["127.0.0.1:7=lossy,loss=1%,seed=3"], ["127.0.0.1:7=lossy,seed=3,loss=1%"]);
        assert_eq!(steps(&old, &new).0, [0]);
    }

    #[test]
    fn who_stays_learns_its_new_place() {
        let (old, new) =
            (plan(&["127.0.0.1:7=echo,name=a"]), plan(&["127.0.0.1:8=echo", "127.0.0.1:7=echo,name=a"]));
        let served: Vec<_> = addresses(&old).collect();
        let place = Place { entry: 1, bind: 0 };
        assert_eq!(Steps::between(&served, &old, &new).keep, [(0, place)]);
        assert_eq!(
            Place::of_tag(Place { entry: 7, bind: u32::MAX }.tag()),
            Place { entry: 7, bind: u32::MAX }
        );
    }

    /// An interface that has gone and come again has another index, and is the same for who named it.
    #[test]
    fn an_interface_with_another_index_is_no_change() {
        const LOOPBACK: &str = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        let listen = format!("[fe80::1%{LOOPBACK}]:7=echo");
        let group = format!("[::]:8=listener,join=ff15::9 on {LOOPBACK}");
        let (old, mut new) = (plan(&[&listen, &group]), plan(&[&listen, &group]));
        new.listen[0].bind[0].scope_id += 1;
        new.listen[1].join[0].ifindex += 1;
        let served: Vec<_> = addresses(&old).collect();
        assert_eq!(Steps::between(&served, &old, &new).keep.len(), 2);
        new.listen[0].bind[0].zone = None;
        new.listen[1].join[0].interface = None;
        let steps = Steps::between(&served, &old, &new);
        assert_eq!((steps.keep.len(), steps.change.len(), steps.add.len(), steps.remove), (0, 1, 1, vec![0]));
    }

    #[test]
    fn another_way_to_set_up_a_socket_is_a_change() {
        const FREEBIND: &str = if cfg!(target_os = "linux") { "freebind=true" } else { "share=true" };
        const DEVICE: &str = if cfg!(target_os = "linux") { "listen.device=lo" } else { "share=true" };
        const WAIT: &str = if cfg!(target_os = "linux") { "listen.wait=true" } else { "share=true" };
        let old = ["0.0.0.0:7=listener,name=a"];
        for more in [
            "recv_buffer=1MiB",
            "send_buffer=1MiB",
            "share=true",
            "broadcast=true",
            "join=239.1.2.3",
            "join=239.1.2.3 on *",
            "listen.tos=ef",
            "listen.ttl=9",
            FREEBIND,
            DEVICE,
            WAIT,
        ] {
            let new = format!("0.0.0.0:7=listener,name=a,{more}");
            assert_eq!(steps(&old, &[&new]), (vec![], vec![0], vec![], vec![]), "{more}");
        }
    }
}
