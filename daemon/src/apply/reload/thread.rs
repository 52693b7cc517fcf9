//! The thread that reads a configuration, so that nobody who is served waits for a disk or for sockets.

use std::sync::mpsc::{self, Receiver, Sender};

use polyport_terminal::{Waker, aside};

use super::closing::{Portion, cpu};
use super::work::{Done, Job, work};

/// The thread that reads.
pub(super) struct Thread {
    pub(super) todo: Sender<Todo>,
    pub(super) done: Receiver<Done>,
}

/// What the thread is for.
pub(super) enum Todo {
    Job(Box<Job>),
    /// A plan that is served no more or never will be, and the like: to free what thousands of tables had takes longer than a batch
    /// may wait.
    Free(Box<dyn Send>),
    /// Sockets of listeners that have gone.
    Close(Portion),
}

/// Starts the thread. Its end is noticed, however it comes.
pub(super) fn start(waker: Waker) -> std::io::Result<Thread> {
    struct Woken(Waker);
    impl Drop for Woken {
        fn drop(&mut self) {
            self.0.wake();
        }
    }
    let (jobs, todo) = mpsc::channel::<Todo>();
    let (told, done) = mpsc::channel();
    aside("reload", move || {
        let mut waker = Woken(waker);
        // The end of the channel is told before the loop is woken for the last time.
        let told = told;
        // So are sockets closed that still wait for it.
        let todo = todo;
        let mut place = cpu::Place::default();
        while let Ok(todo) = todo.recv() {
            if !matches!(todo, Todo::Close(_)) {
                place.anywhere();
            }
            match todo {
                Todo::Job(job) => {
                    if told.send(work(*job)).is_err() {
                        break;
                    }
                    waker.0.wake();
                }
                Todo::Free(waste) => drop(waste),
                Todo::Close(portion) => {
                    if portion.close(&mut place) {
                        waker.0.wake();
                    }
                }
            }
        }
    })?;
    Ok(Thread { todo: jobs, done })
}
