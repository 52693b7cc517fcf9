//! The reactor and the real plugins in a box: simulated sockets, a simulated clock, and a seed that decides
//! what goes wrong.
//!
//! ```text
//! peers      who sends what and when
//! faults     which call fails, and how
//! world      the kernel's side: queues, edges, time; the `Io` of the reactor
//! rare       places that only bad luck leads to
//! journal    what went in and out, checked as it happens
//! oracle     the invariants after every turn and at the end
//! bench      a reactor on a world, with listeners
//! seeded     a thousand random runs
//! tapped     some of them, seen by a tap
//! visits     how much one takes, and when it ends
//! errnos     every line of the errno table, and partial sends, by hand
//! fairness   budget, rounds, batches, deadlines
//! own        what would come back to one of our own listeners
//! access     who may talk to a listener
//! decay      answers with the TTL of their request, less one
//! backlog    what a socket did not take, filled and drained again
//! broken     sockets that turn out to be none, at each place that can meet it
//! polled     listeners that are visited instead of watched
//! trains     runs of equal datagrams, in and out
//! handlers   what a handler of bad character costs
//! spent      what came from each source prefix, and what left to it
//! budget     handlers that would send more than the budget of their listener
//! sessions   handlers with sockets of their own, and the servers at the other end
//! crowds     random runs of handlers whose sessions end in every way
//! bundles    addresses that have one handler together
//! wakes      handlers that threads wake, and answers that tickets allow
//! ending     nothing new is taken, and what is due in time leaves
//! churn      listeners that come and go while others serve
//! chain      listeners in front of others of the same daemon
//! ```
//!
//! `POLYPORT_SEEDS=100000 cargo test -p polyport-tests --test sim` runs longer, `POLYPORT_SEED=n` replays one.

#[cfg(test)]
mod access;
#[cfg(test)]
mod backlog;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod bundles;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod churn;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod decay;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod errnos;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod own;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod polled;
#[cfg(test)]
mod rare;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod renewals;
#[cfg(test)]
mod seeded;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod spent;
#[cfg(test)]
mod tapped;
#[cfg(test)]
mod trains;
#[cfg(test)]
mod visits;
#[cfg(test)]
mod wakes;
#[cfg(test)]
mod world;
