//! The lines above: what runs, how far it is, how it stands.

use polyport_protocol::{Nanos, SECOND};
use polyport_terminal::screen::{Look, amount, lasted, short, width_of};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::model::{Limit, Model, Standing};
use super::run::{Phase, Run};
use super::state::State;
use crate::load::config::Config;
use crate::load::threshold::Judgement;
use crate::load::unit::{percent, rate, span};

/// The longest time of which users give rates.
const MINUTE: Nanos = 60 * SECOND;

/// Columns of the names of lines.
const NAME: usize = 10;

/// What runs, and what it is to do.
pub(super) fn title(config: &Config, names: &[String], look: Look) -> Line<'static> {
    let targets = match names {
        [only] => only.clone(),
        [first, .., last] => format!("{} targets, {first} to {last}", names.len()),
        [] => String::new(),
    };
    let pace = match (config.in_flight, &config.profile) {
        (Some(count), _) => format!("closed loop, {count} in flight"),
        (None, Some(profile)) => profile.to_string(),
        // That of a trial is in thousandths, and its line says it in a way that people read.
        (None, None) if config.rate.period > MINUTE => config.arrival.to_string(),
        (None, None) => format!("{} ({})", config.rate, config.arrival),
    };
    let threads = if config.threads > 1 { format!("  {} threads", config.threads) } else { String::new() };
    Line::from(vec![
        Span::styled("polyport-load", look.bold()),
        Span::raw(format!("  {pace}  {targets}{threads}  seed {}", config.seed)),
    ])
}

/// What goes on, and how far it is.
pub(super) fn progress(model: &Model, width: usize, look: Look) -> Line<'static> {
    let Some((phase, passed, all)) = model.phase() else {
        return Line::styled("nothing runs yet", look.dim());
    };
    let name = Span::styled(format!("{:<NAME$}", phase.name().to_uppercase()), look.bold());
    let words = match (phase, all) {
        (Phase::Handshake, _) => {
            let answered = model.run().map_or(0, Run::answered);
            format!("{answered} of {} targets have answered", model.names.len())
        }
        (Phase::Wait, _) => format!("starts in {}", seconds(passed)),
        (Phase::Drain, _) => {
            format!("{} for the last answers, {} in flight", seconds(passed), model.counters.in_flight)
        }
        (Phase::WarmUp | Phase::Load, all) => {
            let all = all.unwrap_or(0);
            let wanted = model.wanted().map(|wanted| format!("  now {}", rate(wanted))).unwrap_or_default();
            let words = format!("{} of {}  {}{wanted}", seconds(passed), seconds(all), done(passed, all));
            let room = width.saturating_sub(NAME + width_of(&words) + 2).min(BAR);
            let full = look.bar(share(passed, all), room);
            let rest = if look.unicode { "─" } else { "." }.repeat(room - width_of(&full).min(room));
            return Line::from(vec![
                name,
                Span::styled(full, look.picture()),
                Span::styled(rest, look.dim()),
                Span::raw(format!("  {words}")),
            ]);
        }
    };
    Line::from(vec![name, Span::raw(words)])
}

/// A bar that is longer says no more.
const BAR: usize = 100;

/// What the user must know now: that the end is near, that the picture stands still, that the tester is in the way.
pub(super) fn notice(model: &Model, state: &State, look: Look) -> Line<'static> {
    if state.ending {
        return Line::styled(
            "ENDING    the summary follows; Ctrl-C again ends at once, without it",
            look.warning(),
        );
    }
    if state.paused {
        let words = "the load goes on; p shows it again";
        return Line::from(vec![Span::styled("PAUSED", look.chosen()), Span::raw(format!("    {words}"))]);
    }
    let words = match model.limit() {
        None => return Line::default(),
        Some(Limit::Behind(count)) => {
            format!("THE TESTER IS THE LIMIT  it cannot keep the rate: {} given up just now", amount(count))
        }
        Some(Limit::InFlight(count)) => {
            format!("HELD BACK {} datagrams just now: too many wait, see --max-in-flight", amount(count))
        }
        Some(Limit::Late(late, sent)) => {
            format!("THE TESTER IS LATE  {} left over 1 ms late in the last second", percent(late, sent))
        }
    };
    Line::styled(words, look.wrong())
}

/// The books, which add up at any moment.
pub(super) fn books(model: &Model, width: usize, look: Look) -> Line<'static> {
    let total = &model.counters.total;
    let no_answer = total.lost() + total.expired;
    let numbers =
        [total.sent, total.ok, total.late, total.error, no_answer, total.open].map(|count| count.to_string());
    let whole = words(&numbers);
    let text = if NAME + width_of(&whole) > width {
        words(&[total.sent, total.ok, total.late, total.error, no_answer, total.open].map(amount))
    } else {
        whole
    };
    named("sent", Span::raw(text), look)
}

fn words([sent, ok, late, error, no_answer, open]: &[String; 6]) -> String {
    format!("{sent} = ok {ok} + late {late} + error {error} + no answer {no_answer} + in flight {open}")
}

