//! Handing everything over to another daemon that takes over, between two batches: its sockets, some at a time, then the right to read
//! them. `control/wire/take_over.rs` says what is said.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::groups;
use super::running::Running;
use super::sockets::{self, Surroundings};
use super::steps::{Address, Place};
use crate::broker::Wanted;
use crate::control::wire::{Descriptor, Giver, Joined, Kind, MOST_DESCRIPTORS, Portion};
use crate::control::{Hand, Step, Taking};
use crate::reactor::{Setup, SocketFacts};

/// How long the loop goes on before it tries again to send what the kernel has not taken.
const AGAIN: Duration = Duration::from_millis(10);

/// A take-over that is under way.
#[derive(Debug)]
pub(super) struct HandOver {
    hand: Hand,
    taking: Option<Taking>,
    /// Listeners below this slot were sent.
    slot: usize,
    /// Descriptors that were sent.
    sent: usize,
    /// The kernel did not take the next portion.
    again: bool,
    /// Nothing is read any more.
    held: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is under way.
    GoesOn,
    /// Nothing has changed, for this reason.
    GivenUp(String),
    /// The sockets are the other daemon's.
    Over,
}

impl HandOver {
    pub(super) fn new(hand: Hand) -> Self {
        Self { hand, taking: None, slot: 0, sent: 0, again: false, held: false }
    }

    /// The other daemon's process, if the system says it.
    pub(super) fn pid(&self) -> Option<u32> {
        self.taking.as_ref()?.pid
    }

    /// Whether nothing is read any more.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Does what the other daemon asks for.
    pub(super) fn attend(
        &mut self,
        running: &mut Running,
        control: &UnixListener,
        metrics: Option<BorrowedFd<'_>>,
    ) -> Outcome {
        if std::mem::take(&mut self.again)
            && let Err(why) = self.portion(running, control, metrics)
        {
            return self.refuse(running, &why);
        }
        while let Some(step) = self.hand.step() {
            let done = match step {
                Step::Begun(taking) => {
                    log::info!("{} takes over", named(taking.pid));
                    self.taking = Some(taking);
                    Ok(())
                }
                Step::Next(arrived) if arrived == self.sent => self.portion(running, control, metrics),
                Step::Next(arrived) => Err(format!("{arrived} of {} descriptors have arrived", self.sent)),
                Step::Commit if running.reactor.fall_silent() => {
                    self.held = true;
                    // Whether it arrives is seen by the last word of the other daemon, or its end.
                    self.say(&Giver::Yours);
                    self.hand.yours();
                    Ok(())
                }
                Step::Commit => Err("it ends, or changes, itself".to_owned()),
                Step::Mine if self.held => return Outcome::Over,
                Step::Mine => Err("it was not asked to be silent".to_owned()),
                Step::GivenUp(why) => {
                    running.reactor.hear_again();
                    return Outcome::GivenUp(why);
                }
            };
            if let Err(why) = done {
                return self.refuse(running, &why);
            }
        }
        Outcome::GoesOn
    }

    /// Tells the other daemon that it does not come to it.
    pub(super) fn refuse(&mut self, running: &mut Running, why: &str) -> Outcome {
        while self.taking.is_none()
            && let Some(step) = self.hand.step()
        {
            match step {
                Step::Begun(taking) => self.taking = Some(taking),
                Step::GivenUp(_) => break,
                Step::Next(_) | Step::Commit | Step::Mine => {}
            }
        }
        self.say(&Giver::Refused(why.to_owned()));
        if let Some(taking) = &self.taking {
            taking.stream.shutdown(Shutdown::Both).unwrap_or(());
        }
        running.reactor.hear_again();
        Outcome::GivenUp(why.to_owned())
    }

    /// Says something short: the other daemon has read everything that came before.
    fn say(&self, said: &Giver) {
        let (Some(taking), Ok(mut line)) = (&self.taking, serde_json::to_vec(said)) else { return };
        line.push(b'\n');
        (&*taking.stream).write_all(&line).unwrap_or(());
    }

    /// Sends the next descriptors.
    fn portion(
        &mut self,
        running: &mut Running,
        control: &UnixListener,
        metrics: Option<BorrowedFd<'_>>,
    ) -> Result<(), String> {
        let Some(taking) = &self.taking else { return Ok(()) };
        let (mut portion, mut descriptors) = (Portion::default(), Vec::with_capacity(MOST_DESCRIPTORS));
        if self.sent == 0 {
            portion.descriptors.push(Descriptor::Control);
            descriptors.push(control.as_fd());
            portion.descriptors.extend(metrics.map(|_| Descriptor::Metrics));
            descriptors.extend(metrics);
        }
        let around = Surroundings::of(&running.prepared.plan);
        let (mut slot, slots) = (self.slot, running.reactor.slots());
        let mut alike: Option<(Place, Setup)> = None;
        while descriptors.len() < MOST_DESCRIPTORS && slot < slots {
            for (token, address) in running.served_in(slot..slot + 1) {
                let Some(socket) = running.reactor.socket(token) else { continue };
                let setup = socket.setup();
                if alike.replace((address.place, setup)) != alike || portion.kinds.is_empty() {
                    portion.kinds.push(kind(running, address, setup, &around)?);
                }
                let kind = portion.kinds.len() - 1;
                portion.descriptors.push(Descriptor::Socket { kind, asked: address.asked });
                descriptors.push(socket.as_fd());
            }
            slot += 1;
        }
        portion.last = slot >= slots;
        let mut line = serde_json::to_vec(&Giver::Portion(portion)).map_err(|error| error.to_string())?;
        line.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let written = match sendmsg(&*taking.stream, &[IoSlice::new(&line)], &mut beside, flags) {
            // Others have as many on their way as the system lets one user have: unix(7).
            Err(Errno::AGAIN | Errno::TOOMANYREFS | Errno::INTR) => {
                self.again = true;
                running.reactor.attend_in(AGAIN);
                return Ok(());
            }
            // Its end is heard by the thread.
            Err(Errno::PIPE | Errno::CONNRESET) => line.len(),
            other => other.map_err(|errno| format!("the sockets cannot be sent: {errno}"))?,
        };
        (self.slot, self.sent) = (slot, self.sent + descriptors.len());
        self.hand.sent(line.split_off(written.min(line.len())));
        Ok(())
    }
}

/// How a socket is set up.
fn kind(running: &Running, address: Address, setup: Setup, around: &Surroundings) -> Result<Kind, String> {
    let plan = &running.prepared.plan;
    let (listen, bind) = address.place.of(plan).ok_or("an address is in no plan")?;
    let options = Wanted::new(address.asked, &sockets::options(listen, bind, address.asked, around));
    let joined = groups::heard(listen, bind).into_iter().map(|membership| Joined {
        group: membership.group,
        source: membership.source,
        ifindex: membership.ifindex,
    });
    let SocketFacts { tos, hop_limit, local, time } = setup.wanted;
    let wanted = [("tos", tos), ("hop_limit", hop_limit), ("local", local), ("time", time)];
    Ok(Kind {
        listener: listen.name.clone(),
        options: serde_json::to_value(options).map_err(|error| error.to_string())?,
        groups: joined.collect(),
        wanted: wanted.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()).collect(),
        apart: setup.apart,
    })
}

/// A daemon, by its process if the system says it.
pub(super) fn named(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another daemon".to_owned(), |pid| format!("process {pid}"))
}
