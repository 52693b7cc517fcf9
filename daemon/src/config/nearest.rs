//! The name that was probably meant.

/// The candidate nearest to `name`, if one is near enough to be worth offering.
///
/// Nearness is the optimal string alignment distance: insertions, deletions, substitutions and
/// swapped neighbours cost 1 each. A third of the letters may be wrong, and one always. Of equally
/// near candidates the first wins.
#[must_use]
pub fn nearest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    // The distance costs length times length: a text this long is no mistyped name.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lowered = name.to_lowercase();
    let length = lowered.chars().count();
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        // So many letters more or fewer are as many mistakes at least, and counting them takes long.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= allowed)
        .map(|candidate| (strsim::osa_distance(&lowered, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn offers_what_was_probably_meant() {
        let keys = ["bind", "plugin", "recv_buffer", "send_buffer"];
        assert_eq!(nearest("plugn", keys), Some("plugin"));
        assert_eq!(nearest("Bind", keys), Some("bind"));
        assert_eq!(nearest("bnid", keys), Some("bind"));
        assert_eq!(nearest("rcv_buffer", keys), Some("recv_buffer"));
    }

    #[test]
    fn offers_nothing_far_away() {
        assert_eq!(nearest("drop", ["bind", "plugin"]), None);
        assert_eq!(nearest("", ["bind"]), None);
        assert_eq!(nearest(&"bind".repeat(100), ["bind"]), None);
    }
}
