//! A server that takes trains and answers them as trains, and misbehaves on purpose.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use polyport_net::{
    RecvBatch, SendBatch, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable, wait_writable,
};

/// What a server did.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Datagrams received from each peer.
    pub(crate) received: BTreeMap<SocketAddr, u64>,
    /// Datagrams received at each address.
    pub(crate) at: BTreeMap<SocketAddr, u64>,
    /// Trains received.
    pub(crate) trains: u64,
    /// Trains of which one datagram was dropped and another one not.
    pub(crate) torn: u64,
    /// First octets of what was received, in order, if it was to be kept.
    pub(crate) kept: Vec<[u8; 44]>,
}

/// A server that lives until it is asked what it did.
pub(crate) struct TrainServer {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Record>,
}

/// How long it waits for the next datagram before it looks whether it shall stop.
const GLANCE: Duration = Duration::from_millis(20);

const SLOTS: usize = 16;

impl TrainServer {
    /// `answer` gets each datagram with its number, and pushes the answers: those of one length leave as one train.
    pub(crate) fn start(
        bind: &str,
        keep: bool,
        answer: impl FnMut(u64, &[u8], &mut Vec<Vec<u8>>) + Send + 'static,
    ) -> Self {
        let options = SocketOptions {
            recv_buffer: Some(8 << 20),
            send_buffer: Some(4 << 20),
            ..SocketOptions::default()
        };
        let socket = UdpSocket::bind(bind.parse().unwrap(), &options).unwrap();
        if cfg!(target_os = "linux") {
            socket.set_gro(true).unwrap();
        }
        let (address, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&stop);
        let thread = thread::spawn(move || serve(&socket, &flag, keep, answer));
        Self { address, stop, thread }
    }

    /// Ends it. All that was sent to it before has been received.
    pub(crate) fn stop(self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn serve(
    socket: &UdpSocket,
    stop: &AtomicBool,
    keep: bool,
    mut answer: impl FnMut(u64, &[u8], &mut Vec<Vec<u8>>),
) -> Record {
    let (layout, mut batch, mut record) = (SlotLayout::WHOLE, RecvBatch::new(SLOTS), Record::default());
    let (mut memory, mut out, mut number) = (vec![0; layout.memory(SLOTS)], SendBatch::new(1), 0);
    let port = socket.local_addr().unwrap().port();
    loop {
        match batch.recv(socket, &mut memory, layout, SLOTS) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Only now: what waits is received first.
                if stop.load(Ordering::Relaxed) {
                    return record;
                }
                wait_readable(socket, GLANCE).unwrap();
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        for (index, meta) in batch.metas().enumerate() {
            let octets = layout.datagram(&memory, index, meta.len);
            let segment = meta.segment.map_or(octets.len(), usize::from).max(1);
            let mut answers = Vec::new();
            let (mut silent, mut datagrams) = (0, 0);
            for datagram in octets.chunks(segment) {
                let before = answers.len();
                answer(number, datagram, &mut answers);
                silent += u64::from(answers.len() == before);
                (number, datagrams) = (number + 1, datagrams + 1);
                if keep {
                    record.kept.push(datagram[..44].try_into().unwrap());
                }
            }
            *record.received.entry(meta.peer).or_default() += datagrams;
            if let Some(local) = meta.local {
                *record.at.entry((local.destination, port).into()).or_default() += datagrams;
            }
            record.trains += u64::from(datagrams > 1);
            record.torn += u64::from(silent > 0 && silent < datagrams);
            let from = meta.local.and_then(|local| local.reply_source());
            for train in
                answers.chunk_by(|one, other| one.len() == other.len()).flat_map(|run| run.chunks(60))
            {
                let parts: Vec<IoSlice<'_>> = train.iter().map(|answer| IoSlice::new(answer)).collect();
                let segment = NonZeroU16::new(u16::try_from(train[0].len()).unwrap());
                let message =
                    SendMessage { to: meta.peer, from, parts: &parts, segment, tos: 0, hop_limit: None };
                while let Err(error) = out.send(socket, &[message]) {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    wait_writable(socket, GLANCE).unwrap();
                }
            }
        }
    }
}
