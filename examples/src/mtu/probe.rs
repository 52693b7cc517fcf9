//! The search of `polyport-protocol` on a socket: probes out, answers and errors in, evidence kept.

use std::net::SocketAddr;

use polyport_net::{ErrorOrigin, QueuedError, RecvMeta};
use polyport_protocol::client::{MtuConfig, MtuInput, MtuSearch, Reject, Transmit};
use polyport_protocol::{Key, Nanos};
use polyport_terminal::{Exit, counted, remark};
use rand::rngs::StdRng;

use super::echo::{Echo, Method};
use super::report::{Finding, NextHop};
use super::size::overhead;
use crate::driver::{Client, Fault};
use crate::outcome::ExitError;
use crate::own_frames::echo;
use crate::text::millis;
use crate::unsent::{refused, unsent};

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct ProberConfig<'k> {
    /// The search's own.
    pub search: MtuConfig<'k>,
    /// How probes travel.
    pub method: Method,
    /// The address that the socket was bound to.
    pub own: SocketAddr,
    /// Tell of each probe on stderr.
    pub verbose: bool,
}

/// One search.
#[derive(Debug)]
pub struct Prober<'k> {
    target: SocketAddr,
    own: SocketAddr,
    verbose: bool,
    search: MtuSearch<'k, StdRng>,
    echo: Echo,
    /// Request id of the latest probe.
    id: Option<[u8; 8]>,
    finding: Finding,
    failure: Option<ExitError>,
}

impl<'k> Prober<'k> {
    /// Starts with the first probe.
    #[must_use]
    pub fn new(config: ProberConfig<'k>, rng: StdRng) -> Self {
        let key: Option<Key> = config.search.key.cloned();
        let target = config.search.destination;
        Self {
            target,
            own: config.own,
            verbose: config.verbose,
            search: MtuSearch::new(config.search, rng),
            echo: Echo::new(config.method, key),
            id: None,
            finding: Finding::new(target, config.method),
            failure: None,
        }
    }

    /// What was found, with its evidence; the kernel's belief is the caller's to add.
    ///
    /// # Errors
    /// The search could not go on.
    pub fn outcome(mut self) -> Result<Finding, ExitError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.finding.result = self.search.result();
        self.finding.rejects =
            self.search.rejects().iter().map(|(reject, count)| (reject.name(), count)).collect();
        self.finding.cut_echoes = self.echo.cut;
        Ok(self.finding)
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            remark(text());
        }
    }

    fn answered(&mut self, size: usize, rtt: Nanos, datagram: &[u8]) {
        self.finding.answers += 1;
        self.finding.rtt = Some(self.finding.rtt.map_or(rtt, |least| least.min(rtt)));
        if size >= self.finding.answer_for.0 {
            self.finding.answer_for = (size, datagram.len());
        }
        self.finding.responder_limit = self.echo.limit(datagram).or(self.finding.responder_limit);
        self.tell(|| format!("{size} octets: answered after {}", millis(rtt)));
    }

    fn reported(&mut self, error: &QueuedError, quote: &[u8]) -> Result<(), ExitError> {
        let icmp = matches!(error.origin, ErrorOrigin::Icmp { .. } | ErrorOrigin::Icmp6 { .. });
        if let Some(mtu) = error.mtu {
            let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
            let payload = mtu.saturating_sub(overhead(self.target));
            if icmp && self.search.handle_icmp(quote, payload) {
                self.tell(|| format!("a router names {mtu} octets for its next hop"));
                self.finding.next_hop = Some(NextHop { mtu, router: error.offender });
            } else if icmp {
                self.finding.disbelieved += 1;
            }
            return Ok(());
        }
        let said = std::io::Error::from_raw_os_error(error.errno);
        let ours = self.id.is_some() && quote.get(8..16) == self.id.as_ref().map(|id| &id[..]);
        if icmp && ours && said.kind() == std::io::ErrorKind::ConnectionRefused {
            return Err(refused(self.target));
        }
        self.tell(|| format!("an error of the path: {said}"));
        Ok(())
    }
}

impl Client for Prober<'_> {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        let transmit = if self.failure.is_some() { None } else { self.search.poll_transmit(now, buffer) }?;
        if let Err(error) = self.echo.dress(buffer, transmit.len) {
            self.failure = Some(ExitError::new(Exit::Software, format!("cannot write a probe: {error}")));
            return None;
        }
        self.id = buffer.get(8..16).and_then(|id| id.try_into().ok());
        self.finding.probes += 1;
        Some(transmit)
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        let made = if meta.peer == self.target { self.echo.undress(datagram) } else { None };
        let input =
            self.search.handle_input(now, meta.peer, made.as_deref().unwrap_or(datagram), meta.truncated);
        match input {
            MtuInput::Echo { size, rtt } => self.answered(size, rtt, datagram),
            MtuInput::Refused(frame) => {
                let code = frame.header().code;
                let text = format!("{} refuses probes: {code}", self.target);
                return Err(ExitError::new(Exit::Protocol, text));
            }
            MtuInput::Rejected(reject) => {
                let (len, from) = (datagram.len(), meta.peer);
                if reject == Reject::WrongSource {
                    self.finding.strangers.heard(from);
                } else if self.echo.is_unwanted(datagram) {
                    return Err(echo(self.target, "use --raw"));
                }
                self.tell(|| format!("rejected {} from {from}: {reject}", counted(len, "octet", "octets")));
            }
        }
        Ok(())
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                self.tell(|| "the local stack refuses the size".to_owned());
                self.search.handle_message_too_long();
                Ok(())
            }
            // The buffer of the device is full: the probe is lost, as on the path.
            Fault::Unsent(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Fault::Unsent(error) | Fault::Pending(error) => {
                Err(unsent("probe", self.target, self.own, error))
            }
            Fault::Reported { error, quote } => self.reported(error, quote),
        }
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        self.search.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Nanos) {
        if self.search.poll_timeout().is_some_and(|until| until <= now) {
            self.tell(|| "no answer".to_owned());
        }
        self.search.handle_timeout(now);
    }

    fn is_finished(&self) -> bool {
        self.failure.is_some() || self.search.result().is_some()
    }
}
