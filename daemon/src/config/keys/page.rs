//! The keys of a table of the file, as a table of a document.

use super::form::Place;
use super::table::all;

/// The table in Markdown, with its head.
#[must_use]
pub fn page(place: Place) -> String {
    let mut page =
        String::from("| key | value | default | what it does | since |\n| --- | --- | --- | --- | --- |\n");
    for key in all(place) {
        let cells = [key.values("`"), key.default("`"), key.text.to_owned(), key.since.to_owned()];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        page.push_str(&format!("| `{}` | {} |\n", key.name, cells.join(" | ")));
    }
    page
}
