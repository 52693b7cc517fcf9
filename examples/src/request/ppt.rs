//! The request machine of PPT/1 with its user interface.

use std::net::SocketAddr;

use polyport_net::{ErrorOrigin, QueuedError, RecvMeta, UdpSocket};
use polyport_protocol::client::{
    Failure, Input, Reject, RejectCounters, Request, RequestClient, RequestConfig, Transmit,
};
use polyport_protocol::{Code, Frame, Kind, Nanos};
use polyport_terminal::{Exit, counted};
use rand::rngs::StdRng;

use super::answered::Answered;
use super::bounds::Bounds;
use super::reporter::Reporter;
use super::unsent::unsent;
use crate::driver::{Client, Fault};
use crate::outcome::ExitError;
use crate::own_frames::{OwnFrames, echo};
use crate::strangers::Strangers;
use crate::unsent::refused;

/// Octets 8 to 15 of a frame are its request id [P-26].
const ID: std::ops::Range<usize> = 8..16;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub struct PptConfig<'a> {
    /// The machine's own.
    pub machine: RequestConfig<'a>,
    /// The address that the socket was bound to.
    pub own: SocketAddr,
    /// Where it ends.
    pub bounds: Bounds,
}

/// One request.
#[derive(Debug)]
pub struct Ppt<'a> {
    config: PptConfig<'a>,
    machine: RequestClient<'a, StdRng, 1>,
    reporter: Reporter,
    sent: u8,
    first_sent: Nanos,
    sent_at: Nanos,
    /// What was sent, so that it is known when it comes back.
    frames: OwnFrames,
    strangers: Strangers,
    /// Request id on the wire.
    id: Option<[u8; 8]>,
    answer: Option<Answered>,
    over: bool,
    encode: Option<ExitError>,
    /// What was heard last that is no answer, but explains its absence.
    hint: Option<String>,
    /// Our own frames come back, and only a tag could show that nobody in between does it.
    echo: Option<ExitError>,
}

impl<'a> Ppt<'a> {
    /// Asks at once.
    ///
    /// # Errors
    /// None while the machine has a place for one request.
    pub fn new(
        config: PptConfig<'a>,
        request: Request<'a>,
        reporter: Reporter,
        rng: StdRng,
        now: Nanos,
    ) -> Result<Self, ExitError> {
        let mut machine = RequestClient::new(config.machine, rng);
        machine.request(now, request).map_err(|error| ExitError::new(Exit::Software, error.to_string()))?;
        Ok(Self {
            config,
            machine,
            reporter,
            sent: 0,
            first_sent: now,
            sent_at: now,
            frames: OwnFrames::default(),
            strangers: Strangers::default(),
            id: None,
            answer: None,
            over: false,
            encode: None,
            hint: None,
            echo: None,
        })
    }

    /// What the run ended with.
    ///
    /// # Errors
    /// Nobody answered, or not in this protocol.
    pub fn outcome(self) -> Result<Answered, ExitError> {
        if let Some(failure) = self.encode {
            return Err(failure);
        }
        let hint = self.hint.or_else(|| self.strangers.hint());
        let rejects = self.machine.rejects();
        self.answer.ok_or_else(|| self.echo.unwrap_or_else(|| no_reply(rejects, hint.as_deref())))
    }

    /// Datagrams that were not accepted.
    #[must_use]
    pub const fn rejects(&self) -> &RejectCounters {
        self.machine.rejects()
    }

    /// Who else sent something.
    #[must_use]
    pub const fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// The server sends back what it gets. With a key, whoever reads the frames and cannot forge an answer must not be able
    /// to end the request either, so it is told and waited for all the same.
    fn echoed(&mut self) -> Result<(), ExitError> {
        let failure = echo(self.target(), "use --raw");
        if self.config.machine.key.is_none() {
            return Err(failure);
        }
        if self.echo.is_none() {
            self.reporter.tell(&failure);
        }
        self.echo = Some(failure);
        Ok(())
    }

    const fn target(&self) -> SocketAddr {
        self.config.machine.destination
    }

    /// [P-76]: only an error that quotes this request's id counts.
    fn concerns_us(&self, error: &QueuedError, quote: &[u8]) -> bool {
        let quoted = quote.get(ID).and_then(|id| <[u8; 8]>::try_from(id).ok());
        error.destination == Some(self.target()) && quoted.is_some() && quoted == self.id
    }
}

