//! Options: checks the values of the configuration against the options that a plugin declares.

use std::ffi::CString;
use std::io;
use std::net::SocketAddr;

use polyport_abi::{
    OPT_ADDR, OPT_BOOL, OPT_DURATION, OPT_ENUM, OPT_FLOAT, OPT_INT, OPT_JSON, OPT_LIST, OPT_RATIO, OPT_SIZE,
    OPT_STRING, pp_addr, pp_val, pp_value,
};
use polyport_value as value;

use super::fenced_values::FencedValues;
use super::unknown::unknown;

/// The type of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// `true` or `false`.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// A finite 64-bit floating-point number.
    Float,
    /// A share, such as `"2.5%"` or `0.025`.
    Ratio,
    /// A duration with a unit, such as `"15ms"`.
    Duration,
    /// A number of bytes, such as `"64KiB"`.
    Size,
    /// A text without NUL.
    String,
    /// One of these words.
    Enum(Vec<String>),
    /// A socket address, such as `"[::1]:53"`.
    Addr,
    /// Any value; the plugin gets it as JSON text.
    Json,
    /// Any number of values of this type, which is neither a list nor JSON.
    List(Box<Self>),
}

/// An option that a plugin declares.
#[derive(Clone, Debug)]
pub struct OptionSpec {
    /// Name in the configuration.
    pub name: String,
    /// One line of help.
    pub help: String,
    /// Default, as a user would write it.
    pub default: Option<String>,
    /// Type of the value.
    pub kind: OptionType,
    /// Smallest and largest value: ns for a duration, bytes for a size.
    pub bounds: Option<(f64, f64)>,
    /// The option must be given.
    pub required: bool,
    /// The value is never printed.
    pub secret: bool,
    /// The value is a path.
    pub file: Option<FileUse>,
}

impl OptionSpec {
    /// An example and what it is for, in a line: the help for whoever gave it a wrong value.
    #[must_use]
    pub fn described(&self) -> String {
        format!("{} = {}: {}", self.name, self.kind.example(), self.help)
    }
}

/// What a plugin does with the file whose path is the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// Reads it, or what is in it if it is a directory.
    Reads,
    /// Makes and writes it, and puts others in its place.
    Writes,
}

/// An option as the configuration gives it.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// Name of the option.
    pub name: &'a str,
    /// Value of the option.
    pub value: GivenValue<'a>,
}

/// A value as the configuration gives it: typed in a file, always text on the command line.
#[derive(Clone, Debug)]
pub enum GivenValue<'a> {
    /// A boolean, such as `true`.
    Bool(bool),
    /// An integer, such as `7`.
    Int(i64),
    /// A number with a fraction, such as `0.5`.
    Float(f64),
    /// A text, such as `"7"`, which a numeric option reads as 7.
    Text(&'a str),
    /// An array: its elements, and the whole as JSON text.
    List(Vec<Self>, String),
    /// A table or a date, as JSON text.
    Json(String),
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionProblem {
    /// Index of the option among those that were given; none for a missing option.
    pub given: Option<usize>,
    /// What of it is at fault.
    pub part: Part,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// The part of an option that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its name.
    Name,
    /// Its value, or that there is none.
    Value,
    /// One element of its value, counted from 0.
    Element(usize),
    /// What the plugin declares, so that the operator can do nothing about it but to give another value.
    Declaration,
}

/// What is wrong with a value, and with which element of it.
struct Wrong {
    element: Option<usize>,
    message: String,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self { element: None, message }
    }
}

/// Checked values in the order of the declared options, in the layout of the plugin ABI.
#[derive(Debug, Default)]
pub struct Values {
    /// Points only into `text` and `lists`, whose heap blocks do not move while `Values` lives.
    raw: Vec<pp_value>,
    /// The memory of all text values.
    text: Vec<CString>,
    /// The memory of all lists.
    lists: Vec<Box<[pp_value]>>,
    /// What the plugin is shown instead, when it is tested.
    fenced: Option<FencedValues>,
}

