//! Values that options are tried with.

use crate::plugin::{OptionSpec, OptionType};

/// A text that is longer than most have room for, and of more than ASCII.
const LONG: usize = 300;

/// Each option with each of its values: bounds, words, texts. Options that name files are left as they are.
pub(super) fn tried(specs: &[OptionSpec]) -> Vec<(String, String)> {
    let of = |spec: &OptionSpec| {
        let elements = of_kind(spec.kind.element(), spec.bounds);
        let is_list = matches!(spec.kind, OptionType::List(_));
        let values = if is_list { lists(&elements) } else { elements };
        values.into_iter().map(|value| (spec.name.clone(), value)).collect::<Vec<_>>()
    };
    specs.iter().filter(|spec| spec.file.is_none()).flat_map(of).collect()
}

/// Lists of no element, of each alone, of all, and of many.
fn lists(elements: &[String]) -> Vec<String> {
    let plain: Vec<&str> =
        elements.iter().map(String::as_str).filter(|element| !element.contains(',')).collect();
    let many = plain.iter().copied().cycle().take(if plain.is_empty() { 0 } else { 100 }).collect::<Vec<_>>();
    let alone = plain.iter().map(|element| (*element).to_owned());
    [String::new(), plain.join(","), many.join(",")].into_iter().chain(alone).collect()
}

fn of_kind(kind: &OptionType, bounds: Option<(f64, f64)>) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let numbers = |without: &[&str], unit: &str| match bounds {
        // Within the bounds the smallest, the largest, and one between; and beyond them, which the host refuses.
        Some((min, max)) => [min, max, f64::midpoint(min, max), max + 1.0, min - 1.0]
            .map(|bound| format!("{:.0}{unit}", bound.clamp(-9e18, 9e18)))
            .to_vec(),
        None => words(without),
    };
    match kind {
        OptionType::Bool => words(&["true", "false"]),
        OptionType::Int => numbers(&["0", "1", "-1", "9223372036854775807", "-9223372036854775808"], ""),
        OptionType::Duration => numbers(&["0s", "1ns", "1ms", "1h", "292y"], "ns"),
        OptionType::Size => numbers(&["0", "1", "64KiB", "1GiB"], ""),
        OptionType::Ratio => words(&["0", "1", "0.5", "100%"]),
        OptionType::Float => match bounds {
            Some((min, max)) => [min, max, f64::midpoint(min, max)].map(|bound| bound.to_string()).to_vec(),
            None => words(&["0", "-1.5", "1e300", "1e-300"]),
        },
        OptionType::String => {
            vec![String::new(), "x".into(), "x".repeat(LONG), "\u{e4}\u{20ac}\u{1f600}".into()]
        }
        OptionType::Enum(choices) => choices.clone(),
        OptionType::Addr => words(&["192.0.2.1:53", "[2001:db8::1]:53", "0.0.0.0:0", "[::]:65535"]),
        OptionType::Json => words(&["{}", "[]", "null", "[1, {\"a\": \"b\"}]", "\"text\""]),
        OptionType::List(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: OptionType, bounds: Option<(f64, f64)>) -> OptionSpec {
        OptionSpec {
            name: "o".into(),
            help: String::new(),
            default: None,
            kind,
            bounds,
            required: false,
            secret: false,
            file: None,
        }
    }

    #[test]
    fn both_bounds_are_tried_and_what_lies_beyond() {
        let values = tried(&[spec(OptionType::Int, Some((1.0, 65_507.0)))]);
        let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["1", "65507", "32754", "65508", "0"]);
    }

    #[test]
    fn lists_are_tried_empty_with_one_and_with_many() {
        let list = OptionType::List(Box::new(OptionType::Bool));
        let values = tried(&[spec(list, None)]);
        let lengths: Vec<usize> =
            values.iter().map(|(_, value)| value.split_terminator(',').count()).collect();
        assert_eq!(lengths, [0, 2, 100, 1, 1]);
    }
}
