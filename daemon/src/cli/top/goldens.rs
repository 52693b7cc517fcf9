//! What is drawn, letter by letter. `POLYPORT_WRITE_DOCS=1 cargo test -p polyport --lib goldens` writes the pictures anew, for somebody
//! who looks at them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use polyport_terminal::screen::Look;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::example::{busy, closely};
use super::link::Link;
use super::model::Model;
use super::screen::draw;
use super::view::View;

const PLAIN: Look = Look { coloured: false, unicode: true };

/// After half a minute.
fn model(closely_at: bool) -> Model {
    let mut model = Model::default();
    for second in 1..=30 {
        model.take(if closely_at { closely(second) } else { busy(second) });
    }
    model
}

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn drawn((width, height): (u16, u16), model: &Model, view: &View, link: &Link, look: Look) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            draw(frame.buffer_mut(), model, view, link, look, at(30));
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let lines = buffer.content().chunks(usize::from(buffer.area.width));
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned() + "\n"
    };
    lines.map(line).collect()
}

#[track_caller]
fn expect(size: (u16, u16), model: &Model, view: &View, name: &str) {
    let link = Link::new(at(30), at(1));
    let text = text(&drawn(size, model, view, &link, PLAIN));
    let file = format!("src/cli/top/goldens/{name}-{}x{}.txt", size.0, size.1);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("POLYPORT_WRITE_DOCS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap();
    assert!(text == golden, "{} has another picture than this:\n{text}", file.display());
}

fn pressed(keys: &[KeyCode], model: &Model) -> View {
    let mut view = View::default();
    for key in keys {
        view.key(KeyEvent::new(*key, KeyModifiers::NONE), model);
    }
    view
}

#[test]
fn the_table() {
    let model = model(false);
    expect((80, 24), &model, &View::default(), "table");
    expect((200, 50), &model, &View::default(), "table");
}

#[test]
fn the_page_of_a_listener() {
    let model = model(true);
    let view = pressed(&[KeyCode::Enter], &model);
    expect((80, 24), &model, &view, "listener");
    expect((200, 50), &model, &view, "listener");
}

#[test]
fn the_page_of_keys() {
    let model = model(false);
    let view = pressed(&[KeyCode::Char('?')], &model);
    expect((80, 24), &model, &view, "help");
    expect((200, 50), &model, &view, "help");
}

#[test]
fn a_filter_a_pause_and_a_daemon_that_is_gone_are_seen() {
    let model = model(false);
    let mut link = Link::new(at(30), at(1));
    let paused = pressed(&[KeyCode::Char(' ')], &model);
    let shown = text(&drawn((80, 24), &model, &paused, &link, PLAIN));
    assert!(shown.contains("\nPAUSED  Space goes on\n"), "{shown}");
    let view = pressed(&[KeyCode::Char('/'), KeyCode::Char('e')], &model);
    let shown = text(&drawn((80, 24), &model, &view, &link, PLAIN));
    assert!(shown.contains("\nfilter: e_ "), "{shown}");
    link.failed(at(12), "no daemon answers on S".to_owned());
    let shown = text(&drawn((80, 24), &model, &view, &link, PLAIN));
    assert!(shown.contains("\nno answer for 18 s: no daemon answers on S\n"), "{shown}");
    let late = Link::new(at(20), at(1));
    let shown = text(&drawn((80, 24), &model, &view, &late, PLAIN));
    assert!(shown.contains("\nno answer for 10 s\n"), "{shown}");
    let nothing = text(&drawn((80, 24), &Model::default(), &View::default(), &late, PLAIN));
    assert!(nothing.contains("nothing is known yet") && nothing.contains("no answer for 10 s"), "{nothing}");
}

#[test]
fn no_screen_is_too_small() {
    let (model, empty) = (model(true), Model::default());
    let views = [
        View::default(),
        pressed(&[KeyCode::Enter], &model),
        pressed(&[KeyCode::Char('?')], &model),
        pressed(&[KeyCode::End], &model),
        pressed(&[KeyCode::Char('/'), KeyCode::Char('x')], &model),
    ];
    let link = Link::new(at(0), at(1));
    for (width, height) in (0..=24).chain([80, 109, 110, 111, 300]).flat_map(|w| (0..=9).map(move |h| (w, h)))
    {
        for view in &views {
            for model in [&model, &empty] {
                let buffer = drawn((width, height), model, view, &link, PLAIN);
                assert_eq!(buffer.area.area(), u32::from(width) * u32::from(height));
            }
        }
    }
    let small = text(&drawn((20, 5), &model, &View::default(), &link, PLAIN));
    assert_eq!(small.lines().count(), 5, "{small}");
}

#[test]
fn colours_are_there_where_they_are_welcome_and_signs_where_they_are_shown() {
    let model = model(true);
    let link = Link::new(at(0), at(1));
    for view in [View::default(), pressed(&[KeyCode::Enter], &model), pressed(&[KeyCode::Char('?')], &model)]
    {
        let plain = drawn((80, 24), &model, &view, &link, Look { coloured: false, unicode: false });
        let reset = ratatui::style::Color::Reset;
        assert!(plain.content().iter().all(|cell| cell.fg == reset && cell.bg == reset));
        assert!(text(&plain).is_ascii(), "{}", text(&plain));
    }
    let coloured = drawn((80, 24), &model, &View::default(), &link, Look { coloured: true, unicode: true });
    let colours = [ratatui::style::Color::Red, ratatui::style::Color::Yellow, ratatui::style::Color::Cyan];
    assert!(colours.iter().all(|colour| coloured.content().iter().any(|cell| cell.fg == *colour)));
}

#[test]
fn twenty_thousand_listeners_are_scrolled_through() {
    let entries = |second: u64| {
        let entry = |at: u64| super::example::entry(&format!("port-{at:05}"), at * second, at * second, &[]);
        super::example::sample(1, second, (0..20_000).map(entry).collect())
    };
    let mut model = Model::default();
    model.take(entries(1));
    model.take(entries(2));
    let view = pressed(&[KeyCode::End], &model);
    let link = Link::new(at(30), at(1));
    let shown = text(&drawn((80, 24), &model, &view, &link, PLAIN));
    assert!(shown.contains("port-00000") && shown.contains("port-00018"), "{shown}");
}
