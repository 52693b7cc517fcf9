//! From options to what the engine takes: profile, own options, and timeline together, checked as a whole.

use std::time::Duration;

use polyport_impair as impair;
use polyport_impair::{Clock, Config, Line, Problem, Script, Start, Step, Timeline};
use polyport_plugin::{Error, Level, Setup};

use crate::common::{Common, TimelineFrom};
use crate::direction::{self, Direction};
use crate::files;
use crate::numbers_of::Numbers;
use crate::timeline::{self, NONE, Steps};

/// One direction, and where its options stand.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    under: &'static str,
    direction: impair::Direction,
    options: &'a Direction,
}

impl<'a> Way<'a> {
    /// What comes from clients: options under `up`.
    #[must_use]
    pub const fn up(options: &'a Direction) -> Self {
        Self { under: "up", direction: impair::Direction::Up, options }
    }

    /// What goes to clients: options under `down`.
    #[must_use]
    pub const fn down(options: &'a Direction) -> Self {
        Self { under: "down", direction: impair::Direction::Down, options }
    }

    /// The whole way of a handler that answers: options under no name. No profile touches it.
    #[must_use]
    pub const fn only(options: &'a Direction) -> Self {
        Self { under: "", direction: impair::Direction::Only, options }
    }

    /// The name of an option as it is written.
    fn name(&self, option: &str) -> String {
        if self.under.is_empty() { option.to_owned() } else { format!("{}.{option}", self.under) }
    }
}

/// What the options of a handler mean, checked: one script a way, in the order of the ways.
#[derive(Clone, Debug)]
pub struct Plan<const N: usize> {
    ways: [Planned; N],
    from: TimelineFrom,
    seed: Option<u64>,
}

#[derive(Clone, Debug)]
struct Planned {
    direction: impair::Direction,
    config: Config,
    timeline: Option<Timeline>,
    /// What is allowed and may surprise, each with its place.
    notes: Vec<String>,
}

