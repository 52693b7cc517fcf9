//! One case played on loopback: a server, a forger and a client, in one thread and in virtual time.
//!
//! Sockets are real, so that what the kernel lets through is the kernel's word. The clock is not: the machine of the client
//! takes the time as an argument, and a timeout of half a minute costs nothing.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::Duration;

use polyport_net::{RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable};
use polyport_protocol::client::{Input, Request, RequestClient, RequestConfig};
use polyport_protocol::{Grease, Header, Key, MILLISECOND, Nanos};
use polyport_terminal::Exit;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::case::{Case, Cell, Guard};
use super::forge::{Forged, forged, genuine, header};
use crate::outcome::ExitError;

/// Where and with which randomness the cases are played.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// An address of this host; the port is the client's, and 0 leaves it to the system.
    pub own: SocketAddr,
    /// How often requests are greased.
    pub grease: Grease,
}

type Victim<'k> = RequestClient<'k, StdRng, 4>;

/// A datagram on loopback is there when the send returns; this is for systems that think otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest datagram of a case.
const LONGEST: usize = 2048;

/// Plays `case` against a client guarded by `guard`.
///
/// # Errors
/// The system's, or a datagram did not arrive.
pub fn play(case: Case, guard: Guard, setting: Setting, rng: &mut StdRng) -> Result<Cell, ExitError> {
    let mut stage = Stage::open(setting.own, guard)?;
    let key = (case == Case::BadAuth).then(|| Key::siphash(1, rng.random()));
    let key = key.as_ref();
    let config = RequestConfig { key, grease: setting.grease, ..RequestConfig::new(stage.server_address) };
    let mut old = None;
    if case == Case::EarlierRun {
        let mut earlier = Victim::new(config, StdRng::from_rng(rng));
        let (request, _) = stage.ask(&mut earlier, 0, key)?;
        let reply = genuine(&request, key).map_err(unwritten)?;
        stage
            .deliver(&[Delivery { genuine: true, from_server: true, datagram: reply.clone() }], |_, _| ())?;
        old = Some(reply);
    }
    let mut client = Victim::new(config, StdRng::from_rng(rng));
    let mut now = 0;
    if case == Case::Late {
        let (request, _) = stage.ask(&mut client, now, key)?;
        now = stage.give_up(&mut client)?;
        old = Some(genuine(&request, key).map_err(unwritten)?);
    }
    let (request, datagram) = stage.ask(&mut client, now, key)?;
    let forged = forged(case, &request, &datagram, old.as_deref(), key).map_err(unwritten)?;
    let genuine = genuine(&request, key).map_err(unwritten)?;
    let mut replies: Vec<Delivery> = forged.into_iter().map(Delivery::from).collect();
    // The copy of a reply follows it; all other forgers are first.
    let place = if case == Case::Twice { 0 } else { replies.len() };
    replies.insert(place, Delivery { genuine: true, from_server: true, datagram: genuine });
    now += MILLISECOND;
    let mut cell = Cell {
        forged: replies.iter().filter(|reply| !reply.genuine).count(),
        genuine: replies.iter().filter(|reply| reply.genuine).count(),
        ..Cell::default()
    };
    stage.deliver(&replies, |reply, from| {
        let taken = guard != Guard::RequestId || takes(&mut client, now, from, &reply.datagram);
        cell.genuine_taken += usize::from(taken && reply.genuine);
        cell.forged_taken += usize::from(taken && !reply.genuine);
    })?;
    cell.rejects = client.rejects().iter().map(|(reject, count)| (reject.name(), count)).collect();
    Ok(cell)
}

/// Whether the machine takes the datagram for an answer, or lets it move it in any way.
fn takes(client: &mut Victim<'_>, now: Nanos, from: SocketAddr, datagram: &[u8]) -> bool {
    match client.handle_input(now, from, datagram, false) {
        Input::Answer(_) | Input::Retry(_) | Input::UnknownVersion(..) => true,
        Input::Rejected(_) => false,
    }
}

/// A datagram for the client.
struct Delivery {
    genuine: bool,
    from_server: bool,
    datagram: Vec<u8>,
}

impl From<Forged> for Delivery {
    fn from(forged: Forged) -> Self {
        Self { genuine: false, from_server: forged.from_server, datagram: forged.datagram }
    }
}

struct Stage {
    server: UdpSocket,
    forger: UdpSocket,
    client: UdpSocket,
    server_address: SocketAddr,
    client_address: SocketAddr,
    connected: bool,
    recv: RecvBatch,
    send: SendBatch,
    memory: Vec<u8>,
}

