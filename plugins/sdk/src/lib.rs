//! What the author of a polyport plugin imports.
//!
//! A plugin is a type that implements [`Handler`], in a library whose crate type is `cdylib`. This is a
//! complete one:
//!
//! ```standalone_crate
//! use polyport_plugin::prelude::*;
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Config = ();
//!
//!     fn new((): (), _: &mut Setup) -> Result<Self> {
//!         Ok(Echo)
//!     }
//!
//!     fn on_batch(&mut self, batch: &mut Batch) {
//!         for datagram in batch {
//!             datagram.echo();
//!         }
//!     }
//! }
//!
//! export_plugin!(Echo, "Sends every datagram back to its sender");
//!
//! // And this is its test:
//! let mut harness = polyport_plugin::testing::Harness::<Echo>::new(&[]);
//! harness.send("192.0.2.1:5000", b"hello");
//! assert_eq!(harness.sent()[0].payload, b"hello");
//! ```
//!
//! A call of the host comes in at the top of this list and goes down; so do the imports, and never up:
//!
//! ```text
//! testing          a host in miniature, for the plugin's own tests                     [unsafe]
//! export           trampolines: every call is guarded against panics                   [unsafe]
//! handler          the trait that a plugin implements
//! batch            what a handler gets: a batch,
//! datagram           and the datagrams in it
//! context          what it may ask of the host while it is made
//! metric, random   counters and gauges; numbers that repeat
//! session          sockets beside the listener's, and what becomes of them
//! reservation      what the handler keeps, in the host's books
//! remote           what its threads may do; tickets for later answers
//! convert          raw pointers of the host become borrowed views                      [unsafe]
//! host             the host's functions, called safely                                 [unsafe]
//! config, macros   the options of a plugin as a struct
//! opt, error       one option as it is declared; why a plugin refuses                  [unsafe: opt]
//! leaves           session_id, queued, facts, value, text, level, line, route, time, guard                       [unsafe: text]
//! ```
//!
//! What each side owns and may do when is written in `plugins/ABI.md` of the repository; `plugins/README.md` there is the
//! tutorial.

mod batch;
#[doc(hidden)]
pub mod config;
mod context;
mod convert;
mod datagram;
mod default;
mod error;
#[doc(hidden)]
pub mod export;
mod facts;
mod follow;
mod guard;
mod handler;
mod host;
mod level;
mod line;
mod macros;
mod metric;
mod opt;
mod parts;
mod queued;
mod random;
mod remote;
mod reservation;
mod route;
mod session;
mod session_id;
mod table;
pub mod testing;
mod text;
mod time;
mod value;

pub use batch::{Batch, Datagrams, Proved};
pub use config::{Config, Json, OptionType, Ratio, Size};
pub use context::{Log, Setup, Why};
pub use datagram::{Datagram, Frozen};
pub use error::Error;
pub use facts::Facts;
pub use handler::Handler;
pub use level::Level;
pub use metric::{Counter, Gauge};
pub use queued::{Queued, Refusal};
pub use random::{Rng, mix, up_to};
pub use remote::{Logger, Ticket, Waker};
pub use reservation::{Places, Reservation};
pub use session::{Closed, End, Event, NetError, NetErrorKind, OldSession, Report, Session, Traffic};
pub use session_id::SessionId;
pub use table::{Chunked, GradualMap, Recent};
pub use time::later;

/// The example of the README runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The C interface underneath, for those who need a constant of it.
pub use polyport_abi as abi;

/// What nearly every plugin uses: `use polyport_plugin::prelude::*;`
pub mod prelude {
    pub use crate::{
        Batch, Config, Counter, Datagram, Error, Gauge, Handler, Level, Setup, Ticket, Waker,
        describe_plugin, export_plugin,
    };

    /// `Result` of [`Handler::new`].
    pub type Result<T> = core::result::Result<T, Error>;
}
