//! What is drawn, at sizes and for runs that terminals and users come up with.

use std::sync::Arc;

use clap::Parser;
use polyport_protocol::{MILLISECOND, Nanos, SECOND};
use polyport_terminal::Interrupt;
use polyport_terminal::screen::Look;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::View;
use super::board::{Board, Shown};
use super::draw::draw;
use super::model::{Limit, Model};
use super::run::{Phase, Run};
use super::state::State;
use crate::clock::Clock;
use crate::load::args::Args;
use crate::load::feed::Row;
use crate::load::histogram::TargetLatency;
use crate::load::ledger::NotSent;
use crate::load::live::{Counters, Live};
use crate::load::stream::Tally;
use crate::load::threshold::Threshold;

/// Between two looks.
const LOOK: Nanos = 250 * MILLISECOND;

const SIZES: [(u16, u16); 8] =
    [(20, 5), (1, 1), (60, 15), (79, 16), (80, 24), (120, 30), (200, 50), (300, 100)];

fn run(line: &str) -> Arc<Run> {
    let words = format!("polyport-load --seed 7 {line}");
    let config = Args::try_parse_from(words.split_whitespace()).unwrap().config().unwrap();
    let live = Arc::new(Live::new(1).unwrap());
    Arc::new(Run::new(&config, Clock::start(), live).unwrap())
}

fn shown(run: &Arc<Run>, thresholds: &[&str]) -> Shown {
    let thresholds: Vec<_> = thresholds.iter().map(|text| Threshold::parse(text).unwrap()).collect();
    let board = Board::new(&thresholds);
    board.begin(run);
    board.shown()
}

fn drawn((width, height): (u16, u16), model: &Model, state: &mut State, look: Look) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), model, state, look)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width));
    let line = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned() + "\n"
    };
    lines.map(line).collect()
}

const PLAIN: Look = Look { coloured: false, unicode: true };

fn text(size: (u16, u16), model: &Model) -> String {
    drawn(size, model, &mut State::default(), PLAIN)
}

/// Ten looks at a load that sends 25 datagrams between two of them, and gets all but one answered in 1 to 24 ms.
fn busy(run: &Arc<Run>, shown: &Shown) -> Model {
    let mut model = Model::new().unwrap();
    run.enter(Phase::Load, 0);
    model.look(shown, 0);
    for look in 1..=10 {
        let total = Tally { sent: 25 * look, ok: 24 * look, expired: look, ..Tally::default() };
        let mut window = TargetLatency::target().unwrap();
        (1..=24).for_each(|i| window.record(i * MILLISECOND));
        run.live.publish(0, Counters { total, ..Counters::default() }, &mut window);
        model.look(shown, look * LOOK);
        (1..=24).for_each(|i| model.totals.from_plan.record(i * MILLISECOND));
    }
    model
}

#[test]
fn before_anything_is_known_every_size_is_drawn() {
    let model = Model::new().unwrap();
    for size in SIZES {
        drawn(size, &model, &mut State::default(), PLAIN);
    }
    let run = run("127.0.0.1:7000-7002");
    let shown = shown(&run, &["p99<5ms"]);
    let mut model = Model::new().unwrap();
    model.look(&shown, SECOND);
    run.greeted(2);
    let text = text((80, 24), &model);
    assert!(text.contains("HANDSHAKE 2 of 3 targets have answered"), "{text}");
    assert!(
        text.contains("no answer yet") && text.contains("must hold - p99<5ms"),
        "nothing is missed: {text}"
    );
    assert!(text.contains("loss             -"), "{text}");
    for size in SIZES {
        drawn(size, &model, &mut State::default(), PLAIN);
        drawn(size, &model, &mut State { help: true, ..State::default() }, PLAIN);
    }
}

