//! Targets: `HOST:PORT`, where the port may be a list of numbers, ranges and service names.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use clap::Args;
use polyport_net::{ResolveError, resolve};
use polyport_terminal::Exit;

use crate::heading;
use crate::outcome::ExitError;
use crate::source::SourceAddress;
use crate::zone::lacks_zone;

/// Most addresses one target may stand for: every port of one host.
pub const MAX_ADDRESSES: usize = 65_535;

/// Which addresses of a name are wanted.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Family {
    /// IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6", help_heading = heading::NETWORK)]
    pub ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', help_heading = heading::NETWORK)]
    pub ipv6: bool,
}

/// The addresses that `target` stands for, at least one: of the wanted family, which is that of `from` where it has one,
/// in the resolver's order. Each is one to ask; the next is for when it refuses ([`crate::attempt`]).
///
/// # Errors
/// An [`ExitError`] whose line names the part at fault: the form, the host, the service, the family, or a missing zone.
pub fn one(target: &str, family: Family, from: Option<SourceAddress>) -> Result<Vec<SocketAddr>, ExitError> {
    let found = any(target, family, from)?;
    if let Some(address) = found.iter().find(|address| lacks_zone(**address)) {
        // By whichever interface it left, the answer would seem to come from another address.
        return Err(ExitError::usage(format!(
            "{} needs its interface: [{}%eth0]:{}",
            address.ip(),
            address.ip(),
            address.port()
        )));
    }
    Ok(found)
}

/// What [`one`] says, of addresses that need an interface and name none as well: `polyport-cast` has an option for it.
///
/// # Errors
/// Those of [`one`], but for the zone.
pub fn any(target: &str, family: Family, from: Option<SourceAddress>) -> Result<Vec<SocketAddr>, ExitError> {
    let mut found = resolve(target).map_err(|error| no_such_zone(target, error))?;
    found.retain(|address| family.takes(address.ip()));
    if found.is_empty() {
        let name = if family.ipv4 { "IPv4" } else { "IPv6" };
        return Err(ExitError::new(Exit::HostNotFound, format!("`{target}` has no {name} address")));
    }
    if let Some(from) = from {
        found.retain(|address| from.reaches(address.ip()));
        found.iter_mut().for_each(|address| *address = from.lend_zone(*address));
    }
    if found.is_empty() {
        let ip = from.and_then(SourceAddress::ip).map_or_else(|| "it".to_owned(), |ip| ip.to_string());
        return Err(ExitError::usage(format!(
            "--from {ip} and `{target}` are of two families: nothing goes from one to the other"
        )));
    }
    if found.iter().any(|address| address.port() == 0) {
        return Err(ExitError::usage(format!("`{target}`: nothing can be sent to port 0")));
    }
    Ok(found)
}

/// The resolver says of a zone that is none that the host is unknown.
fn no_such_zone(target: &str, error: ResolveError) -> ExitError {
    let zone = target.rsplit_once(']').and_then(|(host, _)| host.split_once('%')).map(|(_, zone)| zone);
    let failure = ExitError::from(error);
    match zone {
        Some(zone) if failure.exit == Exit::HostNotFound => ExitError::new(
            failure.exit,
            format!("{failure}; is there an interface `{zone}`, and is the address a link-local one?"),
        ),
        _ => failure,
    }
}

/// All targets of a list such as `localhost:7000-7063,8100,ntp`, in that order and without repeats, each with its
/// addresses as [`one`] has them. The host is looked up once for each part of the list.
///
/// # Errors
/// What [`one`] says of the host or of a port; a range runs backwards or is too long.
pub fn many(
    target: &str,
    family: Family,
    from: Option<SourceAddress>,
) -> Result<Vec<Vec<SocketAddr>>, ExitError> {
    let Some((host, ports)) = target.rsplit_once(':') else {
        // The resolver says in its own words what is missing.
        return one(target, family, from).map(|addresses| vec![addresses]);
    };
    let mut targets = Vec::new();
    let mut seen = HashSet::new();
    let too_many = || ExitError::usage(format!("`{}` is more than {MAX_ADDRESSES} addresses", short(target)));
    // A part costs a look at the resolver, and with repeats there may be any number of them.
    if ports.split(',').nth(MAX_PARTS).is_some() {
        return Err(ExitError::usage(format!("`{}` has more than {MAX_PARTS} parts", short(target))));
    }
    for part in ports.split(',') {
        let (first, last) = range(part)?;
        let addresses = one(&format!("{host}:{first}"), family, from)?;
        let Some(first) = addresses.first().map(SocketAddr::port) else { continue };
        for port in first..=last.unwrap_or(first) {
            let mut addresses = addresses.clone();
            addresses.iter_mut().for_each(|address| address.set_port(port));
            if addresses.first().is_some_and(|address| seen.insert(*address)) {
                targets.push(addresses);
            }
        }
        if targets.len() > MAX_ADDRESSES {
            return Err(too_many());
        }
    }
    Ok(targets)
}

