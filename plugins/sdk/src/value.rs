//! The value of one option.
#![expect(unsafe_code, reason = "the plugin boundary: the host's values hold texts and lists as pointers")]

use core::net::SocketAddr;

use polyport_abi as abi;
use polyport_abi::pp_value;

use crate::text::slice;

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
    /// Any number of values of one kind.
    List(List<'a>),
    /// A kind this crate does not know, or text that is not UTF-8.
    Unknown(u32),
}

/// The elements of a list, in order.
#[derive(Clone, Copy)]
pub struct List<'a>(&'a [pp_value]);

impl<'a> List<'a> {
    /// Each element.
    pub fn iter(self) -> impl Iterator<Item = Value<'a>> {
        self.0.iter().map(value)
    }
}

impl core::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// # Safety
/// `given` is NULL, or points to `n` values whose texts and lists live for `'a`.
pub(crate) unsafe fn values<'a>(given: *const pp_value, n: u32) -> Vec<Value<'a>> {
    // SAFETY: the caller promises it.
    unsafe { slice(given, n as usize) }.iter().map(value).collect()
}

fn value<'a>(v: &pp_value) -> Value<'a> {
    // SAFETY: all members are eight plain bytes, and the host zeroes what it does not set.
    let int = unsafe { v.v.i };
    // SAFETY: as above.
    let float = unsafe { v.v.f };
    let text = || {
        // SAFETY: as above; the pointer is only followed for the two kinds that set it.
        let str = unsafe { v.v.str };
        // SAFETY: for these kinds the host passes `len` bytes of text that live as long as the values.
        core::str::from_utf8(unsafe { slice(str, v.len as usize) }).ok()
    };
    match v.kind {
        0 => Value::Missing,
        abi::OPT_BOOL => Value::Bool(int != 0),
        abi::OPT_INT => Value::Int(int),
        abi::OPT_FLOAT => Value::Float(float),
        abi::OPT_RATIO => Value::Ratio(float),
        abi::OPT_DURATION => Value::Duration(int),
        abi::OPT_SIZE => Value::Size(int),
        abi::OPT_ENUM => Value::Choice(int),
        abi::OPT_STRING => text().map_or(Value::Unknown(v.kind), Value::Text),
        abi::OPT_JSON => text().map_or(Value::Unknown(v.kind), Value::Json),
        abi::OPT_ADDR => v.addr.socket_addr().map_or(Value::Unknown(v.kind), Value::Addr),
        list if list & abi::OPT_LIST != 0 => {
            // SAFETY: as above; the pointer is only followed for a list.
            let elements = unsafe { v.v.list };
            // SAFETY: for a list the host passes `len` values that live as long as the list does.
            Value::List(List(unsafe { slice(elements, v.len as usize) }))
        }
        other => Value::Unknown(other),
    }
}
