//! The options of one direction.

use std::time::Duration;

use polyport_plugin::{Config, Error, Ratio, Size, abi, choices, config};

use crate::text::value;

choices! {
    /// How jitter is distributed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Distribution {
        /// Every value alike.
        Uniform = "uniform",
        /// Of Gauss.
        Normal = "normal",
        /// A short one often, a long one sometimes.
        Pareto = "pareto",
        /// A quarter normal, three quarters pareto.
        ParetoNormal = "paretonormal",
        /// As the table in `distribution_file` says.
        File = "file",
    }
}

choices! {
    /// Whether datagrams may overtake each other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Order {
        /// Each leaves at its time.
        Time = "time",
        /// None leaves before one that came earlier.
        Keep = "keep",
    }
}

choices! {
    /// What a correlation means.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Correlation {
        /// With that chance the decision before is taken over; shares stay exact.
        Copy = "copy",
        /// As in Linux, where shares do not.
        Netem = "netem",
    }
}

/// One minute: longer than any UDP client waits for an answer, and it bounds what the host has to keep.
pub(crate) const LONGEST_WAIT_NS: u64 = 60_000_000_000;

/// A delay of a trace that holds for longer is no trace.
const LONGEST_STEP_NS: u64 = 86_400_000_000_000;

macro_rules! direction {
    ($($field:ident: $type:ty, $help:literal $(, $attr:ident $(= $bound:expr)?)*;)+) => {
        config! {
            /// What happens to datagrams on their way in one direction. An option that is not given changes nothing, unless a
            /// profile gives it. Names are those of tc-netem(8) where it has the thing.
            #[derive(Clone, Debug, Default, PartialEq)]
            pub struct Direction {
                $($field: Option<$type> = none, $help $(, $attr $(= $bound)?)*;)+
            }
        }

        impl Direction {
            /// Takes from `over` all that it gives. Where it gives one of several that exclude each other, the others go: a loss
            /// model replaces a loss model, and a rate the trace of one.
            pub(crate) fn replace(&mut self, over: &Self) {
                self.make_way(over);
                $(if over.$field.is_some() {
                    self.$field.clone_from(&over.$field);
                })+
            }

            /// Forgets one option; false if there is none of that name.
            pub(crate) fn clear(&mut self, name: &str) -> bool {
                match name {
                    $(stringify!($field) => self.$field = None,)+
                    _ => return false,
                }
                true
            }

            /// The options that are given.
            pub(crate) fn given(&self) -> Vec<&'static str> {
                let all = [$((stringify!($field), self.$field.is_some())),+];
                all.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
            }
        }
    };
}

