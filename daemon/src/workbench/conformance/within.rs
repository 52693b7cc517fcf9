//! One case in a process of its own, which prints what it finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use polyport_terminal::{Exit, end_at_once, say};
use serde_json::{Value, json};

use super::cases::{Case, Run, find};
use super::end::End;
use super::heard;
use super::rules;
use super::stage::Stage;
use crate::plugin::{Doing, tell_of_crashes};
use crate::workbench::sources::Bench;

/// What each line begins with; a plugin may print lines of its own.
pub(super) const MARK: &str = "polyport-test ";
/// How often it is looked whether a call has returned.
const LOOK: Duration = Duration::from_millis(100);

/// What a case is run with.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Options of the plugin.
    pub options: Vec<(String, String)>,
    /// Seed of all chance.
    pub seed: u64,
    /// How long the part by chance lasts.
    pub lasting: Duration,
    /// How long a call may take.
    pub call: Duration,
}

/// Runs a case, and prints what comes of it. A call that does not return ends the process.
pub fn within(bench: &Bench, reference: &str, name: &str, terms: &Terms) -> Exit {
    let Some(case) = find(name) else { return Exit::Usage };
    heard::listen();
    if let Err(error) = tell_of_crashes() {
        tell(&json!({ "remark": format!("a crash will not say where it was: {error}") }));
    }
    let (calls, watch) = channel();
    let (doing, longest) = (Doing::of_this_thread(), terms.call);
    let watcher = thread::spawn(move || watched(doing, longest, &|| watch.recv_timeout(LOOK)));
    let ended = run(bench, reference, case, terms);
    end_watch(calls);
    // Nothing is left for it to do.
    watcher.join().unwrap_or(());
    match ended {
        Ok(()) => {
            tell(&json!({ "done": true }));
            Exit::Ok
        }
        Err(End::Broken { rule, what }) => {
            tell(&json!({ "broken": { "rule": rule, "what": what } }));
            Exit::Software
        }
        Err(End::Skipped(why)) => {
            tell(&json!({ "skipped": why }));
            Exit::Ok
        }
        Err(End::Trouble(why)) => {
            tell(&json!({ "trouble": why }));
            Exit::Config
        }
    }
}

fn run(bench: &Bench, reference: &str, case: &Case, terms: &Terms) -> Result<(), End> {
    let loaded = bench.loader().load(reference);
    let plugin = loaded.map_err(|refusal| End::Trouble(refusal.to_string()))?;
    let mut stage = Stage::new(&plugin, &terms.options, terms.seed);
    let verdict = match case.run {
        Run::Whole(run) => run(&mut stage),
        Run::Timed(run) => {
            let is_time = Arc::new(AtomicBool::new(false));
            let (keep, is_over) = channel::<()>();
            let (flag, lasting) = (Arc::clone(&is_time), terms.lasting);
            let timer = thread::spawn(move || {
                // It is over as well when nobody is left that waits.
                is_over.recv_timeout(lasting).unwrap_or(());
                flag.store(true, Relaxed);
            });
            let verdict = run(&mut stage, &is_time);
            drop(keep);
            timer.join().unwrap_or(());
            verdict
        }
    };
    for remark in &stage.remarks {
        tell(&json!({ "remark": remark }));
    }
    tell(&json!({ "calls": stage.calls }));
    verdict
}

/// Ends the process if one call of a plugin takes longer than `longest`.
fn watched(doing: &'static Doing, longest: Duration, wait: &dyn Fn() -> Result<(), RecvTimeoutError>) {
    let (mut last, mut lasts) = (None, Duration::ZERO);
    while wait() == Err(RecvTimeoutError::Timeout) {
        let call = doing.call();
        let number = call.map(|call| call.number);
        lasts = if number.is_some() && number == last { lasts + LOOK } else { Duration::ZERO };
        last = number;
        if let Some(call) = call
            && lasts >= longest
        {
            let what = format!("{} has not returned for {longest:?}", call.function.name());
            tell(&json!({ "broken": { "rule": rules::BLOCK, "what": what } }));
            end_at_once(Exit::Software);
        }
    }
}

fn end_watch(calls: Sender<()>) {
    drop(calls);
}

fn tell(what: &Value) {
    say(format_args!("{MARK}{what}"));
}
