//! What an instance hands to the one that follows.

use std::ptr;

/// What an instance hands to its successor. Only the plugin knows what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The version of its form.
    pub version: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What is left of the state of an instance that broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescued {
    /// This.
    State(State),
    /// Nothing: the plugin does not offer it, or has nothing to say.
    Nothing,
    /// Nothing, though there was something: it needs so many bytes, and may not have them.
    TooLarge(u64),
    /// Nothing: the plugin failed with this code, or broke its word.
    Failed(i64),
}

/// What a function has written that says how many bytes it needs and writes them if there are so many.
pub(super) enum Written {
    Bytes(Vec<u8>),
    TooLarge(u64),
    Failed(i64),
}

/// Asks such a function for its bytes, at most so many.
pub(super) fn written(most: u64, mut ask: impl FnMut(*mut u8, u64) -> i64) -> Written {
    let said = ask(ptr::null_mut(), 0);
    let needed = match u64::try_from(said) {
        Ok(0) => return Written::Bytes(Vec::new()),
        Ok(needed) if needed > most => return Written::TooLarge(needed),
        Ok(needed) => needed,
        Err(_) => return Written::Failed(said),
    };
    let mut bytes = vec![0; usize::try_from(needed).unwrap_or(0)];
    let written = ask(bytes.as_mut_ptr(), needed);
    match usize::try_from(written) {
        Ok(len) if len <= bytes.len() => {
            bytes.truncate(len);
            Written::Bytes(bytes)
        }
        _ => Written::Failed(written),
    }
}

impl Rescued {
    /// What was written, with the version of its form.
    pub(super) fn of(written: Written, version: u32) -> Self {
        match written {
            Written::Bytes(bytes) if bytes.is_empty() => Self::Nothing,
            Written::Bytes(bytes) => Self::State(State { version, bytes }),
            Written::TooLarge(needed) => Self::TooLarge(needed),
            Written::Failed(code) => Self::Failed(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers in turn; each is the number a call returns.
    fn asked(most: u64, answers: [i64; 2]) -> Rescued {
        let mut answers = answers.into_iter();
        Rescued::of(written(most, |_, _| answers.next().unwrap()), 7)
    }

    #[test]
    fn a_state_is_what_was_written_and_fits() {
        let state = |len| Rescued::State(State { version: 7, bytes: vec![0; len] });
        assert_eq!(asked(10, [0, 99]), Rescued::Nothing);
        assert_eq!(asked(10, [10, 10]), state(10));
        assert_eq!(asked(10, [10, 3]), state(3), "it has become less");
        assert_eq!(asked(10, [3, 0]), Rescued::Nothing);
        assert_eq!(asked(10, [11, 0]), Rescued::TooLarge(11));
        assert_eq!(asked(10, [-2, 0]), Rescued::Failed(-2));
        assert_eq!(asked(10, [3, 4]), Rescued::Failed(4), "it has become more");
    }
}
