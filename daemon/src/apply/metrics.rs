//! Metrics by HTTP: where they are bound, and what the loop does about who asks, between two batches.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Receiver;

use polyport_terminal::{Output, Waker};

use super::control::Control;
use super::figures::{Around, Gathering};
use super::prepare::Prepared;
use super::refused::Refused;
use super::reload::Reloading;
use super::running::Running;
use super::sockets::exit_code;
use super::vitals::ProcessFiles;
use crate::config::{Metrics as Where, Problem};
use crate::control::http::{Hooks, Server, Wanted};

/// A socket that nobody is accepted from yet, with what has to be opened before files are out of reach.
#[derive(Debug)]
pub(super) struct Bound {
    listener: TcpListener,
    files: ProcessFiles,
}

/// Binds the socket that the plan asks for. It has to be done before rights are given up.
/// One that a daemon has which is taken over is used if it is the same.
pub(super) fn bind(prepared: &Prepared, shared: Option<OwnedFd>) -> Result<Option<Bound>, Refused> {
    let Some(Where { address: Some(address), span }) = &prepared.plan.metrics else { return Ok(None) };
    let shared = shared.map(TcpListener::from);
    if let Some(listener) = shared.filter(|shared| shared.local_addr().is_ok_and(|local| local == *address)) {
        return Ok(Some(Bound { listener, files: ProcessFiles::open() }));
    }
    let listener = TcpListener::bind(address).map_err(|error| {
        let problem = Problem::new("metrics", format!("metrics at {address}: {error}"));
        let problem = match span {
            Some(span) => problem.at(span, "this address"),
            None => problem,
        };
        let problem = problem.help("--metrics ADDR names another address, --metrics off none");
        let exit = exit_code(&error);
        Refused { exit, ..Refused::at(&prepared.plan, [problem]) }
    })?;
    Ok(Some(Bound { listener, files: ProcessFiles::open() }))
}

/// What the loop does about who asks for metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    _server: Server,
    /// For a daemon that takes over.
    listener: TcpListener,
    wanted: Receiver<Wanted>,
    /// What is gathered now, and what follows.
    gatherings: VecDeque<Gathering>,
    /// Brings the loop back for the next part of it.
    waker: Waker,
    output: Output,
}

impl Metrics {
    /// Answers from now on. The thread begins here, when rights have been given up.
    pub(super) fn start(bound: Bound, running: &Running, output: &Output) -> Result<Self, Refused> {
        let refused = |error: io::Error| {
            let title = format!("the thread that answers for metrics cannot be started: {error}");
            Refused::by_system(&running.prepared.plan, &title)
        };
        let (waker, of_thread) = (running.waker.another(), running.waker.another());
        let (waker, of_thread) = (waker.map_err(refused)?, of_thread.map_err(refused)?);
        let (stuck, files) = (running.stuck(), bound.files);
        let hooks = Hooks { stuck: Box::new(move || stuck.words()), process: Box::new(move || files.read()) };
        let listener = bound.listener.try_clone().map_err(refused)?;
        let (server, wanted) = Server::start(bound.listener, of_thread, hooks).map_err(refused)?;
        let address = server.address();
        log::info!("metrics at http://{address}/metrics");
        if !is_loopback(address.ip()) {
            log::warn!(
                "metrics at {address} can be read by everybody who reaches it: there is neither a password nor encryption; \
                 let a firewall or a proxy guard it, or use 127.0.0.1"
            );
        }
        Ok(Self {
            _server: server,
            listener,
            wanted,
            gatherings: VecDeque::new(),
            waker,
            output: output.clone(),
        })
    }

    /// The socket, for a daemon that takes over.
    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Takes who asks, and does the next part of what takes longer.
    pub(super) fn attend(&mut self, running: &mut Running, reloading: &Reloading, control: Option<&Control>) {
        while let Ok(wanted) = self.wanted.try_recv() {
            self.gatherings.push_back(Gathering::begin(wanted, running));
        }
        let Some(gathering) = self.gatherings.front_mut() else { return };
        if gathering.go_on(running)
            && let Some(gathering) = self.gatherings.pop_front()
        {
            let around = Around {
                reloads: reloading.history(),
                control: control.map(Control::counts),
                log_lines_lost: self.output.lost(),
            };
            gathering.finish(running, around);
        }
        if !self.gatherings.is_empty() {
            self.waker.wake();
        }
    }
}

/// Whether only this host reaches an address.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
