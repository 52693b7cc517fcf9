//! Names: looked up by the daemon as it serves, confined, at a name server, again and again.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use polyport_tests::network::Host;
use polyport_tests::upstream::Upstream;
use polyport_tests::{Client, wait};

use super::counted;

/// What a host takes for its `resolv.conf` (ip-netns(8)), removed at the end.
struct ResolvConf(PathBuf);

impl ResolvConf {
    fn new(host: &Host) -> Self {
        let dir = PathBuf::from(format!("/etc/netns/{}", host.name()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
        Self(dir)
    }
}

impl Drop for ResolvConf {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A name server that knows one address for every name; 0: none.
fn serve_names(socket: UdpSocket, address: Arc<AtomicU32>) {
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..len];
            // One question: a name, its type and its class (RFC 1035, section 4).
            let Some(end) = query[12..].iter().position(|byte| *byte == 0).map(|at| 12 + at + 5) else {
                continue;
            };
            let ip = Ipv4Addr::from(address.load(Ordering::Relaxed));
            let is_a = query[end - 4..end] == [0, 1, 0, 1];
            let answers = u8::from(is_a && !ip.is_unspecified());
            let mut reply = query[..end].to_vec();
            reply[2..4].copy_from_slice(&[0x81, 0x80]);
            reply[4..12].copy_from_slice(&[0, 1, 0, answers, 0, 0, 0, 0]);
            if answers > 0 {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                reply.extend(ip.octets());
            }
            socket.send_to(&reply, peer).ok();
        }
    });
}

/// A name that is found late, and then means something else: whoever was answered stays, new ones go there.
#[test]
fn a_name_is_found_at_a_name_server_and_followed() {
    let Some(host) = Host::alone() else { return };
    let _resolv = ResolvConf::new(&host);
    let address = Arc::new(AtomicU32::new(0));
    serve_names(host.inside(|| UdpSocket::bind("127.0.0.1:53").unwrap()), Arc::clone(&address));
    let bind = |ip: Ipv4Addr| host.inside(move || UdpSocket::bind((ip, 9000)).unwrap());
    let [one, two] = [8, 9].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let _upstreams = [one, two].map(|ip| Upstream::of(bind(ip)));
    let relay = "127.0.0.1:7000=relay,name=relay,to=server.example:9000,resolve=1s,idle=1h";
    let mut daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).arg("-v").listen(relay).serve();
    daemon.process.wait_for_stderr("server.example: ");
    address.store(one.to_bits(), Ordering::Relaxed);
    let server = daemon.addresses()[0];
    let client =
        |port: u16| host.inside(move || Client::from(SocketAddr::from(([127, 0, 0, 1], port)), server));
    let first = client(5001);
    assert_eq!(first.ask_until_answered(b"found", 60), b"found");
    address.store(two.to_bits(), Ordering::Relaxed);
    // New ones, until one of them goes to the other server: it is found when there are two upstreams.
    let mut port = 5001;
    wait::until("the other address", || {
        port += 1;
        client(port).expect_echo(b"where to?");
        fs::read_to_string(format!("/proc/{}/net/udp", daemon.pid()))
            .is_ok_and(|table| table.contains("0900007F:2328 01"))
    });
    first.expect_echo(b"still there");
    let served = daemon.stop();
    assert_eq!(counted(&served, "unresolved"), 0);
    let lines = &served.finished.stderr;
    assert!(!lines.contains("moved"), "{lines}");
}
