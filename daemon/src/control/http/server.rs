//! The thread that answers by HTTP, and its bounds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use polyport_terminal::{Waker, aside};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::answer::{Clerk, Counts, Hooks, Shared, count};
use super::gather::{Gatherer, Wanted};

/// Connections at a time: a Prometheus or two, the probes of a supervisor, a person. One more gets the place of the one that has
/// waited longest for its request.
const CONNECTIONS: usize = 64;
/// Pages of metrics at a time, until they are read: each may have some megabytes.
const PAGES: usize = 8;
/// How long a client may take for its request, from the connection on.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may take in all: its request, the answer of the loop, and reading it.
const WHOLE_TIME: Duration = Duration::from_secs(20);
/// Bytes of a request that are kept: a browser with all its cookies has some of them. The least that hyper allows.
const HEAD_BYTES: usize = 8 << 10;
/// Header lines of a request.
const HEADERS: usize = 64;
/// Bytes that the kernel keeps for a client: what it takes later stays here, where it is bounded. Without a word the kernel would keep
/// megabytes for each.
const SEND_BUFFER: usize = 128 << 10;
/// How long nobody is accepted after the system had no descriptor for a connection.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);
/// How long the end of the daemon waits for the thread.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The thread, from outside. Dropping it ends the thread.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    ended: Receiver<()>,
}

impl Server {
    /// Starts the thread. Who wants figures comes out of the receiver, after `waker` was used.
    ///
    /// # Errors
    /// Those of `epoll_create1(2)`, `eventfd(2)` and `pthread_create(3)`.
    pub fn start(listener: TcpListener, waker: Waker, hooks: Hooks) -> io::Result<(Self, Receiver<Wanted>)> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        // Connections have what their listener has.
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (gatherer, wanted) = Gatherer::new(waker);
        let pages = Arc::new(Semaphore::new(PAGES));
        let clerk = Arc::new(Clerk { gatherer, hooks, counts: Counts::default(), pages });
        let (end, asked) = oneshot::channel::<()>();
        let (tell, ended) = mpsc::channel::<()>();
        aside("metrics", move || {
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        drop(tokio::spawn(Door { clerk, open: VecDeque::new() }.accept(listener)));
                    }
                    Err(error) => log::error!("metrics: nobody is answered: {error}"),
                }
                // The sender is dropped at the end.
                asked.await.unwrap_or(());
            });
            runtime.shutdown_background();
            drop(tell);
        })?;
        Ok((Self { address, end: Some(end), ended }, wanted))
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.ended.recv_timeout(LAST_WORDS) == Err(RecvTimeoutError::Timeout) {
            log::debug!("metrics: its thread has not ended in time");
        }
    }
}

/// A connection that there is.
struct Open {
    /// Its request was read, and is being answered.
    busy: Arc<AtomicBool>,
    task: AbortHandle,
}

/// What lets clients in.
struct Door {
    clerk: Shared,
    /// The oldest first.
    open: VecDeque<Open>,
}

impl Door {
    async fn accept(mut self, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) => {
                    log::debug!("metrics: a connection cannot be accepted: {error}");
                    tokio::time::sleep(NO_DESCRIPTORS).await;
                }
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream) {
        count(&self.clerk.counts.connections);
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= CONNECTIONS {
            match self.open.iter().position(|open| !open.busy.load(Relaxed)) {
                Some(at) => {
                    count(&self.clerk.counts.evicted);
                    self.open.remove(at).iter().for_each(|open| open.task.abort());
                }
                None => return count(&self.clerk.counts.refused),
            }
        }
        let busy = Arc::<AtomicBool>::default();
        let task = tokio::spawn(talk(stream, Arc::clone(&self.clerk), Arc::clone(&busy)));
        self.open.push_back(Open { busy, task: task.abort_handle() });
    }
}

/// One connection with one request.
async fn talk(stream: TcpStream, clerk: Shared, busy: Arc<AtomicBool>) {
    let of_service = Arc::clone(&clerk);
    // What is written has its place until the connection ends.
    let place = Arc::new(OnceLock::<OwnedSemaphorePermit>::new());
    let of_answer = Arc::clone(&place);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        busy.store(true, Relaxed);
        let (clerk, place) = (Arc::clone(&of_service), Arc::clone(&of_answer));
        async move {
            let (parts, _) = request.into_parts();
            let answer = clerk.answer(&parts.method, parts.uri.path(), &parts.headers, &place).await;
            Ok::<_, Infallible>(answer)
        }
    });
    // Who keeps a connection for the next scrape in fifteen seconds keeps a place of others.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_timeout() => count(&clerk.counts.slow),
        Ok(Err(error)) => log::debug!("metrics: a connection has failed: {error}"),
        Err(_) => count(&clerk.counts.slow),
    }
    drop(place);
}