impl Client for Ppt<'_> {
    fn poll_transmit(&mut self, now: Nanos, buffer: &mut [u8]) -> Option<Transmit> {
        if self.is_finished() {
            return None;
        }
        let transmit = self.machine.poll_transmit(now, buffer);
        if let Some(Failure::Encode(_, error)) = self.machine.poll_failure() {
            let text = format!("the payload does not fit into one datagram: {error}");
            self.encode = Some(ExitError::new(Exit::BadInput, text));
        }
        let transmit = transmit?;
        if self.sent >= self.config.bounds.transmissions {
            self.over = true;
            return None;
        }
        if self.sent == 0 {
            self.first_sent = now;
        }
        self.sent += 1;
        self.sent_at = now;
        self.frames.remember(buffer.get(..transmit.len).unwrap_or_default());
        self.id = buffer.get(ID).and_then(|id| id.try_into().ok());
        Some(transmit)
    }

    fn handle_sent(&mut self, _: Nanos, socket: &UdpSocket) -> Result<(), ExitError> {
        let until = self.poll_timeout().unwrap_or(self.sent_at);
        self.reporter.sent(socket, until.saturating_sub(self.sent_at))
    }

    fn handle_input(&mut self, now: Nanos, meta: &RecvMeta, datagram: &[u8]) -> Result<(), ExitError> {
        if self.is_finished() {
            return Ok(());
        }
        let (from, took) = (meta.peer, now.saturating_sub(self.first_sent));
        if self.config.bounds.promiscuous {
            let (payload, rtt) = (datagram.to_vec(), (self.sent == 1).then_some(took));
            self.answer = Some(Answered { from, payload, took, rtt, transmissions: self.sent });
            return Ok(());
        }
        match self.machine.handle_input(now, from, datagram, meta.truncated) {
            Input::Answer(answer) if answer.frame.header().kind == Kind::Error => {
                Err(error_reply(from, &answer.frame))
            }
            Input::Answer(answer) => {
                let payload = answer.frame.payload().to_vec();
                let (rtt, transmissions) = (Some(answer.rtt), answer.transmissions);
                self.answer = Some(Answered { from, payload, took, rtt, transmissions });
                Ok(())
            }
            Input::UnknownVersion(_, frame) => {
                let list: Vec<String> =
                    frame.options().versions().unwrap_or_default().iter().map(u8::to_string).collect();
                let text = format!("{from} does not speak version 1, but {}", list.join(", "));
                Err(ExitError::new(Exit::Protocol, text))
            }
            Input::Retry(_) => {
                log::info!("{from} asks for another attempt");
                self.hint = Some("it asked for another attempt".to_owned());
                Ok(())
            }
            Input::Rejected(reject) => {
                log::info!("rejected {} from {from}: {reject}", counted(datagram.len(), "octet", "octets"));
                if reject == Reject::WrongSource {
                    self.strangers.heard(from);
                    return Ok(());
                }
                if self.frames.is_echo(datagram) { self.echoed() } else { Ok(()) }
            }
        }
    }

    fn handle_fault(&mut self, _: Nanos, fault: &Fault<'_>) -> Result<(), ExitError> {
        match fault {
            Fault::Unsent(error) | Fault::Pending(error) => {
                let Bounds { dont_route, .. } = self.config.bounds;
                Err(unsent("send to", self.target(), self.config.own, error, dont_route))
            }
            Fault::Reported { error, quote } if self.concerns_us(error, quote) => {
                log::info!("{error:?}");
                let said = std::io::Error::from_raw_os_error(error.errno);
                let icmp = matches!(error.origin, ErrorOrigin::Icmp { .. } | ErrorOrigin::Icmp6 { .. });
                // Other errors may pass: routes come and go.
                let final_word = said.kind() == std::io::ErrorKind::ConnectionRefused;
                self.hint = Some(hint(&said, error));
                if icmp && final_word { Err(refused(self.target())) } else { Ok(()) }
            }
            Fault::Reported { error, .. } => {
                log::info!("an error that quotes no request of ours: {error:?}");
                Ok(())
            }
        }
    }

    fn poll_timeout(&self) -> Option<Nanos> {
        self.machine.poll_timeout().into_iter().chain(self.config.bounds.deadline).min()
    }

    fn handle_timeout(&mut self, now: Nanos) {
        self.machine.handle_timeout(now);
        let ended = self.machine.poll_failure().is_some();
        self.over |= ended || self.config.bounds.deadline.is_some_and(|deadline| deadline <= now);
    }

    fn is_finished(&self) -> bool {
        self.over || self.answer.is_some() || self.encode.is_some()
    }
}

/// What a reported error says about the way, and who said it.
fn hint(said: &std::io::Error, error: &QueuedError) -> String {
    // RFC 1812 section 5.2.7.1, RFC 4443 section 3.1: by a firewall, or by a route.
    let prohibited = matches!(
        error.origin,
        ErrorOrigin::Icmp { kind: 3, code: 9 | 10 | 13 } | ErrorOrigin::Icmp6 { kind: 1, code: 1 | 5 | 6 }
    );
    let said = if prohibited { "administratively prohibited".to_owned() } else { said.to_string() };
    let icmp = matches!(error.origin, ErrorOrigin::Icmp { .. } | ErrorOrigin::Icmp6 { .. });
    match error.offender {
        Some(offender) if icmp => format!("{said}, says {offender}"),
        _ => said,
    }
}

/// Silence, or something that was no answer.
fn no_reply(rejects: &RejectCounters, hint: Option<&str>) -> ExitError {
    // What came from elsewhere says nothing about the target.
    let strange: Vec<String> = rejects
        .iter()
        .filter(|(reject, _)| *reject != Reject::WrongSource)
        .map(|(reject, count)| format!("{reject} {count}"))
        .collect();
    if strange.is_empty() {
        let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
        return ExitError::new(Exit::NoReply, format!("no reply: the server may be down{hint}"));
    }
    let text = format!(
        "no valid reply, but rejected ones ({}): does it speak PPT/1? else --raw",
        strange.join(", ")
    );
    ExitError::new(Exit::Protocol, text)
}

fn error_reply(from: SocketAddr, frame: &Frame<'_>) -> ExitError {
    let code = frame.header().code;
    let exit = if matches!(code, Code::BUSY | Code::SHUTTING_DOWN) { Exit::NoReply } else { Exit::Protocol };
    ExitError::new(exit, format!("{from} refuses the request: {code}"))
}
