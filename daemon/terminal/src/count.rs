//! Numbers with their nouns.

use std::fmt::Display;

/// `1 line`, `2 lines`: a number and the noun that goes with it.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let shown = [0_u64, 1, 2].map(|number| counted(number, "reply", "replies"));
        assert_eq!(shown, ["0 replies", "1 reply", "2 replies"]);
    }
}
