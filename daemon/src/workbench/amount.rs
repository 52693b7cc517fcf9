//! Types, bounds and defaults of options in words.

use std::borrow::Cow;

use crate::plugin::{FileUse, OptionSpec, OptionType};

/// 2^63: a number at least as large is no bound.
const NO_BOUND: f64 = 9_223_372_036_854_775_808.0;

/// The name of a type, as documents write it.
pub(super) fn type_name(kind: &OptionType) -> Cow<'static, str> {
    let name = match kind {
        OptionType::Bool => "boolean",
        OptionType::Int => "integer",
        OptionType::Float => "number",
        OptionType::Ratio => "ratio",
        OptionType::Duration => "duration",
        OptionType::Size => "size",
        OptionType::String => "text",
        OptionType::Enum(_) => "word",
        OptionType::Addr => "address",
        OptionType::Json => "any value",
        OptionType::List(element) => return format!("list of {}", plural(element)).into(),
    };
    name.into()
}

/// The name of a type, of several values.
fn plural(kind: &OptionType) -> String {
    let ending = if *kind == OptionType::Addr { "es" } else { "s" };
    format!("{}{ending}", type_name(kind))
}

/// What values an option takes, as far as its type does not say it.
pub(super) fn range(spec: &OptionSpec) -> Option<String> {
    let element = spec.kind.element();
    if let OptionType::Enum(choices) = element {
        return Some(choices.join(" | "));
    }
    let (min, max) = spec.bounds?;
    let [least, most] = [min, max].map(|bound| amount(element, bound));
    // The ends of what 64 bits hold bound nothing.
    match (min > -NO_BOUND, max < NO_BOUND) {
        (true, true) => Some(format!("{least} to {most}")),
        (true, false) => Some(format!("{least} or more")),
        (false, true) => Some(format!("{most} or less")),
        (false, false) => None,
    }
}

/// What happens when the option is not given.
pub(super) fn default(spec: &OptionSpec) -> String {
    match &spec.default {
        Some(text) if text.is_empty() => "empty".to_owned(),
        Some(text) => text.clone(),
        None if spec.required => "must be given".to_owned(),
        None => "none".to_owned(),
    }
}

/// What else is known of the value.
pub(super) fn remarks(spec: &OptionSpec) -> Vec<&'static str> {
    let file = match spec.file {
        Some(FileUse::Reads) => Some("a file that it reads"),
        Some(FileUse::Writes) => Some("a file that it writes"),
        None => None,
    };
    spec.secret.then_some("secret").into_iter().chain(file).collect()
}

/// A bound as a user would write it: ns with the largest unit that leaves no fraction, and so bytes.
fn amount(kind: &OptionType, bound: f64) -> String {
    const TIMES: &[(f64, &str)] =
        &[(3_600e9, "h"), (60e9, "m"), (1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")];
    const SIZES: &[(f64, &str)] =
        &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, " bytes")];
    let units = match kind {
        OptionType::Duration => TIMES,
        OptionType::Size => SIZES,
        OptionType::Ratio => return format!("{}%", bound * 100.0),
        OptionType::Bool
        | OptionType::Int
        | OptionType::Float
        | OptionType::String
        | OptionType::Enum(_)
        | OptionType::Addr
        | OptionType::Json
        | OptionType::List(_) => return bound.to_string(),
    };
    if bound == 0.0 {
        return "0".to_owned();
    }
    let whole = units.iter().find(|(unit, _)| bound % unit == 0.0);
    whole.map_or_else(|| bound.to_string(), |(unit, name)| format!("{}{name}", bound / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bounds_nothing_is_not_told() {
        let told = |bounds| {
            let spec = OptionSpec {
                name: String::new(),
                help: String::new(),
                default: None,
                kind: OptionType::Int,
                bounds,
                required: false,
                secret: false,
                file: None,
            };
            range(&spec)
        };
        let (least, most) = (-NO_BOUND, NO_BOUND);
        assert_eq!(told(Some((1.0, 2.0))).as_deref(), Some("1 to 2"));
        assert_eq!(told(Some((1.0, most))).as_deref(), Some("1 or more"));
        assert_eq!(told(Some((least, 2.0))).as_deref(), Some("2 or less"));
        assert_eq!((told(Some((least, most))), told(None)), (None, None));
    }

    #[test]
    fn bounds_are_told_in_the_units_of_their_type() {
        for (kind, bound, text) in [
            (OptionType::Duration, 1.5e9, "1500ms"),
            (OptionType::Duration, 7_200e9, "2h"),
            (OptionType::Duration, 0.0, "0"),
            (OptionType::Size, 65_536.0, "64KiB"),
            (OptionType::Size, 1500.0, "1500 bytes"),
            (OptionType::Ratio, 0.5, "50%"),
            (OptionType::Int, -3.0, "-3"),
        ] {
            assert_eq!(amount(&kind, bound), text);
        }
    }
}
