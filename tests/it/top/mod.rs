//! `polyport top` as a user has it, with a daemon that serves.
//!
//! ```text
//! screens   in a terminal of 80x24 and of 200x50, by its keys
//! pipes     as text and as JSON; thousands of listeners; `polyport peers`
//! pictures  those of the README
//! ```

mod pictures;
mod pipes;
mod screens;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use polyport_tests::Launch;
use polyport_tests::client::Client;
use polyport_tests::daemon::Daemon;

use crate::polyport;
use crate::screen::Screen;

const PROGRAM: &str = env!("CARGO_BIN_EXE_polyport-under-test");

/// Sends to a daemon until it is dropped.
struct Traffic {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn to(clients: Vec<Client>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (at, client) in clients.iter().enumerate() {
                    // The first gets most.
                    (at..4).for_each(|_| client.send(&[7; 100]));
                }
                thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("run/control.sock")
}

/// Listeners that answer, drop and lose.
fn busy() -> Launch {
    polyport()
        .listen("127.0.0.1:0=echo,name=alpha")
        .listen("127.0.0.1:0=lossy,name=bravo,loss=50%,seed=1")
        .listen("[::1]:0=discard,name=charlie")
}

fn command(daemon: &Daemon, words: &str) -> String {
    format!("'{PROGRAM}' top {words} --control '{}'", socket(daemon.dir()).display())
}

/// The row of a listener, cell by cell.
fn cells<'a>(screen: &'a str, name: &str) -> Vec<&'a str> {
    let row = screen.lines().find(|line| line.starts_with(name));
    row.map(|row| row.split_whitespace().collect()).unwrap_or_default()
}

fn order(screen: &str) -> Vec<&str> {
    let first = |line: &'_ str| ["alpha", "bravo", "charlie"].into_iter().find(|name| line.starts_with(name));
    screen.lines().filter_map(first).collect()
}
