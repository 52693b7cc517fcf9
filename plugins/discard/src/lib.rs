//! The discard service (RFC 863): counts what comes, throws it away, and never answers.
//!
//! ```toml
//! plugin = "discard"
//! tos = true            # count by DSCP and ECN as well; default false
//! ```
//!
//! A sink for load tests: what is received and at which rate is then a matter of the daemon and the kernel alone.
#![forbid(unsafe_code)]

use std::ffi::CString;

use polyport_plugin::prelude::*;
use polyport_plugin::{Facts, config};

config! {
    /// Options of the plugin.
    #[derive(Clone, Copy, Debug)]
    pub struct DiscardConfig {
        tos: bool = "false", "Whether datagrams are counted by DSCP and ECN as well; makes receiving a little dearer";
    }
}

/// The handler of one listener.
#[derive(Debug)]
pub struct Discard {
    datagrams: Counter,
    bytes: Counter,
    classes: Option<Classes>,
}

/// A counter for each traffic class.
#[derive(Debug)]
struct Classes {
    /// By the six bits of DSCP (RFC 2474).
    dscp: Vec<Counter>,
    /// By the two bits of ECN (RFC 3168).
    ecn: Vec<Counter>,
}

/// What the two bits of ECN say, by their number.
const ECN: [&str; 4] = ["not_ect", "ect_1", "ect_0", "ce"];

impl Handler for Discard {
    type Config = DiscardConfig;

    fn new(config: DiscardConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let datagrams = setup.counter(c"datagrams_total", c"Datagrams thrown away");
        let bytes = setup.counter(c"bytes_total", c"Bytes of payload thrown away");
        let classes = if config.tos { Some(Classes::new(setup)?) } else { None };
        Ok(Self { datagrams, bytes, classes })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let (mut datagrams, mut bytes) = (0, 0);
        for datagram in batch.datagrams() {
            datagrams += 1;
            bytes += datagram.payload().len() as u64;
            if let Some(classes) = &self.classes {
                classes.count(datagram.tos());
            }
            datagram.discard();
        }
        self.datagrams.add(datagrams);
        self.bytes.add(bytes);
    }
}

impl Classes {
    /// # Errors
    /// The system does not tell.
    fn new(setup: &mut Setup<'_>) -> Result<Self> {
        if !setup.want(Facts::TOS).contains(Facts::TOS) {
            return Err(Error::option("tos", "this system does not tell the traffic class of datagrams"));
        }
        let mut counter = |name: String, help: &str| {
            // Numbers and literals of this file: there is no NUL in them.
            let text = |text: &str| CString::new(text).unwrap_or_default();
            setup.counter(&text(&name), &text(help))
        };
        let dscp =
            (0..64).map(|code| counter(format!("dscp_{code}_total"), "Datagrams with this DSCP")).collect();
        let ecn =
            ECN.iter().map(|says| counter(format!("ecn_{says}_total"), "Datagrams with this ECN")).collect();
        Ok(Self { dscp, ecn })
    }

    fn count(&self, tos: u8) {
        let of_both = [self.dscp.get(usize::from(tos >> 2)), self.ecn.get(usize::from(tos & 0b11))];
        of_both.into_iter().flatten().for_each(|counter| counter.add(1));
    }
}

describe_plugin!(Discard, "discard", "Counts what comes, by traffic class if told to, and throws it away");

#[cfg(test)]
mod tests {
    use polyport_plugin::testing::{Harness, Incoming, Outcome};

    use super::Discard;

    const PEER: &str = "192.0.2.1:5000";

    #[test]
    fn everything_is_counted_thrown_away_and_never_answered() {
        let mut h = Harness::<Discard>::new(&[]);
        assert_eq!(h.send_batch(&[(PEER, &b"hello"[..]), (PEER, b""), (PEER, &[0; 9000])]), Outcome::Done);
        assert_eq!((h.counter("datagrams_total"), h.counter("bytes_total"), h.discarded()), (3, 9005, 3));
        assert!(h.sent().is_empty() && h.waiting() == 0);
        assert_eq!(h.told(), polyport_plugin::Facts::default(), "nothing that costs something");
    }

    #[test]
    fn classes_are_counted_by_both_parts_of_the_octet() {
        let mut h = Harness::<Discard>::new(&[("tos", "true")]);
        let datagram = |tos| Incoming { tos, ..Incoming::new(PEER.parse().unwrap(), b"x") };
        assert_eq!(h.deliver(&[0xB8, 0xBB, 0x02, 0, 0xFF].map(datagram)), Outcome::Done);
        let counted = |name: &str| h.counter(&format!("{name}_total"));
        assert_eq!(["dscp_46", "dscp_0", "dscp_63", "dscp_1"].map(counted), [2, 2, 1, 0]);
        assert_eq!(["ecn_not_ect", "ecn_ect_1", "ecn_ect_0", "ecn_ce"].map(counted), [2, 0, 1, 2]);
    }

    #[test]
    fn a_system_that_does_not_tell_the_class_is_an_error_of_that_option() {
        let mut h = Harness::<Discard>::new(&[]);
        h.offer(polyport_plugin::Facts::HOPS);
        let refused = h.reload(&[("tos", "true")]).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some("tos"));
    }
}
