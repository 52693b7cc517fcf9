//! A timeline as a text: when which option changes.
//!
//! ```text
//! 30s down.loss=100%; 32s down.loss=8% down.jitter=15ms
//! #1000 up.loss_gemodel="5% 25%" up.rate=none
//! ```
//!
//! Steps are parted by `;` or stand in lines of a file, where lines that begin with `# ` are comments. A value with spaces is
//! between quotation marks; `none` forgets an option.

use polyport_value as value;

use crate::direction::Direction;

/// Steps as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    /// Whether times count datagrams, and not nanoseconds.
    pub(crate) datagrams: bool,
    pub(crate) steps: Vec<Written>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// When: ns, or the number of a datagram.
    pub(crate) at: u64,
    /// As it stands there, and where.
    pub(crate) place: String,
    pub(crate) changes: Vec<Change>,
}

/// One option that changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The direction, as one of those that the names may begin with.
    pub(crate) way: usize,
    /// What is new; nothing where an option is forgotten.
    pub(crate) to: Direction,
    pub(crate) forget: Option<String>,
}

impl Change {
    /// Changes the options of the direction.
    pub(crate) fn apply(&self, options: &mut Direction) {
        match &self.forget {
            Some(name) => _ = options.clear(name),
            None => options.replace(&self.to),
        }
    }
}

/// Reads all steps. `ways` is what the names of options begin with, such as `["up", "down"]`; it may be empty.
/// `of_file`: each line is one, and mistakes are told by the number of the line.
///
/// # Errors
/// Which step is wrong, and what of it.
pub(crate) fn read(text: &str, ways: &[&str], of_file: bool) -> Result<Steps, String> {
    let mut all = Steps::default();
    let mut kind = None;
    for (line, number, step) in pieces(text, of_file) {
        let place = if of_file {
            format!("line {line}, `{}`", shown(step))
        } else {
            format!("step {number}, `{}`", shown(step))
        };
        let wrong = |why: String| format!("{place}: {why}");
        let (moment, changes) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
        let (datagrams, at) = moment_of(moment).map_err(wrong)?;
        let first = *kind.get_or_insert(datagrams);
        if first != datagrams {
            let why = "all steps are at a time, or all at a datagram such as #1000";
            return Err(format!("{place}: {why}"));
        }
        if all.steps.last().is_some_and(|last| last.at >= at) {
            return Err(format!("{place}: it is not later than the step before"));
        }
        let changes = read_changes(changes, ways).map_err(wrong)?;
        all.steps.push(Written { at, place, changes });
    }
    all.datagrams = kind.unwrap_or(false);
    if all.steps.is_empty() { Err("there is no step in it, such as 30s loss=5%".to_owned()) } else { Ok(all) }
}

/// A moment: `30s`, or `#1000`, which is true and a number of a datagram.
///
/// # Errors
/// What was expected.
pub(crate) fn moment_of(text: &str) -> Result<(bool, u64), String> {
    if let Some(number) = text.strip_prefix('#') {
        let number =
            number.parse().map_err(|_| format!("`{text}` is no number of a datagram, such as #1000"))?;
        return Ok((true, number));
    }
    let time = value::duration(text).map_err(|why| {
        let first = text
            .contains('=')
            .then_some(": a step begins with its time, such as 30s, or its datagram, such as #1000");
        format!("`{text}`: {why}{}", first.unwrap_or_default())
    })?;
    u64::try_from(time.as_nanos()).map(|ns| (false, ns)).map_err(|_| format!("`{text}` is too late"))
}

/// The steps, each with the number of its line and of itself, from 1.
fn pieces(text: &str, of_file: bool) -> impl Iterator<Item = (usize, usize, &str)> {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(move |(_, line)| !(of_file && is_comment(line)));
    let steps = lines.flat_map(|(number, line)| split(line).map(move |step| (number, step.trim())));
    let steps = steps.filter(|(_, step)| !step.is_empty());
    steps.zip(1..).map(|((line, step), number)| (line, number, step))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().strip_prefix('#').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Cut at each `;` that is not between quotation marks.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = None;
    line.split(move |c| {
        quoted = match (quoted, c) {
            (None, '"' | '\'') => Some(c),
            (Some(mark), c) if mark == c => None,
            (before, _) => before,
        };
        quoted.is_none() && c == ';'
    })
}

fn read_changes(text: &str, ways: &[&str]) -> Result<Vec<Change>, String> {
    let mut rest = text.trim();
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').ok_or_else(|| format!("`{rest}` is no NAME=VALUE"))?;
        let (text, behind) = one_value(behind).ok_or_else(|| format!("the value of `{name}` has no end"))?;
        changes.push(change(name, text, ways)?);
        rest = behind.trim_start();
    }
    if changes.is_empty() {
        Err("nothing changes: an option is missing, such as loss=5%".to_owned())
    } else {
        Ok(changes)
    }
}

/// A value, and what is behind it.
fn one_value(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some(mark) = mark {
        return text.get(1..)?.split_once(mark);
    }
    Some(text.split_at(text.find(char::is_whitespace).unwrap_or(text.len())))
}