impl Stage {
    fn open(own: SocketAddr, guard: Guard) -> Result<Self, ExitError> {
        let open = |at| UdpSocket::bind(at, &SocketOptions::default());
        let any_port = SocketAddr::new(own.ip(), 0);
        let client = open(own)?;
        let (server, forger) = (open(any_port)?, open(any_port)?);
        let address = |socket: &UdpSocket| {
            socket.local_addr().map_err(|error| ExitError::io("ask for an address", &error))
        };
        let (server_address, client_address) = (address(&server)?, address(&client)?);
        let connected = guard == Guard::Connected;
        if connected {
            client.connect(server_address).map_err(|error| ExitError::io("connect", &error))?;
        }
        Ok(Self {
            server,
            forger,
            client,
            server_address,
            client_address,
            connected,
            recv: RecvBatch::new(1),
            send: SendBatch::new(1),
            memory: vec![0; LONGEST],
        })
    }

    /// One request on its way to the server: as the server reads it, and as it lay in the datagram.
    fn ask(
        &mut self,
        client: &mut Victim<'_>,
        now: Nanos,
        key: Option<&Key>,
    ) -> Result<(Header, Vec<u8>), ExitError> {
        client
            .request(now, Request { payload: b"question", ..Request::default() })
            .map_err(|error| ExitError::new(Exit::Software, error.to_string()))?;
        let datagram = self.transmit(client, now)?.ok_or_else(|| broken("the client sends nothing"))?;
        let header = header(&datagram, key).ok_or_else(|| broken("the request does not decode"))?;
        Ok((header, datagram))
    }

    /// Sends what is due, and lets the server receive it.
    fn transmit(&mut self, client: &mut Victim<'_>, now: Nanos) -> Result<Option<Vec<u8>>, ExitError> {
        let mut buffer = vec![0; LONGEST];
        let Some(transmit) = client.poll_transmit(now, &mut buffer) else { return Ok(None) };
        buffer.truncate(transmit.len);
        send(&mut self.send, &self.client, transmit.destination, &buffer)?;
        let (_, datagram) = receive(&mut self.recv, &self.server, &mut self.memory)?;
        Ok(Some(datagram))
    }

    /// Lets the time run until the request has failed; when that was.
    fn give_up(&mut self, client: &mut Victim<'_>) -> Result<Nanos, ExitError> {
        while let Some(now) = client.poll_timeout() {
            client.handle_timeout(now);
            if client.poll_failure().is_some() {
                return Ok(now);
            }
            self.transmit(client, now)?;
        }
        Err(broken("the request never fails"))
    }

    /// Sends all replies, and shows the client those that reach its socket, each with its source.
    fn deliver(
        &mut self,
        replies: &[Delivery],
        mut show: impl FnMut(&Delivery, SocketAddr),
    ) -> Result<(), ExitError> {
        for reply in replies {
            let socket = if reply.from_server { &self.server } else { &self.forger };
            send(&mut self.send, socket, self.client_address, &reply.datagram)?;
        }
        for reply in replies.iter().filter(|reply| reply.from_server || !self.connected) {
            let (from, datagram) = receive(&mut self.recv, &self.client, &mut self.memory)?;
            if datagram != reply.datagram {
                return Err(broken("a datagram of somebody else came between"));
            }
            show(reply, from);
        }
        // What a connected socket was not to see must not come after the rest, either.
        match wait_readable(&self.client, Duration::ZERO) {
            Ok(false) => Ok(()),
            Ok(true) => Err(broken("the kernel let a foreign datagram through")),
            Err(error) => Err(ExitError::io("wait for a datagram", &error)),
        }
    }
}

fn send(batch: &mut SendBatch, socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) -> Result<(), ExitError> {
    let parts = [IoSlice::new(datagram)];
    let message = SendMessage { to, from: None, parts: &parts, segment: None, tos: 0, hop_limit: None };
    batch.send(socket, &[message]).map_err(|error| ExitError::io(&format!("send to {to}"), &error))?;
    Ok(())
}

fn receive(
    batch: &mut RecvBatch,
    socket: &UdpSocket,
    memory: &mut [u8],
) -> Result<(SocketAddr, Vec<u8>), ExitError> {
    let failed = |error| ExitError::io("receive", &error);
    if !wait_readable(socket, PATIENCE).map_err(failed)? {
        return Err(broken("a datagram did not arrive"));
    }
    let layout = SlotLayout::new(LONGEST, 0);
    batch.recv(socket, memory, layout, 1).map_err(failed)?;
    let meta = batch.meta(0);
    Ok((meta.peer, layout.datagram(memory, 0, meta.len).to_vec()))
}

fn broken(what: &str) -> ExitError {
    ExitError::new(Exit::Software, format!("the stage is broken: {what}"))
}

fn unwritten(error: polyport_protocol::EncodeError) -> ExitError {
    ExitError::new(Exit::Software, format!("cannot write a reply: {error}"))
}
