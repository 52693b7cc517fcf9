//! The vocabulary of these tests: sockets, a receiver that waits with a deadline.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::process::Command;
use std::time::Duration;

use polyport_net::{RecvBatch, RecvMeta, SendMessage, SlotLayout, SocketOptions, UdpSocket, wait_readable};

pub(crate) const V4: &str = "127.0.0.1:0";
pub(crate) const V6: &str = "[::1]:0";
/// Far beyond what loopback needs, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

#[track_caller]
pub(crate) fn bind(addr: &str) -> UdpSocket {
    bind_with(addr, &SocketOptions { recv_buffer: Some(2 << 20), ..SocketOptions::default() })
}

#[track_caller]
pub(crate) fn bind_with(addr: &str, options: &SocketOptions) -> UdpSocket {
    UdpSocket::bind(addr.parse().unwrap(), options).unwrap()
}

#[track_caller]
pub(crate) fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// Sends by `send` until `socket` has something to tell, mostly at once. A port that was just closed may stay open a
/// moment longer, in a child that another test has forked but that has not yet reached its exec.
#[track_caller]
pub(crate) fn provoke(socket: &UdpSocket, mut send: impl FnMut()) {
    let told = (0..100).any(|_| {
        send();
        wait_readable(socket, DEADLINE / 100).unwrap()
    });
    assert!(told, "nothing came");
}

pub(crate) fn plain<'a>(to: SocketAddr, parts: &'a [IoSlice<'a>]) -> SendMessage<'a> {
    SendMessage { to, from: None, parts, segment: None, tos: 0, hop_limit: None }
}

/// Runs `test` of this binary again in a network namespace of its own, and panics if it fails there. The namespace has an
/// interface `pp0` with an address, as loopback carries no IPv6 groups: routes to it are made reject routes. `true`
/// says that this is that second run.
#[cfg(target_os = "linux")]
#[track_caller]
pub(crate) fn is_in_namespace(test: &str) -> bool {
    const MARK: &str = "POLYPORT_NET_TEST_NAMESPACE";
    const SETUP: &str = "ip link set lo up && ip link add pp0 type veth peer name pp1 && \
                         ip link set pp0 up && ip link set pp1 up && ip -6 addr add fd77::1/64 dev pp0 nodad && \
                         exec \"$0\" --exact \"$1\" --nocapture";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let unshare = |rights: &[&str], command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(rights).arg("--net").args(command).env(MARK, "1");
        unshare.output().expect("these tests need unshare(1) and ip(8)")
    };
    // Root may do it directly, others as root of a user namespace.
    let rights: &[&str] = if unshare(&[], &["true"]).status.success() { &[] } else { &["--map-root-user"] };
    let binary = std::env::current_exe().unwrap();
    let output = unshare(rights, &["sh", "-c", SETUP, binary.to_str().unwrap(), test]);
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Receives into memory of its own and keeps what came.
pub(crate) struct Receiver {
    pub(crate) batch: RecvBatch,
    pub(crate) layout: SlotLayout,
    memory: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new(slots: usize, layout: SlotLayout) -> Self {
        Self { batch: RecvBatch::new(slots), layout, memory: vec![0xEE; layout.memory(slots)] }
    }

    /// One call, without waiting.
    pub(crate) fn now(&mut self, socket: &UdpSocket, max: usize) -> io::Result<Vec<(RecvMeta, Vec<u8>)>> {
        let count = self.batch.recv(socket, &mut self.memory, self.layout, max)?;
        assert!(count > 0 && count <= max);
        let copy = |(index, meta): (usize, RecvMeta)| {
            (meta, self.layout.datagram(&self.memory, index, meta.len).to_vec())
        };
        Ok(self.batch.metas().enumerate().map(copy).collect())
    }

    /// Waits for something, then makes one call.
    #[track_caller]
    pub(crate) fn batch(&mut self, socket: &UdpSocket, max: usize) -> Vec<(RecvMeta, Vec<u8>)> {
        assert!(wait_readable(socket, DEADLINE).unwrap(), "nothing came");
        self.now(socket, max).unwrap()
    }

    #[track_caller]
    pub(crate) fn one(&mut self, socket: &UdpSocket) -> (RecvMeta, Vec<u8>) {
        self.batch(socket, 1).remove(0)
    }

    /// Waits until `count` datagrams came, and makes sure that no more did.
    #[track_caller]
    pub(crate) fn exactly(&mut self, socket: &UdpSocket, count: usize) -> Vec<(RecvMeta, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.batch(socket, self.batch.slots()));
        }
        assert_eq!(all.len(), count, "more than expected");
        assert_eq!(self.now(socket, 1).unwrap_err().kind(), ErrorKind::WouldBlock);
        all
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new(32, SlotLayout::WHOLE)
    }
}