impl<const N: usize> Plan<N> {
    /// Reads the files that the options name, and checks everything. For [`Handler::check`](polyport_plugin::Handler::check)
    /// and for whoever uses it.
    ///
    /// # Errors
    /// The first thing that is wrong, at its option: a text, a file, a contradiction, or a step of the timeline.
    pub fn new(common: &Common, ways: [Way<'_>; N]) -> Result<Self, Error> {
        let steps = Written::read(common, ways.map(|way| way.under))?;
        let files: Vec<&str> =
            ways.iter().flat_map(|way| way.options.files()).map(|(_, file)| file).collect();
        let mut numbers = Numbers::default();
        let mut planned = Vec::with_capacity(N);
        for (index, way) in ways.iter().enumerate() {
            planned.push(plan(common, way, index, &steps, &files, &mut numbers)?);
        }
        let ways = planned.try_into().map_err(|_| Error::from("one plan a way"))?;
        Ok(Self { ways, from: common.timeline_from, seed: common.seed.map(i64::cast_unsigned) })
    }

    /// What decides. `seed` is that of the instance, for options that fix none; `now_ns` is when the handler began.
    ///
    /// # Errors
    /// None, after [`Self::new`] had none.
    pub fn scripts(&self, seed: u64, now_ns: u64) -> Result<[Script; N], Error> {
        let start = match self.from {
            TimelineFrom::Start => Start::At(now_ns),
            TimelineFrom::Session => Start::Line,
        };
        let seed = self.seed.unwrap_or(seed);
        let mut scripts = Vec::with_capacity(N);
        for way in &self.ways {
            let Planned { direction, config, timeline, .. } = way;
            let script = Script::new(seed, *direction, start, config, timeline.as_ref());
            scripts.push(script.map_err(|problems| {
                let first = problems.first();
                Error::from(first.map_or_else(String::new, |problem| problem.message.to_string()))
            })?);
        }
        scripts.try_into().map_err(|_| Error::from("one script a way"))
    }

    /// Whether a way marks congestion, now or later, so that its handler needs to know the traffic class.
    #[must_use]
    pub fn marks(&self) -> [bool; N] {
        self.ways.each_ref().map(|way| way.configs().any(|config| config.ecn))
    }

    /// Whether something may leave later than it came, now or later, so that its handler wants to know when it came.
    #[must_use]
    pub fn delays(&self) -> bool {
        self.ways.iter().flat_map(Planned::configs).any(Config::delays)
    }

    /// The ways to which something may happen, now or later.
    #[must_use]
    pub fn acts(&self) -> [bool; N] {
        self.ways.each_ref().map(|way| way.configs().any(|config| !config.is_neutral()))
    }

    /// What is kept of each client at worst besides its lines themselves, bytes: queues, slots, where it is in a timeline.
    #[must_use]
    pub fn client_bytes(&self) -> usize {
        let of = |way: &Planned| {
            let timed = if way.timeline.is_some() { MEMORY } else { 0 };
            way.configs().map(bytes).max().unwrap_or(0).max(timed)
        };
        self.ways.iter().map(of).sum()
    }

    /// How long every datagram takes at least, over all ways, ns.
    #[must_use]
    pub fn shortest(&self) -> u64 {
        self.ways.iter().map(|way| way.configs().map(shortest).min().unwrap_or(0)).sum()
    }

    /// Whether one datagram may overtake another.
    #[must_use]
    pub fn reorders(&self) -> bool {
        let moves = |config: &Config| {
            let free =
                config.order == impair::Order::Time && (config.jitter > 0 || config.delay_trace.is_some());
            free || !config.late.is_never() || !config.reorder.is_never()
        };
        let changes = |way: &Planned| way.timeline.is_some() && way.configs().any(Config::delays);
        self.ways.iter().any(|way| changes(way) || way.configs().any(moves))
    }

    /// Says to the host's log what is allowed and may surprise.
    pub fn log_notes(&self, setup: &Setup<'_>) {
        for note in self.ways.iter().flat_map(|way| &way.notes) {
            setup.log(Level::Info, note);
        }
    }
}

impl Planned {
    fn configs(&self) -> impl Iterator<Item = &Config> {
        let later = self.timeline.iter().flat_map(|timeline| &timeline.steps).map(|step| &step.config);
        std::iter::once(&self.config).chain(later)
    }
}

/// The timeline as it is written.
struct Written {
    /// The option that it stands in.
    option: &'static str,
    steps: Steps,
    repeat: u64,
}

impl Written {
    fn read<const N: usize>(common: &Common, ways: [&str; N]) -> Result<Self, Error> {
        let Common { timeline, timeline_file, timeline_repeat, .. } = common;
        let (option, steps) = match (timeline, timeline_file) {
            (Some(_), Some(_)) => {
                return Err(Error::option(
                    "timeline_file",
                    "timeline is given as well: leave one of them out",
                ));
            }
            (Some(text), None) => ("timeline", timeline::read(text, &ways, false)),
            (None, Some(path)) => {
                let read = |text: String| {
                    let mut steps =
                        timeline::read(&text, &ways, true).map_err(|why| format!("{path}: {why}"))?;
                    for step in &mut steps.steps {
                        step.place = format!("{path}: {}", step.place);
                    }
                    Ok(steps)
                };
                ("timeline_file", files::read(path).and_then(read))
            }
            (None, None) => ("timeline", Ok(Steps::default())),
        };
        let steps = steps.map_err(|why| Error::option(option, why))?;
        let repeat = match timeline_repeat {
            Some(text) => repeat(text, &steps).map_err(|why| Error::option("timeline_repeat", why))?,
            None => 0,
        };
        Ok(Self { option, steps, repeat })
    }
}

fn repeat(text: &str, steps: &Steps) -> Result<u64, String> {
    let (datagrams, after) = timeline::moment_of(text.trim())?;
    let Some(last) = steps.steps.last() else {
        return Err("there is no timeline to repeat".to_owned());
    };
    if datagrams != steps.datagrams {
        let as_steps = if steps.datagrams { "datagrams, such as #5000" } else { "times, such as 60s" };
        return Err(format!("`{text}`: the steps of the timeline are {as_steps}"));
    }
    if after <= last.at {
        return Err(format!("`{text}`: it begins again before its last step"));
    }
    Ok(after)
}

fn plan(
    common: &Common,
    way: &Way<'_>,
    index: usize,
    written: &Written,
    files: &[&str],
    numbers: &mut Numbers,
) -> Result<Planned, Error> {
    let mut options = profile(common, way);
    options.replace(way.options);
    let own = way.options.given();
    let blamed = |option: &str, why: &str| match common.profile {
        Some(profile) if !own.contains(&option) => {
            let profile = profile.described().name;
            Error::option(
                "profile",
                format_args!("\"{profile}\" with the other options: {}: {why}", way.name(option)),
            )
        }
        _ => direction::at(way.under, option, why),
    };
    let config = numbers.of(&options).map_err(|(option, why)| blamed(option, &why))?;
    let at_step = |place: &str, option: &str, why: &str| {
        Error::option(written.option, format_args!("{place}: `{}`: {why}", way.name(option)))
    };
    let (mut steps, mut places) = (Vec::new(), Vec::new());
    for step in &written.steps.steps {
        let mut changes = step.changes.iter().filter(|change| change.way == index).peekable();
        if changes.peek().is_none() {
            continue;
        }
        for change in changes {
            if let Some((option, file)) = unnamed(&change.to, files) {
                let whole = way.name(option);
                let why = format!(
                    "a step names only files that an option names too, as the sandbox lets no other be read: give the option {whole} = \"{file}\"; \
                     {whole}=none in a step at 0s leaves it until then"
                );
                return Err(at_step(&step.place, option, &why));
            }
            change.apply(&mut options);
        }
        let config = numbers.of(&options).map_err(|(option, why)| at_step(&step.place, option, &why))?;
        steps.push(Step { at: step.at, config });
        places.push(step.place.as_str());
    }
    let clock = if written.steps.datagrams { Clock::Datagrams } else { Clock::Time };
    let timeline = (!steps.is_empty()).then_some(Timeline { steps, clock, repeat: written.repeat });
    let told = |option: &str, step: Option<usize>, message: &str| match step.and_then(|step| places.get(step))
    {
        Some(place) => at_step(place, option, message),
        None if option.starts_with("timeline") => Error::option(written.option, message),
        None => blamed(option, message),
    };
    // The seed does not matter to what is checked.
    let script =
        Script::new(0, way.direction, Start::Line, &config, timeline.as_ref()).map_err(|problems| {
            problems.first().map_or_else(
                || Error::from("something is wrong"),
                |Problem { option, step, message }| told(option, *step, message),
            )
        })?;
    let steps = timeline.iter().flat_map(|timeline| &timeline.steps).map(|step| &step.config);
    let all = std::iter::once((None, &config)).chain((0..).map(Some).zip(steps));
    for (step, config) in all {
        check_jitter(config).map_err(|why| told("jitter", step, &why))?;
    }
    let note = |Problem { option, step, message }: &Problem| {
        let place = step.and_then(|step| places.get(step)).map(|place| format!("{place}: "));
        format!("{}{}: {message}", place.unwrap_or_default(), way.name(option))
    };
    let notes = script.notes().iter().map(note).collect();
    Ok(Planned { direction: way.direction, config, timeline, notes })
}

/// A jitter that is larger than the delay makes many datagrams leave at once, and the delay is another than it says. That of a
/// trace is what was recorded: a short one in it contradicts nothing, and is noted.
fn check_jitter(config: &Config) -> Result<(), String> {
    if config.delay_trace.is_some() || config.jitter <= config.delay {
        return Ok(());
    }
    let delay = Duration::from_nanos(config.delay);
    Err(format!("is more than the delay, {delay:?}: nothing leaves before it came"))
}

/// A file that only a step names. The host lets a handler read what its options name, and knows nothing of steps.
fn unnamed<'a>(change: &'a Direction, files: &[&str]) -> Option<(&'static str, &'a str)> {
    change.files().find(|(_, file)| *file != NONE && !files.contains(file))
}

