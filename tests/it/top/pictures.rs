//! The pictures of the README.

use super::{Screen, busy, command};

/// The letters of a picture, in their rows.
fn rows(picture: &str) -> Vec<String> {
    let text = regex::Regex::new(r#"<text x="[0-9.]+" y="([0-9]+)"[^>]*>([^<]*)</text>"#).unwrap();
    let mut rows: Vec<(String, String)> = Vec::new();
    for found in text.captures_iter(picture) {
        match rows.last_mut() {
            Some((y, row)) if *y == found[1] => *row += &format!(" {}", &found[2]),
            _ => rows.push((found[1].to_owned(), found[2].to_owned())),
        }
    }
    rows.into_iter().map(|(_, row)| row.replace("&lt;", "<").replace("&gt;", ">")).collect()
}

#[test]
fn the_pictures_show_the_screen_that_there_is() {
    let folder = polyport_tests::plugins::repository().join("examples/docs/pictures");
    let picture = |name: &str| rows(&std::fs::read_to_string(folder.join(name)).unwrap());
    let daemon = busy().serve();
    let Some(screen) = Screen::start((126, 34), &command(&daemon, "-i 200ms")) else { return };
    let words = |row: &str| row.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = screen.until("the table", |text| text.contains("LISTENER"));
    let top = picture("top.svg");
    assert!(top.len() >= 8 && top[0].starts_with("polyport 0.1.0 pid "), "{top:#?}");
    for row in text.lines().filter(|row| row.starts_with("LISTENER") || row.starts_with("< >")) {
        assert!(top.contains(&words(row)), "{row}: not in {top:#?}");
    }
    screen.press("Enter");
    let text = screen.until("the page", |text| text.contains("TOP PEERS"));
    let one = picture("top-listener.svg");
    for row in text
        .lines()
        .filter(|row| ["TRAFFIC", "PLUGIN METRICS", "Esc back"].iter().any(|it| row.starts_with(it)))
    {
        // Beside it stands what another run has.
        let row = words(row.split("   ADDRESSES").next().unwrap_or_default());
        assert!(one.iter().any(|shown| shown.starts_with(&row)), "{row}: not in {one:#?}");
    }
    for word in ["DROPS", "on_purpose", "HANDLER", "ADDRESSES"] {
        assert!(one.iter().any(|row| row.contains(word)), "{word}: not in {one:#?}");
    }
    screen.press("q");
    screen.until("the end", |text| text.contains("code 0"));
    drop(daemon.stop());
}
