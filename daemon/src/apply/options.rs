//! Tables of a configuration file, brought to the names of the options that a plugin declares: `up = { loss = "10%" }` is the
//! option `up.loss`, as is `up.loss = "10%"`, whether the key is written with a dot, in quotes or under the header of a table.

use std::collections::BTreeMap;

use crate::config::{Problem, RawOption, RawValue, code, quoted_key};
use crate::plugin::OptionSpec;

/// The options by the names that the plugin knows, each with its own places, and a problem for each that is there twice. A table
/// that stands for no options stays one value: it is for an option whose type is JSON, or is a mistake.
pub(super) fn named(options: Vec<RawOption>, declared: &[OptionSpec]) -> (Vec<RawOption>, Vec<Problem>) {
    let mut named = Vec::with_capacity(options.len());
    options.into_iter().for_each(|option| resolve(option, declared, &mut named));
    let mut firsts: BTreeMap<&str, &RawOption> = BTreeMap::new();
    let again = named.iter().filter_map(|option| {
        let first = firsts.insert(&option.name, option)?;
        let title = format!("the option {} is given twice", quoted_key(&option.name));
        let problem = Problem::new(code::DUPLICATE_KEY, title).at(&option.name_span, "again here");
        Some(problem.also(&first.name_span, "first here"))
    });
    let again = again.collect();
    (named, again)
}

fn resolve(mut option: RawOption, declared: &[OptionSpec], named: &mut Vec<RawOption>) {
    let RawValue::Table(entries) = option.value else { return named.push(option) };
    let is_own = declared.iter().any(|spec| spec.name == option.name);
    let is_below =
        |spec: &OptionSpec| spec.name.strip_prefix(&*option.name).is_some_and(|rest| rest.starts_with('.'));
    if is_own || !declared.iter().any(is_below) {
        option.value = RawValue::Other(table(&entries));
        return named.push(option);
    }
    for mut entry in entries {
        entry.name = format!("{}.{}", option.name, entry.name);
        resolve(entry, declared, named);
    }
}

/// A table as one value.
pub(super) fn table(entries: &[RawOption]) -> toml::Value {
    let value = |entry: &RawOption| match &entry.value {
        RawValue::Bool(value) => toml::Value::Boolean(*value),
        RawValue::Int(value) => toml::Value::Integer(*value),
        RawValue::Float(value) => toml::Value::Float(*value),
        RawValue::Text(value) => toml::Value::String(value.clone()),
        RawValue::Table(entries) => table(entries),
        RawValue::Other(value) => value.clone(),
    };
    toml::Value::Table(entries.iter().map(|entry| (entry.name.clone(), value(entry))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Names, Source, parse_with};
    use crate::plugin::OptionType;

    fn spec(name: &str, kind: OptionType) -> OptionSpec {
        let (help, default, bounds, file) = (String::new(), None, None, None);
        OptionSpec {
            name: name.to_owned(),
            help,
            default,
            kind,
            bounds,
            required: false,
            secret: false,
            file,
        }
    }

    /// The options of a file with these lines under `[listen.options]`, and the text.
    fn read(lines: &str) -> (Vec<RawOption>, String) {
        let text = format!("[[listen]]\nbind = '127.0.0.1:0'\nplugin = 'echo'\n[listen.options]\n{lines}");
        let reading = parse_with(Source::new("x", text.as_str()), Path::new(""), &Names::system());
        let plan = reading.into_result().unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        (plan.listen.into_iter().next().unwrap().options, text)
    }

    #[test]
    fn a_table_of_json_stays_whole_and_strangers_stay_where_they_are() {
        let declared = [spec("a.b", OptionType::Json), spec("a.c.d", OptionType::Int)];
        let (options, text) = read("a = { b = { x = { y = 1 } }, c = { d = 1, e = 2 }, f.g = 3 }\nh.i = 1\n");
        let (named, twice) = named(options, &declared);
        assert!(twice.is_empty());
        let seen = named.iter().map(|option| (option.name.as_str(), &text[option.name_span.range.clone()]));
        let expected = [("a.b", "b"), ("a.c.d", "d"), ("a.c.e", "e"), ("a.f", "f"), ("h", "h")];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        let json = named.iter().filter(|option| matches!(option.value, RawValue::Other(_))).count();
        assert_eq!(json, 3, "a.b, a.f and h: {named:?}");
    }

    #[test]
    fn what_is_there_twice_is_shown_with_its_first_place() {
        let declared = [spec("a.b", OptionType::Int)];
        let (options, text) = read("a.b = 1\n\"a.b\" = 2\n");
        let (named, twice) = named(options, &declared);
        assert_eq!((named.len(), twice.len()), (2, 1));
        assert_eq!(&text[twice[0].span.clone().unwrap().range], "\"a.b\"");
        assert_eq!(&text[twice[0].secondary[0].0.range.clone()], "b");
    }

    /// A name, and which of its dots end a quoted key or a table in braces, by the bits of a number.
    fn line(name: &str, at: usize, way: u8) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        let (mut text, mut braces) = (String::new(), 0);
        for (depth, part) in parts.iter().enumerate() {
            let last = depth + 1 == parts.len();
            text += &if way >> (2 * depth) & 1 == 1 { format!("\"{part}\"") } else { (*part).to_owned() };
            if !last && way >> (2 * depth + 1) & 1 == 1 {
                text += " = { ";
                braces += 1;
            } else if !last {
                text += ".";
            }
        }
        format!("{text} = {at}{}\n", " }".repeat(braces))
    }

    proptest! {
        /// However a name is spelled, its value arrives under it, with the place of the value.
        #[test]
        fn every_spelling_is_the_name(
            names in prop::collection::btree_set("[a-c]{1,2}(\\.[a-c]{1,2}){0,3}", 1..8),
            ways in prop::collection::vec(any::<u8>(), 8),
        ) {
            // Names that share a beginning cannot all be in braces: TOML closes such a table for good.
            let mut firsts = BTreeSet::new();
            let names: Vec<&String> = names.iter().filter(|name| firsts.insert(name.split('.').next())).collect();
            let declared: Vec<_> = names.iter().map(|name| spec(name, OptionType::Int)).collect();
            let lines: String = names.iter().zip(&ways).enumerate().map(|(at, (name, way))| line(name, at, *way)).collect();
            let (options, text) = read(&lines);
            let (seen, twice) = named(options, &declared);
            prop_assert!(twice.is_empty());
            prop_assert_eq!(seen.len(), names.len());
            for (at, name) in names.iter().enumerate() {
                let option = seen.iter().find(|option| option.name == **name).unwrap();
                prop_assert_eq!(&option.value, &RawValue::Int(i64::try_from(at).unwrap()));
                prop_assert_eq!(&text[option.value_span.range.clone()], at.to_string());
            }
        }
    }
}