/// The box that a line has where it needs more than its 40 bytes.
const MEMORY: usize = 256;
const _: () = assert!(Line::BOX_BYTES <= MEMORY, "a line keeps more than is declared");
/// A datagram that waits, in memory that doubles.
const WAITING: usize = 16;
/// The slots that are remembered.
const SLOTS: usize = 8 << 10;

/// What a line keeps at worst, besides itself.
fn bytes(config: &Config) -> usize {
    let links = config.rate.is_some() || config.trace.is_some() || config.slot.is_some();
    let limit = match (config.limit, config.limit_bytes) {
        (Some(limit), _) => limit,
        (None, Some(_)) => impair::limits::DEFAULT_LIMIT_OF_BYTES,
        (None, None) if links => impair::limits::DEFAULT_LIMIT,
        (None, None) => 0,
    };
    let correlations = [
        config.loss_correlation,
        config.duplicate_correlation,
        config.corrupt_correlation,
        config.jitter_correlation,
        config.reorder_correlation,
        config.late_correlation,
    ];
    let correlated = correlations.iter().any(|share| !share.is_never());
    if !(limit > 0 || links || correlated || config.delay_trace.is_some()) {
        return 0;
    }
    let queue = if limit == 0 { 0 } else { WAITING * limit.next_power_of_two() as usize };
    MEMORY + queue + if config.slot.is_some() { SLOTS } else { 0 }
}

/// How long a datagram takes at least, ns.
fn shortest(config: &Config) -> u64 {
    if !config.reorder.is_never() {
        return 0;
    }
    let delay = config.delay_trace.as_ref().map_or(config.delay, |trace| trace.shortest());
    let earliest = match &config.distribution {
        impair::Distribution::Uniform => config.jitter,
        impair::Distribution::Table(table) => {
            let lowest = table.values().iter().min().copied().unwrap_or(0).min(0);
            let sigmas = u64::from(lowest.unsigned_abs());
            config.jitter.saturating_mul(sigmas).div_ceil(impair::Table::SCALE.unsigned_abs())
        }
    };
    delay.saturating_sub(earliest)
}

/// The options that the profile gives a way.
fn profile(common: &Common, way: &Way<'_>) -> Direction {
    let Some([up, down]) = common.profile.map(crate::profile::Profile::directions) else {
        return Direction::default();
    };
    match way.direction {
        impair::Direction::Only => Direction::default(),
        impair::Direction::Up => up,
        impair::Direction::Down => down,
    }
}

#[cfg(test)]
mod tests;