#[test]
fn a_load_is_drawn_with_its_books() {
    let run = run("127.0.0.1:7000-7001 -r 100/s -d 10");
    let model = busy(&run, &shown(&run, &["p99<5ms", "loss<50%"]));
    let text = text((80, 24), &model);
    for words in [
        "polyport-load  100/s (constant)  2 targets, 127.0.0.1:7000 to 127.0.0.1:7001",
        "2.5s of 10.0s  25%",
        "sent      250 = ok 240 + late 0 + error 0 + no answer 10 + in flight 0",
        "must hold FAIL p99<5ms 24.0ms   ok loss<50% 4.00%",
        "rate/s         100  ██████████",
        "loss         4.00%  ██████████",
        "one column: 250ms",
        "   20.0ms",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.lines().count() == 24 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let ascii = drawn((80, 24), &model, &mut State::default(), Look { coloured: false, unicode: false });
    assert!(ascii.is_ascii() && ascii.contains("##########"), "{ascii}");
    let mut paused = State { paused: true, ..State::default() };
    assert!(drawn((80, 24), &model, &mut paused, PLAIN).contains("PAUSED"));
    let small = self::text((20, 5), &model);
    assert_eq!(small.lines().next(), Some("LOAD 2.5s/10.0s"), "{small}");
    assert!(small.contains("100/s  loss 4.00%") && small.contains("q end"), "{small}");
}

#[test]
fn what_is_known_only_at_the_end_is_neither_met_nor_missed_before() {
    let must_hold = |line: &str| {
        let run = run(line);
        let thresholds = ["up.p99<9ms", "ipdv.down.p50<1ms", "loss<1%", "ok>0", "late<1", "not_sent<1"];
        let text = text((200, 50), &busy(&run, &shown(&run, &thresholds)));
        text.lines().find(|line| line.contains("must hold")).unwrap().to_owned()
    };
    assert_eq!(
        must_hold("127.0.0.1:7000 --one-way"),
        "must hold FAIL loss<1% 4.00%   - up.p99<9ms   - ipdv.down.p50<1ms   ok ok>0 240   ok late<1 0   ok not_sent<1 0"
    );
    assert_eq!(
        must_hold("127.0.0.1:7000 --expect nothing --books /run/polyport/control.sock"),
        "must hold - up.p99<9ms   - ipdv.down.p50<1ms   - loss<1%   - ok>0   - late<1   ok not_sent<1 0"
    );
}

#[test]
fn what_stays_of_a_look_is_what_has_happened_since() {
    let run = run("127.0.0.1:7000 -r 100/s");
    let shown = shown(&run, &[]);
    let mut model = busy(&run, &shown);
    assert_eq!((model.history.columns(0).len(), model.history.columns(1).len()), (10, 2));
    assert!(model.history.columns(0).all(|point| (point.sent, point.no_answer) == (25, 1)));
    assert!(model.history.now().unwrap().p50.unwrap().abs_diff(12 * MILLISECOND) < MILLISECOND);
    model.look(&shown, 10 * LOOK + 1);
    assert_eq!(model.history.columns(0).len(), 10, "not yet");
    // Another run, as a search has it, begins with counters of its own, and what was goes on being shown.
    let next = self::run("127.0.0.1:7000-7001 -r 100/s");
    let shown = self::shown(&next, &[]);
    model.look(&shown, 0);
    let total = Tally { sent: 5, ..Tally::default() };
    next.live.publish(0, Counters { total, ..Counters::default() }, &mut TargetLatency::target().unwrap());
    model.look(&shown, LOOK);
    assert_eq!((model.names.len(), model.rows.len(), model.counters.total.sent), (2, 2, 5));
    assert_eq!(model.history.columns(0).next_back().unwrap().sent, 5);
}

#[test]
fn a_thousand_targets_are_scrolled() {
    let run = run("127.0.0.1:7000-7999");
    let mut model = busy(&run, &shown(&run, &[]));
    for (at, row) in model.rows.iter_mut().enumerate() {
        let p99 = Some(at as Nanos * 1000);
        *row = Row {
            sent: 1000,
            ok: 1000 - at as u64 / 10,
            no_answer: at as u64 / 10,
            p50: p99,
            p99,
            max: p99,
            ..*row
        };
    }
    let mut state = State::default();
    let text = drawn((200, 50), &model, &mut state, PLAIN);
    assert!(text.contains("TARGETS 1-") && text.contains("of 1000 by loss"), "{text}");
    assert!(text.contains("127.0.0.1:7990") && text.contains("9.90%"), "the worst first: {text}");
    assert_eq!(state.key(ratatui::crossterm::event::KeyCode::End.into(), 1000), None);
    let text = drawn((200, 50), &model, &mut state, PLAIN);
    assert!(text.contains("-1000 of 1000 by loss") && text.contains("127.0.0.1:7009"), "{text}");
    // A terminal that grows shows the last of them all the same.
    let text = drawn((200, 100), &model, &mut state, PLAIN);
    assert!(text.contains("-1000 of 1000 by loss"), "{text}");
    for size in SIZES {
        drawn(size, &model, &mut state, PLAIN);
    }
}

#[test]
fn names_neither_command_the_terminal_nor_push_the_numbers_away() {
    let run = run("[::1]:7000 [fe80::1234:5678:9abc:def0%1]:65535 --no-handshake");
    let mut model = busy(&run, &shown(&run, &[]));
    model.rows[0].sent = 123;
    model.names[0] = "\u{1b}[2Jevil\u{202e}\n".repeat(40) + ":7000";
    for size in SIZES {
        let text = drawn(size, &model, &mut State::default(), PLAIN);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(text.lines().count(), usize::from(size.1), "{text:?}");
    }
    let text = text((80, 24), &model);
    assert!(text.contains(":7000") && text.contains("123"), "{text}");
    assert!(text.contains("def0%1]:65535"), "{text}");
}

#[test]
fn a_tester_that_is_in_the_way_says_so() {
    let run = run("127.0.0.1:7000");
    let shown = shown(&run, &[]);
    let mut model = busy(&run, &shown);
    assert_eq!(model.limit(), None);
    model.given_up = [3, 5];
    assert_eq!(model.limit(), Some(Limit::Behind(3)));
    let text = text((80, 24), &model);
    assert!(text.contains("THE TESTER IS THE LIMIT  it cannot keep the rate: 3 given up just now"), "{text}");
    model.given_up = [0, 5];
    assert_eq!(model.limit(), Some(Limit::InFlight(5)));
    model.given_up = [0, 0];
    model.totals.skipped[NotSent::Refused as usize] = 9;
    let text = self::text((80, 24), &model);
    assert!(text.contains("not sent 9") && !text.contains("LIMIT"), "{text}");
}

#[test]
fn phases_and_changing_rates_are_named() {
    let run = run("127.0.0.1:7000 --flow 0..1000:10s,500:10s --warmup 2");
    let shown = shown(&run, &[]);
    let mut model = Model::new().unwrap();
    let mut at = |phase, since, now| {
        run.enter(phase, since);
        model.look(&shown, now);
        text((100, 24), &model)
    };
    assert!(at(Phase::Wait, 5 * SECOND, 2 * SECOND).contains("WAIT      starts in 3.0s"));
    assert!(at(Phase::WarmUp, 5 * SECOND, 6 * SECOND).contains("1.0s of 2.0s  50%"));
    let ramp = at(Phase::Load, 7 * SECOND, 12 * SECOND);
    assert!(ramp.contains("5.0s of 20.0s  25%  now 500/s"), "{ramp}");
    assert!(
        at(Phase::Drain, 27 * SECOND, 28 * SECOND)
            .contains("DRAIN     1.0s for the last answers, 0 in flight")
    );
}

#[test]
fn a_search_shows_trials_instead_of_targets() {
    let run = run("127.0.0.1:7000-7003");
    let board = Board::new(&[]);
    board.begin(&run);
    board.attempt("trial 3  5000/s for 1.00s".to_owned());
    board.narrowed(vec!["loss<1%: 4000/s .. 9000/s".to_owned()]);
    (1..=40).for_each(|number| board.tried(format!("trial {number:>3}  good")));
    let model = busy(&run, &board.shown());
    let text = text((80, 24), &model);
    for words in
        ["search    trial 3  5000/s for 1.00s", "loss<1%: 4000/s .. 9000/s", "TRIALS", "trial  40  good"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("trial   1  ") && !text.contains("TARGETS"), "{text}");
}

#[test]
fn whoever_was_asked_to_end_does_not_take_the_terminal() {
    let interrupt = Interrupt::default();
    interrupt.ask();
    assert!(View::start(Board::new(&[]), &interrupt).unwrap().is_none());
}
