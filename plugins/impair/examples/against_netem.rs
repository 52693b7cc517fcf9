//! What the model does to datagrams that come at given times, for a comparison with the kernel's netem.
//!
//! ```text
//! against_netem SETTING ARRIVALS RESULT [SEED]
//! ```
//!
//! Both files are as `tests/bench/numbered.c` writes them. Of ARRIVALS only the times are read at which datagrams were sent;
//! RESULT gets them again, and behind them what leaves: the number of each datagram, the bit that is wrong, and when.
//! The settings are those of `tests/bench/netem.py`, which has the words of tc(8) for each.

use std::sync::Arc;
use std::{env, error, fs};

use polyport_impair::{
    Config, Correlation, Direction, Distribution, Family, Fate, FourStates, GilbertElliott, Line, Script,
    Share, Start, Table, client, flip,
};

/// A frame of `numbered` has 106 bytes, of them 14 for the link.
const LINK: i32 = 14;
const PAYLOAD: usize = 92;
const MS: u64 = 1_000_000;
const WHOLE: u32 = u32::MAX;

/// A datagram that leaves: when, which, and the bit of its payload that is wrong.
type Departure = (u64, u32, u32);

fn main() -> Result<(), Box<dyn error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [setting, arrivals, result, more @ ..] = &arguments[..] else {
        return Err("against_netem SETTING ARRIVALS RESULT [SEED]".into());
    };
    let seed = more.first().map_or(Ok(1), |text| text.parse())?;
    let config = config(setting).ok_or_else(|| format!("no setting {setting:?}"))?;
    let sent = times(&fs::read(arrivals)?)?;
    let script =
        Script::new(seed, Direction::Up, Start::Line, &config, None).map_err(|all| format!("{all:?}"))?;
    let mut line = Line::new(client::SHARED, Family::Ipv4);
    let mut left: Vec<Departure> = Vec::with_capacity(sent.len());
    for (number, now) in (0..).zip(&sent) {
        if let Fate::Pass(pass) = line.decide(&script, *now, PAYLOAD, 0) {
            left.push((pass.at_ns, number, wrong_bit(pass.corrupt)));
            left.extend(pass.copy.map(|copy| (copy.at_ns, number, wrong_bit(copy.corrupt))));
        }
    }
    // As the host sends them: by time, and what has the same time in the order of arrival.
    left.sort_by_key(|(at, ..)| *at);
    fs::write(result, written(&sent, &left))?;
    Ok(())
}

fn config(setting: &str) -> Option<Config> {
    let plain = Config::default();
    let jitter =
        |distribution| Config { delay: 400 * MS, jitter: 100 * MS, distribution, ..Config::default() };
    let table = |table| jitter(Distribution::Table(Arc::new(table)));
    Some(match setting {
        "noise" => Config { delay: 400 * MS, ..plain },
        "loss" => Config { loss: percent(5.0), ..plain },
        "loss, correlation" => Config {
            loss: percent(20.0),
            loss_correlation: percent(50.0),
            correlation: Correlation::Netem,
            ..plain
        },
        "loss state" => {
            let chain = [2.0, 20.0, 10.0, 40.0, 0.5].map(percent);
            Config { loss_state: FourStates::from_arguments(&chain), ..plain }
        }
        "loss gemodel, 2" => {
            Config { loss_gemodel: GilbertElliott::from_arguments(&[1.0, 25.0].map(percent)), ..plain }
        }
        "loss gemodel, 4" => {
            let all = [2.0, 30.0, 70.0, 0.1].map(percent);
            Config { loss_gemodel: GilbertElliott::from_arguments(&all), ..plain }
        }
        "duplicate" => Config { duplicate: percent(3.0), ..plain },
        "corrupt" => Config { corrupt: percent(2.0), ..plain },
        "delay, uniform" => jitter(Distribution::Uniform),
        "delay, normal" => table(Table::normal()),
        "delay, pareto" => table(Table::pareto()),
        "delay, paretonormal" => table(Table::pareto_normal()),
        "reorder, gap" => Config { delay: 10 * MS, reorder: percent(25.0), gap: Some(5), ..plain },
        "rate, limit" => {
            Config { rate: Some(8_000_000), limit: Some(1000), packet_overhead: Some(LINK), ..plain }
        }
        _ => return None,
    })
}

fn percent(share: f64) -> Share {
    Share::new(share / 100.0).unwrap_or_default()
}

/// The count in front, and so many times behind the other count.
fn times(bytes: &[u8]) -> Result<Vec<u64>, &'static str> {
    let words = bytes.as_chunks::<8>().0;
    let count = words.first().map(|word| u64::from_le_bytes(*word)).ok_or("the arrivals are empty")?;
    let count = usize::try_from(count).map_err(|_| "too many arrivals")?;
    let times = words.get(2..count.saturating_add(2)).ok_or("the arrivals are cut")?;
    Ok(times.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

fn wrong_bit(corrupt: Option<u64>) -> u32 {
    corrupt.map_or(WHOLE, |random| {
        let mut payload = [0; PAYLOAD];
        flip(&mut payload, random);
        (0..)
            .zip(payload)
            .find(|(_, byte)| *byte != 0)
            .map_or(WHOLE, |(at, byte)| at * 8 + byte.trailing_zeros())
    })
}

fn written(sent: &[u64], left: &[Departure]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + 8 * sent.len() + 16 * left.len());
    for word in [sent.len() as u64, left.len() as u64].iter().chain(sent) {
        bytes.extend(word.to_le_bytes());
    }
    for (at, number, wrong) in left {
        bytes.extend(number.to_le_bytes());
        bytes.extend(wrong.to_le_bytes());
        bytes.extend(at.to_le_bytes());
    }
    bytes
}
