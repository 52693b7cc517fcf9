//! Ports as they are written: a number, a service name, or a range of either.

use polyport_value::port_number;

use super::asked::{Asked, MOST_UNKNOWN, Service};
use super::problem::{code, quoted};
use super::refusal::Refusal;

const EXAMPLE: &str = "a port is a number from 0 to 65535, a range such as 7000-7099, or a service name";

/// Characters of two service names and a hyphen, with room for names that are older than the rule.
const LONGEST_NAMED_RANGE: usize = 64;

/// First and last port. A text of digits and hyphens is a number or a range; anything else is a
/// service name, which may hold hyphens as well but needs a letter (RFC 6335, section 5.1), or a range with service
/// names at its ends.
pub(super) fn ports(text: &str, names: &Asked<'_>) -> Result<(u16, u16), Refusal> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return match service(text, names) {
            Ok(port) => Ok((port, port)),
            Err(refusal) => named_range(text, names).unwrap_or(Err(refusal)),
        };
    }
    let Some((first, last)) = text.split_once('-') else {
        let port = number(text).ok_or_else(|| refusal(format!("{} is not a port", quoted(text)), EXAMPLE))?;
        return Ok((port, port));
    };
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return Err(refusal(format!("{} is not a range of ports", quoted(text)), EXAMPLE));
    };
    range(first, last)
}

/// A range like `bootps-bootpc` or `ntp-200`, cut at the first hyphen on both sides of which is a port. None if there is
/// no such hyphen.
fn named_range(text: &str, names: &Asked<'_>) -> Option<Result<(u16, u16), Refusal>> {
    // Longer than two names can be (RFC 6335, section 5.1): each hyphen is a look into the services database.
    if text.len() > LONGEST_NAMED_RANGE {
        return None;
    }
    let end = |text: &str| number(text).or_else(|| service(text, names).ok());
    text.match_indices('-').find_map(|(at, _)| {
        let (first, last) = (end(&text[..at])?, end(&text[at + 1..])?);
        Some(range(first, last))
    })
}

fn range(first: u16, last: u16) -> Result<(u16, u16), Refusal> {
    if first > last {
        return Err(refusal("the range ends before it begins", format!("write {last}-{first}")));
    }
    if first == 0 {
        return Err(refusal(
            "port 0 cannot be part of a range",
            "port 0 alone lets the system choose; a range begins at 1 or later",
        ));
    }
    Ok((first, last))
}

fn number(text: &str) -> Option<u16> {
    if text.is_empty() { None } else { port_number(text) }
}

/// The UDP port of a service name.
pub(super) fn service(name: &str, names: &Asked<'_>) -> Result<u16, Refusal> {
    // Without a letter getaddrinfo would read a number its own way: `+53` is 53.
    let letter = name.bytes().any(|byte| byte.is_ascii_alphabetic());
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    if !legal || !letter {
        return Err(refusal(format!("{} is not a port", quoted(name)), EXAMPLE));
    }
    let label = match names.service(name) {
        Service::Port(port) => return Ok(port),
        Service::Unknown => format!("this system knows no UDP service {}", quoted(name)),
        Service::NotAsked => {
            format!("{} is not looked up: {MOST_UNKNOWN} services before it are unknown", quoted(name))
        }
    };
    let help = "write the port number, or install the services database (/etc/services; Debian: netbase)";
    Err(Refusal { code: code::UNKNOWN_SERVICE, label, help: Some(help.to_owned()) })
}

fn refusal(label: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal { code: code::BAD_BIND, label: label.into(), help: Some(help.into()) }
}
