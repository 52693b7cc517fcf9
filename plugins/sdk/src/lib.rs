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
//! // and this is its test:
//! let mut harness = polyport_plugin::testing::Harness::<Echo>::new(&[]);
//! harness.send("192.0.2.1:5000", b"hello");
//! assert_eq!(harness.sent()[0].payload, b"hello");
//! ```
//!
//! ```text
//! host --pp_batch--> export   trampolines: every call is guarded against panics      [unsafe]
//!                    convert  raw pointers become borrowed views                     [unsafe]
//!                    batch, context, metric, config: what a Handler sees             safe
//!                    testing  a host in miniature, for the plugin's own tests
//! ```
//!
//! What each side owns and may do when is written in `plugins/ABI.md`; `plugins/README.md` is the
//! tutorial.

mod batch;
#[doc(hidden)]
pub mod config;
mod context;
mod convert;
#[doc(hidden)]
pub mod export;
mod frozen;
mod guard;
mod handler;
mod macros;
mod metric;
mod random;
mod route;
pub mod testing;

pub use batch::{Batch, Datagram, Datagrams, later};
pub use config::{Config, Json, OptionType, Ratio, Size};
pub use context::{Level, Log, Setup, Why};
pub use frozen::Frozen;
pub use handler::{Error, Handler};
pub use metric::{Counter, Gauge};
pub use random::{Rng, mix, up_to};

/// The tutorial's plugin compiles, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The C interface underneath, for those who need a constant of it.
pub use polyport_abi as abi;

/// What nearly every plugin uses: `use polyport_plugin::prelude::*;`
pub mod prelude {
    pub use crate::{Batch, Config, Counter, Datagram, Error, Gauge, Handler, Level, Setup, export_plugin};

    /// `Result` of [`Handler::new`].
    pub type Result<T> = core::result::Result<T, Error>;
}
