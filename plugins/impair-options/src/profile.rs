//! Ready sets of options, each with where its figures come from.

use polyport_plugin::choices;

use crate::direction::Direction;

choices! {
    /// A kind of network.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Profile {
        /// A switched network in one building.
        Lan = "lan",
        /// A wireless network with many users.
        Wifi = "wifi",
        /// A phone with LTE.
        Lte = "lte",
        /// A phone with 3G.
        ThreeG = "3g",
        /// A geostationary satellite.
        Satellite = "satellite",
        /// A data centre with a broken link.
        LossyDc = "lossy-dc",
        /// The wireless network of a hotel on a slow line.
        BadHotel = "bad-hotel",
    }
}

/// What a profile stands for.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Options of what comes from clients.
    pub up: &'static [(&'static str, &'static str)],
    /// Options of what goes to them.
    pub down: &'static [(&'static str, &'static str)],
    /// Where the figures come from, and which of them are chosen and not measured.
    pub source: &'static str,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Lan, Self::Wifi, Self::Lte, Self::ThreeG, Self::Satellite, Self::LossyDc, Self::BadHotel];

    /// What it stands for.
    #[must_use]
    pub const fn described(self) -> &'static Described {
        match self {
            Self::Lan => &LAN,
            Self::Wifi => &WIFI,
            Self::Lte => &LTE,
            Self::ThreeG => &THREE_G,
            Self::Satellite => &SATELLITE,
            Self::LossyDc => &LOSSY_DC,
            Self::BadHotel => &BAD_HOTEL,
        }
    }

    /// The options of what comes from clients, and of what goes to them.
    #[must_use]
    pub fn directions(self) -> [Direction; 2] {
        let Described { up, down, .. } = self.described();
        [up, down].map(|options| {
            let mut all = Direction::default();
            // That each of them can be read is tested.
            options
                .iter()
                .filter_map(|(name, text)| Direction::one(name, text).ok())
                .for_each(|one| all.replace(&one));
            all
        })
    }
}

const LAN: Described = Described {
    name: "lan",
    up: &[("delay", "200us"), ("rate", "1Gbit")],
    down: &[("delay", "200us"), ("rate", "1Gbit")],
    source: "A round trip below 1 ms within a VLAN: Cisco document 225617, on network latency and packet loss of Catalyst 9000 switches. \
             1 Gbit/s: 1000BASE-T, IEEE 802.3 clause 40. The 0.4 ms of the round trip are chosen.",
};

const WIFI: Described = Described {
    name: "wifi",
    up: &[("delay", "5ms"), ("jitter", "5ms"), ("distribution", "pareto"), ("order", "keep")],
    down: &[("delay", "5ms"), ("jitter", "5ms"), ("distribution", "pareto"), ("order", "keep")],
    source: "Latency of the wireless hop, median 3 ms, 90th percentile 20 ms, 99th 250 ms: Sui et al., Characterizing and \
             Improving WiFi Latency in Large-Scale Operational Networks, MobiSys 2016. The table ends at four sigma, so the last \
             hundredth is shorter here (50 ms both ways); it is halved between the directions. Order is kept and nothing lost, \
             as the link repeats what was lost.",
};

const LTE: Described = Described {
    name: "lte",
    up: &[("delay", "35ms"), ("rate", "12Mbit"), ("loss", "0.1%")],
    down: &[("delay", "35ms"), ("rate", "12Mbit"), ("loss", "0.1%")],
    source: "12 Mbit/s each way and a round trip of 70 ms: the preset LTE of WebPageTest. Loss: the bound of QCI 7 (voice, live \
             video, games), 10^-3, 3GPP TS 23.203, table 6.1.7.",
};

const THREE_G: Described = Described {
    name: "3g",
    up: &[("delay", "150ms"), ("rate", "768kbit")],
    down: &[("delay", "150ms"), ("rate", "1.6Mbit")],
    source: "1.6 Mbit/s down, 768 kbit/s up and a round trip of 300 ms, no loss: the preset 3G of WebPageTest.",
};

const SATELLITE: Described = Described {
    name: "satellite",
    up: &[("delay", "279ms"), ("rate", "3Mbit")],
    down: &[("delay", "279ms"), ("rate", "25Mbit")],
    source: "279.0 ms from a ground station at the edge of the view over a geostationary satellite to another, a round trip of \
             558 ms: RFC 2488, section 2, which is the speed of light. 25 and 3 Mbit/s: what the FCC called broadband from 2015 \
             to 2024.",
};

const LOSSY_DC: Described = Described {
    name: "lossy-dc",
    up: &[("delay", "100us"), ("rate", "10Gbit"), ("loss", "0.1%")],
    down: &[("delay", "100us"), ("rate", "10Gbit"), ("loss", "0.1%")],
    source: "A link that corrupts loses at a rate that is stable and does not follow its load, so losses are independent: Zhuo et \
             al., Understanding and Mitigating Packet Corruption in Data Center Networks, SIGCOMM 2017. 10 Gbit/s: 10GBASE, IEEE \
             802.3. The share and the delay are chosen.",
};

const BAD_HOTEL: Described = Described {
    name: "bad-hotel",
    up: &[
        ("delay", "25ms"),
        ("jitter", "25ms"),
        ("distribution", "pareto"),
        ("order", "keep"),
        ("loss_gemodel", "0.86% 33%"),
        ("rate", "384kbit"),
    ],
    down: &[
        ("delay", "25ms"),
        ("jitter", "25ms"),
        ("distribution", "pareto"),
        ("order", "keep"),
        ("loss_gemodel", "0.86% 33%"),
        ("rate", "1.5Mbit"),
    ],
    source: "A wireless hop with a median of 50 ms, or with up to 250 ms, both ways together: two bad cases of Pei et al., WiFi Can Be \
             the Weakest Link of Round Trip Network Latency in the Wild, INFOCOM 2016. 2 to 3 % lost, not independently: Nguyen et \
             al., A Trace-Based Approach for Modeling Wireless Channel Behavior, Winter Simulation Conference 1996; that three are \
             lost in a row is chosen. 1.5 Mbit/s down, 384 kbit/s up: the preset DSL of WebPageTest, which all guests share.",
};

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The page that shows them says what they are.
    const PAGE: &str = include_str!("../PROFILES.md");

    #[test]
    fn each_option_of_a_profile_is_one() {
        for profile in Profile::ALL {
            let Described { up, down, source, .. } = profile.described();
            for (all, of) in [up, down].into_iter().zip(profile.directions()) {
                assert_eq!(of.given().len(), all.len(), "{profile:?}");
            }
            assert!(!source.contains("  "), "{source}");
        }
    }

    #[test]
    fn the_page_says_what_they_are() {
        let list = |options: &[(&str, &str)]| {
            options.iter().map(|(name, text)| format!("`{name} = \"{text}\"`")).collect::<Vec<_>>().join(", ")
        };
        let (mut table, mut sources) = (String::new(), String::new());
        for profile in Profile::ALL {
            let Described { name, up, down, source } = profile.described();
            let down = if up == down { "the same".to_owned() } else { list(down) };
            writeln!(table, "| `{name}` | {} | {down} |", list(up)).unwrap();
            writeln!(sources, "- `{name}`: {source}").unwrap();
        }
        assert!(
            PAGE.contains(&format!("| --- | --- | --- |\n{table}\n")),
            "PROFILES.md has this table:\n{table}"
        );
        let in_lines = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            in_lines(PAGE).ends_with(&in_lines(&sources)),
            "PROFILES.md ends with these sources:\n{sources}"
        );
    }
}
