//! Lookups of names, off the thread of the handler: they may take many seconds.
//!
//! A thread lives for the names that are due together, and each of them wakes the handler as it is found. A name is looked up once
//! at a time, so there are never more threads than names.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use polyport_plugin::Waker;

use crate::names::Name;

/// What was found, or why nothing was.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) name: Name,
    pub(crate) found: Result<Vec<SocketAddr>, String>,
}

/// Starts lookups, and has what came of them.
#[derive(Debug)]
pub(crate) struct Lookups {
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
    waker: Waker,
}

impl Lookups {
    pub(crate) fn new(waker: Waker) -> Self {
        let (sender, answers) = channel();
        Self { sender, answers, waker }
    }

    /// Looks names up. The thread ends with the last of them, or when nobody waits for it any more.
    pub(crate) fn start(&self, names: Vec<Name>) {
        if names.is_empty() {
            return;
        }
        let (sender, waker, again) = (self.sender.clone(), self.waker.clone(), names.clone());
        let work = move || {
            for name in names {
                let found = look_up(&name).map_err(|error| error.to_string());
                if sender.send(Answer { name, found }).is_err() || !waker.wake() {
                    break;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("relay-names".to_owned()).spawn(work) {
            for name in again {
                let found = Err(format!("no thread can be started: {error}"));
                // The other end is `self`.
                drop(self.sender.send(Answer { name, found }));
            }
            self.waker.wake();
        }
    }

    /// Wakes the handler.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// What has come of lookups since the last time.
    pub(crate) fn answers(&self) -> impl Iterator<Item = Answer> {
        self.answers.try_iter()
    }
}

fn look_up(name: &Name) -> io::Result<Vec<SocketAddr>> {
    Ok((name.host.as_str(), name.port).to_socket_addrs()?.collect())
}
