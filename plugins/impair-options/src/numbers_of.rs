//! The options of one direction as the numbers of the engine.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use polyport_impair as impair;
use polyport_impair::{Burst, Config, DelayTrace, FourStates, GilbertElliott, RateTrace, Share, Slot, Table};
use polyport_plugin::{Config as _, Ratio, abi};

use crate::direction::{Correlation, Direction, Distribution, Order};
use crate::files;
use crate::numbers::{bit_rate, burst, shares, slot};
use crate::timeline::NONE;

/// The name of an option, and what is wrong with it.
pub(crate) type Wrong = (&'static str, String);

/// Reads options. A file that several of them name, or the steps of a timeline, is read once.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    tables: BTreeMap<String, Arc<Table>>,
    traces: BTreeMap<String, Arc<RateTrace>>,
    delays: BTreeMap<String, Arc<DelayTrace>>,
}

impl Numbers {
    /// What the options mean.
    pub(crate) fn of(&mut self, options: &Direction) -> Result<Config, Wrong> {
        let mut options = options.clone();
        forget_none(&mut options);
        let neutral = Config::default();
        Ok(Config {
            loss: share(options.loss),
            loss_correlation: share(options.loss_correlation),
            loss_burst: text(&options.loss_burst, "loss_burst", read_burst)?,
            loss_state: text(&options.loss_state, "loss_state", read_states)?,
            loss_gemodel: text(&options.loss_gemodel, "loss_gemodel", read_model)?,
            ecn: options.ecn.unwrap_or(neutral.ecn),
            duplicate: share(options.duplicate),
            duplicate_correlation: share(options.duplicate_correlation),
            corrupt: share(options.corrupt),
            corrupt_correlation: share(options.corrupt_correlation),
            delay: ns(options.delay).unwrap_or(neutral.delay),
            jitter: ns(options.jitter).unwrap_or(neutral.jitter),
            jitter_correlation: share(options.jitter_correlation),
            distribution: self.distribution(&options)?,
            reorder: share(options.reorder),
            reorder_correlation: share(options.reorder_correlation),
            gap: options.gap,
            late: share(options.late),
            late_correlation: share(options.late_correlation),
            late_by: ns(options.late_by).unwrap_or(neutral.late_by),
            order: match options.order {
                Some(Order::Keep) => impair::Order::Keep,
                Some(Order::Time) | None => impair::Order::Time,
            },
            correlation: match options.correlation {
                Some(Correlation::Netem) => impair::Correlation::Netem,
                Some(Correlation::Copy) | None => impair::Correlation::Copy,
            },
            rate: text(&options.rate, "rate", bit_rate)?,
            packet_overhead: options.packet_overhead,
            cell_size: options.cell_size,
            cell_overhead: options.cell_overhead.unwrap_or(neutral.cell_overhead),
            limit: options.limit,
            limit_bytes: options.limit_bytes.map(|size| size.0),
            slot: text(&options.slot, "slot", read_slot)?,
            mtu: options.mtu,
            blackout: options.blackout.unwrap_or(neutral.blackout),
            trace: text(&options.trace, "trace", |path| once(&mut self.traces, path, RateTrace::parse))?,
            delay_trace: text(&options.delay_trace, "delay_trace", |path| {
                once(&mut self.delays, path, DelayTrace::parse)
            })?,
            delay_trace_step: ns(options.delay_trace_step),
        })
    }

    fn distribution(&mut self, options: &Direction) -> Result<impair::Distribution, Wrong> {
        let file = options.distribution_file.as_deref();
        let table = match (options.distribution, file) {
            (Some(Distribution::File) | None, Some(path)) => {
                once(&mut self.tables, path, Table::parse).map_err(|why| ("distribution_file", why))?
            }
            (Some(Distribution::File), None) => {
                return Err((
                    "distribution",
                    "\"file\" needs distribution_file, the name of the table".to_owned(),
                ));
            }
            (Some(_), Some(_)) => {
                let why =
                    "distribution is another one: leave one of them out, or say distribution = \"file\"";
                return Err(("distribution_file", why.to_owned()));
            }
            (Some(Distribution::Uniform) | None, None) => return Ok(impair::Distribution::Uniform),
            (Some(Distribution::Normal), None) => Arc::clone(&NORMAL),
            (Some(Distribution::Pareto), None) => Arc::clone(&PARETO),
            (Some(Distribution::ParetoNormal), None) => Arc::clone(&PARETO_NORMAL),
        };
        Ok(impair::Distribution::Table(table))
    }
}

