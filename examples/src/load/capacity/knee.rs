//! Where latency over load bends.

use polyport_protocol::Nanos;

/// A step of a sweep, as far as the knee is concerned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// Datagrams answered a second.
    pub(super) answered: f64,
    /// What 99 of 100 answers took at most.
    pub(super) p99: Option<Nanos>,
}

impl Step {
    /// Kleinrock's power: what is got through, divided by how long it takes. Before the knee it grows with the load, since latency
    /// hardly does; beyond it latency grows faster.
    pub(super) fn power(&self) -> Option<f64> {
        self.p99.map(|p99| self.answered / (seconds(p99.max(1))))
    }
}

/// The step of the greatest power; `None` if nothing was answered in any.
pub(super) fn knee(steps: &[Step]) -> Option<usize> {
    let powers = steps.iter().enumerate().filter_map(|(index, step)| Some((index, step.power()?)));
    powers.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

#[expect(clippy::cast_precision_loss, reason = "a latency is below 104 days")]
fn seconds(span: Nanos) -> f64 {
    span as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of a test")]
    fn nanos(seconds: f64) -> Nanos {
        (seconds * 1e9) as Nanos
    }

    #[test]
    fn of_a_queue_it_is_where_kleinrock_found_it() {
        // M/M/1: the time is 1 / (capacity - load), and load / time is greatest at half the capacity.
        let steps: Vec<Step> = (1..=19)
            .map(|i| Step {
                answered: f64::from(i) * 500.0,
                p99: Some(nanos(4.6 / (10_000.0 - f64::from(i) * 500.0))),
            })
            .collect();
        assert_eq!(knee(&steps).map(|index| steps[index].answered), Some(5000.0));
    }

    #[test]
    fn of_a_server_that_only_stops_it_is_the_last_step_before() {
        let step = |load: f64| Step {
            answered: load.min(7000.0),
            p99: Some(if load <= 7000.0 { 60_000 } else { 20_000_000 }),
        };
        let steps: Vec<Step> = (1..=16).map(|i| step(f64::from(i) * 500.0)).collect();
        assert_eq!(knee(&steps), Some(13));
    }

    #[test]
    fn nothing_answered_has_no_knee() {
        assert_eq!(knee(&[]), None);
        assert_eq!(knee(&[Step { answered: 0.0, p99: None }; 3]), None);
    }
}
