//! The drops of an address that the log may know of.

/// Number of reasons of which the log is told.
pub(crate) const ALARMING: usize = 6;

/// The counts at the last look, by reason. In a box, because most addresses never drop anything of which the log is told.
pub(crate) type Seen = Option<Box<[u64; ALARMING]>>;