/// Built once, with the first options that ask for one: that takes milliseconds, in which nobody would be served.
static NORMAL: LazyLock<Arc<Table>> = LazyLock::new(|| Arc::new(Table::normal()));
static PARETO: LazyLock<Arc<Table>> = LazyLock::new(|| Arc::new(Table::pareto()));
static PARETO_NORMAL: LazyLock<Arc<Table>> = LazyLock::new(|| Arc::new(Table::pareto_normal()));

/// A text that is `none` is as if it were not given: so a profile can be overridden.
fn forget_none(options: &mut Direction) {
    let texts = [
        ("loss_burst", &options.loss_burst),
        ("loss_state", &options.loss_state),
        ("loss_gemodel", &options.loss_gemodel),
        ("distribution_file", &options.distribution_file),
        ("rate", &options.rate),
        ("slot", &options.slot),
        ("trace", &options.trace),
        ("delay_trace", &options.delay_trace),
    ];
    let none: Vec<_> =
        texts.iter().filter(|(_, text)| text.as_deref() == Some(NONE)).map(|(name, _)| *name).collect();
    none.into_iter().for_each(|name| _ = options.clear(name));
}

/// All bounds of the engine are wider than those that options are declared with.
fn share(ratio: Option<Ratio>) -> Share {
    ratio.and_then(|ratio| Share::new(ratio.get())).unwrap_or_default()
}

fn ns(time: Option<Duration>) -> Option<u64> {
    time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn text<T>(
    text: &Option<String>,
    name: &'static str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Wrong> {
    text.as_deref().map(read).transpose().map_err(|why| (name, why))
}

/// What a file holds, read now or before.
fn once<T, E: Display>(
    known: &mut BTreeMap<String, Arc<T>>,
    path: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Arc<T>, String> {
    if let Some(known) = known.get(path) {
        return Ok(Arc::clone(known));
    }
    let read = parse(&files::read(path)?).map_err(|why| format!("{path}: {why}"))?;
    let read = Arc::new(read);
    known.insert(path.to_owned(), Arc::clone(&read));
    Ok(read)
}

fn read_burst(text: &str) -> Result<Burst, String> {
    let (share, length) = burst(text)?;
    Ok(Burst { share: Share::new(share).unwrap_or_default(), length })
}

fn read_states(text: &str) -> Result<FourStates, String> {
    let given = in_a_row(shares(text, ["p13", "p31", "p32", "p23", "p14"], 1)?);
    FourStates::from_arguments(&given).ok_or_else(|| "expected \"p13 p31 p32 p23 p14\"".to_owned())
}

fn read_model(text: &str) -> Result<GilbertElliott, String> {
    let given = in_a_row(shares(text, ["p", "r", "1-h", "1-k"], 1)?);
    GilbertElliott::from_arguments(&given).ok_or_else(|| "expected \"p r 1-h 1-k\"".to_owned())
}

fn in_a_row<const N: usize>(shares: [Option<f64>; N]) -> Vec<Share> {
    shares.into_iter().map_while(|share| share.and_then(Share::new)).collect()
}

fn read_slot(text: &str) -> Result<Slot, String> {
    let read = slot(text)?;
    let (packets, bytes) = (Some(read.packets).filter(|n| *n > 0), Some(read.bytes).filter(|n| *n > 0));
    Ok(Slot { min: read.min_ns, max: read.max_ns, packets, bytes })
}

/// That no text is left out above.
const _: () = {
    let (mut texts, mut at) = (0, 0);
    while at < Direction::OPTIONS.len() {
        texts += (Direction::OPTIONS[at].raw().kind == abi::OPT_STRING) as usize;
        at += 1;
    }
    assert!(texts == 8, "an option that is a text can be none");
};
