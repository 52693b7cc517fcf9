//! A configuration with every key, commented out.

use super::form::{Key, Place, Usual};
use super::table::all;

const HEAD: &str = "\
# A configuration of polyport, with every key that there is. A line with `#` and no space behind it is a setting that is
# not made: what it says is the default, or an example where there is none. `polyport config explain KEY` says more.
";

const FIRST: &str = "
# A listener: where, and by which plugin. `polyport plugin list` shows the plugins.
[[listen]]
bind = \"127.0.0.1:7000\"
plugin = \"echo\"

# Another one, with every key.
#[[listen]]
";

/// What a listener needs whose other keys are all given: these stand for the examples of the table.
const SECOND: [(&str, &str); 3] =
    [("bind", "\"0.0.0.0:7001\""), ("plugin", "\"listener\""), ("options", "{ report = \"10s\" }")];

/// The text of the file. As it is, it serves one listener; with all of it taken in, two.
#[must_use]
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    let keys = |text: &mut String, place: Place| {
        let own = all(place).iter().filter(|key| key.table().is_none());
        own.for_each(|key| text.push_str(&setting(place, key)));
    };
    keys(&mut text, Place::Top);
    for place in [Place::Limits, Place::Sandbox] {
        let of = all(Place::Top).iter().find(|key| key.table() == Some(place));
        let what = of.map_or("", |key| key.text);
        text.push_str(&format!("\n{}#{}\n", wrapped(&sentence(what)), place.header()));
        keys(&mut text, place);
    }
    text.push_str(FIRST);
    keys(&mut text, Place::Listen);
    let of = all(Place::Listen).iter().find(|key| key.table() == Some(Place::Reply));
    text.push_str(&format!(
        "\n{}#{}\n",
        wrapped(&sentence(of.map_or("", |key| key.text))),
        Place::Reply.header()
    ));
    keys(&mut text, Place::Reply);
    text
}

/// A key with what it is for.
fn setting(place: Place, key: &Key) -> String {
    let mut said = sentence(key.text);
    said.push_str(&format!(" {}.", capital(&key.values(""))));
    if !matches!(key.usual, Usual::Value(_)) {
        said.push_str(&format!(" {}.", capital(&format!("default: {}", key.default("")))));
    }
    let second = SECOND.iter().find(|(name, _)| place == Place::Listen && *name == key.name);
    let value = second.map_or_else(|| key.value(), |(_, value)| value);
    format!("\n{}#{} = {value}\n", wrapped(&said), key.name)
}

fn sentence(text: &str) -> String {
    capital(&text.replace('`', "")) + "."
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The text as lines of a comment.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 100;
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
