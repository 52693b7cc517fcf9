//! Multicast groups on interfaces that are known by name: the kernel forgets a membership with its interface, and one that
//! comes again under the same name is another one.

use std::collections::{BTreeSet, HashMap};

use slab::Slab;

use crate::reactor::io::{Group, Io, Token};
use crate::reactor::listener::Listener;

/// The groups of all listeners that named an interface. Most listeners have none.
#[derive(Debug, Default)]
pub(crate) struct Groups(Vec<Member>);

#[derive(Debug)]
struct Member {
    token: Token,
    group: Group,
    /// It was said that the interface is gone, or that the group cannot be joined there.
    told: bool,
}

impl Groups {
    /// Notes the groups of a listener.
    pub(crate) fn add(&mut self, token: Token, groups: Vec<Group>) {
        self.0.extend(groups.into_iter().map(|group| Member { token, group, told: false }));
    }

    /// Forgets the groups of a listener.
    pub(crate) fn remove(&mut self, token: Token) {
        self.0.retain(|member| member.token != token);
    }

    /// Joins the groups again whose interface is another one now; `there` are the indices of all interfaces. One that has only
    /// another name keeps its groups.
    pub(crate) fn look<I: Io>(
        &mut self,
        io: &mut I,
        listeners: &mut Slab<Listener<I::Socket>>,
        there: &BTreeSet<u32>,
    ) {
        let mut indices: HashMap<String, Option<u32>> = HashMap::new();
        for Member { token, group, told } in &mut self.0 {
            let index = match indices.get(&group.interface) {
                Some(index) => *index,
                None => {
                    let index = io.interface_index(&group.interface);
                    indices.insert(group.interface.clone(), index);
                    index
                }
            };
            let Some(listener) = listeners.get_mut(token.index as usize) else { continue };
            let (name, ip) = (&group.interface, group.group);
            match index {
                None if there.contains(&group.ifindex) => {}
                None if !std::mem::replace(told, true) => {
                    if group.ifindex == 0 {
                        log::warn!(
                            "{listener}: there is no interface {name}; {ip} is heard when it is there"
                        );
                    } else {
                        log::warn!(
                            "{listener}: the interface {name} is gone; {ip} is heard again when it is back"
                        );
                    }
                }
                Some(index) if index != group.ifindex => {
                    match io.move_group(&mut listener.socket, group, index) {
                        Ok(()) => {
                            if group.ifindex == 0 {
                                log::info!(
                                    "{listener}: joined {ip} on the interface {name}, which is there now"
                                );
                            } else {
                                log::info!("{listener}: joined {ip} again, on another interface {name}");
                            }
                            group.ifindex = index;
                            *told = false;
                        }
                        // It may be down still. Then its addresses change when it is up.
                        Err(error) if !std::mem::replace(told, true) => {
                            log::warn!("{listener}: cannot join {ip} on the new interface {name}: {error}");
                        }
                        Err(_) => {}
                    }
                }
                _ => {}
            }
        }
    }
}
