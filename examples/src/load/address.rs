//! Before the handshake: which address of its name a target is, where the name has several.
//!
//! Targets with one address, which most have, are not asked. The others get a frame as in the handshake; where it is refused,
//! by ICMP or as this host has no way there, the next address is asked. Silence settles nothing: the handshake judges it.

use std::collections::HashSet;
use std::net::SocketAddr;

use polyport_net::{QueuedError, RecvMeta, SocketOptions, UdpSocket};
use polyport_protocol::Nanos;
use polyport_protocol::client::Transmit;
use polyport_terminal::{Interrupt, remark};
use rand::Rng;
use rand::rngs::StdRng;

use super::config::Config;
use super::frame::Shape;
use super::handshake::{BETWEEN_TARGETS, BETWEEN_TRIES};
use super::ledger::Identity;
use crate::clock::Clock;
use crate::driver::{Client, Driver, Fault};
use crate::key::generator;
use crate::outcome::ExitError;
use crate::unsent::unsent;

/// Frames an address gets at most, while it stays silent: one may be lost, or the refusal of one.
const TRIES: u32 = 2;

/// Replaces each target that refuses by the next address of its name that does not; where all do, the first one stays. Tells
/// the user, unless `quiet`.
///
/// # Errors
/// A socket cannot be made, for a reason that is not of one address.
pub fn settle(config: &mut Config, quiet: bool, interrupt: &Interrupt) -> Result<(), ExitError> {
    let mut open: Vec<Choice> =
        config.targets.iter().enumerate().filter_map(|at| Choice::of(config, at)).collect();
    let mut moves = Vec::new();
    while !open.is_empty() && !interrupt.is_set() {
        let mut refusing = HashSet::new();
        for ipv6 in [false, true] {
            let asked =
                open.iter().map(Choice::address).filter(|address| address.is_ipv6() == ipv6).collect();
            refusing.extend(ask(config, asked, interrupt)?);
        }
        open.retain_mut(|choice| {
            if refusing.contains(&choice.address()) {
                choice.at += 1;
                return choice.at < choice.addresses.len();
            }
            if choice.at > 0 {
                moves.push((choice.addresses[0], choice.address()));
                config.targets[choice.place] = choice.address();
            }
            false
        });
    }
    let mut seen = HashSet::new();
    config.targets.retain(|target| seen.insert(*target));
    config.alternatives.clear();
    if let (Some((from, to)), false) = (moves.first(), quiet) {
        let more =
            if moves.len() > 1 { format!(", and so with {} more", moves.len() - 1) } else { String::new() };
        remark(format_args!("nobody is reached at {from}; trying {to}{more}"));
    }
    Ok(())
}

/// A target that has several addresses.
struct Choice {
    /// Its place among the targets.
    place: usize,
    addresses: Vec<SocketAddr>,
    /// The one under consideration.
    at: usize,
}

impl Choice {
    fn of(config: &Config, (place, target): (usize, &SocketAddr)) -> Option<Self> {
        let others = config.alternatives.get(target)?;
        let addresses = [*target].into_iter().chain(others.iter().copied()).collect();
        Some(Self { place, addresses, at: 0 })
    }

    fn address(&self) -> SocketAddr {
        self.addresses[self.at]
    }
}

/// Asks addresses of one family; which of them refuse.
fn ask(
    config: &Config,
    addresses: Vec<SocketAddr>,
    interrupt: &Interrupt,
) -> Result<Vec<SocketAddr>, ExitError> {
    let Some(first) = addresses.first() else { return Ok(Vec::new()) };
    let socket = match UdpSocket::bind(config.own(*first), &SocketOptions::default()) {
        Ok(socket) => socket,
        Err(error) => {
            let failure = ExitError::from(error);
            return if failure.is_of_one_address() { Ok(addresses) } else { Err(failure) };
        }
    };
    let mut asker = Asker::new(config, addresses);
    let mut driver = Driver::new(socket, false, Clock::start(), interrupt.clone());
    driver.watch_errors()?;
    driver.run(&mut asker)?;
    Ok(asker.asked.iter().filter(|asked| asked.word == Word::Refused).map(|asked| asked.address).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Silence,
    Answer,
    Refused,
}

#[derive(Debug)]
struct Asked {
    address: SocketAddr,
    request_id: u64,
    word: Word,
}

/// Asks all addresses at a modest pace, again while they are silent.
#[derive(Debug)]
struct Asker<'c> {
    config: &'c Config,
    shape: Shape,
    rng: StdRng,
    asked: Vec<Asked>,
    next: usize,
    round: u32,
    round_began: Nanos,
    due: Nanos,
    over: bool,
}

impl<'c> Asker<'c> {
    fn new(config: &'c Config, addresses: Vec<SocketAddr>) -> Self {
        // Other ids than those of the run itself.
        let mut rng = generator(Some(!config.seed));
        let asked = addresses.into_iter().map(|address| Asked {
            address,
            request_id: rng.next_u64(),
            word: Word::Silence,
        });
        let asked = asked.collect();
        Self {
            config,
            shape: config.shape(),
            rng,
            asked,
            next: 0,
            round: 0,
            round_began: 0,
            due: 0,
            over: false,
        }
    }

