//! UDP sockets in batches, with all that a server on many addresses must know of each datagram.
//!
//! ```text
//!                    RecvBatch: headers, made once            SendBatch: headers, made once
//!                        |                                        ^
//!   kernel --recvmmsg--> memory (the caller's slots)              | SendMessage: to, from, parts, segment
//!                        |                                        |
//!                        +--> RecvMeta: peer, local, len --> your handler --> sendmmsg --> kernel
//! ```
//!
//! - [`UdpSocket::bind`] makes a socket whole: never blocking, one address family, options set, buffers asked for.
//! - [`RecvBatch::recv`] takes what waits into memory of the caller, so that one ring serves any number of sockets;
//!   [`RecvMeta::local`] says which address was asked.
//! - [`SendBatch::send`] sends each message to its own destination from its own source. The first message that the
//!   kernel refuses ends the batch and is the one the next call reports: nothing is lost unseen.
//! - Neither allocates, sleeps or blocks. Readiness is the caller's: mio, or [`wait_readable`].
//!
//! This is the only crate of polyport with system calls. Linux comes first; elsewhere batches fall back to one
//! call a datagram, and what the system lacks is `Unsupported`.
//!
//! ```
//! use std::io::IoSlice;
//! use std::time::Duration;
//! use polyport_net::{RecvBatch, SendBatch, SlotLayout, SocketOptions, SendMessage, UdpSocket, wait_readable};
//!
//! let options = SocketOptions::default();
//! let server = UdpSocket::bind("127.0.0.1:0".parse()?, &options)?;
//! let client = UdpSocket::bind("127.0.0.1:0".parse()?, &options)?;
//!
//! // Two datagrams leave with one call.
//! let to = server.local_addr()?;
//! let (first, second) = ([IoSlice::new(b"one")], [IoSlice::new(b"t"), IoSlice::new(b"wo")]);
//! let message = |parts| SendMessage { to, from: None, parts, segment: None, tos: 0, hop_limit: None };
//! let sent = SendBatch::new(32).send(&client, &[message(&first), message(&second)])?;
//! assert_eq!(sent, 2);
//!
//! // They are received with one.
//! let layout = SlotLayout::WHOLE;
//! let mut memory = vec![0; layout.memory(32)];
//! let mut batch = RecvBatch::new(32);
//! assert!(wait_readable(&server, Duration::from_secs(5))?);
//! let count = batch.recv(&server, &mut memory, layout, 32)?;
//! for (index, meta) in batch.metas().enumerate() {
//!     let datagram = layout.datagram(&memory, index, meta.len);
//!     assert_eq!(datagram, [&b"one"[..], b"two"][index]);
//!     assert_eq!(meta.peer, client.local_addr()?);
//! }
//! # assert_eq!(count, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod addresses;
mod bind_error;
mod buffers;
mod cmsg;
mod connect;
mod control;
mod description;
mod device;
mod dial;
#[cfg(target_os = "linux")]
pub mod epoll;
mod error_queue;
mod facts;
mod fragments;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod group;
mod header;
mod inherited;
mod interface;
mod layout;
mod meta;
mod offload;
mod options;
mod path_mtu;
mod recv;
mod resolve;
mod send;
mod setup;
mod share;
mod single;
mod socket;
mod sockopt;
mod sys;
mod time;
mod wait;

pub use addresses::{Link, LocalAddresses, LocalPrefix, Reading};
pub use bind_error::{BindError, BindStep};
pub use buffers::{BufferSize, Buffers};
pub use description::Description;
pub use dial::Dial;
pub use error_queue::{ErrorOrigin, QueuedError};
pub use fragments::CAN_SEND_UNFRAGMENTED;
pub use group::Membership;
pub use inherited::{Inherited, InheritedSocket, take_inherited};
pub use interface::{interface_index, interface_name};
pub use layout::{MAX_DATAGRAM, SlotLayout};
pub use meta::{Cast, Facts, Local, RecvMeta, SendMessage, Source};
pub use offload::MAX_SEGMENTS;
pub use options::{Pktinfo, SocketOptions};
pub use path_mtu::PathMtuDiscovery;
pub use recv::RecvBatch;
pub use resolve::{ResolveError, resolve};
pub use send::SendBatch;
pub use setup::Setup;
pub use socket::UdpSocket;
pub use time::{monotonic_ns, thread_cpu_ns};
pub use wait::{wait_readable, wait_writable};

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Most messages in one batch: the kernel's own limit, `UIO_MAXIOV`; it cuts longer ones silently.
pub const MAX_BATCH: usize = 1024;