direction! {
    loss: Ratio, "Share of datagrams that is lost, one by one (tc: loss random)";
    loss_correlation: Ratio, "How often the fate of the datagram before is taken over: losses come in bursts";
    loss_burst: String, "Share that is lost, in runs of so many: \"2% 4\"";
    loss_state: String, "Loss by four states: \"p13 p31 p32 p23 p14\", shares (tc: loss state)";
    loss_gemodel: String, "Loss by the model of Gilbert and Elliott: \"p r 1-h 1-k\", shares (tc: loss gemodel)";
    ecn: bool, "Marks congestion instead of losing a datagram whose sender can have that (RFC 3168)";
    duplicate: Ratio, "Share of those not lost that leaves twice";
    duplicate_correlation: Ratio, "As loss_correlation, for duplicate";
    corrupt: Ratio, "Share of those not lost that leaves with one bit of its payload flipped";
    corrupt_correlation: Ratio, "As loss_correlation, for corrupt";
    delay: Duration, "Time that each datagram takes", max = LONGEST_WAIT_NS;
    jitter: Duration, "How much longer or shorter that is: the most if uniform, else the standard deviation",
        max = LONGEST_WAIT_NS;
    jitter_correlation: Ratio, "How often the jitter of the datagram before is taken over";
    distribution: Distribution, "How jitter is distributed; uniform unless given";
    distribution_file: String, "The table of distribution = \"file\", as tc reads it (NAME.dist)", reads;
    reorder: Ratio, "Share that goes at once, before those that wait for their delay (tc: reorder)";
    reorder_correlation: Ratio, "As loss_correlation, for reorder";
    gap: u16, "At the soonest each so-manieth datagram is reordered; 1 unless given", min = 1;
    late: Ratio, "Share that is held for longer, so that those behind overtake it";
    late_correlation: Ratio, "As loss_correlation, for late";
    late_by: Duration, "How much longer, besides delay and jitter; 10ms unless given", max = LONGEST_WAIT_NS;
    order: Order, "Whether a datagram may overtake one before it: at its time, or the order is kept";
    correlation: Correlation, "What a correlation means: the decision before is copied, or as in Linux";
    rate: String, "Bits that the link carries in a second, such as 5Mbit; the rest waits in a queue";
    packet_overhead: i32, "Bytes of each datagram on the link besides its payload; IP and UDP unless given",
        min = -65_536, max = 65_536;
    cell_size: u32, "The link carries cells with so many bytes of it: 48 for ATM", min = 1, max = 65_536;
    cell_overhead: i32, "Bytes that each cell has besides: 5 for ATM", min = -65_536, max = 65_536;
    limit: u32, "Datagrams that wait at most; 1000 unless given, where there is a rate, a trace or a slot",
        min = 1, max = 1_048_576;
    limit_bytes: Size, "Bytes that wait at most", min = 1;
    slot: String, "Datagrams leave together, at times this far apart: \"min max datagrams bytes\", \"20ms 40ms 10 64KiB\"";
    mtu: u32, "A longer payload is lost, bytes", max = 65_535;
    blackout: bool, "Whether all is lost";
    trace: String, "A file instead of rate: each line is the millisecond at which 1500 bytes may leave (mahimahi)", reads;
    delay_trace: String, "A file instead of delay: each line is the delay of one datagram, such as 12.5ms", reads;
    delay_trace_step: Duration, "Each line of delay_trace holds for so long, instead of for one datagram",
        min = 1, max = LONGEST_STEP_NS;
}

/// Options of which one replaces the others; in brackets what belongs to it alone.
const EITHER: [&[(&str, &[&str])]; 3] = [
    &[("loss", &["loss_correlation"]), ("loss_burst", &[]), ("loss_state", &[]), ("loss_gemodel", &[])],
    &[("rate", &["cell_size", "cell_overhead"]), ("trace", &[])],
    &[("delay", &[]), ("delay_trace", &["delay_trace_step"])],
];

impl Direction {
    /// One option from its text.
    ///
    /// # Errors
    /// There is no such option, and which one may be meant; or what is wrong with the text.
    pub(crate) fn one(name: &str, text: &str) -> Result<Self, String> {
        let Some(at) = Self::OPTIONS.iter().position(|option| option.name() == name) else {
            return Err(unknown(name));
        };
        let mut values = vec![config::Value::Missing; Self::OPTIONS.len()];
        if let (Some(place), Some(option)) = (values.get_mut(at), Self::OPTIONS.get(at)) {
            *place = value(option, text)?;
        }
        Self::from_values(&values).map_err(|error| error.message().to_owned())
    }

    /// The options that are files to read, each with its name.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let files = [
            ("distribution_file", &self.distribution_file),
            ("trace", &self.trace),
            ("delay_trace", &self.delay_trace),
        ];
        files.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?)))
    }

    /// Forgets what cannot stand beside what comes.
    fn make_way(&mut self, over: &Self) {
        let given = over.given();
        for group in EITHER {
            let Some((chosen, _)) = group.iter().find(|(name, _)| given.contains(name)) else { continue };
            for (name, parts) in group.iter().filter(|(name, _)| name != chosen && !given.contains(name)) {
                self.clear(name);
                parts.iter().filter(|part| !given.contains(part)).for_each(|part| _ = self.clear(part));
            }
        }
        if over.distribution.is_some_and(|kind| kind != Distribution::File) {
            self.distribution_file = None;
        }
        if over.distribution_file.is_some() {
            self.distribution = None;
        }
    }
}

