//! The page polyport.toml(5), made of the same table as the page of the documentation.

use polyport_terminal::Page;

use super::form::Place;
use super::table::all;

const BEFORE: [&str; 3] = [
    "What polyport(8) serves, as TOML 1.0: settings of the whole daemon, and a table `[[listen]]` for each listener. Every mistake in a file is told \
     at once, with its line and column; `polyport check` does nothing but that.",
    "A size is a number of bytes or a text with a unit, such as `\"256KiB\"`. A duration is a text with its unit, such as `\"20ms\"` or \
     `\"1m30s\"`. The options of a plugin stand beside the keys of its listener, or in its table `options`; `polyport plugin inspect NAME` \
     has them.",
    "`polyport reload` and SIGHUP have a daemon read the file again: all of it is taken, or nothing.",
];

/// Files with what they serve.
const EXAMPLES: [(&str, &str); 2] = [
    (
        "A hundred ports that answer what they get:",
        "[[listen]]\nbind = \"127.0.0.1:7000-7099\"\nplugin = \"echo\"\n",
    ),
    (
        "A bad network, served without rights:",
        "[[listen]]\nname = \"bad\"\nbind = \"[::1]:7000\"\nplugin = \"lossy\"\noptions = { loss = \"10%\", delay = \"20ms\", seed = 7 }\n\n\
         [sandbox]\nuser = \"nobody\"\n",
    ),
];

/// The page, of the program `of` and the day `day`.
#[must_use]
pub fn manual(of: &str, day: &str) -> Page {
    let day = if day == "unknown" { "" } else { day };
    let mut page = Page::begin("polyport.toml", "5", "configuration of polyport", of, day);
    page.heading("SYNOPSIS");
    page.verbatim([
        "./polyport.toml",
        "$XDG_CONFIG_HOME/polyport/polyport.toml (~/.config)",
        "/etc/polyport/polyport.toml",
    ]);
    page.heading("DESCRIPTION");
    BEFORE.into_iter().for_each(|text| page.paragraph(text));
    page.heading("KEYS");
    for place in Place::ALL {
        page.subheading(if place == Place::Top { "Above all tables" } else { place.header() });
        for key in all(place) {
            let said = [
                format!("{}.", key.text),
                format!("Values: {}.", key.values("`")),
                format!("Default: {}.", key.default("`")),
            ];
            page.term(key.name, &said.join(" "));
        }
    }
    page.heading("FILES");
    page.paragraph(
        "The first that is there is read, and no other: that of `-c`, that of `POLYPORT_CONFIG`, and those above, of which only such are read that \
         nobody else could have written. `polyport config template` prints one with every key, and `polyport config schema` a JSON Schema for \
         editors.",
    );
    page.heading("EXAMPLES");
    for (what, file) in EXAMPLES {
        page.paragraph(what);
        page.verbatim(file.lines());
    }
    page.heading("SEE ALSO");
    page.see_also(["polyport(8)", "polyport-check(8)", "polyport-config(8)", "polyport-plugin(8)"]);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_table_is_on_the_page() {
        let page = manual("polyport", "2026-11-30");
        let lines: Vec<&str> = page.source().lines().collect();
        for place in Place::ALL {
            for key in all(place) {
                let term = format!("\\fB{}\\fR", key.name);
                assert!(lines.windows(2).any(|pair| pair == [".TP", term.as_str()]), "{}", key.path(place));
            }
        }
        assert!(page.file_name() == "polyport.toml.5" && !page.source().contains("unknown"));
    }
}
