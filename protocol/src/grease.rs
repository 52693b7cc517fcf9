//! Greasing: numbers that no one may depend on are used now and then, so that receivers keep ignoring them
//! ([P-16], [P-30]; the idea of RFC 9000 section 15).

use rand_core::Rng;

use crate::frame::Flags;
use crate::option::FrameOption;

/// How often a client greases its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grease {
    /// A random X flag in every frame and an option in one of sixteen.
    #[default]
    Sometimes,
    /// X and an option in every frame.
    Always,
    /// Neither.
    Never,
}

/// One frame's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sprinkle {
    pub(crate) flag: Flags,
    option: Option<(u8, [u8; 2])>,
}

impl Grease {
    /// Draws for one frame.
    pub(crate) fn draw<R: Rng>(self, rng: &mut R) -> Sprinkle {
        let [flag, odds, number, first, second, ..] = rng.next_u64().to_be_bytes();
        let (flag, option) = match self {
            Self::Sometimes => (flag & 1 == 1, odds & 0x0F == 0),
            Self::Always => (true, true),
            Self::Never => (false, false),
        };
        Sprinkle {
            flag: if flag { Flags::GREASE } else { Flags::NONE },
            option: option.then_some(((number & 0x70) | 0x0A, [first, second])),
        }
    }
}

impl Sprinkle {
    /// The option to add: greased and elective, four octets in all.
    pub(crate) fn option(&self) -> Option<FrameOption<'_>> {
        self.option.as_ref().map(|(number, value)| FrameOption::Other { number: *number, value })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn one_frame_in_sixteen_and_every_second_flag() {
        let mut rng = StdRng::seed_from_u64(1);
        let scale = if cfg!(miri) { 10 } else { 1 };
        let draws: Vec<_> = (0..16_000 / scale).map(|_| Grease::Sometimes.draw(&mut rng)).collect();
        let options = draws.iter().filter(|d| d.option.is_some()).count();
        let flags = draws.iter().filter(|d| d.flag == Flags::GREASE).count();
        // Of a tenth, chance leaves a wider range.
        let (few, many) = if cfg!(miri) { (60..150, 700..900) } else { (800..1200, 7600..8400) };
        assert!(few.contains(&options), "{options}");
        assert!(many.contains(&flags), "{flags}");
    }

    #[test]
    fn always_and_never_mean_it() {
        let mut rng = StdRng::seed_from_u64(2);
        for _ in 0..if cfg!(miri) { 10 } else { 100 } {
            let number = Grease::Always.draw(&mut rng).option().unwrap().number();
            assert!(crate::is_grease(number) && number < 0x80, "{number:#x}");
            assert_eq!(Grease::Never.draw(&mut rng).option(), None);
        }
    }
}
