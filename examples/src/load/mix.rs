//! Datagrams of several sizes, each with its share.

use std::fmt;

/// Sizes and how often each comes. Which datagram has which follows from its id, which the seed gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    sizes: Vec<(usize, u64)>,
    total: u64,
    /// Sizes below what a datagram needs are made as large as that.
    raises: bool,
}

/// The simple IMIX: packets of IPv4 with 64, 576 and 1500 octets as 7 : 4 : 1, without the 28 octets of the headers of IP and UDP.
const IMIX: [(usize, u64); 3] = [(36, 7), (548, 4), (1472, 1)];

/// Sizes of a mix: more is a distribution, not a mix.
const MOST_SIZES: usize = 64;

/// Sum of the shares.
const MOST_SHARES: u64 = 1_000_000;

impl Mix {
    /// Parses `imix`, or sizes and shares such as `64:7,576:4,1500:1`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "imix" {
            return Ok(Self::new(IMIX.to_vec(), true));
        }
        let wrong = || format!("`{text}` is no mix of sizes: write imix or 64:7,576:4,1500:1");
        let size = |part: &str| {
            let (size, share) = part.trim().split_once(':').unwrap_or_else(|| (part.trim(), "1"));
            let (size, share) = (size.parse::<u16>().ok()?, share.parse::<u64>().ok()?);
            (share > 0 && share <= MOST_SHARES).then_some((usize::from(size), share))
        };
        let sizes = text.split(',').map(size).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
        let mix = Self::new(sizes, false);
        if mix.sizes.len() > MOST_SIZES || mix.total > MOST_SHARES {
            return Err(format!("a mix has at most {MOST_SIZES} sizes, and {MOST_SHARES} shares in all"));
        }
        Ok(mix)
    }

    fn new(sizes: Vec<(usize, u64)>, raises: bool) -> Self {
        let total = sizes.iter().map(|(_, share)| share).sum();
        Self { sizes, total, raises }
    }

    /// With every size at least `least` octets, or the size that is too small for that.
    ///
    /// # Errors
    /// That size.
    pub fn at_least(mut self, least: usize) -> Result<Self, usize> {
        for (size, _) in &mut self.sizes {
            if *size < least {
                if !self.raises {
                    return Err(*size);
                }
                *size = least;
            }
        }
        Ok(self)
    }

    /// The size that belongs to a random number.
    #[must_use]
    pub fn pick(&self, random: u64) -> usize {
        let mut place = random % self.total.max(1);
        for (size, share) in &self.sizes {
            match place.checked_sub(*share) {
                None => return *size,
                Some(rest) => place = rest,
            }
        }
        self.largest()
    }

    /// The largest size.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.sizes.iter().map(|(size, _)| *size).max().unwrap_or(0)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (size, share)) in self.sizes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{size}:{share}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_are_read() {
        let mix = Mix::parse("64:7, 576:4,1500").unwrap();
        assert_eq!((mix.to_string().as_str(), mix.largest()), ("64:7,576:4,1500:1", 1500));
        assert_eq!(Mix::parse("imix").unwrap().to_string(), "36:7,548:4,1472:1");
        for wrong in ["", "64:0", "x:1", "64:", "70000:1", "64:1000001", "1,,2"] {
            Mix::parse(wrong).unwrap_err();
        }
        Mix::parse(&vec!["64"; 65].join(",")).unwrap_err();
    }

    #[test]
    fn a_size_that_is_too_small_is_raised_only_in_imix() {
        assert_eq!(
            Mix::parse("imix").unwrap().at_least(68).map(|mix| mix.to_string()),
            Ok("68:7,548:4,1472:1".into())
        );
        assert_eq!(Mix::parse("64:1,100:1").unwrap().at_least(68), Err(64));
    }

    #[test]
    fn every_size_has_its_share() {
        let mix = Mix::parse("imix").unwrap();
        let count = |size| (0..1200).filter(|random| mix.pick(*random) == size).count();
        assert_eq!([36, 548, 1472].map(count), [700, 400, 100]);
    }
}