/// That no file is left out above.
const _: () = {
    let (mut files, mut at) = (0, 0);
    while at < Direction::OPTIONS.len() {
        files += (Direction::OPTIONS[at].raw().flags & abi::OPT_READS != 0) as usize;
        at += 1;
    }
    assert!(files == 3, "an option that is a file is known as one");
};

/// What is said about an option that there is not.
fn unknown(name: &str) -> String {
    let distance = |option: &&str| strsim::damerau_levenshtein(option, name);
    let names = Direction::OPTIONS.iter().map(config::Opt::name);
    match names.min_by_key(distance).filter(|near| distance(near) <= 2) {
        Some(near) => format!("there is no option `{name}`; did you mean `{near}`?"),
        None => format!("there is no option `{name}`"),
    }
}

/// What is wrong, at an option of the direction that is under a name.
pub(crate) fn at(under: &str, option: &str, message: impl std::fmt::Display) -> Error {
    Error::option(option, message).under(under)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[(&str, &str)]) -> Direction {
        let mut all = Direction::default();
        for (name, text) in options {
            all.replace(&Direction::one(name, text).unwrap());
        }
        all
    }

    #[test]
    fn every_option_can_be_set_by_its_name_and_forgotten() {
        let some = |name: &str| match name {
            "distribution" => "normal",
            "order" => "keep",
            "correlation" => "netem",
            "ecn" | "blackout" => "true",
            "delay" | "jitter" | "late_by" | "delay_trace_step" => "20ms",
            "limit_bytes" => "64KiB",
            "gap" | "packet_overhead" | "cell_size" | "cell_overhead" | "limit" | "mtu" => "48",
            // Texts, and shares.
            _ => "2.5%",
        };
        for option in Direction::OPTIONS {
            let mut one = Direction::one(option.name(), some(option.name())).unwrap();
            assert_eq!(one.given(), [option.name()]);
            assert!(one.clear(option.name()) && one == Direction::default());
        }
        assert!(!Direction::default().clear("los"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (name, text, why) in [
            ("los", "1%", "there is no option `los`; did you mean `loss`?"),
            ("colour", "1%", "there is no option `colour`"),
            ("loss", "101%", "expected a ratio from 0% to 100%"),
            ("delay", "20", "a duration needs its unit"),
            ("delay", "61s", "61s is out of bounds: at most 60s"),
            ("order", "both", "expected one of time, keep"),
            ("blackout", "yes", "expected true or false"),
            ("gap", "0", "0 is out of bounds: 1 to 65535"),
            ("gap", "x", "expected a whole number"),
            ("limit_bytes", "1 MiBi", "expected a size"),
        ] {
            let wrong = Direction::one(name, text).unwrap_err();
            assert!(wrong.starts_with(why), "{name}={text}: {wrong}");
        }
    }

    #[test]
    fn one_model_replaces_another_and_what_belongs_to_it() {
        let mut all = of(&[("loss", "1%"), ("loss_correlation", "20%"), ("delay", "5ms"), ("rate", "1Mbit")]);
        all.replace(&Direction::one("loss_gemodel", "1% 25%").unwrap());
        assert_eq!(all.given(), ["loss_gemodel", "delay", "rate"]);
        all.replace(&Direction::one("trace", "a").unwrap());
        all.replace(&Direction::one("delay_trace", "b").unwrap());
        assert_eq!(all.given(), ["loss_gemodel", "trace", "delay_trace"]);
        all.replace(&Direction::one("loss", "2%").unwrap());
        assert_eq!(all.given(), ["loss", "trace", "delay_trace"]);
        // Both given at once stay, and contradict each other.
        let mut both = Direction::default();
        both.replace(&Direction { loss_burst: Some("1% 2".into()), ..of(&[("loss", "1%")]) });
        assert_eq!(both.given(), ["loss", "loss_burst"]);
        let mut table = of(&[("distribution_file", "a.dist")]);
        table.replace(&Direction::one("distribution", "normal").unwrap());
        assert_eq!(table.given(), ["distribution"]);
    }
}
