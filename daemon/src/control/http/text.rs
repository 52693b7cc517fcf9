//! Figures to text, in the two forms that Prometheus asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::family::{Family, Kind, Number, Own, Scene, Source, seconds};
use super::figures::{BOUNDS_NS, Counts, Figures, PluginMetric, Range, Reason, Times};
use super::table::{FAMILIES, PLUGIN_LABELS, plugin_name};

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// What Prometheus had before, version 0.0.4.
    Plain,
}

impl Form {
    /// The form that an `Accept` header asks for. Prometheus names `OpenMetrics` where it takes it; whoever names nothing gets what
    /// every reader knows.
    #[must_use]
    pub fn asked(accept: &str) -> Self {
        let wants = accept.split(',').any(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
            name.eq_ignore_ascii_case("application/openmetrics-text") && !refused
        });
        if wants { Self::OpenMetrics } else { Self::Plain }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// What is written.
#[derive(Debug)]
struct Page {
    figures: Arc<Figures>,
    own: Own,
}

/// The text of figures.
///
/// # Errors
/// None that the encoder has today; it says that it could.
pub fn write(figures: &Arc<Figures>, own: Own, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { figures: Arc::clone(figures), own }));
    let mut out = String::new();
    match form {
        Form::OpenMetrics => text::encode(&mut out, &registry)?,
        Form::Plain => prometheus_text::encode(&mut out, &registry)?,
    }
    Ok(out)
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let scene = Scene { figures: &self.figures, own: &self.own };
        for family in FAMILIES {
            write_family(&mut encoder, family, scene)?;
        }
        write_plugins(&mut encoder, scene.figures)
    }
}

/// Names of labels, and their values.
struct Labels<'a>(&'a [&'static str], &'a [&'a str]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.iter().zip(self.1).try_for_each(|(name, value)| (*name, *value).encode(encoder.encode_label()))
    }
}

/// The series of one family.
struct Series<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
    labels: &'static [&'static str],
}

impl Series<'_> {
    fn put(&mut self, values: &[&str], number: Number) -> fmt::Result {
        let labels = Labels(self.labels, values);
        let encoder = if values.is_empty() { None } else { Some(self.encoder.encode_family(&labels)?) };
        match (self.kind, number, encoder) {
            (Kind::Counter, Number::Whole(n), Some(encoder)) => ConstCounter::new(n).encode(encoder),
            (Kind::Counter, Number::Whole(n), None) => {
                self.encoder.encode_counter::<NoLabelSet, _, f64>(&n, None)
            }
            (Kind::Counter, Number::Real(n), Some(encoder)) => ConstCounter::new(n).encode(encoder),
            (Kind::Counter, Number::Real(n), None) => {
                self.encoder.encode_counter::<NoLabelSet, _, f64>(&n, None)
            }
            (Kind::Gauge | Kind::Histogram, Number::Whole(n), Some(encoder)) => {
                ConstGauge::new(n).encode(encoder)
            }
            (Kind::Gauge | Kind::Histogram, Number::Whole(n), None) => self.encoder.encode_gauge(&n),
            (Kind::Gauge | Kind::Histogram, Number::Real(n), Some(encoder)) => {
                ConstGauge::new(n).encode(encoder)
            }
            (Kind::Gauge | Kind::Histogram, Number::Real(n), None) => self.encoder.encode_gauge(&n),
        }
    }

    fn put_histogram(&mut self, values: &[&str], times: &Times) -> fmt::Result {
        let labels = Labels(self.labels, values);
        let mut below = 0;
        // The encoder adds them up.
        let mut buckets: Vec<(f64, u64)> = BOUNDS_NS
            .iter()
            .zip(&times.at_most)
            .map(|(bound, at_most)| {
                let here = at_most.saturating_sub(below);
                below = below.max(*at_most);
                (seconds(*bound), here)
            })
            .collect();
        buckets.push((f64::INFINITY, times.samples.saturating_sub(below)));
        self.encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            seconds(times.sum_ns),
            times.samples,
            &buckets,
            None,
        )
    }
}

/// The name as the encoder wants it: it adds unit and `_total` itself.
fn base<'a>(name: &'a str, unit: Option<&str>) -> &'a str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let without = unit.and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
    without.unwrap_or(name)
}

fn write_family(encoder: &mut DescriptorEncoder<'_>, family: &Family, scene: Scene<'_>) -> fmt::Result {
    let unit = family.unit.map(|unit| Unit::Other(unit.to_owned()));
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let name = base(family.name, family.unit);
    let encoder = encoder.encode_descriptor(name, family.text, unit.as_ref(), kind)?;
    write_series(Series { encoder, kind: family.kind, labels: family.labels }, family.source, scene)
}

