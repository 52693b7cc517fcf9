//! A library file that is looked into: options, functions, symbols, versions.

use polyport::plugin::{Identity, Inspection, OptionType};

/// Names of each kind that are told at most, and the characters of each: 256 bytes, each of them at most as `\u{10ffff}`.
const MOST_NAMES: usize = 64;
const LONGEST_NAME: usize = 256 * 10;
/// Options of a plugin.
const MOST_OPTIONS: usize = 256;

/// Looks into a file.
pub fn file(data: &[u8]) {
    let seen = Inspection::from(data);
    if let Err(refused) = Identity::read(data) {
        let why = seen.refusal.as_ref().map(ToString::to_string);
        assert_eq!(why, Some(refused.to_string()), "what the loader refuses is refused, in its words");
    }
    if let Some(cause) = &seen.refusal {
        let why = cause.to_string();
        assert!(!why.is_empty() && printable(&why), "{why:?}");
    }
    if let Some(parts) = &seen.parts {
        for names in [&parts.compilers, &parts.needed, &parts.exports] {
            assert!(names.len() <= MOST_NAMES, "{} names", names.len());
            assert!(names.iter().all(|name| printable(name) && name.len() <= LONGEST_NAME), "{names:?}");
        }
        assert!(parts.search.iter().all(|path| printable(path)), "{:?}", parts.search);
        assert!(parts.more_exports == 0 || parts.exports.len() == MOST_NAMES);
        if let Some(version) = &parts.glibc {
            assert!(version.split('.').all(|number| number.parse::<u32>().is_ok()), "{version}");
        }
    }
    if let Some(table) = &seen.table {
        assert!(table.options.len() <= MOST_OPTIONS);
        for needed in ["create", "destroy", "on_batch"] {
            assert!(table.functions.contains(&needed), "{:?}", table.functions);
        }
        for option in &table.options {
            let default = option.default.as_deref().unwrap_or_default();
            assert!([&option.name, &option.help, default].iter().all(|text| printable(text)), "{option:?}");
        }
        let without_choices = |kind: &OptionType| matches!(kind, OptionType::Enum(words) if words.is_empty());
        assert!(table.options.iter().all(|option| !without_choices(&option.kind)));
    }
}

fn printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
