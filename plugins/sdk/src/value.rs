//! The value of one option.

use core::net::SocketAddr;

/// One value as the host parsed it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Not given, and there is no default.
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// Signed integer.
    Int(i64),
    /// Number.
    Float(f64),
    /// Share, 0 to 1.
    Ratio(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Bytes.
    Size(i64),
    /// Text.
    Text(&'a str),
    /// Index into the choices.
    Choice(i64),
    /// Socket address.
    Addr(SocketAddr),
    /// JSON text.
    Json(&'a str),
    /// A kind this crate does not know, or text that is not UTF-8.
    Unknown(u32),
}
