//! The I/O of production. Only this folder names mio and `polyport-net`.
//!
//! ```text
//! io         sockets, readiness and time for the loop
//! readiness  how sockets are watched
//! alarm      the deadline of a wait
//! addresses  which addresses are the host's own
//! rest       waits of microseconds
//! clock      the only place of the daemon that reads the time
//! ```

mod addresses;
mod alarm;
mod clock;
mod io;
mod readiness;
mod rest;

pub use addresses::broadcast_addresses;
pub use clock::Clock;
pub use io::MioIo;
pub use polyport_net::{
    BindError, BindStep, Facts as SocketFacts, Inherited, InheritedSocket, Membership, PathMtuDiscovery,
    Pktinfo, Setup, SocketOptions, UdpSocket as Socket, interface_index, interface_name, take_inherited,
};
