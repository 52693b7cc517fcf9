//! From two counts, what happened in a second between them.

use std::collections::BTreeMap;

use crate::control::wire::Counts;

/// The reason of what the kernel dropped before the daemon could read it: no reason of the daemon's own has this name.
pub(super) const KERNEL: &str = "kernel";

/// What happened in a second, on average. Bytes are those of payloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) received: f64,
    pub(super) received_bytes: f64,
    pub(super) sent: f64,
    pub(super) sent_bytes: f64,
    /// Datagrams that were dropped, on the way in, on the way out, or by the kernel.
    pub(super) dropped: f64,
    /// Those datagrams by reason, the most frequent first; none that is zero.
    pub(super) reasons: Vec<(String, f64)>,
}

impl Rates {
    /// Between two counts so many seconds apart. None: they are not of one series, since a counter has gone back, or no time has
    /// passed.
    pub(super) fn between(before: &Counts, after: &Counts, seconds: f64) -> Option<Self> {
        let rate = |before: u64, after: u64| per_second(before, after, seconds);
        let mut reasons = Vec::new();
        let (was, is) = (drops(before), drops(after));
        if was.keys().any(|reason| !is.contains_key(reason)) {
            return None;
        }
        for (reason, count) in is {
            let per_second = rate(was.get(reason).copied().unwrap_or_default(), count)?;
            if per_second > 0.0 {
                reasons.push((reason.to_owned(), per_second));
            }
        }
        reasons.sort_by(|(one, a), (other, b)| b.total_cmp(a).then_with(|| one.cmp(other)));
        Some(Self {
            received: rate(before.received, after.received)?,
            received_bytes: rate(before.received_bytes, after.received_bytes)?,
            sent: rate(before.sent, after.sent)?,
            sent_bytes: rate(before.sent_bytes, after.sent_bytes)?,
            dropped: reasons.iter().map(|(_, rate)| rate).sum(),
            reasons,
        })
    }

    /// The most frequent reason to drop.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reasons.first().map(|(reason, _)| reason.as_str())
    }
}

/// How much a counter grows in a second; none if it has not grown, but begun anew.
#[expect(clippy::cast_precision_loss, reason = "of counts within some seconds")]
pub(super) fn per_second(before: u64, after: u64, seconds: f64) -> Option<f64> {
    let grown = after.checked_sub(before)?;
    (seconds > 0.0).then(|| grown as f64 / seconds)
}

/// All drops by reason, those of the kernel too.
pub(super) fn drops(counts: &Counts) -> BTreeMap<&str, u64> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, count) in counts.dropped_in.iter().chain(&counts.dropped_out) {
        *all.entry(reason).or_default() += count;
    }
    if counts.kernel_drops > 0 {
        *all.entry(KERNEL).or_default() += counts.kernel_drops;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(received: u64, drops: &[(&str, u64)]) -> Counts {
        let dropped_in = drops.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        Counts { received, received_bytes: 10 * received, dropped_in, ..Counts::default() }
    }

    #[test]
    fn rates_are_what_was_counted_in_between_by_the_time() {
        let mut after = counts(30, &[("on_purpose", 4), ("group", 7)]);
        (after.sent, after.sent_bytes, after.kernel_drops) = (8, 80, 1);
        after.dropped_out.insert("on_purpose".to_owned(), 1);
        let rates = Rates::between(&counts(10, &[("group", 1)]), &after, 2.0).unwrap();
        assert_eq!((rates.received, rates.received_bytes), (10.0, 100.0));
        assert_eq!((rates.sent, rates.sent_bytes, rates.dropped), (4.0, 40.0, 6.0));
        let reasons = [("group", 3.0), ("on_purpose", 2.5), (KERNEL, 0.5)];
        assert_eq!(rates.reasons, reasons.map(|(reason, rate)| (reason.to_owned(), rate)));
        assert_eq!(rates.reason(), Some("group"));
        let still = Rates::between(&after, &after, 1.0).unwrap();
        assert_eq!((still.dropped, still.reason()), (0.0, None));
    }

    #[test]
    fn counters_that_begin_anew_have_no_rate() {
        assert_eq!(Rates::between(&counts(2, &[]), &counts(1, &[]), 1.0), None);
        assert_eq!(Rates::between(&counts(1, &[("group", 2)]), &counts(2, &[("group", 1)]), 1.0), None);
        assert_eq!(Rates::between(&counts(1, &[("group", 2)]), &counts(2, &[]), 1.0), None);
        assert_eq!(Rates::between(&counts(1, &[]), &counts(2, &[]), 0.0), None);
    }
}
