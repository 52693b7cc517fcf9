//! Every link of a page leads to a file or heading that there is, and every page is in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::scan::{files, root};

const SUMMARY: &str = "daemon/docs/book/SUMMARY.md";

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let pages: BTreeMap<String, Page> =
        files(&["md"]).into_iter().map(|(path, text)| (path, Page::read(&text))).collect();
    let links = pages.values().map(|page| page.links.len()).sum::<usize>();
    assert!(links > 200, "{links} links in {} pages", pages.len());
    let wrong: Vec<String> = pages.iter().flat_map(|(path, page)| broken(path, page, &pages)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_page_is_in_the_book() {
    let all = files(&["md"]);
    let (_, summary) = all.iter().find(|(path, _)| path == SUMMARY).expect("the summary");
    let listed: BTreeSet<String> = Page::read(summary).links.into_iter().collect();
    // Templates, and what people see where they report something, are no pages of it.
    let is_page = |path: &&str| !path.starts_with('.') && !path.contains("/template") && *path != SUMMARY;
    let pages: BTreeSet<String> =
        all.iter().map(|(path, _)| path.as_str()).filter(is_page).map(str::to_owned).collect();
    let missing: Vec<_> = pages.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&pages).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in {SUMMARY}: {missing:?}; of no page: {gone:?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = Page::read("# A [`b`] c\n\n## A b c\n\n## Twice\n\n## Twice\n\n[x](y.md#z) `[no](code)`\n");
    assert_eq!(page.links, ["y.md#z"]);
    assert_eq!(page.anchors, ["a-b-c", "a-b-c-1", "twice", "twice-1"].map(str::to_owned).into());
    let pages = BTreeMap::from([("daemon/docs/a.md".to_owned(), page)]);
    assert_eq!(broken("daemon/docs/a.md", &pages["daemon/docs/a.md"], &pages).len(), 1);
    let own = Page::read("# A\n\n[up](#a) [down](#b) [top](../../README.md)\n");
    assert_eq!(broken("daemon/docs/a.md", &own, &BTreeMap::new()), ["daemon/docs/a.md: #b"]);
}

/// What a page links to, and what can be linked to in it.
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
                links.push(dest_url.into_string());
            } else if let Event::Start(Tag::Heading { .. }) = event {
                heading = Some(String::new());
            } else if let (Event::Text(text) | Event::Code(text), Some(heading)) = (&event, &mut heading) {
                heading.push_str(text);
            } else if let Event::End(TagEnd::Heading(_)) = event {
                let name = anchor(&heading.take().expect("it has begun"));
                let again = (1..).map(|n| format!("{name}-{n}")).find(|again| !anchors.contains(again));
                let free = if anchors.contains(&name) { again.expect("some number") } else { name };
                anchors.insert(free);
            }
        }
        Self { links, anchors }
    }
}

/// The anchor of a heading, as hosts of repositories and mdBook name it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|it| if it == ' ' { '-' } else { it }).collect()
}

fn broken(path: &str, page: &Page, pages: &BTreeMap<String, Page>) -> Vec<String> {
    // The summary is read from the top, where the book has it.
    let folder = if path == SUMMARY { Path::new("") } else { Path::new(path).parent().expect("a folder") };
    let leads = |link: &&String| {
        let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
        if target.contains("://") || target.starts_with("mailto:") {
            return true;
        }
        if target.is_empty() {
            return page.anchors.contains(anchor);
        }
        let target = flat(&folder.join(target));
        let there = pages.get(&*target.to_string_lossy());
        root().join(&target).exists()
            && (anchor.is_empty() || there.is_some_and(|page| page.anchors.contains(anchor)))
    };
    page.links.iter().filter(|link| !leads(link)).map(|link| format!("{path}: {link}")).collect()
}

/// Without `..`.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir { assert!(flat.pop(), "{}", path.display()) } else { flat.push(part) }
    }
    flat
}
