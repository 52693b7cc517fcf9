//! By which interface a listener hears and sends, and what stands in the IP header of what it sends: `device`, `tos`, `ttl`.

use std::num::NonZeroU8;

use super::bounds::{TOS, TTL};
use super::dscp;
use super::plan::{Bind, Listen};
use super::problem::{Problem, code, quoted};
use super::read::Reader;
use super::tree::{Entry, Value};

/// Reads the name of an interface.
pub(super) fn device(entry: &Entry, reader: &mut Reader<'_>) -> Option<String> {
    /// `IFNAMSIZ` of netdevice(7), less the NUL at the end.
    const LONGEST: usize = 15;
    let name = reader.text(entry)?;
    if cfg!(not(target_os = "linux")) {
        let label = "this system ties no socket to an interface; Linux does";
        reader.bad_value("device", &entry.value_span, label);
        return None;
    }
    let is_name = (1..=LONGEST).contains(&name.len())
        && !name.chars().any(|c| c == '/' || c == ':' || c == '\0' || c.is_whitespace());
    if !is_name {
        let label = format!("expected the name of an interface, 1 to {LONGEST} bytes without space, / or :");
        reader.bad_value("device", &entry.value_span, label);
        return None;
    }
    Some(name.to_owned())
}

/// What only the whole listener tells: whether the interface is there, and whether its addresses can be.
pub(super) fn check_device(entry: &Entry, listen: &Listen, reader: &mut Reader<'_>) {
    let Some(device) = &listen.socket.device else { return };
    let index = (reader.names.interface)(device);
    if index.is_none() && !listen.socket.wait {
        let problem = Problem::new(code::UNKNOWN_INTERFACE, "invalid value for `device`")
            .at(&entry.value_span, format!("this system has no interface {}", quoted(device)))
            .help("`ip link` lists the interfaces; if it comes later, set `wait = true` for this listener");
        reader.problems.push(problem);
        return;
    }
    let is_other = |bind: &&Bind| match &bind.zone {
        Some(zone) => zone != device,
        None => bind.scope_id > 0 && Some(bind.scope_id) != index,
    };
    if let Some(bind) = listen.bind.iter().find(is_other) {
        let problem = Problem::new(code::BAD_VALUE, "invalid value for `device`")
            .at(&entry.value_span, "another interface than that of the address")
            .also(&bind.span, "this address is one of its interface alone")
            .help("a link-local address is heard on its interface without `device`");
        reader.problems.push(problem);
    }
}

/// Reads a TOS byte: a class by its name, or a number.
pub(super) fn tos(entry: &Entry, reader: &mut Reader<'_>) -> Option<u8> {
    const EXPECTED: &str = "the name of a class, such as \"af41\", or a number from 0 to 255";
    let tos = match &entry.value {
        Value::Text(text) => dscp::tos(text).or_else(|| number(text)),
        Value::Int(number) => usize::try_from(*number)
            .ok()
            .filter(|number| TOS.contains(number))
            .and_then(|number| u8::try_from(number).ok()),
        Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::List(_) | Value::Table(_) => {
            reader.wrong_type("tos", EXPECTED, &entry.value, &entry.value_span);
            return None;
        }
    };
    if tos.is_none() {
        let problem = Problem::new(code::BAD_VALUE, "invalid value for `tos`")
            .at(&entry.value_span, format!("expected {EXPECTED}"))
            .help("classes are cs0 to cs7, af11 to af43, ef, va, le and df; a number is the whole byte, 0xb8 is ef");
        reader.problems.push(problem);
    }
    tos
}

/// A number as an argument has it: decimal, or hexadecimal behind `0x`.
fn number(text: &str) -> Option<u8> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `parse` would take a sign.
    digits.chars().all(|c| c.is_digit(radix)).then(|| u8::from_str_radix(digits, radix).ok()).flatten()
}

/// Reads a TTL.
pub(super) fn ttl(entry: &Entry, reader: &mut Reader<'_>) -> Option<NonZeroU8> {
    let hops = reader.count(entry, &TTL)?;
    u8::try_from(hops).ok().and_then(NonZeroU8::new)
}
