//! Tables for what strangers decide about: none of them does much at once, however large it has grown.
//!
//! A hash table of the standard library moves all its entries when it grows: with 65,536 of them that is milliseconds in one
//! call, in which no other listener is served.

mod chunked;
mod gradual;
mod gradual_map;
mod recent;

pub use chunked::Chunked;
pub use gradual_map::GradualMap;
pub use recent::Recent;
