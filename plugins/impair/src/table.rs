//! Distributions as tables of 16-bit values, as netem has them: an entry is drawn, and scaled by sigma.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crate::text::{ParseError, numbered};

/// A distribution: values in units of sigma / 8192, each as likely as any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table(Box<[i16]>);

impl Table {
    /// What stands for one sigma.
    pub const SCALE: i64 = 8192;
    /// Entries of the tables that are made here.
    const SIZE: usize = 4096;
    /// Most entries of a file: the kernel's limit.
    pub const MOST: usize = 16_384;

    /// Mean 0, sigma 1.
    #[must_use]
    pub fn normal() -> Self {
        Self::of(normal)
    }

    /// Pareto with exponent 3, scaled by 4/3 and moved: most come a little early, few very late, none later than 4 sigma.
    #[must_use]
    pub fn pareto() -> Self {
        Self::of(pareto)
    }

    /// A quarter normal, three quarters Pareto: what was measured on the internet often looks so.
    #[must_use]
    pub fn pareto_normal() -> Self {
        // The division cuts towards zero.
        Self::of(|i| (normal(i) + 3 * pareto(i)) / 4)
    }

    fn of(value: impl Fn(usize) -> i32) -> Self {
        let clamped =
            |value: i32| i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX });
        Self((0..Self::SIZE).map(|i| clamped(value(i))).collect())
    }

    /// Reads a `.dist` file of iproute2: whole numbers of 16 bits between blanks; a line that begins with `#` is a comment.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut values = Vec::new();
        for (line, content) in numbered(text) {
            for word in content.split_ascii_whitespace() {
                let wrong = || ParseError::new(line, "expected whole numbers from -32768 to 32767");
                values.push(word.parse::<i16>().map_err(|_| wrong())?);
                if values.len() > Self::MOST {
                    return Err(ParseError::new(line, format!("more than {} values", Self::MOST)));
                }
            }
        }
        if values.is_empty() {
            return Err(ParseError::new(text.lines().count().max(1), "there is no value"));
        }
        Ok(Self(values.into()))
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[i16] {
        &self.0
    }

    /// The entry that 64 random bits choose.
    #[inline]
    pub(crate) fn pick(&self, random: u64) -> i16 {
        self.at(crate::chance::below(random, self.0.len() as u64))
    }

    /// The entry that Linux chooses.
    pub(crate) fn remainder(&self, random: u32) -> i16 {
        self.at(u64::from(random).checked_rem(self.0.len() as u64).unwrap_or(0))
    }

    fn at(&self, index: u64) -> i16 {
        usize::try_from(index).ok().and_then(|index| self.0.get(index)).copied().unwrap_or(0)
    }
}

/// Where the normal distribution has passed entry `i`: the largest x, in steps of 0.00005 from -10, for which the
/// distribution function is nearer to `i` quarters of an entry than to one more.
#[expect(clippy::float_arithmetic, reason = "a table is built once")]
fn normal(i: usize) -> i32 {
    const QUARTERS: f64 = 4.0 * Table::SIZE as f64;
    let x = |step: u32| -10.0 + f64::from(step) * 0.000_05;
    let quarter = |step| libm::rint(QUARTERS * (0.5 + 0.5 * libm::erf(x(step) / core::f64::consts::SQRT_2)));
    #[expect(clippy::cast_precision_loss, reason = "at most 16,384")]
    let wanted = (4 * i) as f64;
    let (mut low, mut high) = (0_u32, 400_000_u32);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if quarter(middle) <= wanted { low = middle } else { high = middle - 1 }
    }
    rounded(x(low) * Table::SCALE as f64)
}

/// The Pareto distribution at `1 - i / 4096`.
#[expect(clippy::float_arithmetic, reason = "a table is built once")]
fn pareto(i: usize) -> i32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 4,096")]
    let rest = (Table::SIZE - i) as f64 / Table::SIZE as f64;
    let value = (1.0 / libm::cbrt(rest) - 1.5) * (4.0 / 3.0) * Table::SCALE as f64;
    rounded(value.min(f64::from(i16::MAX)))
}

fn rounded(value: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let value = libm::rint(value) as i32;
    value
}

#[cfg(test)]
mod tests;
