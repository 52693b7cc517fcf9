//! What is said of a name that is no option's: which one was probably meant, or what of it is missing.

use polyport_terminal::counted;

/// Letters that may be wrong in a name that was meant.
const MISTAKES: usize = 2;
/// Names that a message tells of those that begin alike; the help of `plugin inspect` has all.
const SHOWN: usize = 4;

/// A message and a help on `name`, which is none of `names`; none if it is one. `is_table` is whether its value is a table, which
/// stands for the options whose names begin with its name and a dot.
pub(super) fn unknown(names: &[&str], name: &str, is_table: bool) -> Option<(String, String)> {
    if names.contains(&name) {
        return None;
    }
    let below = below(names, name);
    if let Some(first) = below.first() {
        let message =
            format!("the plugin has no option `{name}`: it is the beginning of {}", several(&below));
        let (table, key) = (name, first.get(name.len() + 1..).unwrap_or_default());
        return Some((message, format!("write {first} = ..., or {table} = {{ {key} = ... }}")));
    }
    Some((format!("the plugin has no option `{name}`"), help(names, name, is_table)))
}

/// The names that begin with `name` and a dot.
fn below<'a>(names: &[&'a str], name: &str) -> Vec<&'a str> {
    let is_below = |other: &&&str| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    names.iter().filter(is_below).copied().collect()
}

/// Some of `names`, and how many more there are.
fn several(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {}", shown.join(", "), counted(more, "more", "more")),
    }
}

fn help(names: &[&str], name: &str, is_table: bool) -> String {
    // The end of a name, without the table that it is in.
    let ends: Vec<_> = names
        .iter()
        .filter(|other| other.strip_suffix(name).is_some_and(|table| table.ends_with('.')))
        .collect();
    if !ends.is_empty() {
        let ends: Vec<_> = ends.iter().map(|name| format!("`{name}`")).collect();
        return format!("did you mean {}?", ends.join(" or "));
    }
    let tables = names.iter().filter(|_| is_table).flat_map(|name| beginnings(name));
    let length = name.chars().count();
    // A name that is so much shorter or longer has as many mistakes at least, and counting them takes long.
    let may_be_meant = |other: &&str| other.chars().count().abs_diff(length) <= MISTAKES;
    let near = |other: &str| strsim::damerau_levenshtein(other, name);
    let meant = names.iter().copied().chain(tables).filter(may_be_meant).map(|other| (near(other), other));
    if let Some((_, meant)) = meant.filter(|(distance, _)| *distance <= MISTAKES).min() {
        return format!("did you mean `{meant}`?");
    }
    if names.is_empty() {
        return "this plugin has no options".to_owned();
    }
    // In a table that there is, the names in it; else all, those of a table as one.
    let table = beginnings(name).filter(|table| !below(names, table).is_empty()).last();
    match table {
        Some(table) => format!("the options of `{table}` are {}", below(names, table).join(", ")),
        None => format!("its options are {}", folded(names).join(", ")),
    }
}

/// The tables that a name is in, the outermost first: `a` and `a.b` of `a.b.c`.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter_map(|(dot, _)| name.get(..dot))
}

/// Names without a dot, and one for all of those that are in the same table.
fn folded(names: &[&str]) -> Vec<String> {
    let mut folded: Vec<String> = Vec::new();
    for name in names {
        let name = name.split_once('.').map_or_else(|| (*name).to_owned(), |(table, _)| format!("{table}.*"));
        if !folded.contains(&name) {
            folded.push(name);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["seed", "up.loss", "up.delay", "down.loss", "down.delay", "a.b.c"];

    fn told(name: &str, is_table: bool) -> String {
        unknown(&NAMES, name, is_table)
            .map(|(message, help)| format!("{message}; {help}"))
            .unwrap_or_default()
    }

    #[test]
    fn what_is_there_is_not_unknown() {
        assert!(NAMES.iter().all(|name| unknown(&NAMES, name, false).is_none()));
    }

    #[test]
    fn what_was_meant_is_offered_by_its_whole_name() {
        assert!(told("up.los", false).ends_with("did you mean `up.loss`?"));
        assert!(told("ups", true).ends_with("did you mean `up`?"), "{}", told("ups", true));
        assert!(told("a.d", true).ends_with("did you mean `a.b`?"));
        assert!(told("loss", false).ends_with("did you mean `up.loss` or `down.loss`?"));
        // A plain value does not become right by the name of a table.
        assert!(!told("ups", false).contains("did you mean `up`?"));
    }

    #[test]
    fn of_a_beginning_it_is_said_what_is_missing() {
        let expected = "the plugin has no option `up`: it is the beginning of `up.loss`, `up.delay`; write up.loss = ..., or up \
                        = { loss = ... }";
        assert_eq!(told("up", false), expected);
        assert_eq!(told("a.b", false).split("; ").last(), Some("write a.b.c = ..., or a.b = { c = ... }"));
        let many = ["x.a", "x.b", "x.c", "x.d", "x.e", "x.f"];
        let (message, _) = unknown(&many, "x", false).unwrap();
        assert!(message.ends_with("`x.a`, `x.b`, `x.c`, `x.d` and 2 more"), "{message}");
    }

    #[test]
    fn what_nobody_can_guess_gets_the_names_at_its_place() {
        assert!(told("something", false).ends_with("its options are seed, up.*, down.*, a.*"));
        assert!(told("up.something", false).ends_with("the options of `up` are up.loss, up.delay"));
        assert!(told("a.b.something", false).ends_with("the options of `a.b` are a.b.c"));
        assert_eq!(unknown(&[], "x", false).unwrap().1, "this plugin has no options");
    }
}
