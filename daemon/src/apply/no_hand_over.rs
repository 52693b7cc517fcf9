//! Handing everything over to another daemon: on this system nobody can.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;

use super::running::Running;
use crate::control::Hand;

/// A take-over that comes to nothing.
#[derive(Debug)]
pub(super) struct HandOver {
    _hand: Hand,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Outcome {
    #[expect(dead_code, reason = "as where it can be done")]
    GoesOn,
    GivenUp(String),
    #[expect(dead_code, reason = "as where it can be done")]
    Over,
}

impl HandOver {
    pub(super) fn new(hand: Hand) -> Self {
        Self { _hand: hand }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        None
    }

    pub(super) fn is_held(&self) -> bool {
        false
    }

    pub(super) fn attend(&mut self, _: &mut Running, _: &UnixListener, _: Option<BorrowedFd<'_>>) -> Outcome {
        Outcome::GivenUp("sockets are handed over on Linux only".to_owned())
    }

    pub(super) fn refuse(&mut self, _: &mut Running, why: &str) -> Outcome {
        Outcome::GivenUp(why.to_owned())
    }
}

pub(super) fn named(_: Option<u32>) -> String {
    "another daemon".to_owned()
}
