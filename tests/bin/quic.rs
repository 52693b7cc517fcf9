//! A QUIC server and a QUIC client, both of [quinn](https://docs.rs/quinn), that carry bytes and count their datagrams.
//!
//! ```text
//! quic serve ADDRESS CERTIFICATE BYTES    writes a new certificate to that file, sends each client so many bytes
//! quic fetch ADDRESS CERTIFICATE BYTES    fetches them from who has that certificate, and looks at each
//! ```
//!
//! Each stays until SIGTERM. Then it takes what still waits in its socket, and says how many datagrams it has sent and
//! received. What quinn itself counts ends with a connection, and datagrams may come later.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSliceMut, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::rustls::{self, RootCertStore};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, ClientConfig, Connection, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime,
    TransportConfig, UdpPoller, VarInt,
};

/// Another client or server cannot be meant.
const NAME: &str = "server.example";
/// The server's buffers hold all that may be under way: the test counts datagrams, and none shall be lost where nobody does.
const BUFFER: usize = 8 << 20;
/// Between two lines of progress.
const STEP: usize = 1 << 20;

#[derive(Parser)]
struct Arguments {
    side: Side,
    address: SocketAddr,
    certificate: PathBuf,
    bytes: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Side {
    Serve,
    Fetch,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let ended = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&ended))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(arguments, ended))
}

async fn run(arguments: Arguments, ended: Arc<AtomicBool>) -> Result<(), Box<dyn Error>> {
    let local = match arguments.side {
        Side::Serve => arguments.address,
        Side::Fetch => (Ipv4Addr::LOCALHOST, 0).into(),
    };
    let socket = Arc::new(Counting::bind(local)?);
    let config = match arguments.side {
        Side::Serve => Some(server(&arguments.certificate)?),
        Side::Fetch => None,
    };
    let shared: Arc<dyn AsyncUdpSocket> = Arc::<Counting>::clone(&socket);
    let endpoint = Endpoint::new_with_abstract_socket(
        EndpointConfig::default(),
        config,
        shared,
        Arc::new(TokioRuntime),
    )?;
    match arguments.side {
        Side::Serve => {
            say(format_args!("serving"))?;
            let incoming = endpoint.accept().await.ok_or("no more connections")?;
            send(&incoming.await?, arguments.bytes).await?;
        }
        Side::Fetch => {
            let config = client(&arguments.certificate)?;
            let connection = endpoint.connect_with(config, arguments.address, NAME)?.await?;
            fetch(&connection, arguments.bytes).await?;
        }
    }
    endpoint.wait_idle().await;
    say(format_args!("done"))?;
    while !ended.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    socket.drain().await?;
    say(format_args!("{socket}"))?;
    Ok(())
}

/// Tells the test, at once.
fn say(line: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Answers one request and waits until the client has closed.
async fn send(connection: &Connection, bytes: usize) -> Result<(), Box<dyn Error>> {
    let (mut answer, mut request) = connection.accept_bi().await?;
    request.read_to_end(100).await?;
    let all: Vec<u8> = (0..bytes).map(byte).collect();
    for part in all.chunks(STEP) {
        answer.write_all(part).await?;
        say(format_args!("sent {}", part.len()))?;
    }
    answer.finish()?;
    connection.closed().await;
    Ok(())
}

async fn fetch(connection: &Connection, bytes: usize) -> Result<(), Box<dyn Error>> {
    let (mut request, mut answer) = connection.open_bi().await?;
    request.write_all(b"all of it").await?;
    request.finish()?;
    let (mut got, mut shown) = (0, 0);
    while let Some(chunk) = answer.read_chunk(usize::MAX, true).await? {
        let wrong = chunk.bytes.iter().enumerate().find(|(at, came)| **came != byte(got + at));
        if let Some((at, _)) = wrong {
            return Err(format!("byte {} is wrong", got + at).into());
        }
        got += chunk.bytes.len();
        if got - shown >= STEP {
            say(format_args!("got {got}"))?;
            shown = got;
        }
    }
    if got != bytes {
        return Err(format!("{got} bytes came, not {bytes}").into());
    }
    say(format_args!("all {got} bytes are right"))?;
    connection.close(VarInt::from_u32(0), b"thanks");
    Ok(())
}

/// What the byte at a place is: neighbours differ, and so do packets.
fn byte(at: usize) -> u8 {
    let small = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    small(at % 251) ^ small(at / 251 % 241)
}

fn server(certificate: &PathBuf) -> Result<ServerConfig, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let chain = vec![made.cert.der().clone()];
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::with_single_cert(chain, key.into())?;
    config.transport_config(Arc::new(transport()));
    // Whole at once, for who waits for it.
    let part = certificate.with_extension("part");
    std::fs::write(&part, made.cert.der())?;
    std::fs::rename(part, certificate)?;
    Ok(config)
}

fn client(certificate: &PathBuf) -> Result<ClientConfig, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(std::fs::read(certificate)?))?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

/// One that goes on at a pace where some are lost: the default one takes a minute.
fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.congestion_controller_factory(Arc::new(BbrConfig::default()));
    // A machine that is stopped for long is no reason to give up; who waits has a deadline.
    config.max_idle_timeout(None);
    config
}

/// Who has no right to so much gets what the system allows; the test has.
#[cfg(target_os = "linux")]
fn enlarge(socket: &UdpSocket) -> io::Result<()> {
    rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, BUFFER)
        .or_else(|_| rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER))?;
    Ok(())
}

/// Nobody exceeds there what the system allows.
#[cfg(not(target_os = "linux"))]
fn enlarge(socket: &UdpSocket) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER)?)
}

/// A socket that counts datagrams, also those that leave or come as one train.
#[derive(Debug)]
struct Counting {
    socket: Arc<dyn AsyncUdpSocket>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counting {
    fn bind(local: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(local)?;
        enlarge(&socket)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, BUFFER)?;
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Self { socket, sent: AtomicU64::new(0), received: AtomicU64::new(0) })
    }

    /// Takes what waits, until nothing does.
    async fn drain(&self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            // The runtime looks at the socket anew while it rests.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut meta = [RecvMeta::default()];
            let mut took = 0;
            std::future::poll_fn(|cx| {
                while let Poll::Ready(done) =
                    self.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)
                {
                    took += done?;
                }
                Poll::Ready(Ok::<(), io::Error>(()))
            })
            .await?;
            if took == 0 {
                return Ok(());
            }
        }
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(f, "datagrams: {} sent, {} received", of(&self.sent), of(&self.received))
    }
}

impl AsyncUdpSocket for Counting {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)?;
        let each = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        self.sent.fetch_add(transmit.contents.len().div_ceil(each).max(1) as u64, Ordering::Relaxed);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let taken = std::task::ready!(self.socket.poll_recv(cx, buffers, meta))?;
        let datagrams = meta[..taken].iter().map(|meta| meta.len.div_ceil(meta.stride.max(1)).max(1) as u64);
        self.received.fetch_add(datagrams.sum(), Ordering::Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
