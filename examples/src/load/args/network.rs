//! Options of the socket and its way out.

use std::num::NonZeroU8;
use std::ops::RangeInclusive;

use clap::Args;

use crate::heading;
use crate::load::gso::Gso;
use crate::source::SourceArgs;
use crate::target::Family;

/// How datagrams leave.
#[derive(Args, Clone, Debug)]
pub struct NetworkArgs {
    /// Whether datagrams of one flow to one target leave as trains that the kernel cuts, and come as trains that it joins; off with
    /// --books, since a kernel counts a train that it drops once
    #[arg(long, default_value = "auto", help_heading = heading::NETWORK)]
    pub gso: Gso,
    /// The byte of DSCP and congestion bits of what is sent
    #[arg(long, value_name = "OCTET", conflicts_with = "dscp", help_heading = heading::NETWORK)]
    pub tos: Option<u8>,
    /// The DSCP of what is sent: a number or a name such as ef, af41 or cs1
    #[arg(long, value_parser = dscp, value_name = "CLASS", help_heading = heading::NETWORK)]
    pub dscp: Option<u8>,
    /// Hops that what is sent may make: the TTL of IPv4, the hop limit of IPv6
    #[arg(long, value_parser = hops, value_name = "HOPS", help_heading = heading::NETWORK)]
    pub ttl: Option<NonZeroU8>,
    /// Which addresses of a name
    #[command(flatten)]
    pub family: Family,
    /// Where from
    #[command(flatten)]
    pub source: SourceArgs,
}

impl NetworkArgs {
    /// The byte of DSCP and congestion bits.
    pub(super) fn tos(&self) -> Option<u8> {
        self.tos.or_else(|| self.dscp.map(|dscp| dscp << 2))
    }
}

/// A number of hops: a datagram that may make none does not leave.
fn hops(text: &str) -> Result<NonZeroU8, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of hops: write 1 to 255"))
}

/// A class of RFC 2474, 2597, 3246, 5865 or 8622, or its number.
fn dscp(text: &str) -> Result<u8, String> {
    let name = text.to_ascii_lowercase();
    let number = |prefix: &str, numbers: RangeInclusive<u8>| {
        name.strip_prefix(prefix)
            .and_then(|digits| digits.parse().ok())
            .filter(|number| numbers.contains(number))
    };
    let class = match name.as_str() {
        "be" | "default" => Some(0),
        "le" => Some(1),
        "va" | "voice-admit" => Some(44),
        "ef" => Some(46),
        _ => number("cs", 0..=7).map(|class| class * 8).or_else(|| {
            let both =
                number("af", 11..=43).filter(|both| both / 10 <= 4 && (1..=3).contains(&(both % 10)))?;
            Some(both / 10 * 8 + both % 10 * 2)
        }),
    };
    class.or_else(|| number("", 0..=63)).ok_or_else(|| {
        format!("`{text}` is no DSCP: write 0 to 63, ef, va, le, be, cs0 to cs7 or af11 to af43")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_names_and_numbers() {
        for (text, class) in
            [("0", 0), ("63", 63), ("EF", 46), ("cs7", 56), ("af11", 10), ("AF41", 34), ("af43", 38)]
        {
            assert_eq!(dscp(text), Ok(class), "{text}");
        }
        for wrong in ["64", "cs8", "af14", "af51", "af20", "", "fe"] {
            assert!(dscp(wrong).is_err(), "{wrong}");
        }
    }
}
