//! The one table of keys: what may stand in `polyport.toml`, and where. Whoever reads a table of the file takes the names that
//! it knows from here, and all that is written about keys is made of it.
//!
//! ```text
//! form      what a key is, and which values it takes, in words
//! table     every key
//! explain   what is said of one key, or of all
//! template  a file with every key, commented out
//! schema    the same for editors (JSON Schema)
//! page      the same as tables of a document
//! manual    the same as a page of the manual
//! ```

mod explain;
mod form;
mod manual;
mod page;
mod schema;
mod table;
mod template;

pub use explain::{explain, list};
pub(super) use form::named;
pub use form::{Form, Key, Place, Usual};
pub use manual::manual;
pub use page::page;
pub use schema::schema;
pub use table::all;
pub(super) use table::{LIMITS, LISTEN, REPLY, SANDBOX, TOP};
pub use template::template;
