//! What can be said of a library without running any of its code, and what the search path offers.
//!
//! ```text
//! elf          sections, addresses and texts of an ELF file, each with a bound
//! table        the exported table as it lies in the file: options and functions
//! parts        compilers, libraries that it needs, symbols that it exports
//! inspection   all of it, and whether this polyport would load the library
//! offers       every name that the search path leads to a plugin
//! ```
//!
//! Options and functions are static data, so they are read from the file: the linker's relocations are applied to a copy of
//! the bytes. Metrics and facts are asked for in `create`, so they are known only of a plugin that runs.

mod elf;
mod inspection;
mod offers;
mod parts;
mod table;

pub use inspection::{File, Inspection};
pub use offers::{Offer, Offers, Shadowed};
pub use parts::Parts;
pub use table::Table;
