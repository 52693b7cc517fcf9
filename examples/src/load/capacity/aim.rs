//! A goal as people write it: `loss<0.1%,p99<5ms,width=1%,final=10s`.

use polyport_protocol::{Nanos, SECOND};

use crate::clock::nanos;
use crate::load::search::Goal;
use crate::load::threshold::Threshold;

/// What a server is to meet at the rate that is searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    /// All of them make a trial a good one.
    pub conditions: Vec<Threshold>,
    /// What the search has to know.
    pub goal: Goal,
}

/// Without a condition on loss, that of RFC 2544 section 26.1.
const NO_LOSS: &str = "loss<=0%";

/// Width between the bounds, where the goal does not say.
const WIDTH: f64 = 0.01;

/// Share of the duration sum that may be bad trials: with three of the default length, one.
const EXCEED: f64 = 0.5;

/// A server that loses as much is overloaded: as a condition, and as a share.
const SATURATED: (&str, f64) = ("loss<=5%", 0.05);

/// Width where a sweep follows, whose steps are no narrower.
const COARSE: f64 = 0.1;

const INITIAL: Nanos = SECOND;
const LAST: Nanos = 10 * SECOND;
const SUM: Nanos = 30 * SECOND;

impl Aim {
    /// Parses conditions and parameters, with commas between them.
    ///
    /// # Errors
    /// Says which part is wrong, and what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut conditions = Vec::new();
        let (mut width, mut exceed_ratio) = (WIDTH, EXCEED);
        let (mut initial, mut last, mut sum) = (None, None, None);
        for part in text.split(',').map(str::trim) {
            match part.split_once('=').filter(|(name, _)| !name.ends_with(['<', '>'])) {
                None => conditions.push(Threshold::parse(part)?),
                Some((name, value)) => match name.trim() {
                    "width" => width = share(value)?,
                    "exceed" => exceed_ratio = share(value)?,
                    "initial" => initial = Some(span(value)?),
                    "final" => last = Some(span(value)?),
                    "sum" => sum = Some(span(value)?),
                    other => {
                        return Err(format!(
                            "`{other}` is no parameter of a goal: they are width, exceed, initial, final and sum"
                        ));
                    }
                },
            }
        }
        if conditions.is_empty() {
            return Err(format!("`{text}` has no condition: write loss<0.1%, p99<5ms or both"));
        }
        if conditions.iter().all(|condition| condition.tolerated_loss().is_none()) {
            conditions.insert(0, Threshold::parse(NO_LOSS)?);
        }
        let tolerated = conditions.iter().filter_map(Threshold::tolerated_loss);
        // One that is given moves its neighbours where these were not.
        let last = last.unwrap_or_else(|| LAST.min(sum.unwrap_or(LAST)).max(initial.unwrap_or(0)));
        let goal = Goal {
            loss_ratio: tolerated.fold(f64::INFINITY, f64::min),
            exceed_ratio,
            width,
            initial: initial.unwrap_or_else(|| INITIAL.min(last)),
            last,
            sum: sum.unwrap_or_else(|| SUM.max(last)),
        };
        goal.check()?;
        Ok(Self { conditions, goal })
    }

    /// What a sweep goes up to where no other goal is given: so many lost that the server is overloaded. Trials of `length`.
    pub(super) fn saturation(length: Nanos) -> Result<Self, String> {
        let conditions = vec![Threshold::parse(SATURATED.0)?];
        let (initial, last, sum) = (length, length, length);
        let goal = Goal { loss_ratio: SATURATED.1, exceed_ratio: EXCEED, width: COARSE, initial, last, sum };
        goal.check()?;
        Ok(Self { conditions, goal })
    }

    /// The conditions, as they are judged.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<String> = self.conditions.iter().map(ToString::to_string).collect();
        words.join(", ")
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = number.filter(|number| (0.0..=100.0).contains(number)).map(|number| number / 100.0);
    share.ok_or_else(|| format!("`{text}` is no share: write 1%"))
}

fn span(text: &str) -> Result<Nanos, String> {
    polyport_value::duration(text.trim())
        .map(nanos)
        .map_err(|_| format!("`{text}` is no time: write 500ms, 10s or 1m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_parameters_are_told_apart() {
        let aim =
            Aim::parse("loss<=0.5%, p99 < 5ms, width=2%, exceed=0%, initial=2s, final=30s, sum=60s").unwrap();
        assert_eq!(aim.words(), "loss<=0.5%, p99<5ms");
        let goal = Goal {
            loss_ratio: 0.005,
            exceed_ratio: 0.0,
            width: 0.02,
            initial: 2 * SECOND,
            last: 30 * SECOND,
            sum: 60 * SECOND,
        };
        assert_eq!(aim.goal, goal);
    }

    #[test]
    fn what_is_not_said_follows_from_what_is() {
        let lengths = |text: &str| {
            let goal = Aim::parse(text).unwrap().goal;
            (goal.initial / SECOND, goal.last / SECOND, goal.sum / SECOND)
        };
        assert_eq!(lengths("loss<1%"), (1, 10, 30));
        assert_eq!(lengths("loss<1%,final=60s"), (1, 60, 60));
        assert_eq!(lengths("loss<1%,sum=5s"), (1, 5, 5));
        assert_eq!(lengths("loss<1%,initial=20s"), (20, 20, 30));
        assert_eq!(Aim::parse("loss<1%,final=500ms").unwrap().goal.initial, SECOND / 2);
    }

    #[test]
    fn without_a_condition_on_loss_nothing_may_be_lost() {
        assert_eq!(Aim::parse("p99<5ms").unwrap().words(), "loss<=0%, p99<5ms");
        let ok = Aim::parse("ok>=99%").unwrap();
        assert_eq!(ok.words(), "ok>=99%");
        assert!((ok.goal.loss_ratio - 0.01).abs() < 1e-9);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "is no threshold"),
            ("width=1%", "has no condition"),
            ("loss<0.1%,wide=1%", "`wide` is no parameter"),
            ("loss<0.1%,width=1", "`1` is no share"),
            ("loss<0.1%,final=soon", "`soon` is no time"),
            ("loss<0.1%,initial=20s,final=10s", "trials grow"),
            ("loss<0.1%,exceed=100%", "exceed is the share"),
            ("loss<100%", "a loss of 100%"),
            ("p98<1ms", "is no threshold"),
        ] {
            let told = Aim::parse(text).unwrap_err();
            assert!(told.contains(named), "{text}: {told}");
        }
    }
}
