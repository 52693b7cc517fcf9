//! What is said of one key, or of all.

use super::form::{Key, Place, Usual};
use super::table::all;
use crate::config::nearest::nearest;

/// All that is known of a key, by its name with that of its table (`limits.spin`) or alone (`spin`), which may be that of
/// several; or of a table (`limits`), with its keys.
///
/// # Errors
/// There is no such key; the names that may be meant, in words.
pub fn explain(name: &str) -> Result<String, String> {
    // As the header of a table has it.
    let name = name.trim_matches(['[', ']']).trim();
    let mut found: Vec<String> = keys()
        .filter(|(place, key)| key.path(*place) == name || key.name == name)
        .map(|(place, key)| described(place, key))
        .collect();
    let table = Place::ALL.into_iter().find(|place| !name.is_empty() && place.path() == name);
    found.extend(table.map(keys_of));
    if found.is_empty() { Err(unknown(name)) } else { Ok(found.join("\n")) }
}

/// All keys, each with the table that it stands in and what it is for.
#[must_use]
pub fn list() -> String {
    Place::ALL.into_iter().map(keys_of).collect::<Vec<_>>().join("\n")
}

/// Every key with its place.
fn keys() -> impl Iterator<Item = (Place, &'static Key)> {
    Place::ALL.into_iter().flat_map(|place| all(place).iter().map(move |key| (place, key)))
}

fn described(place: Place, key: &Key) -> String {
    let whose = match place {
        Place::Top => "above all tables".to_owned(),
        Place::Listen | Place::Reply | Place::Limits | Place::Sandbox => format!("in {}", place.header()),
    };
    let mut text = format!("{}, {whose}: {}\n\n", key.path(place), plain(key.text));
    let mut line = |what: &str, said: &str| text.push_str(&format!("  {what:8}  {said}\n"));
    line("values", &key.values(""));
    line("default", &key.default(""));
    match key.usual {
        Usual::Value(_) => {}
        Usual::Said { example, .. } | Usual::Needed(example) if !example.is_empty() => {
            line("example", &format!("{} = {example}", key.name));
        }
        Usual::Said { .. } | Usual::Needed(_) => {}
    }
    line("since", key.since);
    text
}

/// The names of the keys of a table, each with what it is for.
fn keys_of(place: Place) -> String {
    let title = match place {
        Place::Top => "Above all tables:".to_owned(),
        Place::Listen | Place::Reply | Place::Limits | Place::Sandbox => format!("In {}:", place.header()),
    };
    let paths: Vec<String> = all(place).iter().map(|key| key.path(place)).collect();
    let width = paths.iter().map(String::len).max().unwrap_or(0);
    let lines =
        paths.iter().zip(all(place)).map(|(path, key)| format!("  {path:width$}  {}\n", plain(key.text)));
    format!("{title}\n{}", lines.collect::<String>())
}

/// Without the quotes of a document.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn unknown(name: &str) -> String {
    let paths: Vec<String> = keys().map(|(place, key)| key.path(place)).collect();
    let names = keys().map(|(_, key)| key.name);
    // A name alone is offered with its table.
    let meant = nearest(name, paths.iter().map(String::as_str)).map(str::to_owned).or_else(|| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let near = nearest(last, names)?;
        keys().find(|(_, key)| key.name == near).map(|(place, key)| key.path(place))
    });
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`polyport config explain` lists all keys".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_whole_name_and_alone() {
        for (name, begins) in [
            ("limits.spin", "limits.spin, in [limits]: how long to look"),
            ("spin", "limits.spin, in [limits]: how long to look"),
            ("seed", "seed, above all tables: makes the randomness"),
            ("[listen.reply]", "listen.reply, in [[listen]]: whom the listener"),
        ] {
            let text = explain(name).unwrap();
            assert!(text.starts_with(begins), "{name}: {text}");
        }
        let both = explain("sessions").unwrap();
        assert!(
            both.contains("listen.sessions, in [[listen]]") && both.contains("limits.sessions, in [limits]")
        );
        assert!(explain("limits").unwrap().contains("  limits.slow_batch           a handler's call"));
    }

    #[test]
    fn what_is_there_is_said_in_lines() {
        assert_eq!(
            explain("recv_buffer").unwrap(),
            "listen.recv_buffer, in [[listen]]: what waits in the kernel for the daemon (SO_RCVBUF); a warning says when \
             the kernel gives less\n\n  values    4KiB to 512MiB\n  default   1MiB, less where more than 256 listeners \
             share 256MiB\n  example   recv_buffer = \"1MiB\"\n  since     0.1.0\n"
        );
    }

    #[test]
    fn a_mistyped_key_is_answered_with_the_nearest() {
        for (name, meant) in [
            ("limits.spun", "limits.spin"),
            ("recv_bufer", "listen.recv_buffer"),
            ("sandbox.usr", "sandbox.user"),
            ("listen.replay", "listen.reply"),
        ] {
            assert_eq!(explain(name), Err(format!("did you mean `{meant}`?")));
        }
        assert_eq!(explain("zzzzzzzz"), Err("`polyport config explain` lists all keys".to_owned()));
        explain("").unwrap_err();
    }

    #[test]
    fn all_are_listed_once() {
        let list = list();
        for (place, key) in keys() {
            let line = format!("  {} ", key.path(place));
            assert_eq!(list.matches(&line).count(), 1, "{line}");
        }
    }
}
