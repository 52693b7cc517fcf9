//! What is to be recorded on its way into a file, by a thread of its own: whatever a disk or the reader of a pipe does, no
//! datagram of any listener waits for it.
//!
//! ```text
//! record -> collected -> hand_over -> handed -> thread: sink -> file
//!                                               tally <-'
//! ```
//!
//! Each of the three batches that exist, the collected one, the one handed over and the one in the thread's hands, is bounded.
//! What finds no room is left out, and counted by the caller.

use std::cell::Cell;
use std::fmt::Debug;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::tally::Tally;

/// How long the end waits for the disk.
const AT_THE_END: Duration = Duration::from_secs(2);
/// How often the thread looks for the reader of a pipe then, which is a second.
const LOOKS_AT_THE_END: u32 = 20;
/// Stack of the thread, bytes. It formats small blocks.
const STACK: usize = 256 << 10;

/// What waits together for the thread.
pub trait Batch: Default + Debug + Send + 'static {
    /// How many are in it.
    fn len(&self) -> u64;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory in use, bytes.
    fn bytes(&self) -> usize;

    /// Forgets them; the thread has written them.
    fn clear(&mut self);
}

/// Writes batches, in the thread.
pub trait Sink: Send + 'static {
    /// What it writes.
    type Batch: Batch;

    /// Writes a batch. The reader of a pipe is waited for while `goes_on` says so.
    fn write(&mut self, batch: &Self::Batch, goes_on: &dyn Fn() -> bool) -> Tally;
}

/// How much waits.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a batch at most. Three batches exist.
    pub batch: usize,
    /// A batch of so many bytes is handed over at once. A smaller one waits for the next [tick](Recorder::tick).
    pub hand_over: usize,
}

/// Writes what is recorded. Ends, at the latest, when it is dropped: within two seconds, whatever the disk does.
#[derive(Debug)]
pub struct Recorder<B: Batch> {
    collected: B,
    bounds: Bounds,
    shared: Arc<Shared<B>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared<B> {
    state: Mutex<State<B>>,
    /// A batch was handed over, or the end has come.
    work: Condvar,
    /// The thread has written everything.
    done: Condvar,
    ending: AtomicBool,
}

#[derive(Debug, Default)]
struct State<B> {
    handed: B,
    /// The last batch, for which the thread had no time yet.
    last: B,
    /// How many are in the thread's hands.
    held: u64,
    tally: Tally,
    finished: bool,
}

impl<B: Batch> Recorder<B> {
    /// Begins the thread. `begun` is what became of the beginning of the file.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(sink: impl Sink<Batch = B>, begun: Tally, bounds: Bounds) -> io::Result<Self> {
        let shared = Arc::new(Shared::<B>::default());
        shared.lock().tally = begun;
        let of_thread = Arc::clone(&shared);
        let name = "recorder".to_owned();
        let thread = Builder::new().name(name).stack_size(STACK).spawn(move || of_thread.run(sink))?;
        Ok(Self { collected: B::default(), bounds, shared, thread: Some(thread) })
    }

    /// Takes one more of so many bytes, which `push` adds to the batch. False: there is no room, because the disk is slower.
    pub fn record(&mut self, bytes: usize, push: impl FnOnce(&mut B)) -> bool {
        if self.collected.bytes() >= self.bounds.hand_over {
            self.hand_over();
        }
        let fits = self.collected.bytes() + bytes <= self.bounds.batch;
        if fits {
            push(&mut self.collected);
        }
        fits
    }

    /// Hands over what was collected, if the thread has taken the batch before, and returns what became of earlier ones.
    pub fn tick(&mut self) -> Tally {
        self.hand_over();
        let mut tally =
            self.shared.try_lock().map(|mut state| std::mem::take(&mut state.tally)).unwrap_or_default();
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            tally.error = Some(io::Error::other("the thread that writes has ended"));
        }
        tally
    }

    /// Writes what is left, and ends the thread. Returns what became of everything since the last tick, and how many
    /// were not written in time.
    pub fn finish(&mut self) -> (Tally, u64) {
        let Some(thread) = self.thread.take() else { return (Tally::default(), 0) };
        let mut state = self.shared.lock();
        std::mem::swap(&mut state.last, &mut self.collected);
        self.shared.ending.store(true, Ordering::Relaxed);
        self.shared.work.notify_one();
        let unfinished = |state: &mut State<B>| !state.finished;
        let waited = self.shared.done.wait_timeout_while(state, AT_THE_END, unfinished);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.finished {
            let tally = std::mem::take(&mut state.tally);
            drop(state);
            // Whether it ended well is known.
            thread.join().unwrap_or(());
            return (tally, 0);
        }
        // It stays behind in the kernel. It has nothing but its file and the memory it shares with this value, and the library
        // is never unloaded.
        let late = state.held + state.handed.len() + state.last.len();
        (std::mem::take(&mut state.tally), late)
    }

    /// Never waits: where the thread has the lock, or has not taken the batch before, there is a next time.
    fn hand_over(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        let Some(mut state) = self.shared.try_lock().filter(|state| state.handed.is_empty()) else { return };
        std::mem::swap(&mut state.handed, &mut self.collected);
        drop(state);
        self.shared.work.notify_one();
    }
}

impl<B: Batch> Drop for Recorder<B> {
    fn drop(&mut self) {
        // After a panic nobody has called it.
        drop(self.finish());
    }
}

impl<B: Batch> Shared<B> {
    fn run(&self, mut sink: impl Sink<Batch = B>) {
        let _end = OnEnd(self);
        let mut batch = B::default();
        let mut state = self.lock();
        loop {
            state.held = 0;
            if state.handed.is_empty() {
                let State { handed, last, .. } = &mut *state;
                std::mem::swap(handed, last);
            }
            if !state.handed.is_empty() {
                std::mem::swap(&mut batch, &mut state.handed);
                state.held = batch.len();
                drop(state);
                let looks = Cell::new(LOOKS_AT_THE_END);
                let goes_on = || {
                    let ending = self.ending.load(Ordering::Relaxed);
                    !ending || looks.replace(looks.get().saturating_sub(1)) > 0
                };
                let tally = sink.write(&batch, &goes_on);
                batch.clear();
                state = self.lock();
                state.tally.add(tally);
            } else if self.ending.load(Ordering::Relaxed) {
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, State<B>>> {
        self.state.try_lock().ok()
    }
}

/// Tells that the thread has ended, also by a panic.
struct OnEnd<'a, B: Batch>(&'a Shared<B>);

impl<B: Batch> Drop for OnEnd<'_, B> {
    fn drop(&mut self) {
        self.0.lock().finished = true;
        self.0.done.notify_all();
    }
}