    fn is_silent(&self) -> bool {
        self.asked.iter().any(|asked| asked.word == Word::Silence)
    }

    /// [P-76]: only an error that quotes the id counts. Plain text carries none, and is compared as far as it is quoted: a
    /// forger gains no more than that another address of the same name is asked.
    fn refused(&mut self, error: &QueuedError, quote: &[u8]) {
        let id = quote.get(8..16).and_then(|id| <[u8; 8]>::try_from(id).ok()).map(u64::from_be_bytes);
        let is_ours = |request_id| match self.shape.plain() {
            Some(text) => text.starts_with(quote),
            None => id == Some(request_id),
        };
        let fits = |asked: &&mut Asked| Some(asked.address) == error.destination && is_ours(asked.request_id);
        if error.mtu.is_none()
            && let Some(asked) = self.asked.iter_mut().find(fits)
        {
            asked.word = Word::Refused;
        }
    }
}

impl Client for Asker<'_> {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        if now < self.due || self.round == TRIES || self.over {
            return None;
        }
        if self.next == 0 {
            self.round_began = now;
        }
        let rest = self.asked.get(self.next..).unwrap_or_default();
        let Some(skipped) = rest.iter().position(|asked| asked.word == Word::Silence) else {
            (self.next, self.round) = (0, self.round + 1);
            self.due = now.max(self.round_began + BETWEEN_TRIES);
            return None;
        };
        let index = self.next + skipped;
        let Asked { address, request_id, .. } = self.asked[index];
        (self.next, self.due) = (index + 1, now + BETWEEN_TARGETS);
        let identity = Identity {
            stream_id: u32::try_from(self.rng.next_u64() >> 32).unwrap_or(0),
            seq: index as u64,
            request_id,
            timestamp: now,
        };
        let len = self.shape.write(buffer, &identity, true).ok()?;
        Some(Transmit { destination: address, len })
    }

    fn handle_input(&mut self, _: Nanos, meta: &RecvMeta, _: &[u8]) -> Result<(), ExitError> {
        self.asked
            .iter_mut()
            .filter(|asked| asked.address == meta.peer)
            .for_each(|asked| asked.word = Word::Answer);
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) => {
                let Some(asked) = self.next.checked_sub(1).and_then(|last| self.asked.get_mut(last)) else {
                    return Ok(());
                };
                // Anything else the load meets again, and reports.
                let failure = unsent("send to", asked.address, self.config.own(asked.address), error);
                if failure.is_of_one_address() {
                    asked.word = Word::Refused;
                }
            }
            Fault::Reported { error, quote } => self.refused(error, quote),
            // The queue tells it with its details.
            Fault::Pending(_) => {}
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        Some(self.due)
    }

    fn handle_timeout(&mut self, now: Nanos) {
        // Nobody gets the first datagram of the handshake sooner than a second one here.
        let rested = now >= self.round_began + BETWEEN_TRIES;
        self.over |= rested && !self.is_silent();
        self.over |= self.round == TRIES && now >= self.due;
    }

    fn is_finished(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;

    #[cfg(target_os = "linux")]
    use super::super::config::Expect;
    use super::super::config::example;
    use super::*;

    fn closed(ip: &str) -> SocketAddr {
        StdSocket::bind((ip, 0)).unwrap().local_addr().unwrap()
    }

    #[cfg(target_os = "linux")]
    fn settled(first: SocketAddr, others: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut config = example(vec![first]);
        config.alternatives.insert(first, others.to_vec());
        settle(&mut config, true, &Interrupt::default()).unwrap();
        assert!(config.alternatives.is_empty());
        config.targets
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_leads_to_the_next_address_and_silence_does_not() {
        let server = StdSocket::bind("127.0.0.1:0").unwrap();
        let silent = server.local_addr().unwrap();
        let (shut, shut6) = (closed("127.0.0.1"), closed("::1"));
        assert_eq!(settled(shut6, &[silent]), [silent]);
        assert_eq!(settled(shut6, &[shut, silent]), [silent], "the second next");
        assert_eq!(settled(silent, &[shut]), [silent]);
        assert_eq!(settled(shut6, &[shut]), [shut6], "all refuse: the first is named");
        assert_eq!(settled(silent, &[]), [silent]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_of_plain_text_leads_to_the_next_address_as_well() {
        let server = StdSocket::bind("127.0.0.1:0").unwrap();
        let (silent, shut6) = (server.local_addr().unwrap(), closed("::1"));
        for text in ["", "how long is this?"] {
            let mut config = Config { expect: Expect::Any, text: Some(text.into()), ..example(vec![shut6]) };
            config.alternatives.insert(shut6, vec![silent]);
            settle(&mut config, true, &Interrupt::default()).unwrap();
            assert_eq!(config.targets, [silent], "{text:?}");
        }
    }

    #[test]
    fn what_becomes_one_address_is_one_target() {
        let server = StdSocket::bind("127.0.0.1:0").unwrap();
        let (at, shut6) = (server.local_addr().unwrap(), closed("::1"));
        let mut config = example(vec![shut6, at]);
        config.alternatives.insert(shut6, vec![at]);
        settle(&mut config, true, &Interrupt::default()).unwrap();
        assert_eq!(config.targets, [at]);
    }
}
