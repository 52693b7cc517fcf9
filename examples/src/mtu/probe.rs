//! The search of `polyport-protocol` on a socket: probes out, answers and errors in, evidence kept.

use std::net::SocketAddr;

use polyport_net::{ErrorOrigin, QueuedError, RecvMeta};
use polyport_protocol::client::{MtuConfig, MtuInput, MtuSearch, Reject, Transmit};
use polyport_protocol::{Key, Nanos};
use polyport_terminal::{Exit, counted, remark};
use rand::rngs::StdRng;

use super::echo::{Came, Echo, Method};
use super::report::{Finding, Fragmented, NextHop};
use super::size::{IPV6_MINIMUM, overhead};
use crate::driver::{Client, Fault};
use crate::outcome::ExitError;
use crate::own_frames::echo;
use crate::text::millis;
use crate::unsent::{REFUSALS, refused, unsent};

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct ProberConfig<'k> {
    /// The search's own.
    pub search: MtuConfig<'k>,
    /// How probes travel.
    pub method: Method,
    /// The address that the socket was bound to.
    pub own: SocketAddr,
    /// What an answer in fragments proves.
    pub search_for: SearchFor,
    /// Tell of each probe on stderr.
    pub verbose: bool,
}

/// Which way a search is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchFor {
    /// The way there: any answer proves that its probe arrived whole, since probes are never cut.
    There,
    /// The way back: an answer in fragments proves that its length does not come whole.
    Back,
}

/// What all fragments but the last are multiples of, less their headers, octets.
const FRAGMENT_UNIT: usize = 8;

/// One search.
#[derive(Debug)]
pub struct Prober<'k> {
    target: SocketAddr,
    own: SocketAddr,
    verbose: bool,
    search_for: SearchFor,
    search: MtuSearch<'k, StdRng>,
    echo: Echo,
    /// Request id of the latest probe.
    id: Option<[u8; 8]>,
    /// Refusals since the last answer.
    refusals: u8,
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
            search_for: config.search_for,
            search: MtuSearch::new(config.search, rng),
            echo: Echo::new(config.method, key),
            id: None,
            refusals: 0,
            finding: Finding::new(target),
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
        self.finding.is_uncut = self.echo.is_uncut();
        Ok(self.finding)
    }

    /// Tries these sizes first.
    pub(super) fn expect(&mut self, sizes: [usize; 2]) {
        self.search.expect(sizes);
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            remark(text());
        }
    }

    /// Keeps how an answer arrived. Answers no longer than a control probe say nothing about a way.
    fn arrived(&mut self, len: usize, fragment: Option<u16>) {
        self.refusals = 0;
        let Some(longest) = fragment.map(usize::from) else { return };
        let before = self.finding.fragmented.map_or(usize::MAX, |fragmented| fragmented.len);
        if len < before {
            self.finding.fragmented = Some(Fragmented { len, longest });
        }
        if self.search_for == SearchFor::Back {
            self.search.expect(expected(longest, overhead(self.target)));
        }
        self.tell(|| format!("{len} octets came in fragments of {longest}"));
    }

    fn answered(&mut self, size: usize, rtt: Nanos, datagram: &[u8]) {
        self.finding.answers += 1;
        self.finding.rtt = Some(self.finding.rtt.map_or(rtt, |least| least.min(rtt)));
        self.finding.note_answer(size, datagram.len());
        self.finding.responder_limit = self.echo.limit(datagram).or(self.finding.responder_limit);
        self.tell(|| format!("{size} octets: answered after {}", millis(rtt)));
    }

    /// An echo that was cut: what came of it has passed. In fragments it has not come whole, and proves nothing new.
    fn cut(&mut self, request_id: u64, len: usize, fragment: Option<u16>) {
        if self.search_for == SearchFor::Back && fragment.is_some() {
            return;
        }
        if self.search.handle_cut(request_id, len) {
            self.finding.answers += 1;
            self.finding.note_answer(len, len);
            self.arrived(len, fragment);
        }
        self.tell(|| format!("a cut echo: {len} octets"));
    }

    fn reported(&mut self, error: &QueuedError, quote: &[u8]) -> Result<(), ExitError> {
        let icmp = matches!(error.origin, ErrorOrigin::Icmp { .. } | ErrorOrigin::Icmp6 { .. });
        if let Some(mtu) = error.mtu {
            let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
            let payload = mtu.saturating_sub(overhead(self.target));
            // RFC 8201 section 4: an ICMPv6 message that names less must be discarded.
            let possible = self.target.is_ipv4() || mtu >= IPV6_MINIMUM;
            if icmp && possible && self.search.handle_icmp(quote, payload) {
                self.tell(|| format!("a router names {mtu} octets for its next hop"));
                self.finding.next_hop = Some(NextHop { mtu, router: error.offender });
            } else if icmp {
                self.finding.disbelieved += 1;
            }
            return Ok(());
        }
        let said = std::io::Error::from_raw_os_error(error.errno);
        let ours = self.id.is_some() && quote.get(8..16) == self.id.as_ref().map(|id| &id[..]);
        self.tell(|| format!("an error of the path: {said}"));
        if icmp && ours && said.kind() == std::io::ErrorKind::ConnectionRefused {
            self.refusals += 1;
            if self.refusals >= REFUSALS {
                return Err(refused(self.target));
            }
            // Nobody is waited for who says that he is not there, but he is asked again.
            self.id = None;
            if let Some(until) = self.search.poll_timeout() {
                self.search.handle_timeout(until);
            }
        }
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
        let came = if meta.peer == self.target { self.echo.undress(datagram) } else { Came::AsIs };
        let made = match &came {
            Came::Cut { request_id, len } => {
                self.cut(*request_id, *len, meta.fragment);
                return Ok(());
            }
            Came::Whole(made) => made.as_slice(),
            Came::AsIs => datagram,
        };
        let in_fragments = self.search_for == SearchFor::Back && meta.fragment.is_some();
        let input = if in_fragments {
            self.search.handle_fragmented(now, meta.peer, made, meta.truncated)
        } else {
            self.search.handle_input(now, meta.peer, made, meta.truncated)
        };
        match input {
            MtuInput::Echo { size, rtt } => {
                self.arrived(datagram.len(), meta.fragment);
                self.answered(size, rtt, datagram);
            }
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
            // Without a quotation it may be about anything, and may be forged. What is about a probe is in the queue.
            Fault::Unsent(error) | Fault::Pending(error)
                if error.kind() == std::io::ErrorKind::ConnectionRefused =>
            {
                Ok(())
            }
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

/// Payloads between which the limit lies if a link has cut answers into fragments of `longest` octets: it takes as many,
/// and not a unit more.
pub(super) const fn expected(longest: usize, overhead: usize) -> [usize; 2] {
    let least = longest.saturating_sub(overhead);
    [least, least.saturating_add(FRAGMENT_UNIT)]
}
