//! Classes of traffic by their names: the DSCP of RFC 2474 as a TOS byte.

/// The TOS byte of a class: its DSCP in the six upper bits, and the two of ECN (RFC 3168) zero. Names are those of the IANA
/// registry, in any case.
pub(super) fn tos(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let digits = |rest: &str| -> Option<Vec<u8>> {
        rest.chars().map(|digit| digit.to_digit(10)?.try_into().ok()).collect()
    };
    let dscp = match name.as_str() {
        "df" => 0,
        // RFC 8622, RFC 3246, RFC 5865.
        "le" => 1,
        "ef" => 46,
        "va" => 44,
        _ => match (name.get(..2)?, digits(name.get(2..)?)?.as_slice()) {
            // RFC 2474, section 4.2.2.
            ("cs", [class @ 0..=7]) => class << 3,
            // RFC 2597, section 6.
            ("af", [class @ 1..=4, drop @ 1..=3]) => class << 3 | drop << 1,
            _ => return None,
        },
    };
    Some(dscp << 2)
}

#[cfg(test)]
mod tests {
    use super::tos;

    #[test]
    fn names_are_those_of_the_registry() {
        let known = [
            ("CS0", 0),
            ("cs1", 8),
            ("cs7", 56),
            ("af11", 10),
            ("AF41", 34),
            ("af43", 38),
            ("ef", 46),
            ("va", 44),
            ("le", 1),
            ("DF", 0),
        ];
        for (name, dscp) in known {
            assert_eq!(tos(name), Some(dscp << 2), "{name}");
        }
        for name in [
            "", "a", "cs", "cs8", "cs10", "af40", "af51", "af4", "af411", "ef ", "eff", "\u{e9}", "cs\u{e9}",
            "-1",
        ] {
            assert_eq!(tos(name), None, "{name}");
        }
    }
}
