//! The loop: one thread, any number of listeners, generic over the I/O it runs on.
//!
//! ```text
//! turn       poll -> ready list -> visits while the budget lasts -> timers and delayed datagrams
//! visit      receive -> admit -> handler -> settle, for one listener
//! settle     what the handler queued -> sent now, delayed, or dropped with a reason; the one way out
//! till       the budget of a listener, asked for each output
//! poison     a call that broke its handler: what is lost with it, and what the next one gets
//! grace      how far the end is
//! ending     nothing new is taken, and what waits leaves
//! lifecycle  listeners come and go, handlers break and are made again
//! quiet      listeners that are not read for a while
//! core       the reactor, and what a visit works with
//! io         what the loop needs from the world
//! errno      what each error of a socket call means
//! change/    listeners come and go, and handlers are replaced, while others serve
//! exit       what a handler is told at once of where it may send
//! waiting/   how the loop waits for more
//! session/   sockets beside a listener's that its handler asked for
//! bundle/    addresses that one handler serves together
//! listener/  one bound address with its handler: a slot of the slab
//! send/      messages -> kernel; what the socket does not take waits in a bounded backlog
//! due/       the ready list, the timers and the delayed datagrams
//! tap/       readers outside that see what enters and leaves
//! probe/     rare looks at what the hot path does not show
//! mio/       the production I/O
//! ```
//!
//! Time, randomness and I/O are arguments: [`Io`] brings sockets and the clock, the seed comes with
//! [`Reactor::new`]. The same loop runs on mio ([`MioIo`]) and in the seeded simulation of the tests.

mod bundle;
mod change;
mod core;
mod due;
mod ending;
mod errno;
mod exit;
mod grace;
mod io;
mod lifecycle;
mod listener;
mod mio;
mod poison;
mod probe;
mod quiet;
mod send;
mod session;
mod settle;
mod tap;
mod till;
mod turn;
mod visit;
mod waiting;

pub use self::core::{Held, Reactor, Shortcuts};
pub use self::mio::{
    BindError, BindStep, Clock, Inherited, InheritedSocket, Membership, MioIo, PathMtuDiscovery, Pktinfo,
    Socket, SocketOptions, broadcast_addresses, interface_index, interface_name, take_inherited,
};
pub use change::{ChangeDone, ChangeRefused, Changes, Newcomer, Wish};
pub(crate) use io::nanos;
pub use io::{
    AddressReading, Device, Dial, Event, Group, Interest, Io, Link, MOST_ERRORS, Message, Needs, NetError,
    Now, Outgoing, Received, Token, Wait,
};
pub use listener::{AddError, ListenerReport, ListenerSpec, ListenerState, OnFault, Removed};
pub use probe::{CallTimes, PeerSeen, PeersSeen};
pub use session::{SessionBook, SessionReport};
pub use turn::Flow;
