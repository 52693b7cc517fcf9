//! The text of an option, as the host would read it: for options inside of other texts.

use polyport_plugin::abi;
use polyport_plugin::config::{Opt, Value};
use polyport_value as read;

/// Reads the text as a value of the option, within its bounds.
///
/// # Errors
/// What was expected.
pub(crate) fn value<'a>(option: &Opt, text: &'a str) -> Result<Value<'a>, String> {
    let whole = |number: u64| i64::try_from(number).map_err(|_| "too much".to_owned());
    match option.raw().kind {
        abi::OPT_BOOL => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("expected true or false".to_owned()),
        },
        abi::OPT_INT => {
            let number: i64 = text.parse().map_err(|_| "expected a whole number".to_owned())?;
            bounded(option, number, &number.to_string(), |bound| bound.to_string())
                .map(|()| Value::Int(number))
        }
        abi::OPT_RATIO => read::ratio(text).map(Value::Ratio),
        abi::OPT_DURATION => {
            let time = read::duration(text)?;
            let ns = u64::try_from(time.as_nanos()).map_err(|_| "too long".to_owned()).and_then(whole)?;
            bounded(option, ns, text, |ns| format!("{}s", ns / 1e9)).map(|()| Value::Duration(ns))
        }
        abi::OPT_SIZE => {
            let bytes = read::size(text).and_then(whole)?;
            bounded(option, bytes, text, |bytes| bytes.to_string()).map(|()| Value::Size(bytes))
        }
        abi::OPT_ENUM => {
            let names: Vec<_> = option.choice_names().collect();
            let at = names.iter().position(|name| *name == text);
            let at = at.and_then(|at| i64::try_from(at).ok());
            at.map(Value::Choice).ok_or_else(|| format!("expected one of {}", names.join(", ")))
        }
        // Texts; there are no others.
        _ => Ok(Value::Text(text)),
    }
}

fn bounded(option: &Opt, value: i64, text: &str, shown: impl Fn(f64) -> String) -> Result<(), String> {
    let (min, max) = (option.raw().min, option.raw().max);
    #[expect(clippy::cast_precision_loss, reason = "bounds are compared as the host compares them")]
    let fits = (min..=max).contains(&(value as f64));
    if fits || (min, max) == (0.0, 0.0) {
        return Ok(());
    }
    // Some have a bound on one side only.
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let has_most = max < i64::MAX as f64;
    let allowed = match (min > 0.0 || max <= 65_536.0, has_most) {
        (true, true) => format!("{} to {}", shown(min), shown(max)),
        (_, false) => format!("at least {}", shown(min)),
        (false, true) => format!("at most {}", shown(max)),
    };
    Err(format!("{text} is out of bounds: {allowed}"))
}