/// Round trips of the whole run.
pub(super) fn round_trips(model: &Model, width: usize, look: Look) -> Line<'static> {
    let latency = model.latency();
    let points = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let mut spans = Vec::new();
    for (name, quantile) in points {
        let value = latency.at_quantile(quantile).map_or_else(|| "-".to_owned(), span);
        spans.extend([Span::styled(format!("{name} "), look.dim()), Span::raw(format!("{value:<8}"))]);
    }
    if width >= 100 {
        let from = if model.is_closed_loop() { "from sending" } else { "from plan" };
        spans.push(Span::styled(format!("{from}, whole run"), look.dim()));
    }
    spans.insert(0, Span::styled(format!("{:<NAME$}", "rtt"), look.dim()));
    Line::from(spans)
}

/// What the tester says of itself.
pub(super) fn tester(model: &Model, look: Look) -> Line<'static> {
    let lag = |quantile| model.totals.lag.at_quantile(quantile).map_or_else(|| "-".to_owned(), span);
    let not_sent: u64 = model.totals.skipped.iter().sum();
    let mut spans = vec![Span::styled(format!("{:<NAME$}", "tester"), look.dim())];
    for (name, value) in [("lag p50", lag(0.5)), ("p99", lag(0.99)), ("max", lag(1.0))] {
        spans.extend([Span::styled(format!("{name} "), look.dim()), Span::raw(format!("{value:<8}"))]);
    }
    let late = percent(model.totals.late_sends, model.counters.total.sent);
    spans.extend([Span::styled("late sends ", look.dim()), Span::raw(format!("{late:<8}"))]);
    let style = if not_sent > 0 { look.wrong() } else { Style::new() };
    spans.extend([Span::styled("not sent ", look.dim()), Span::styled(not_sent.to_string(), style)]);
    Line::from(spans)
}

/// How the thresholds stand, the missed ones first, `-` where that is not known yet; none: there are no thresholds.
pub(super) fn thresholds(model: &Model, look: Look) -> Option<Line<'static>> {
    let mut standings = model.standings();
    if standings.is_empty() {
        return None;
    }
    standings.sort_by_key(|standing| !matches!(standing, Standing::Judged(judged) if !judged.met));
    let mut spans = vec![Span::styled(format!("{:<NAME$}", "must hold"), look.dim())];
    for standing in standings {
        let (word, style, words) = match standing {
            Standing::Open(text) => ("-", look.dim(), text),
            Standing::Judged(Judgement { text, met: true, measured }) => {
                ("ok", look.good(), format!("{text} {measured}"))
            }
            Standing::Judged(Judgement { text, met: false, measured }) => {
                ("FAIL", look.wrong(), format!("{text} {measured}"))
            }
        };
        spans.extend([Span::styled(word, style), Span::raw(format!(" {words}   "))]);
    }
    Some(Line::from(spans))
}

/// What of a run must be seen where there is no room for more.
pub(super) fn brief(model: &Model, state: &State, look: Look) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some((phase, passed, all)) = model.phase() {
        let of = all.map(|all| format!("/{}", seconds(all))).unwrap_or_default();
        lines.push(Line::from(vec![
            Span::styled(phase.name().to_uppercase(), look.bold()),
            Span::raw(format!(" {}{of}", seconds(passed))),
        ]));
    }
    let notice = notice(model, state, look);
    let now = model.history.now().unwrap_or_default();
    let time = |time: Option<Nanos>| time.map_or_else(|| "-".to_owned(), span);
    lines.push(Line::raw(format!(
        "{}/s  loss {}",
        per_second(now.sent, now.took),
        loss(now.no_answer, now.sent)
    )));
    lines.push(Line::raw(format!("p50 {}  p99 {}", time(now.p50), time(now.p99))));
    if notice.width() > 0 {
        lines.push(notice);
    }
    lines.push(tester(model, look));
    lines.extend(thresholds(model, look));
    lines
}

/// The bracket of each goal of a search, and what it tries.
pub(super) fn search(model: &Model, look: Look) -> Vec<Line<'static>> {
    let Some(search) = &model.search else { return Vec::new() };
    let mut lines = vec![named("search", Span::raw(search.trial.clone()), look)];
    lines.extend(
        search.brackets.iter().map(|bracket| named("", Span::styled(bracket.clone(), look.bold()), look)),
    );
    lines
}

/// Datagrams a second, in few columns.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn per_second(count: u64, took: Nanos) -> String {
    short(count as f64 * SECOND as f64 / took.max(1) as f64)
}

/// What was given up in a time is of what was sent before it: there may be more of it.
pub(super) fn loss(no_answer: u64, sent: u64) -> String {
    if no_answer > 0 && sent == 0 { "100%".to_owned() } else { percent(no_answer.min(sent), sent) }
}

fn named(name: &str, what: Span<'static>, look: Look) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{name:<NAME$}"), look.dim()), what])
}

/// Tenths of seconds: hundredths are not seen.
#[expect(clippy::cast_precision_loss, reason = "tenths are shown")]
pub(super) fn seconds(time: Nanos) -> String {
    let tenths = time as f64 / SECOND as f64;
    if time < 100 * SECOND { format!("{tenths:.1}s") } else { lasted(time / SECOND) }
}

#[expect(clippy::cast_precision_loss, reason = "a share of some columns")]
fn share(part: Nanos, whole: Nanos) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn done(passed: Nanos, all: Nanos) -> String {
    let share = u128::from(passed.min(all)) * 100;
    format!("{}%", share.checked_div(u128::from(all)).unwrap_or(100))
}