impl Values {
    /// Checks `given` against `specs` and fills in the defaults.
    ///
    /// # Errors
    /// Every problem, not only the first.
    pub fn check(specs: &[OptionSpec], given: &[Given<'_>]) -> Result<Self, Vec<OptionProblem>> {
        let mut values = Self::default();
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let stranger = |(at, given): (usize, &Given<'_>)| {
            let (message, help) = unknown(&names, given.name, given.value.is_table())?;
            Some(OptionProblem { given: Some(at), part: Part::Name, message, help: Some(help) })
        };
        let mut problems: Vec<_> = given.iter().enumerate().filter_map(stranger).collect();
        for spec in specs {
            let at = given.iter().rposition(|g| g.name == spec.name);
            let read = match at.and_then(|i| given.get(i)) {
                Some(g) => values.any(spec, &g.value).map_err(|wrong| {
                    let part = wrong.element.map_or(Part::Value, Part::Element);
                    // The message may show the value, so that of a secret option is replaced.
                    let secret = spec.secret.then(|| format!("expected {}", spec.kind.noun()));
                    (part, secret.unwrap_or(wrong.message))
                }),
                None => match &spec.default {
                    Some(text) => values.any(spec, &GivenValue::Text(text)).map_err(|wrong| {
                        let Wrong { message, .. } = wrong;
                        let fault =
                            format!("the plugin's own default of `{}` is wrong: {message}", spec.name);
                        (Part::Declaration, fault)
                    }),
                    None if spec.required => {
                        Err((Part::Value, format!("option `{}` must be given: {}", spec.name, spec.help)))
                    }
                    None => Ok(absent()),
                },
            };
            match read {
                Ok(value) => values.raw.push(value),
                Err((part, message)) => {
                    let help = Some(spec.described());
                    problems.push(OptionProblem { given: at, part, message, help });
                }
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    /// The values in the layout of the plugin ABI.
    #[must_use]
    pub fn raw(&self) -> &[pp_value] {
        self.fenced.as_ref().map_or(&self.raw, |fenced| &fenced.raw)
    }

    /// Shows plugins a copy from now on, which can be [taken away](Self::close).
    ///
    /// # Errors
    /// The system has no such memory.
    pub fn fence(&mut self) -> io::Result<()> {
        self.fenced = Some(FencedValues::copy(&self.raw)?);
        Ok(())
    }

    /// Takes away the copy, if there is one. No plugin may be shown the values then.
    ///
    /// # Errors
    /// Those of `mprotect(2)`.
    pub fn close(&self) -> io::Result<()> {
        self.fenced.as_ref().map_or(Ok(()), FencedValues::close)
    }

    /// Reads a value as the type of its option says.
    fn any(&mut self, spec: &OptionSpec, given: &GivenValue<'_>) -> Result<pp_value, Wrong> {
        let OptionType::List(element) = &spec.kind else { return Ok(self.one(&spec.kind, spec, given)?) };
        let pieces: Vec<GivenValue<'_>> = match given {
            GivenValue::List(items, _) => items.clone(),
            GivenValue::Text(text) if text.trim().is_empty() => Vec::new(),
            GivenValue::Text(text) => text.split(',').map(|piece| GivenValue::Text(piece.trim())).collect(),
            GivenValue::Bool(_) | GivenValue::Int(_) | GivenValue::Float(_) | GivenValue::Json(_) => {
                vec![given.clone()]
            }
        };
        let read = |(at, piece)| {
            self.one(element, spec, piece).map_err(|message| Wrong {
                element: Some(at),
                message: format!("element {}: {message}", at + 1),
            })
        };
        let list: Box<[pp_value]> = pieces.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let len = u32::try_from(list.len()).map_err(|_| "more than four billion elements".to_owned())?;
        let (kind, v) = (OPT_LIST | element.code(), pp_val { list: list.as_ptr() });
        self.lists.push(list);
        Ok(pp_value { kind, len, v, addr: pp_addr::default() })
    }

    /// Reads one value as a `kind`, which is no list.
    fn one(
        &mut self,
        kind: &OptionType,
        spec: &OptionSpec,
        given: &GivenValue<'_>,
    ) -> Result<pp_value, String> {
        let expected = |given: &GivenValue<'_>| format!("expected {}, got {}", kind.noun(), given.noun());
        let bounded = |v: f64| in_bounds(spec, v).map(|()| v);
        let value = match (kind, given) {
            (OptionType::Bool, GivenValue::Bool(b)) => int(OPT_BOOL, i64::from(*b)),
            (OptionType::Bool, GivenValue::Text("true")) => int(OPT_BOOL, 1),
            (OptionType::Bool, GivenValue::Text("false")) => int(OPT_BOOL, 0),
            (OptionType::Int, GivenValue::Int(i)) => int(OPT_INT, bounded_int(spec, *i)?),
            (OptionType::Int, GivenValue::Text(t)) => {
                int(OPT_INT, bounded_int(spec, t.parse().map_err(|_| expected(given))?)?)
            }
            (OptionType::Float, _) => {
                float(OPT_FLOAT, bounded(given.number().ok_or_else(|| expected(given))?)?)
            }
            (OptionType::Ratio, GivenValue::Text(t)) => float(OPT_RATIO, bounded(value::ratio(t)?)?),
            (OptionType::Ratio, GivenValue::Int(_) | GivenValue::Float(_)) => {
                float(OPT_RATIO, bounded(value::ratio(&given.plain())?)?)
            }
            (OptionType::Duration, GivenValue::Text(t)) => {
                let ns =
                    i64::try_from(value::duration(t)?.as_nanos()).map_err(|_| "longer than 292 years")?;
                int(OPT_DURATION, bounded_int(spec, ns)?)
            }
            (OptionType::Duration, GivenValue::Int(_)) => {
                return Err(value::duration(&given.plain()).err().unwrap_or_else(|| expected(given)));
            }
            (OptionType::Size, GivenValue::Text(_) | GivenValue::Int(_)) => {
                let bytes = i64::try_from(value::size(&given.plain())?).map_err(|_| "larger than 8 EiB")?;
                int(OPT_SIZE, bounded_int(spec, bytes)?)
            }
            (OptionType::String, GivenValue::Text(t)) => self.text(OPT_STRING, t)?,
            (OptionType::Enum(choices), GivenValue::Text(t)) => choice(choices, t)?,
            (OptionType::Addr, GivenValue::Text(t)) => address(value::address(t)?),
            (OptionType::Json, GivenValue::Text(t)) => self.text(OPT_JSON, &json_text(t))?,
            (OptionType::Json, _) => self.text(OPT_JSON, &given.plain())?,
            _ => return Err(expected(given)),
        };
        Ok(value)
    }

    /// A value that points to its own copy of `text`.
    fn text(&mut self, kind: u32, text: &str) -> Result<pp_value, String> {
        let owned = CString::new(text).map_err(|_| "a NUL character is not possible here".to_owned())?;
        let len = u32::try_from(text.len()).map_err(|_| "longer than 4 GiB".to_owned())?;
        let v = pp_val { str: owned.as_ptr().cast() };
        self.text.push(owned);
        Ok(pp_value { kind, len, v, addr: pp_addr::default() })
    }
}

impl OptionType {
    /// The type of its elements, of a list, else itself.
    #[must_use]
    pub fn element(&self) -> &Self {
        if let Self::List(element) = self { element } else { self }
    }

    /// The number of the type in the plugin ABI.
    fn code(&self) -> u32 {
        match self {
            Self::Bool => OPT_BOOL,
            Self::Int => OPT_INT,
            Self::Float => OPT_FLOAT,
            Self::Ratio => OPT_RATIO,
            Self::Duration => OPT_DURATION,
            Self::Size => OPT_SIZE,
            Self::String => OPT_STRING,
            Self::Enum(_) => OPT_ENUM,
            Self::Addr => OPT_ADDR,
            Self::Json => OPT_JSON,
            Self::List(element) => OPT_LIST | element.code(),
        }
    }

    /// An example of a value of this type, as a user would write it.
    #[must_use]
    pub fn example(&self) -> String {
        match self {
            Self::Bool => "true".into(),
            Self::Int => "7".into(),
            Self::Float => "0.5".into(),
            Self::Ratio => "\"2.5%\"".into(),
            Self::Duration => "\"15ms\"".into(),
            Self::Size => "\"64KiB\"".into(),
            Self::String => "\"text\"".into(),
            Self::Enum(choices) => choices.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(" | "),
            Self::Addr => "\"127.0.0.1:53\"".into(),
            Self::Json => "{ ... }".into(),
            Self::List(element) if matches!(**element, Self::Enum(_)) => {
                format!("[{}]", element.example().replace(" | ", ", "))
            }
            Self::List(element) => format!("[{}]", element.example()),
        }
    }

    /// The type in words, for messages.
    fn noun(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Ratio => "a share such as \"2.5%\" or 0.025",
            Self::Duration => "a duration such as \"15ms\"",
            Self::Size => "a size such as \"64KiB\"",
            Self::String => "text",
            Self::Enum(_) => "one of its words",
            Self::Addr => "an address such as \"127.0.0.1:53\"",
            Self::Json => "a value",
            Self::List(_) => "a list",
        }
    }
}

impl GivenValue<'_> {
    /// The value in words, for messages.
    fn noun(&self) -> String {
        match self {
            Self::Bool(b) => format!("{b}"),
            Self::Int(i) => format!("the integer {i}"),
            Self::Float(x) => format!("the number {x}"),
            Self::Text(t) => format!("the text {t:?}"),
            Self::List(..) => "an array".into(),
            Self::Json(_) if self.is_table() => "a table".into(),
            Self::Json(_) => "a date".into(),
        }
    }

    fn is_table(&self) -> bool {
        matches!(self, Self::Json(text) if text.starts_with('{'))
    }

    /// The value as text.
    fn plain(&self) -> String {
        match self {
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Float(x) => x.to_string(),
            Self::Text(t) => (*t).to_owned(),
            Self::List(_, t) | Self::Json(t) => t.clone(),
        }
    }

    /// The value as a finite number, if it is one.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(_) | Self::Float(_) | Self::Text(_) => {
                self.plain().parse().ok().filter(|x: &f64| x.is_finite())
            }
            Self::Bool(_) | Self::List(..) | Self::Json(_) => None,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are compared as the f64 the plugin declares them in")]
fn bounded_int(spec: &OptionSpec, value: i64) -> Result<i64, String> {
    in_bounds(spec, value as f64).map(|()| value)
}

fn in_bounds(spec: &OptionSpec, value: f64) -> Result<(), String> {
    match spec.bounds {
        Some((min, max)) if !(min..=max).contains(&value) => {
            Err(format!("{value} is out of bounds: {min} to {max} is allowed"))
        }
        _ => Ok(()),
    }
}

fn choice(choices: &[String], text: &str) -> Result<pp_value, String> {
    let index = choices.iter().position(|c| c == text);
    let index = index.and_then(|i| i64::try_from(i).ok());
    index.map(|i| int(OPT_ENUM, i)).ok_or_else(|| format!("{text:?} is none of {}", choices.join(", ")))
}

/// The JSON text for a text value: the text itself if it is JSON, otherwise a JSON string.
fn json_text(text: &str) -> String {
    // What is meant to be JSON and is none is for the plugin to refuse; `[::1]:53` is meant to be a text.
    let is_json = text.starts_with(['{', '"']) || serde_json::from_str::<serde_json::Value>(text).is_ok();
    if is_json { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// The value of an option that is not given and has no default.
fn absent() -> pp_value {
    pp_value { kind: 0, len: 0, v: pp_val { i: 0 }, addr: pp_addr::default() }
}

fn int(kind: u32, i: i64) -> pp_value {
    pp_value { kind, len: 0, v: pp_val { i }, addr: pp_addr::default() }
}

fn float(kind: u32, f: f64) -> pp_value {
    pp_value { kind, len: 0, v: pp_val { f }, addr: pp_addr::default() }
}

fn address(addr: SocketAddr) -> pp_value {
    pp_value { kind: OPT_ADDR, len: 0, v: pp_val { i: 0 }, addr: pp_addr::from(addr) }
}

#[cfg(test)]
#[path = "option_tests.rs"]
mod tests;