fn change(name: &str, text: &str, ways: &[&str]) -> Result<Change, String> {
    let (under, option) = name.rsplit_once('.').unwrap_or(("", name));
    let Some(way) = ways.iter().position(|way| *way == under) else {
        let all: Vec<_> =
            ways.iter().filter(|way| !way.is_empty()).map(|way| format!("{way}.{option}")).collect();
        return Err(format!("`{name}` is of no direction; there is {}", all.join(" and ")));
    };
    let to = if text == NONE { Ok(Direction::default()) } else { Direction::one(option, text) };
    let forget = (text == NONE).then(|| option.to_owned());
    if forget.is_some() && !Direction::default().clear(option) {
        return Err(Direction::one(option, text).err().unwrap_or_default());
    }
    Ok(Change { way, to: to.map_err(|why| format!("`{name}`: {why}"))?, forget })
}

/// The value that forgets an option.
pub(crate) const NONE: &str = "none";

/// As much of a step as an error shows.
const SHOWN: usize = 60;

fn shown(step: &str) -> String {
    match step.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", step.get(..end).unwrap_or_default()),
        None => step.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAYS: [&str; 2] = ["up", "down"];

    #[test]
    fn steps_in_a_row_and_in_lines() {
        let row = "30s down.loss=100%; 32s down.loss=8% down.jitter=15ms;";
        let steps = read(row, &WAYS, false).unwrap();
        assert!(!steps.datagrams);
        let at: Vec<_> = steps.steps.iter().map(|step| (step.at, step.changes.len())).collect();
        assert_eq!(at, [(30_000_000_000, 1), (32_000_000_000, 2)]);
        assert_eq!(steps.steps[1].place, "step 2, `32s down.loss=8% down.jitter=15ms`");
        let mut options = [Direction::default(), Direction::default()];
        for change in steps.steps.iter().flat_map(|step| &step.changes) {
            change.apply(&mut options[change.way]);
        }
        assert_eq!((options[0].given().len(), options[1].given()), (0, vec!["loss", "jitter"]));

        let lines = "# begins well\n\n#10 up.loss_gemodel=\"5% 25%\" up.rate=5Mbit\n  #20 up.rate=none; #30 down.slot='1ms 2ms'\n";
        let steps = read(lines, &WAYS, true).unwrap();
        let places: Vec<_> = steps.steps.iter().map(|step| step.place.as_str()).collect();
        assert!(steps.datagrams && places.len() == 3);
        assert_eq!(places[1..], ["line 4, `#20 up.rate=none`", "line 4, `#30 down.slot='1ms 2ms'`"]);
        let mut up = Direction::default();
        steps.steps[..2].iter().flat_map(|step| &step.changes).for_each(|change| change.apply(&mut up));
        assert_eq!(up.given(), ["loss_gemodel"]);
        assert_eq!(up.loss_gemodel.as_deref(), Some("5% 25%"));
    }

    #[test]
    fn names_without_a_direction_are_those_of_the_only_one() {
        let steps = read("1s loss=5%; 2s up.loss=1%", &["", "up", "down"], false).unwrap();
        assert_eq!(steps.steps.iter().map(|step| step.changes[0].way).collect::<Vec<_>>(), [0, 1]);
    }

    /// Each mistake is told with the piece that it stands in, and the number of that.
    #[test]
    fn a_mistake_is_shown_at_its_step() {
        for (text, why) in [
            ("", "there is no step in it"),
            (" ; ;", "there is no step in it"),
            (
                "1s up.loss=1%; 2s up.loss=2%; 3s up.los=3%",
                "step 3, `3s up.los=3%`: `up.los`: there is no option `los`; did you mean `loss`?",
            ),
            ("1s up.loss=1%; 2 up.loss=2%", "step 2, `2 up.loss=2%`: `2`: a duration needs its unit"),
            ("up.loss=1%", "step 1, `up.loss=1%`: `up.loss=1%`: expected a duration"),
            ("1s up.loss=1%; 1s up.loss=2%", "step 2, `1s up.loss=2%`: it is not later than the step before"),
            (
                "1s up.loss=1%; #9 up.loss=2%",
                "step 2, `#9 up.loss=2%`: all steps are at a time, or all at a datagram",
            ),
            ("#x up.loss=1%", "step 1, `#x up.loss=1%`: `#x` is no number of a datagram"),
            ("1s", "step 1, `1s`: nothing changes"),
            ("1s up.loss", "step 1, `1s up.loss`: `up.loss` is no NAME=VALUE"),
            ("1s up.loss=110%", "step 1, `1s up.loss=110%`: `up.loss`: expected a ratio from 0%"),
            ("1s loss=1%", "step 1, `1s loss=1%`: `loss` is of no direction; there is up.loss and down.loss"),
            ("1s left.loss=1%", "step 1, `1s left.loss=1%`: `left.loss` is of no direction"),
            ("1s up.los=none", "step 1, `1s up.los=none`: there is no option `los`"),
            ("1s up.slot=\"1ms 2ms", "step 1, `1s up.slot=\"1ms 2ms`: the value of `up.slot` has no end"),
        ] {
            let wrong = read(text, &WAYS, false).unwrap_err();
            assert!(wrong.starts_with(why), "{text}: {wrong}");
        }
        let long = format!("1s up.loss={}", "9".repeat(100));
        assert!(read(&long, &WAYS, false).unwrap_err().contains("9...`: "));
        assert!(
            read("# one\n1s up.loss=1%\n0s up.loss=2%", &WAYS, true).unwrap_err().starts_with("line 3, `0s ")
        );
    }
}