/// Parts of one list of ports: more than anybody types, and one part may be every port.
const MAX_PARTS: usize = 256;

/// The beginning of a target, which may be as long as a command line.
fn short(target: &str) -> String {
    const LONGEST: usize = 60;
    let cut: String = target.chars().take(LONGEST).collect();
    if cut.len() < target.len() { cut + "..." } else { cut }
}

impl Family {
    /// Whether `ip` is wanted.
    #[must_use]
    pub const fn takes(self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(_) => !self.ipv6,
            IpAddr::V6(_) => !self.ipv4,
        }
    }
}

/// The two ends of `7000-7063`; a service name such as `iso-tsap` is no range.
fn range(part: &str) -> Result<(&str, Option<u16>), ExitError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let Some((first, last)) = part.split_once('-').filter(|(first, last)| digits(first) && digits(last))
    else {
        return Ok((part, None));
    };
    let wrong = || ExitError::usage(format!("`{part}` is no range of ports: use FIRST-LAST, up to 65535"));
    let (low, high) = (first.parse::<u16>().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if low > high { Err(wrong()) } else { Ok((first, Some(high))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(target: &str) -> Vec<u16> {
        many(target, Family::default(), None).unwrap().iter().map(|addresses| addresses[0].port()).collect()
    }

    #[test]
    fn lists_ranges_and_services_are_one_language() {
        assert_eq!(ports("127.0.0.1:7000-7003,8100,7001"), [7000, 7001, 7002, 7003, 8100]);
        assert_eq!(ports("[::1]:9"), [9]);
        assert_eq!(ports("127.0.0.1:domain,54"), [53, 54]);
        assert_eq!(ports("127.0.0.1:1-65535").len(), 65_535);
        let again = format!("127.0.0.1:{}1", "1-3,".repeat(MAX_PARTS - 1));
        assert_eq!(ports(&again), [1, 2, 3], "as many parts as there may be");
    }

    #[test]
    fn each_fault_has_its_code() {
        let exit = |target| many(target, Family::default(), None).unwrap_err().exit;
        for wrong in ["127.0.0.1:2-1", "127.0.0.1:1-70000", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:1,,2"] {
            assert_eq!(exit(wrong), Exit::Usage, "{wrong}");
        }
        assert_eq!(exit("127.0.0.1:no-such-service"), Exit::HostNotFound);
        let long = many(&format!("127.0.0.1:{}1", "1-65535,".repeat(MAX_PARTS)), Family::default(), None);
        let long = long.unwrap_err();
        assert!(long.exit == Exit::Usage && long.to_string().len() < 120, "{long}");
    }

    #[test]
    fn a_family_without_an_address_is_named() {
        let v6 = Family { ipv6: true, ..Family::default() };
        assert!(one("127.0.0.1:9", v6, None).unwrap_err().to_string().contains("no IPv6 address"));
        let from = |text| Some(SourceAddress::parse(text).unwrap());
        let error = one("[::1]:9", Family::default(), from("127.0.0.1")).unwrap_err();
        assert!(error.exit == Exit::Usage && error.to_string().contains("two families"), "{error}");
        let local = |from| one("[fe80::1]:9", v6, from);
        assert_eq!(local(None).unwrap_err().exit, Exit::Usage);
        assert_eq!(any("[fe80::1]:9", v6, None).unwrap().len(), 1);
        assert_eq!(local(from("fe80::2%1")).unwrap(), ["[fe80::1%1]:9".parse().unwrap()]);
        assert_eq!(one("[::1]:9", v6, from(":5000")).unwrap(), ["[::1]:9".parse().unwrap()]);
    }
}