fn write_series(mut series: Series<'_>, source: Source, scene: Scene<'_>) -> fmt::Result {
    let figures = scene.figures;
    let ranges = || figures.ranges.iter().chain(&figures.others);
    let sessions = || ranges().filter_map(|range| Some((range, range.sessions.as_ref()?)));
    let of = |range: &Range, counts: &Counts, series: &mut Series<'_>| {
        by_reason(range, &figures.reasons, &counts.dropped, series)
    };
    match source {
        Source::Daemon(number) => number(scene).map_or(Ok(()), |number| series.put(&[], number)),
        Source::Said(words) => {
            let words = words(scene);
            series.put(&words.each_ref().map(String::as_str), Number::Whole(1))
        }
        Source::Counts(count) => {
            ranges().try_for_each(|range| series.put(&names(range), Number::Whole(count(&range.counts))))
        }
        Source::States => {
            ranges().try_for_each(|range| {
                let [listener, address, plugin] = names(range);
                figures.states.iter().zip(&range.states).try_for_each(|(state, n)| {
                    series.put(&[listener, address, plugin, state], Number::Whole(*n))
                })
            })
        }
        Source::Drops => ranges().try_for_each(|range| of(range, &range.counts, &mut series)),
        Source::Sessions(count) => {
            sessions().try_for_each(|(range, s)| series.put(&names(range), Number::Whole(count(s))))
        }
        Source::SessionEnds => {
            sessions().try_for_each(|(range, s)| by_name(range, &figures.ends, &s.closed, &mut series))
        }
        Source::SessionRefusals => {
            sessions().try_for_each(|(range, s)| by_name(range, &figures.refusals, &s.refused, &mut series))
        }
        Source::SessionDrops => sessions().try_for_each(|(range, s)| of(range, &s.counts, &mut series)),
        Source::Times(number) => timed(figures)
            .try_for_each(|(listener, plugin, times)| series.put(&[listener, plugin], number(times))),
        Source::Histogram => timed(figures)
            .try_for_each(|(listener, plugin, times)| series.put_histogram(&[listener, plugin], times)),
        Source::Reloads => [("done", figures.reloads.done), ("refused", figures.reloads.refused)]
            .iter()
            .try_for_each(|(outcome, n)| series.put(&[outcome], Number::Whole(*n))),
        Source::Control => {
            let Some(c) = &figures.control else { return Ok(()) };
            let events = [
                ("connections", c.connections),
                ("requests", c.requests),
                ("strangers", c.strangers),
                ("refused", c.refused),
                ("evicted", c.evicted),
                ("slow", c.slow),
                ("too_long", c.too_long),
                ("busy", c.busy),
                ("unanswered", c.unanswered),
                ("take_over_given_up", c.take_overs_given_up),
            ];
            events.iter().try_for_each(|(event, n)| series.put(&[event], Number::Whole(*n)))
        }
        Source::Limits => {
            let http = &scene.own.http;
            let limits = [
                ("connections", http.refused),
                ("evicted", http.evicted),
                ("slow", http.slow),
                ("unanswered", http.unanswered),
                ("pages", http.pages),
                ("ranges", http.ranges),
                ("plugin_metrics", http.plugin_metrics),
                ("call_times", figures.call_times_left_out),
            ];
            limits.iter().try_for_each(|(limit, n)| series.put(&[limit], Number::Whole(*n)))
        }
    }
}

fn names(range: &Range) -> [&str; 3] {
    [&range.listener, &range.address, &range.plugin]
}

fn timed(figures: &Figures) -> impl Iterator<Item = (&str, &str, &Times)> {
    figures.listeners.iter().filter_map(|listener| {
        Some((listener.name.as_str(), listener.plugin.as_str(), listener.times.as_ref()?))
    })
}

/// Counts of a range by reason, without those that are 0.
fn by_reason(range: &Range, reasons: &[Reason], counts: &[u64], series: &mut Series<'_>) -> fmt::Result {
    let [listener, address, plugin] = names(range);
    let counted = reasons.iter().zip(counts).filter(|(_, n)| **n > 0);
    for (Reason { name, is_out }, n) in counted {
        let direction = if *is_out { "out" } else { "in" };
        series.put(&[listener, address, plugin, direction, name], Number::Whole(*n))?;
    }
    Ok(())
}

fn by_name(range: &Range, reasons: &[String], counts: &[u64], series: &mut Series<'_>) -> fmt::Result {
    let [listener, address, plugin] = names(range);
    for (name, n) in reasons.iter().zip(counts).filter(|(_, n)| **n > 0) {
        series.put(&[listener, address, plugin, name], Number::Whole(*n))?;
    }
    Ok(())
}

/// The metrics of plugins: a family for each name, which is of one kind. Where plugins whose names are alike do not agree on it, the
/// first one counts.
fn write_plugins(encoder: &mut DescriptorEncoder<'_>, figures: &Figures) -> fmt::Result {
    let mut families: BTreeMap<String, (&PluginMetric, BTreeMap<[&str; 2], u64>)> = BTreeMap::new();
    for listener in &figures.listeners {
        for metric in &listener.metrics {
            let name = plugin_name(listener, metric.name.strip_suffix("_total").unwrap_or(&metric.name));
            let (first, values) = families.entry(name).or_insert_with(|| (metric, BTreeMap::new()));
            if first.is_counter == metric.is_counter {
                *values.entry([&listener.name, &listener.plugin]).or_default() += metric.value;
            }
        }
    }
    for (name, (PluginMetric { help, is_counter, .. }, values)) in families {
        // One line, whatever the author of a plugin wrote.
        let help: String =
            help.chars().map(|c| if c.is_control() || matches!(c, '\\' | '"') { ' ' } else { c }).collect();
        let help = if help.trim().is_empty() { "A metric of the plugin" } else { help.trim() };
        let (kind, type_) =
            if *is_counter { (Kind::Counter, MetricType::Counter) } else { (Kind::Gauge, MetricType::Gauge) };
        let encoder = encoder.encode_descriptor(&name, help, None, type_)?;
        let mut series = Series { encoder, kind, labels: PLUGIN_LABELS };
        values.iter().try_for_each(|(labels, value)| series.put(labels, Number::Whole(*value)))?;
    }
    Ok(())
}
